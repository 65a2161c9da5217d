//! The way of a batch through the model to what is said about each record: files, the table or JSON on the
//! standard output, `results.jsonl` and `summary.tsv`. All commands that write something for each record are
//! made of [`Run`].
//!
//! A command's function makes a [`Done`] of the model's output: the names of the files that it wrote, scores
//! (any JSON, by a name that stays the same: it is what programs look up; `summary.tsv` shows those that it
//! has columns for), warnings, and the cells of the row on the terminal. The rest is done here: lines of
//! failed and of rejected records, warnings of the reader, times, and the order.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::files::results::{Record, Results, Status};
use crate::files::{OutputDir, OutputError};
use fasta::{Batch, Sequence};
use serde_json::{Map, Value};
use std_runner::model::Model;
use std_runner::task::Task;

use super::console::Console;
use super::input;
use super::options::Options;
use super::table::{Column, Table};

/// How results are told.
#[derive(clap::Args)]
pub struct Report {
    /// Print what is in results.jsonl, one line of JSON a record, instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What a command made of a record.
#[derive(Default)]
pub struct Done<T = ()> {
    /// Files that were written.
    pub files: Vec<PathBuf>,
    /// Scores by name.
    pub scores: Map<String, Value>,
    /// What the user should know before using it.
    pub warnings: Vec<String>,
    /// The row's cells, one for each of [`Run::columns`].
    pub cells: Vec<String>,
    /// Whatever the command keeps of it.
    pub value: T,
}

/// A command's run over a batch.
pub struct Run<'r, K> {
    /// The options of every command.
    pub options: &'r Options,
    /// The model.
    pub model: &'r Model<'r>,
    /// What is computed.
    pub task: &'r K,
    /// Where results go; none if the command writes no files.
    pub out: Option<&'r OutputDir>,
    /// How they are told.
    pub report: &'r Report,
    /// The columns of the table after the name; without any, no table is printed.
    pub columns: &'static [Column],
    /// Why nothing could be written for a record, so that computing it would be in vain.
    pub refuse: &'r (dyn Fn(&Sequence) -> Option<String> + Sync),
}

impl<K: Task> Run<'_, K> {
    /// Runs the batch. `make` works on the thread that computed an output; what it returns as a value goes to
    /// `keep`, in the input's order. A record's error is printed with its place, and the others go on.
    ///
    /// # Errors
    /// The threads can't be started, or the files that tell the results can't be written.
    pub fn run<T: Send>(
        &self,
        batch: Batch,
        console: &mut Console,
        make: impl Fn(&Sequence, K::Output, Duration) -> anyhow::Result<Done<T>> + Sync,
        mut keep: impl FnMut(&mut Console, &Sequence, T) + Send,
    ) -> anyhow::Result<()> {
        let Expectation { sequences, records } = self.expect(batch, console);
        // A run of nothing, as of a file that can't be read, leaves what an earlier one told.
        let out = self.out.filter(|_| !records.is_empty());
        let files = Mutex::new(Files { results: out.map(Results::create).transpose()?, error: None });
        let add = |index: usize, record: &Record| {
            files.lock().unwrap_or_else(PoisonError::into_inner).add(index, record);
        };
        for (&index, record) in records.iter().filter(|(_, record)| record.status == Status::Failed) {
            add(index, record);
        }
        let finish = |sequence: &Sequence, output, time: Duration| {
            let done = make(sequence, output, time)?;
            let record = self.done(records[&sequence.index].clone(), &done, time);
            add(sequence.index, &record);
            Ok((record, done))
        };
        let mut told = Told::new(self, &sequences);
        let report =
            |console: &mut Console, sequence: &Sequence, result: Result<(Record, Done<T>), String>| {
                told.before(sequence.index, &records, console);
                match result {
                    Ok((record, done)) => {
                        told.row(&record, &done.cells, console);
                        for warning in &done.warnings {
                            console.warning(format_args!("{}: {warning}", sequence.place));
                        }
                        keep(console, sequence, done.value);
                    }
                    Err(error) => {
                        let record = records[&sequence.index].clone().failed(error);
                        add(sequence.index, &record);
                        told.row(&record, &[], console);
                    }
                }
                told.next = sequence.index + 1;
            };
        input::run(self.options, self.model, self.task, &sequences, console, finish, report)?;
        told.before(usize::MAX, &records, console);
        files.into_inner().unwrap_or_else(PoisonError::into_inner).finish()?;
        Ok(())
    }

    /// What there is to run, and what is known of all records before.
    fn expect(&self, batch: Batch, console: &mut Console) -> Expectation {
        let mut expected = Expectation { sequences: vec![], records: BTreeMap::new() };
        let mut indices: HashMap<(String, usize), usize> = HashMap::new();
        for error in &batch.rejected {
            indices.insert((error.place.file.clone(), error.place.record), error.index);
            expected.records.insert(error.index, Record::rejected(error));
        }
        for sequence in batch.sequences {
            indices.insert((sequence.place.file.clone(), sequence.place.record), sequence.index);
            let mut record = Record::of(&sequence);
            if let Some(reason) = (self.refuse)(&sequence) {
                console.failure(format_args!("{}: {reason}", sequence.place));
                expected.records.insert(sequence.index, record.failed(reason));
            } else {
                record.warnings.extend(input::beyond_configuration(self.task, &sequence));
                expected.records.insert(sequence.index, record);
                expected.sequences.push(sequence);
            }
        }
        for (warning, place) in batch.warnings.iter().filter_map(|warning| Some((warning, warning.place()?)))
        {
            let index = indices.get(&(place.file.clone(), place.record));
            if let Some(record) = index.and_then(|index| expected.records.get_mut(index)) {
                let text = warning.to_string();
                let text = text.strip_prefix(&format!("{place}: ")).unwrap_or(&text);
                record.warnings.push(text.to_owned());
            }
        }
        expected
    }

    /// A record of which everything is known.
    fn done<T>(&self, record: Record, done: &Done<T>, time: Duration) -> Record {
        let name = |path: &PathBuf| {
            let inside = self.out.and_then(|out| path.strip_prefix(out.path()).ok());
            inside.unwrap_or(path).to_string_lossy().into_owned()
        };
        Record {
            files: done.files.iter().map(name).collect(),
            scores: done.scores.clone(),
            warnings: [record.warnings, done.warnings.clone()].concat(),
            // Milliseconds: what is below depends on the weather.
            seconds: Some((time.as_secs_f64() * 1e3).round() / 1e3),
            ..record
        }
    }
}

/// What is to be run, and all records by their index.
struct Expectation {
    sequences: Vec<Sequence>,
    /// With all that is known before anything runs; those that failed already are done.
    records: BTreeMap<usize, Record>,
}

/// The files that tell the results.
struct Files {
    results: Option<Results>,
    /// The first error; nothing is written afterwards.
    error: Option<OutputError>,
}

impl Files {
    fn add(&mut self, index: usize, record: &Record) {
        if let (Some(results), None) = (&mut self.results, &self.error) {
            self.error = results.add(index, record).err();
        }
    }

    fn finish(self) -> Result<(), OutputError> {
        match self.error {
            Some(error) => Err(error),
            None => self.results.map_or(Ok(()), Results::finish),
        }
    }
}

/// What is printed, in the input's order.
struct Told {
    json: bool,
    table: Option<Table>,
    /// Whether the head of the table is printed.
    begun: bool,
    /// Index of the first record of which nothing is printed yet.
    next: usize,
}

impl Told {
    fn new<K>(run: &Run<K>, sequences: &[Sequence]) -> Self {
        let names = sequences.iter().map(|sequence| sequence.id.as_str());
        let table = (!run.columns.is_empty()).then(|| Table::new(run.columns, names));
        Self { json: run.report.json, table, begun: false, next: 0 }
    }

    /// Prints the records before `index`, all of which failed before they could run.
    fn before(&mut self, index: usize, records: &BTreeMap<usize, Record>, console: &mut Console) {
        for record in records.range(self.next..index).map(|(_, record)| record) {
            self.row(record, &[], console);
        }
        self.next = index;
    }

    /// Prints a record. Failed ones have no row; their errors are on the standard error.
    fn row(&mut self, record: &Record, cells: &[String], console: &mut Console) {
        match &self.table {
            _ if self.json => console.line(record.json()),
            Some(table) if record.status == Status::Ok => {
                if !std::mem::replace(&mut self.begun, true) {
                    console.row(table.head());
                }
                console.row(table.row(&record.id, cells));
            }
            _ => {}
        }
    }
}

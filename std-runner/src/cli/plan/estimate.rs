//! What a task needs for each length or record, and for all of them.

use std::convert::Infallible;

use fasta::Sequence;
use std_runner::batch::{Place, Runner, Schedule};
use std_runner::task::{Task, TaskError};

use super::probe::probe;
use crate::rates::Rates;

/// What the program takes besides working memory, results and the model: its code, its threads' stacks, and
/// buffers of files.
const PROGRAM: u64 = 32 << 20;

/// What is planned for.
pub enum Items {
    /// Sequences of these lengths, each alone.
    Lengths(Vec<usize>),
    /// All records of a batch.
    Records(Vec<Sequence>),
}

/// What one length, or one record, needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The record's identifier.
    pub id: Option<String>,
    /// Residues that the model sees.
    pub residues: usize,
    /// What it needs, or why it can't be run at all.
    pub need: Result<Need, String>,
}

/// What a run needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// How it would run.
    pub place: Place,
    /// Bytes of core's arena so.
    pub arena: u64,
    /// Bytes so, with the results.
    pub bytes: u64,
    /// Whether the memory is enough, with one thread at least.
    pub fits: bool,
    /// Seconds; nothing where none were measured.
    pub seconds: Option<f64>,
}

/// What all records of a batch need.
#[derive(Clone, Debug, PartialEq)]
pub struct Total {
    /// Records that run.
    pub records: usize,
    /// Records that don't.
    pub refused: usize,
    /// How many short ones run side by side.
    pub side_by_side: usize,
    /// Most bytes at a time, with the results.
    pub bytes: u64,
    /// Seconds of all, without opening the model.
    pub seconds: Option<f64>,
}

/// What a task needs.
pub struct Estimate {
    /// The longest sequence that fits.
    pub longest: usize,
    /// For each length or record.
    pub rows: Vec<Row>,
    /// For a batch.
    pub total: Option<Total>,
}

impl Estimate {
    /// Reckons `task`. What was never measured is, unless there is no `measure`, which is told before: on runs
    /// of `probed`, the same task or a smaller one with work of all the same kinds.
    pub fn new(
        task: &impl Task,
        probed: &impl Task,
        items: &Items,
        runner: &Runner,
        rates: &mut Rates,
        measure: Option<&dyn Fn(&str)>,
    ) -> anyhow::Result<Self> {
        let longest = task.longest(runner.limit.bytes);
        let (mut rows, schedule) = match items {
            Items::Lengths(lengths) => {
                (lengths.iter().map(|&length| alone(task, length, runner)).collect(), None)
            }
            Items::Records(records) => {
                let schedule: Schedule<Infallible> = runner.schedule(task, records);
                (scheduled(task, records, &schedule), Some(schedule))
            }
        };
        if let Some(tell) = measure {
            measure_missing(task, probed, &rows, runner, rates, tell)?;
        }
        for row in &mut rows {
            if let Ok(need) = &mut row.need {
                need.seconds = rates.seconds(task.work(row.residues), need.place);
            }
        }
        let total = schedule.map(|schedule| Total::new(&rows, &schedule));
        Ok(Self { longest, rows, total })
    }
}

/// A sequence of that length, as it would run alone.
fn alone(task: &impl Task, residues: usize, runner: &Runner) -> Row {
    let need = || -> Result<Need, TaskError> {
        let all = task.bytes_needed(residues, runner.threads)?;
        let workers = if all > runner.limit.bytes { 1 } else { runner.threads };
        need(task, residues, Place { workers, at_once: 1 }, runner.limit.bytes)
    };
    Row { id: None, residues, need: need().map_err(|error| error.to_string()) }
}

fn need(task: &impl Task, residues: usize, place: Place, limit: u64) -> Result<Need, TaskError> {
    let bytes = task.bytes_needed(residues, place.workers)?;
    let arena = task.arena_bytes(residues, place.workers)?;
    Ok(Need { place, arena, bytes, fits: bytes <= limit, seconds: None })
}

/// Records as a batch runs them.
fn scheduled(task: &impl Task, records: &[Sequence], schedule: &Schedule<Infallible>) -> Vec<Row> {
    let mut places = vec![Place { workers: 1, at_once: schedule.side_by_side }; records.len()];
    for &(index, workers) in &schedule.long {
        places[index] = Place { workers, at_once: 1 };
    }
    let mut rows: Vec<Row> = records
        .iter()
        .zip(places)
        .map(|(record, place)| {
            let residues = task.length(record);
            let need = task.check(record).and_then(|()| need(task, residues, place, u64::MAX));
            let need = need.map_err(|error| error.to_string());
            Row { id: Some(record.id.clone()), residues, need }
        })
        .collect();
    for (index, error) in &schedule.refused {
        match &mut rows[*index].need {
            Ok(need) => need.fits = false,
            need => *need = Err(error.to_string()),
        }
    }
    rows
}

/// Measures the task on every place that a row runs on and of which too little is known.
fn measure_missing(
    task: &impl Task,
    probed: &impl Task,
    rows: &[Row],
    runner: &Runner,
    rates: &mut Rates,
    tell: &dyn Fn(&str),
) -> anyhow::Result<()> {
    let mut places: Vec<(Place, usize)> = Vec::new();
    for row in rows {
        let Some(need) = row.need.as_ref().ok().filter(|need| need.fits) else { continue };
        match places.iter_mut().find(|(place, _)| *place == need.place) {
            Some((_, most)) => *most = row.residues.max(*most),
            None => places.push((need.place, row.residues)),
        }
    }
    for (place, most) in places {
        if rates.cover(task.work(most), most, place) {
            continue;
        }
        let threads = place.workers * place.at_once;
        tell(&format!(
            "measuring this model on this machine, {threads} of its threads, for some seconds (--no-probe: don't)"
        ));
        let runs = probe(probed, place, most, runner.limit.bytes)?;
        if let Err(error) = rates.add(&runs) {
            tell(&format!("{error}; so it is measured each time"));
        }
    }
    Ok(())
}

impl Total {
    /// Long ones one after another, then short ones, each on the first thread that is free.
    fn new(rows: &[Row], schedule: &Schedule<Infallible>) -> Self {
        let need = |index: usize| rows[index].need.as_ref().ok();
        let seconds = |index: usize| need(index).and_then(|need| need.seconds);
        let bytes = |index: usize| need(index).map_or(0, |need| need.bytes);
        let long: Option<f64> = schedule.long.iter().map(|&(index, _)| seconds(index)).sum();
        let short: Option<Vec<f64>> = schedule.short.iter().map(|&index| seconds(index)).collect();
        let side_by_side = schedule.side_by_side;
        let at_once: u64 = schedule.short.iter().take(side_by_side).map(|&index| bytes(index)).sum();
        let records = schedule.long.len() + schedule.short.len();
        Self {
            records,
            refused: schedule.refused.len(),
            side_by_side,
            bytes: schedule.long.iter().map(|&(index, _)| bytes(index)).fold(at_once, u64::max),
            seconds: long.zip(short).map(|(long, short)| long + last(&short, side_by_side)),
        }
    }
}

/// When the last of these is done, if they are taken in order by so many threads.
fn last(seconds: &[f64], threads: usize) -> f64 {
    let mut free = vec![0f64; threads.max(1)];
    for seconds in seconds {
        if let Some(first) = free.iter_mut().min_by(|a, b| a.total_cmp(b)) {
            *first += seconds;
        }
    }
    free.into_iter().fold(0.0, f64::max)
}

/// What to ask a scheduler for, in MiB: `bytes` of working memory and results, the program, and the model, so
/// that none of its pages have to be read twice.
pub fn mem_mb(bytes: u64, model: u64) -> u64 {
    bytes.saturating_add(model).saturating_add(PROGRAM).div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_what_is_next() {
        assert_eq!(last(&[5.0, 3.0, 1.0, 1.0], 2), 5.0);
        assert_eq!(last(&[5.0, 3.0, 1.0, 1.0], 1), 10.0);
        assert_eq!(last(&[], 4), 0.0);
        assert_eq!(mem_mb(1, (1 << 20) - 1), 33);
    }
}

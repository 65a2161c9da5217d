//! What a run says about its records, for programs and for spreadsheets: `results.jsonl` and `summary.tsv`.

mod lines;
mod record;
mod summary;

pub use lines::OrderedLines;
pub use record::{Record, Status};

use super::{OutputDir, OutputError};

/// Name of the file with one JSON object a line.
pub const RESULTS: &str = "results.jsonl";
/// Name of the table.
pub const SUMMARY: &str = "summary.tsv";

/// Both files of a run, in its output folder. They begin anew with every run.
///
/// A record is in them as soon as it is known, in the order of arrival, so that a run that is killed leaves a
/// line for each record that it finished; when all are known, the lines are put in the input's order.
pub struct Results {
    results: OrderedLines,
    summary: OrderedLines,
}

impl Results {
    /// Begins both files.
    ///
    /// # Errors
    /// [`OutputError`] with the file's name.
    pub fn create(out: &OutputDir) -> Result<Self, OutputError> {
        Ok(Self {
            results: OrderedLines::create(out, RESULTS, "")?,
            summary: OrderedLines::create(out, SUMMARY, &summary::head())?,
        })
    }

    /// Adds the record that is at `place` in the input's order.
    ///
    /// # Errors
    /// [`OutputError`] with the file's name; then no part of the line is in it.
    pub fn add(&mut self, place: usize, record: &Record) -> Result<(), OutputError> {
        self.results.add(place, &record.json())?;
        self.summary.add(place, &summary::row(record))
    }

    /// Puts the lines in order.
    ///
    /// # Errors
    /// [`OutputError`] with the file's name; then its lines are in the order of arrival.
    pub fn finish(self) -> Result<(), OutputError> {
        self.results.finish()?;
        self.summary.finish()
    }
}

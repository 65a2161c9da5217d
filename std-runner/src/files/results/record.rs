//! One record of the input, and what became of it.

use fasta::{RecordError, Sequence};
use serde::Serialize;
use serde_json::{Map, Value};

/// A line of `results.jsonl`. Every field is in every line; what does not exist is `null`, or empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// As in tables: the header's first word, or the stem of its files where that is missing or not its
    /// alone.
    pub id: String,
    /// The whole header without the `>`.
    pub header: String,
    /// The FASTA file, as it was given.
    pub file: String,
    /// Line of the header, from 1.
    pub line: u64,
    /// Number of the record in its file, from 1.
    pub record: usize,
    /// Residues of all chains; none if the record was not understood.
    pub length: Option<usize>,
    /// Residues of each chain.
    pub chains: Vec<usize>,
    /// Whether it went well.
    pub status: Status,
    /// Why it did not.
    pub error: Option<String>,
    /// What was written for it; names in the output folder.
    pub files: Vec<String>,
    /// What the model says about it, by name.
    pub scores: Map<String, Value>,
    /// What to look at before it is used.
    pub warnings: Vec<String>,
    /// Time of its computation; other records may have been computed at the same time.
    pub seconds: Option<f64>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All that was asked for is there.
    Ok,
    /// It could not be read, computed or written: see the error.
    Failed,
}

impl Status {
    /// As in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
        }
    }
}

impl Record {
    /// A record that was read, before anything is known of its results.
    pub fn of(sequence: &Sequence) -> Self {
        let place = &sequence.place;
        Self {
            id: sequence.id.clone(),
            header: sequence.header.clone(),
            file: place.file.clone(),
            line: place.line,
            record: place.record,
            length: Some(sequence.residues.len()),
            chains: sequence.chain_lengths.clone(),
            status: Status::Ok,
            error: None,
            files: vec![],
            scores: Map::new(),
            warnings: vec![],
            seconds: None,
        }
    }

    /// A record that was not understood.
    pub fn rejected(error: &RecordError) -> Self {
        let place = &error.place;
        Self {
            id: error.id.clone(),
            header: error.header.clone(),
            file: place.file.clone(),
            line: error.header_line,
            record: place.record,
            length: None,
            chains: vec![],
            status: Status::Failed,
            error: Some(error.problem.to_string()),
            files: vec![],
            scores: Map::new(),
            warnings: vec![],
            seconds: None,
        }
    }

    /// This record, failed.
    #[must_use]
    pub fn failed(self, error: impl ToString) -> Self {
        Self { status: Status::Failed, error: Some(error.to_string()), ..self }
    }

    /// One line of JSON, without its end. What terminals would obey is escaped in it, also where JSON does
    /// not ask for that.
    pub fn json(&self) -> String {
        // Nothing that is in a record can fail to be JSON: all keys are text.
        let json = serde_json::to_string(self).unwrap_or_default();
        let obeyed =
            |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let mut escaped = String::with_capacity(json.len());
        for c in json.chars() {
            if obeyed(c) {
                // Such a character can only be inside a string.
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                escaped.push(c);
            }
        }
        escaped
    }
}

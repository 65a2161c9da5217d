//! Which sequences have a float reference that may be compared with.

use std::path::Path;

use crate::accuracy::reference::{Origin, Reference};
use crate::accuracy::target::first;
use fasta::Sequence;

use crate::cli::console::Console;

/// Checks the references in `dir` before anything is computed: returns why sequences cannot be compared,
/// after saying so. What should be known about the others is a warning.
pub fn check<'s>(
    console: &mut Console,
    dir: &Path,
    origin: &Origin,
    sequences: impl Iterator<Item = &'s Sequence>,
) -> Vec<(String, String)> {
    let mut failed = Vec::new();
    let mut remarks: Vec<(String, Vec<String>)> = Vec::new();
    for sequence in sequences {
        match Reference::check(dir, sequence, origin) {
            Ok(None) => {}
            Ok(Some(remark)) => match remarks.iter_mut().find(|(other, _)| *other == remark) {
                Some((_, ids)) => ids.push(sequence.id.clone()),
                None => remarks.push((remark, vec![sequence.id.clone()])),
            },
            Err(error) => {
                console.failure(format_args!("{}: {error}", sequence.place));
                failed.push((sequence.stem.clone(), error.to_string()));
            }
        }
    }
    for (remark, ids) in &remarks {
        let count = ids.len();
        console.warning(format_args!(
            "{}: the float reference of {count} {remark}: {}",
            dir.display(),
            first(ids)
        ));
    }
    failed
}

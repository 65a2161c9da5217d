//! Which sequences of a batch run when, and on how many threads.

use super::{BatchError, Runner};
use crate::task::Task;
use fasta::Sequence;

/// Which sequences run how; indices into the batch.
#[derive(Debug)]
pub struct Schedule<E> {
    /// Those that can't run, and why.
    pub refused: Vec<(usize, BatchError<E>)>,
    /// One after another, with that many workers inside.
    pub long: Vec<(usize, usize)>,
    /// Side by side, the longest first.
    pub short: Vec<usize>,
    /// How many of `short` at the same time.
    pub side_by_side: usize,
}

impl Runner {
    /// How it runs these sequences.
    pub fn schedule<K: Task, E>(&self, task: &K, sequences: &[Sequence]) -> Schedule<E> {
        let mut schedule = Schedule { refused: vec![], long: vec![], short: vec![], side_by_side: 0 };
        let mut needs = Vec::new();
        let few = sequences.iter().filter(|s| task.length(s) <= K::SHORT).count() < 2;
        for (index, sequence) in sequences.iter().enumerate() {
            let length = task.length(sequence);
            let alone = self.threads > 1 && (length > K::SHORT || few);
            let need = |workers| task.bytes_needed(length, workers);
            let needs_of = task.check(sequence).and_then(|()| need(1));
            let needs_of = needs_of.and_then(|one| Ok((one, if alone { need(self.threads)? } else { one })));
            match needs_of {
                Err(error) => schedule.refused.push((index, error.into())),
                Ok((needed, _)) if needed > self.limit.bytes => {
                    let longest = task.longest(self.limit.bytes);
                    let limit = self.limit.clone();
                    let error = BatchError::Memory { length, needed, limit, longest };
                    schedule.refused.push((index, error));
                }
                Ok((_, needed)) if alone => {
                    let workers = if needed > self.limit.bytes { 1 } else { self.threads };
                    schedule.long.push((index, workers));
                }
                Ok((needed, _)) => needs.push((needed, index)),
            }
        }
        needs.sort_by_key(|&(needed, index)| (std::cmp::Reverse(needed), index));
        schedule.side_by_side = side_by_side(&needs, self.threads, self.limit.bytes);
        schedule.short = needs.into_iter().map(|(_, index)| index).collect();
        schedule
    }
}

/// How many of the sequences with these needs (the largest first) fit side by side: at most `threads`, at
/// least one.
fn side_by_side(needs: &[(u64, usize)], threads: usize, limit: u64) -> usize {
    let mut left = limit;
    let fits = |&&(needed, _): &&(u64, usize)| match left.checked_sub(needed) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    needs.iter().take(threads.max(1)).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_bounds_how_many_run_side_by_side() {
        let needs = [(50, 0), (30, 1), (30, 2), (10, 3)];
        assert_eq!(side_by_side(&needs, 8, 1000), 4);
        assert_eq!(side_by_side(&needs, 2, 1000), 2);
        assert_eq!(side_by_side(&needs, 8, 109), 2);
        assert_eq!(side_by_side(&needs, 8, 60), 1);
        assert_eq!(side_by_side(&needs, 8, 10), 1);
        assert_eq!(side_by_side(&[], 8, 10), 1);
    }
}

//! Many sequences on many threads.
//!
//! Short sequences run one per thread, each in its own working memory, because that wastes nothing; long ones
//! run one after another with all threads inside. The numbers are the same either way. How much memory all of
//! it takes is settled before anything runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use foldpoint_core::executor::{Executor, Serial};

use crate::arena::{Arena, display_bytes};
use crate::executor::RayonExecutor;
use crate::memory_limit::MemoryLimit;
use crate::task::{Task, TaskError};
use fasta::Sequence;

/// Why a sequence of a batch has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError<E> {
    /// It needs more memory than there is; nothing was run.
    #[error(
        "not enough memory: {length} residues need {}, {limit}; the longest sequence that fits has {longest} residues",
        told_apart(*needed, limit.bytes)
    )]
    Memory {
        /// Residues that the model would see.
        length: usize,
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        limit: MemoryLimit,
        /// Residues that the bytes allowed are enough for.
        longest: usize,
    },
    /// The model refused it.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// What is done with the result failed.
    #[error("{0}")]
    Output(E),
}

/// `needed`, and by how much it is too many where it looks like `allowed`.
fn told_apart(needed: u64, allowed: u64) -> String {
    let text = display_bytes(needed);
    if text == display_bytes(allowed) {
        format!("{text} ({} more than allowed)", display_bytes(needed.saturating_sub(allowed)))
    } else {
        text
    }
}

/// How a batch is run.
pub struct Runner {
    /// Threads, at least 1.
    pub threads: usize,
    /// Memory for everything that runs at the same time.
    pub limit: MemoryLimit,
}

/// Which sequences run how; indices into the batch.
struct Schedule<E> {
    refused: Vec<(usize, BatchError<E>)>,
    /// One after another, with that many workers inside.
    long: Vec<(usize, usize)>,
    /// Side by side, the longest first.
    short: Vec<usize>,
    /// How many of `short` at the same time.
    side_by_side: usize,
}

impl Runner {
    /// Runs `task` on every sequence and hands each result and the time it took to `finish`, on the thread
    /// that made it. What `finish` returns goes to `report`, in the order of `sequences`. `status` is told
    /// how far a sequence is.
    ///
    /// # Errors
    /// Only if the system refuses threads; the sequences' own errors go to `report`.
    pub fn run<K: Task, T: Send, E: Send>(
        &self,
        task: &K,
        sequences: &[Sequence],
        status: impl Fn(&Sequence, &str) + Sync,
        finish: impl Fn(&Sequence, K::Output, Duration) -> Result<T, E> + Sync,
        report: impl FnMut(&Sequence, Result<T, BatchError<E>>) + Send,
    ) -> Result<(), rayon::ThreadPoolBuildError> {
        let reports = Mutex::new(InOrder { waiting: BTreeMap::new(), next: 0, report });
        let submit = |index: usize, result| {
            reports.lock().unwrap_or_else(PoisonError::into_inner).submit(sequences, index, result);
        };
        let one = |index: usize, arena: &mut Arena, executor: &dyn Executor| {
            let sequence = &sequences[index];
            let start = Instant::now();
            let result = task.run(sequence, arena, executor, &|step| status(sequence, step));
            let result = result
                .map_err(BatchError::Task)
                .and_then(|output| finish(sequence, output, start.elapsed()).map_err(BatchError::Output));
            submit(index, result);
        };

        let schedule = self.schedule(task, sequences);
        tracing::info!(
            long = schedule.long.len(),
            short = schedule.short.len(),
            side_by_side = schedule.side_by_side,
            refused = schedule.refused.len(),
            "schedule"
        );
        for (index, error) in schedule.refused {
            submit(index, Err(error));
        }
        let executor = RayonExecutor::new(self.threads)?;
        executor.inside(|| {
            let mut arena = Arena::default();
            for (index, workers) in schedule.long {
                let executor: &dyn Executor = if workers == 1 { &Serial } else { &executor };
                one(index, &mut arena, executor);
            }
        });
        let queue = Mutex::new(schedule.short.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::thread::scope(|scope| {
            for _ in 0..schedule.side_by_side {
                scope.spawn(|| {
                    let mut arena = Arena::default();
                    while let Some(index) = next() {
                        one(index, &mut arena, &Serial);
                    }
                });
            }
        });
        Ok(())
    }

    fn schedule<K: Task, E>(&self, task: &K, sequences: &[Sequence]) -> Schedule<E> {
        let mut schedule = Schedule { refused: vec![], long: vec![], short: vec![], side_by_side: 0 };
        let mut needs = Vec::new();
        let few = sequences.iter().filter(|s| task.length(s) <= K::SHORT).count() < 2;
        for (index, sequence) in sequences.iter().enumerate() {
            let length = task.length(sequence);
            let alone = self.threads > 1 && (length > K::SHORT || few);
            let need = |workers| task.bytes_needed(length, workers);
            let needs_of = need(1).and_then(|one| Ok((one, if alone { need(self.threads)? } else { one })));
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

/// Holds results back until those before them are there.
struct InOrder<T, E, R> {
    waiting: BTreeMap<usize, Result<T, BatchError<E>>>,
    next: usize,
    report: R,
}

impl<T, E, R: FnMut(&Sequence, Result<T, BatchError<E>>)> InOrder<T, E, R> {
    fn submit(&mut self, sequences: &[Sequence], index: usize, result: Result<T, BatchError<E>>) {
        self.waiting.insert(index, result);
        while let Some(result) = self.waiting.remove(&self.next) {
            (self.report)(&sequences[self.next], result);
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_just_too_much_is_told_apart() {
        assert_eq!(told_apart(3 << 20, 1 << 20), "3.0 MiB");
        assert_eq!(told_apart((1 << 20) + 1024, 1 << 20), "1.0 MiB (1.0 KiB more than allowed)");
    }

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

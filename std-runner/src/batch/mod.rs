//! Many sequences on many threads.
//!
//! Short sequences run one per thread, each in its own working memory, because that wastes nothing; long ones
//! run one after another with all threads inside. The numbers are the same either way. How much memory all of
//! it takes is settled before anything runs.

mod schedule;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use foldpoint_core::executor::{Executor, Serial};

use crate::arena::{Arena, display_bytes};
use crate::clock::{Stopwatch, Taken};
use crate::executor::RayonExecutor;
use crate::memory_limit::MemoryLimit;
use crate::task::{Task, TaskError};
use fasta::Sequence;

pub use schedule::Schedule;

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

/// On what a sequence of a batch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Threads inside it.
    pub workers: usize,
    /// Sequences that run at the same time, at most.
    pub at_once: usize,
}

/// How a sequence of a batch ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How long it took.
    pub taken: Taken,
    /// On what.
    pub place: Place,
}

/// How a batch is run.
pub struct Runner {
    /// Threads, at least 1.
    pub threads: usize,
    /// Memory for everything that runs at the same time.
    pub limit: MemoryLimit,
}

impl Runner {
    /// Runs `task` on every sequence and hands each result and how it ran to `finish`, on the thread
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
        finish: impl Fn(&Sequence, K::Output, Ran) -> Result<T, E> + Sync,
        report: impl FnMut(&Sequence, Result<T, BatchError<E>>) + Send,
    ) -> Result<(), rayon::ThreadPoolBuildError> {
        let reports = Mutex::new(InOrder { waiting: BTreeMap::new(), next: 0, report });
        let submit = |index: usize, result| {
            reports.lock().unwrap_or_else(PoisonError::into_inner).submit(sequences, index, result);
        };
        let one = |index: usize, arena: &mut Arena, executor: &dyn Executor, place: Place| {
            let sequence = &sequences[index];
            let clock = Stopwatch::start(place.workers);
            let result = task.run(sequence, arena, executor, &|step| status(sequence, step));
            let result = result.map_err(BatchError::Task).and_then(|output| {
                finish(sequence, output, Ran { taken: clock.read(), place }).map_err(BatchError::Output)
            });
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
                one(index, &mut arena, executor, Place { workers, at_once: 1 });
            }
        });
        let place = Place { workers: 1, at_once: schedule.side_by_side };
        let queue = Mutex::new(schedule.short.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::thread::scope(|scope| {
            for _ in 0..schedule.side_by_side {
                scope.spawn(|| {
                    let mut arena = Arena::default();
                    while let Some(index) = next() {
                        one(index, &mut arena, &Serial, place);
                    }
                });
            }
        });
        Ok(())
    }
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
}

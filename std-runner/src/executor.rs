//! Core's chunks on a pool of threads.

use std::sync::{Arc, Mutex, PoisonError};

use foldpoint_core::executor::{Executor, PairWork, chunks};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder, current_thread_index};

use crate::wakeup::{Step, Wakeup};

/// Runs chunks on a rayon thread pool.
///
/// Every worker takes the next chunk as soon as it is done with its last, so that slow chunks (or slow cores)
/// hold up nobody; which worker runs a chunk never changes its result.
#[derive(Debug)]
pub struct RayonExecutor {
    pool: ThreadPool,
    wakeup: Arc<Wakeup>,
}

impl RayonExecutor {
    /// `threads` threads, at least one.
    ///
    /// # Errors
    /// The system's, if it refuses a thread.
    pub fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let pool = ThreadPoolBuilder::new()
            // None would mean all processors.
            .num_threads(threads.max(1))
            .thread_name(|i| format!("foldpoint-{i}"))
            .build()?;
        Ok(Self { pool, wakeup: Arc::default() })
    }

    /// Runs `run` on one of the threads. Steps begun there need no other thread: what none has taken up when
    /// the rest is done, because it has yet to wake up or the processor is busy with other programs, this
    /// thread does itself. Between steps the others wait for the next.
    pub fn inside<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        self.pool.install(|| {
            let _run = self.wakeup.run();
            run()
        })
    }

    /// Has whichever thread is free, but for the one of that number, wait for the next step.
    fn wait_for_next(&self, but: Option<usize>) {
        let Some(steps) = self.wakeup.steps() else { return };
        let wakeup = Arc::clone(&self.wakeup);
        self.pool.spawn(move || {
            if current_thread_index() != but {
                wakeup.until_next(steps);
            }
        });
    }
}

impl Executor for RayonExecutor {
    fn workers(&self) -> usize {
        self.pool.current_num_threads()
    }

    fn for_each_pair(&self, data: [&mut [u8]; 2], sizes: [usize; 2], scratch: &mut [u8], work: &PairWork) {
        let mut parts = scratch_parts(scratch, self.workers());
        let useful = data[0].len().div_ceil(sizes[0].max(1));
        let queue = Mutex::new(chunks(data, sizes));
        // A worker that panicked left the queue whole: it was not holding the lock while it worked.
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let run = |part: &mut [u8]| {
            while let Some((index, chunk)) = next() {
                work(index, chunk, part);
            }
        };
        let own = parts.swap_remove(0);
        let step = Step::default();
        self.pool.scope(|scope| {
            let this = current_thread_index();
            for part in parts.into_iter().take(useful.saturating_sub(1)) {
                let (run, step) = (&run, &step);
                scope.spawn(move |_| {
                    let _part = step.part();
                    run(part);
                    if current_thread_index() != this {
                        self.wait_for_next(this);
                    }
                });
            }
            self.wakeup.begin_step();
            run(own);
            step.until_done();
        });
    }
}

/// Cuts scratch into `workers` equal parts.
fn scratch_parts(mut scratch: &mut [u8], workers: usize) -> Vec<&mut [u8]> {
    let size = scratch.len() / workers;
    let mut parts = Vec::with_capacity(workers);
    for _ in 0..workers {
        let (part, rest) = scratch.split_at_mut(size);
        parts.push(part);
        scratch = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldpoint_core::executor::Serial;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn each_chunk_once_as_serial(
            lens: [u16; 2],
            sizes in [0usize..200, 0usize..200],
            threads in 1usize..6,
        ) {
            let work = |index: usize, chunk: [&mut [u8]; 2], _: &mut [u8]| {
                for (i, byte) in chunk.into_iter().flatten().enumerate() {
                    *byte = byte.wrapping_add((index * 31 + i * 7 + 1) as u8);
                }
            };
            let mut serial = lens.map(|len| vec![3u8; usize::from(len % 5000)]);
            let mut parallel = serial.clone();
            Serial.for_each_pair(serial.each_mut().map(|data| &mut data[..]), sizes, &mut [], &work);
            let calls = AtomicUsize::new(0);
            let executor = RayonExecutor::new(threads).expect("threads");
            executor.for_each_pair(parallel.each_mut().map(|data| &mut data[..]), sizes, &mut [], &|i, c, s| {
                calls.fetch_add(1, Ordering::Relaxed);
                work(i, c, s);
            });
            prop_assert_eq!(calls.into_inner(), serial[0].len().div_ceil(sizes[0].max(1)));
            prop_assert_eq!(serial, parallel);
        }

        #[test]
        fn parts_are_equal_and_as_large_as_can_be(len in 0usize..3000, workers in 1usize..9) {
            let mut scratch = vec![0u8; len];
            let parts = scratch_parts(&mut scratch, workers);
            prop_assert_eq!(parts.len(), workers);
            let size = parts[0].len();
            prop_assert!(size * workers <= len && (size + 1) * workers > len);
            prop_assert!(parts.iter().all(|p| p.len() == size));
        }
    }

    #[test]
    fn a_run_leaves_all_threads_free() {
        let executor = RayonExecutor::new(4).expect("threads");
        let steps = || {
            for step in 0..200 {
                let mut data = vec![1u8; step % 7];
                executor.for_each(&mut data, 1, &mut [], &|_, piece, _| piece[0] += 1);
                assert!(data.iter().all(|&byte| byte == 2));
            }
        };
        // Outside of a run, in one, in two side by side, and in one that panics.
        steps();
        executor.inside(steps);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| executor.inside(steps));
            }
        });
        let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            executor.inside(|| {
                steps();
                panic!("a run's own fault");
            });
        }));
        assert!(broken.is_err());
        assert_eq!(executor.pool.broadcast(|_| 1).len(), 4, "a thread that waits would never answer");
    }

    #[test]
    fn no_two_chunks_share_a_scratch_part_at_once() {
        let executor = RayonExecutor::new(4).expect("threads");
        let busy: Mutex<HashSet<usize>> = Mutex::new(HashSet::new());
        let mut scratch = vec![0u8; 4 * 128];
        executor.for_each(&mut [0u8; 400], 1, &mut scratch, &|index, _, part| {
            assert_eq!(part.len(), 128);
            assert!(busy.lock().expect("no panic").insert(part.as_ptr().addr()), "shared scratch");
            part.fill(index as u8);
            std::thread::yield_now();
            assert!(part.iter().all(|&b| b == index as u8), "someone else wrote here");
            assert!(busy.lock().expect("no panic").remove(&part.as_ptr().addr()));
        });
    }
}

//! How long a run takes: by the clock on the wall, and without the time that other programs had the
//! processor. The latter is what says something about other runs.

use std::fs;
use std::time::{Duration, Instant};

/// How long a run took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// By the clock on the wall.
    pub wall: Duration,
    /// Without the time in which its threads could have run and others did, where the system says that (Linux:
    /// `/proc/PID/schedstat`); of several threads the mean of theirs. Waiting for a disk counts.
    pub undisturbed: Duration,
}

/// A clock that runs.
#[derive(Debug)]
pub struct Stopwatch {
    workers: usize,
    start: Instant,
    waited: Duration,
}

impl Stopwatch {
    /// Starts it for a run on this thread alone, or on so many threads of this process, which does nothing
    /// else at the time.
    pub fn start(workers: usize) -> Self {
        Self { workers, waited: waited(workers), start: Instant::now() }
    }

    /// What it says now, on the same thread.
    pub fn read(&self) -> Taken {
        let wall = self.start.elapsed();
        let waited = waited(self.workers).saturating_sub(self.waited) / self.workers.max(1) as u32;
        Taken { wall, undisturbed: wall.saturating_sub(waited) }
    }
}

/// How long the thread, or all of the process if there are several workers, ever waited for a processor.
fn waited(workers: usize) -> Duration {
    if workers == 1 {
        return of_thread("/proc/thread-self/schedstat");
    }
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.map(|thread| of_thread(thread.path().join("schedstat"))).sum()
}

/// The second number of a thread's file, in nanoseconds; nothing where there is none.
fn of_thread(path: impl AsRef<std::path::Path>) -> Duration {
    let text = fs::read_to_string(path).unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_others_is_part_of_the_wall_s_time_alone() {
        for workers in [1, 2] {
            let clock = Stopwatch::start(workers);
            let mut sum = 0u64;
            while clock.start.elapsed() < Duration::from_millis(20) {
                sum = std::hint::black_box(sum + 1);
            }
            let taken = clock.read();
            assert!(taken.undisturbed <= taken.wall && taken.wall >= Duration::from_millis(20));
        }
        // Whoever sleeps doesn't wait for a processor.
        let clock = Stopwatch::start(1);
        std::thread::sleep(Duration::from_millis(20));
        assert!(clock.read().undisturbed > Duration::ZERO);
    }
}

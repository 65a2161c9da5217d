//! How long a run takes: by the clock on the wall, and without the time that other programs had the
//! processor. The latter is what says something about other runs.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a run took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// By the clock on the wall.
    pub wall: Duration,
    /// As the system says it (Linux: `/proc/PID/schedstat`; elsewhere it is the wall's), without the time in which
    /// its threads could have run and others did. A thread that waits holds up the others, unless they wait as
    /// well: so the time of all is subtracted, as long as what is left is enough for what they did. Waiting for a
    /// disk counts.
    pub undisturbed: Duration,
}

/// A clock that runs.
#[derive(Debug)]
pub struct Stopwatch {
    workers: usize,
    start: Instant,
    before: Times,
}

impl Stopwatch {
    /// Starts it for a run on this thread alone, or on so many threads of this process, which does nothing
    /// else at the time.
    pub fn start(workers: usize) -> Self {
        Self { workers, before: Times::now(workers), start: Instant::now() }
    }

    /// What it says now, on the same thread.
    pub fn read(&self) -> Taken {
        let wall = self.start.elapsed();
        Taken {
            wall,
            undisturbed: Times::now(self.workers).since(self.before).undisturbed(wall, self.workers),
        }
    }
}

/// How long some threads ever ran, and waited for a processor.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    ran: Duration,
    waited: Duration,
}

impl Times {
    /// Of this thread, or of all of the process if there are several workers.
    fn now(workers: usize) -> Self {
        if workers == 1 {
            return Self::of_thread("/proc/thread-self/schedstat");
        }
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        threads
            .map(|thread| Self::of_thread(thread.path().join("schedstat")))
            .fold(Self::default(), |a, b| Self { ran: a.ran + b.ran, waited: a.waited + b.waited })
    }

    /// The first two numbers of a thread's file, in nanoseconds; nothing where there is none.
    fn of_thread(path: impl AsRef<Path>) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0));
        let mut next = || Duration::from_nanos(numbers.next().unwrap_or(0));
        Self { ran: next(), waited: next() }
    }

    fn since(self, before: Self) -> Self {
        Self { ran: self.ran.saturating_sub(before.ran), waited: self.waited.saturating_sub(before.waited) }
    }

    fn undisturbed(self, wall: Duration, workers: usize) -> Duration {
        let at_least = self.ran / u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        wall.saturating_sub(self.waited).max(at_least).min(wall)
    }
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
        let ms = Duration::from_millis;
        let undisturbed =
            |ran, waited, workers| Times { ran: ms(ran), waited: ms(waited) }.undisturbed(ms(100), workers);
        assert_eq!(undisturbed(190, 0, 2), ms(100), "nobody else ran");
        assert_eq!(undisturbed(60, 40, 1), ms(60));
        assert_eq!(undisturbed(100, 40, 2), ms(60), "one held up the other");
        assert_eq!(undisturbed(100, 90, 2), ms(50), "both waited at the same time");
        // Whoever sleeps doesn't wait for a processor.
        let clock = Stopwatch::start(1);
        std::thread::sleep(Duration::from_millis(20));
        assert!(clock.read().undisturbed > Duration::ZERO);
    }
}

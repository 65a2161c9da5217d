//! Threads that wait for each other, asleep, and wake each other up.
//!
//! A rayon thread without work looks for some again and again, and lets other programs run in between: beside
//! busy ones each time gives away a time slice, and the next step begins without the thread. One that sleeps
//! is woken when it is needed. To wake takes longer than most waits on an idle machine: so a thread first
//! looks for as long as that.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// About as long as it takes to wake a thread.
const LOOKING: Duration = Duration::from_micros(50);

/// Looks whether something holds, for a short time; whether it did.
fn soon(holds: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if start.elapsed() > LOOKING {
            return false;
        }
        std::hint::spin_loop();
    }
}

/// Wakes the threads that wait for the next step of a run.
#[derive(Debug, Default)]
pub struct Wakeup {
    /// Runs that may have a next step.
    runs: Mutex<usize>,
    /// Steps that have begun; changes while `runs` is locked.
    steps: AtomicU64,
    changed: Condvar,
}

/// A run; ends when it is dropped.
#[derive(Debug)]
pub struct Run<'w>(&'w Wakeup);

/// How many steps had begun.
#[derive(Clone, Copy, Debug)]
pub struct Steps(u64);

impl Wakeup {
    /// Begins a run.
    pub fn run(&self) -> Run<'_> {
        *self.lock() += 1;
        Run(self)
    }

    /// Begins a step: all who wait go on.
    pub fn begin_step(&self) {
        let runs = self.lock();
        self.steps.fetch_add(1, Ordering::Relaxed);
        drop(runs);
        self.changed.notify_all();
    }

    /// What to wait with for the next step; nothing where no run is under way.
    pub fn steps(&self) -> Option<Steps> {
        let runs = self.lock();
        (*runs > 0).then_some(Steps(self.steps.load(Ordering::Relaxed)))
    }

    /// Waits until another step begins, or no run is left.
    pub fn until_next(&self, Steps(steps): Steps) {
        let same = || self.steps.load(Ordering::Relaxed) == steps;
        if !soon(|| !same()) {
            drop(self.changed.wait_while(self.lock(), |runs| *runs > 0 && same()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // Nobody panics while holding the lock.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.changed.notify_all();
    }
}

/// The parts of a step that other threads have begun.
#[derive(Debug, Default)]
pub struct Step {
    /// How many are not done; falls while `falls` is locked.
    begun: AtomicUsize,
    falls: Mutex<()>,
    done: Condvar,
}

/// A part; ends when it is dropped.
#[derive(Debug)]
pub struct Part<'s>(&'s Step);

impl Step {
    /// Begins a part.
    pub fn part(&self) -> Part<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Part(self)
    }

    /// Waits until all that have begun are done.
    pub fn until_done(&self) {
        let done = || self.begun.load(Ordering::Relaxed) == 0;
        if !soon(done) {
            drop(self.done.wait_while(self.lock(), |()| !done()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // Nobody panics while holding the lock.
        self.falls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let falls = self.0.lock();
        self.0.begun.fetch_sub(1, Ordering::Relaxed);
        drop(falls);
        self.0.done.notify_one();
    }
}

//! Where threads wait for each other, asleep.
//!
//! A rayon thread without work looks for some again and again, and lets other programs run in between: beside busy ones each time gives
//! away a time slice, and the next step begins without the thread. One that sleeps is woken when it is needed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Where threads wait for the next step of a run.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Runs that may have a next step.
    runs: usize,
    /// Steps that have begun.
    steps: u64,
}

/// A run; ends when it is dropped.
#[derive(Debug)]
pub struct Run<'g>(&'g Gate);

/// How many steps had begun.
#[derive(Clone, Copy, Debug)]
pub struct Steps(u64);

impl Gate {
    /// Begins a run.
    pub fn run(&self) -> Run<'_> {
        self.lock().runs += 1;
        Run(self)
    }

    /// Begins a step: all who wait go on.
    pub fn open(&self) {
        self.lock().steps += 1;
        self.changed.notify_all();
    }

    /// What to wait with for the next step; nothing where no run is under way.
    pub fn wait(&self) -> Option<Steps> {
        let state = self.lock();
        (state.runs > 0).then_some(Steps(state.steps))
    }

    /// Waits until another step begins, or no run is left.
    pub fn until_next(&self, Steps(steps): Steps) {
        let same = |state: &mut State| state.runs > 0 && state.steps == steps;
        drop(self.changed.wait_while(self.lock(), same));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.lock().runs -= 1;
        self.0.changed.notify_all();
    }
}

/// The parts of a step that other threads have begun.
#[derive(Debug, Default)]
pub struct Step {
    begun: Mutex<usize>,
    done: Condvar,
}

/// A part; ends when it is dropped.
#[derive(Debug)]
pub struct Part<'s>(&'s Step);

impl Step {
    /// Begins a part.
    pub fn part(&self) -> Part<'_> {
        *self.lock() += 1;
        Part(self)
    }

    /// Waits until all that have begun are done.
    pub fn until_done(&self) {
        drop(self.done.wait_while(self.lock(), |begun| *begun > 0));
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // Nobody panics while holding the lock.
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.done.notify_one();
    }
}

//! On what a model's runs are done: threads and working memory, which are kept between calls; and how Ctrl-C
//! stops one.
//!
//! What is kept is taken and given back only while the interpreter is attached, so that a process that forks
//! never forks in between: its child finds it whole, but for the threads, which it hasn't.

use std::cell::Cell;
use std::mem;
use std::ops::ControlFlow;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fasta::Sequence;
use foldpoint_core::executor::Executor;
use foldpoint_core::{Serial, esm};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std_runner::arena::Arena;
use std_runner::batch::{BatchError, Runner};
use std_runner::executor::RayonExecutor;
use std_runner::memory_limit::MemoryLimit;
use std_runner::task::{Hook, Progress, Task, TaskError};
use std_runner::work::Work;

use crate::error;
use crate::input::warn;

/// How often the interpreter is asked whether somebody pressed Ctrl-C.
pub const PATIENCE: Duration = Duration::from_millis(50);
/// How long what the system says about its memory is taken for true.
const FRESH: Duration = Duration::from_secs(1);
/// Working memory above this is given back to the system after a call.
const KEPT_BYTES: usize = 64 << 20;

/// Threads, memory, and what is kept of both.
pub struct Session {
    threads: usize,
    limit: Option<u64>,
    kept: Mutex<Kept>,
}

/// What is kept between calls.
#[derive(Default)]
struct Kept {
    /// Whose the threads are.
    process: u32,
    executor: Option<Arc<RayonExecutor>>,
    arenas: Vec<Arena>,
    limit: Option<(Instant, MemoryLimit)>,
}

impl Session {
    /// So many threads, and at most so many bytes of memory; none is what the system allows.
    pub fn new(threads: usize, limit: Option<u64>) -> Self {
        Self { threads, limit, kept: Mutex::default() }
    }

    /// Threads.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The most memory, if somebody said so.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// How batches are run.
    pub fn runner(&self, py: Python<'_>) -> PyResult<Runner> {
        let mut warnings = Vec::new();
        let limit = {
            let mut kept = self.kept();
            match &kept.limit {
                Some((at, limit)) if at.elapsed() < FRESH => limit.clone(),
                _ => {
                    let limit = MemoryLimit::new(self.limit, |warning| warnings.push(warning));
                    kept.limit = Some((Instant::now(), limit.clone()));
                    limit
                }
            }
        };
        warnings.iter().try_for_each(|warning| warn(py, warning))?;
        Ok(Runner { threads: self.threads, limit })
    }

    /// Runs `task` on one sequence, which messages call `label`.
    ///
    /// # Errors
    /// The sequence's, or `KeyboardInterrupt`.
    pub fn one<K: Task<Output: Send>>(
        &self,
        py: Python<'_>,
        task: &K,
        sequence: &Sequence,
        label: &str,
    ) -> PyResult<K::Output> {
        let mut schedule = self.runner(py)?.schedule(task, std::slice::from_ref(sequence));
        if let Some((_, error)) = schedule.refused.pop() {
            return Err(error::of_sequence(label, &error));
        }
        let workers = schedule.long.first().map_or(1, |&(_, workers)| workers);
        let mut arena = self.kept().arenas.pop().unwrap_or_default();
        let result = if workers == 1 {
            here(py, task, sequence, &mut arena)
        } else {
            let executor = self.executor()?;
            let stop = AtomicBool::new(false);
            let task = Stoppable { task, stop: &stop };
            beside(py, &stop, || executor.inside(|| task.run_with(sequence, &mut arena, &*executor, &go_on)))
        };
        if arena.as_ref().len() <= KEPT_BYTES {
            self.kept().arenas.push(arena);
        }
        result?.map_err(|error| error::of_sequence(label, &BatchError::Task(error)))
    }

    /// Runs `task` on all sequences, and makes of each output what is wanted, on the thread that computed it.
    /// `label` is what messages call a sequence.
    ///
    /// # Errors
    /// The first one of a sequence, and the others are not run; or `KeyboardInterrupt`.
    pub fn all<K: Task<Output: Send>, T: Send>(
        &self,
        py: Python<'_>,
        task: &K,
        sequences: &[Sequence],
        label: impl Fn(usize) -> String,
        finish: impl Fn(K::Output) -> T + Sync,
    ) -> PyResult<Vec<T>> {
        if let [sequence] = sequences {
            return Ok(vec![finish(self.one(py, task, sequence, &label(0))?)]);
        }
        let runner = self.runner(py)?;
        if let Some((index, error)) = runner.schedule(task, sequences).refused.first() {
            return Err(error::of_sequence(&label(*index), error));
        }
        let stop = AtomicBool::new(false);
        let task = Stoppable { task, stop: &stop };
        let mut results = Vec::with_capacity(sequences.len());
        let mut failure = None;
        let ran = beside(py, &stop, || {
            let finish = |_: &Sequence, output, _| Ok(finish(output));
            runner.run(
                &task,
                sequences,
                |_, _| {},
                finish,
                |_, result| match result {
                    Ok(value) => results.push(value),
                    Err(error) => {
                        // Those after it stop because of it.
                        failure.get_or_insert((results.len(), error));
                        stop.store(true, Ordering::Relaxed);
                    }
                },
            )
        })?;
        ran.map_err(error::of_system)?;
        match failure {
            Some((index, error)) => Err(error::of_sequence(&label(index), &error)),
            None => Ok(results),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn executor(&self) -> PyResult<Arc<RayonExecutor>> {
        let mut kept = self.kept();
        if kept.process != process::id() {
            // A fork has no threads but the one that forked. What would end the others waits for them.
            mem::forget(kept.executor.take());
            kept.process = process::id();
        }
        if let Some(executor) = &kept.executor {
            return Ok(Arc::clone(executor));
        }
        let executor = Arc::new(RayonExecutor::new(self.threads).map_err(error::of_system)?);
        kept.executor = Some(Arc::clone(&executor));
        Ok(executor)
    }
}

/// A task that stops between steps, and does not begin, once `stop` is set.
pub struct Stoppable<'s, K> {
    /// The task.
    pub task: &'s K,
    /// Whether it is to stop.
    pub stop: &'s AtomicBool,
}

impl<K: Task> Task for Stoppable<'_, K> {
    type Output = K::Output;
    const SHORT: usize = K::SHORT;

    fn length(&self, sequence: &Sequence) -> usize {
        self.task.length(sequence)
    }

    fn check(&self, sequence: &Sequence) -> Result<(), TaskError> {
        self.task.check(sequence)
    }

    fn configured_for(&self) -> usize {
        self.task.configured_for()
    }

    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        self.task.arena_bytes(length, workers)
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        self.task.bytes_needed(length, workers)
    }

    fn work(&self, length: usize) -> Work {
        self.task.work(length)
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<K::Output, TaskError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(esm::RunError::Stopped.into());
        }
        self.task.run_with(sequence, arena, executor, &|progress| {
            if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { hook(progress) }
        })
    }
}

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Runs on this thread.
fn here<K: Task<Output: Send>>(
    py: Python<'_>,
    task: &K,
    sequence: &Sequence,
    arena: &mut Arena,
) -> PyResult<Result<K::Output, TaskError>> {
    py.detach(|| {
        let (asked, raised) = (Cell::new(Instant::now()), Cell::new(None));
        let hook = |_: &Progress| {
            if asked.get().elapsed() < PATIENCE {
                return ControlFlow::Continue(());
            }
            asked.set(Instant::now());
            match Python::attach(|py| py.check_signals()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(signal) => {
                    raised.set(Some(signal));
                    ControlFlow::Break(())
                }
            }
        };
        let result = task.run_with(sequence, arena, &Serial, &hook);
        raised.into_inner().map_or(Ok(result), Err)
    })
}

/// Does `work` on another thread, since signals come to this one; sets `stop` at Ctrl-C.
fn beside<T: Send>(py: Python<'_>, stop: &AtomicBool, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| {
        thread::scope(|scope| {
            let (done, result) = channel();
            thread::Builder::new()
                .spawn_scoped(scope, move || done.send(work()))
                .map_err(error::of_system)?;
            loop {
                match result.recv_timeout(PATIENCE) {
                    Ok(value) => return Ok(value),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(PyRuntimeError::new_err("a thread of the engine broke down"));
                    }
                }
                if let Err(signal) = Python::attach(|py| py.check_signals()) {
                    stop.store(true, Ordering::Relaxed);
                    return Err(signal);
                }
            }
        })
    })
}

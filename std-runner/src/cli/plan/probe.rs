//! A model measured on this machine, in seconds: runs of growing length, each broken off after a while.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use foldpoint_core::executor::{Executor, Serial};
use std_runner::arena::Arena;
use std_runner::batch::Place;
use std_runner::clock::Stopwatch;
use std_runner::executor::RayonExecutor;
use std_runner::task::{Task, TaskError};
use std_runner::work::Work;

use crate::cli::bench::random_sequence;
use crate::rates::Run;

/// Residues of the runs.
const LENGTHS: [usize; 6] = [32, 64, 128, 256, 512, 1024];
/// A run is broken off after the first step that ends later and is of the task's last kind, and after twice as long
/// in any case.
const RUN: Duration = Duration::from_millis(2500);
/// The same of the first one, which is not counted.
const FIRST: Duration = Duration::from_secs(1);
/// No further run is begun.
const ALL: Duration = Duration::from_secs(7);
/// A short run is made so often: one alone says little beside other programs.
const REPEATS: usize = 5;
const SHORT: Duration = Duration::from_millis(100);
/// By how much a step takes longer if the length is doubled: linear layers, mostly.
const GROWTH: f64 = 2.4;

/// Runs `task` on `place` on up to `most` residues, of which each run needs at most `bytes` of memory, and says
/// what it measured.
pub fn probe<K: Task>(task: &K, place: Place, most: usize, bytes: u64) -> anyhow::Result<Vec<Run>> {
    let pool = if place.workers > 1 { Some(RayonExecutor::new(place.workers)?) } else { None };
    let needed =
        |length| task.bytes_needed(length, place.workers).map(|one| one.saturating_mul(place.at_once as u64));
    let start = Instant::now();
    let mut measured = Vec::new();
    let mut reached: Option<Duration> = None;
    // The first run reads the weights, and takes pages from the system: it is not counted.
    for (round, length) in LENGTHS[..1].iter().chain(&LENGTHS).copied().enumerate() {
        let longer = round > 1 && length > most.max(LENGTHS[1]);
        let late = round > 0 && start.elapsed() > ALL
            || round > 1 && reached.is_none_or(|reached| reached.mul_f64(GROWTH) > 2 * RUN);
        if longer || late || needed(length)? > bytes {
            break;
        }
        for _ in 0..REPEATS {
            let begun = Instant::now();
            let limit = if round == 0 { FIRST } else { RUN };
            for run in at_once(task, place, length, limit, pool.as_ref()) {
                let run = run?;
                reached = run.reached;
                if round > 0 {
                    measured.extend(run.measured);
                }
            }
            if round == 0 || begun.elapsed() > SHORT {
                break;
            }
        }
    }
    Ok(measured)
}

/// As many runs at a time as the place says, in `pool` if it has several workers.
fn at_once<K: Task>(
    task: &K,
    place: Place,
    length: usize,
    limit: Duration,
    pool: Option<&RayonExecutor>,
) -> Vec<Result<Part, TaskError>> {
    if let Some(pool) = pool {
        return vec![pool.inside(|| part(task, place, length, limit, pool))];
    }
    std::thread::scope(|scope| {
        let run = || part(task, place, length, limit, &Serial);
        let threads: Vec<_> = (0..place.at_once).map(|_| scope.spawn(run)).collect();
        let join = |thread: ScopedJoinHandle<_>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        threads.into_iter().map(join).collect()
    })
}

/// What a run, or its beginning, took.
struct Part {
    /// The language model and, if it came to that, the folding.
    measured: Vec<Run>,
    /// When the first step was done that is of the task's last kind.
    reached: Option<Duration>,
}

fn part<K: Task>(
    task: &K,
    place: Place,
    length: usize,
    limit: Duration,
    executor: &dyn Executor,
) -> Result<Part, TaskError> {
    let folds = task.work(length).folds();
    let steps: RefCell<Vec<(Work, Duration)>> = RefCell::default();
    let clock = Stopwatch::start(place.workers);
    let start = Instant::now();
    let result = task.run_with(&random_sequence(length), &mut Arena::default(), executor, &|progress| {
        let time = start.elapsed();
        steps.borrow_mut().push((progress.done, time));
        let late = time > 2 * limit || time > limit && progress.done.folds() == folds;
        if late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let taken = clock.read();
    let mut steps = steps.into_inner();
    match result {
        Ok(_) => steps.push((task.work(length), taken.wall)),
        Err(error) if error.is_stop() => {}
        Err(error) => return Err(error),
    }
    let mut part = Part { measured: vec![], reached: None };
    let mut before = (Work::default(), Duration::ZERO);
    let mut sums = [(Work::default(), Duration::ZERO); 2];
    for (done, time) in steps {
        let step = done - before.0;
        let sum = &mut sums[usize::from(step.folds())];
        *sum = (sum.0 + step, sum.1 + time.saturating_sub(before.1));
        if step.folds() == folds {
            part.reached = part.reached.or(Some(time));
        }
        before = (done, time);
    }
    // To ask what others took between two steps would take longer than short steps do.
    let share = taken.undisturbed.as_secs_f64() / taken.wall.as_secs_f64();
    for (work, time) in sums.into_iter().filter(|(work, _)| work.total() > 0.0) {
        part.measured.push(Run {
            workers: place.workers,
            at_once: place.at_once,
            residues: length,
            work,
            seconds: time.as_secs_f64() * share,
            probe: true,
        });
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldpoint_core::Isa;
    use std_runner::engine::{Engine, Request, Requests};
    use std_runner::fold::EsmFold;
    use std_runner::model::Model;

    #[test]
    fn both_parts_of_a_fold_are_measured_on_every_place() {
        let model = Model::from_bytes("tiny", include_bytes!("../../../../examples/bare-metal/tiny.fpm"));
        let model = model.expect("a model");
        let fold = EsmFold {
            model: model.folding_model().expect("it folds"),
            isa: Isa::best(),
            passes: 2,
            aligned_error: false,
        };
        for place in [
            Place { workers: 1, at_once: 1 },
            Place { workers: 1, at_once: 2 },
            Place { workers: 2, at_once: 1 },
        ] {
            let runs = probe(&fold, place, 10, u64::MAX).expect("measured");
            let of = |length, folds| {
                runs.iter().filter(|run| run.residues == length && run.work.folds() == folds).count()
            };
            for length in [32, 64] {
                let [alone, folds] = [of(length, false), of(length, true)];
                assert!(alone == folds && alone >= place.at_once && alone.is_multiple_of(place.at_once));
            }
            assert!(runs.iter().all(|run| run.residues <= 64), "nobody asked for more");
            assert!(runs.iter().all(|run| run.probe && run.workers == place.workers && run.seconds > 0.0));
            let of_64 = runs.iter().filter(|run| run.residues == 64);
            let sum: f64 = of_64.map(|run| run.work.total()).sum();
            let all = fold.work(64).total() * of(64, true) as f64;
            assert!((sum / all - 1.0).abs() < 1e-9, "no work is missed");
        }
        let engine = Engine::new(model.language_model().expect("a language model"), Isa::best());
        let task = Requests { engine: &engine, request: &Request::default() };
        let place = Place { workers: 1, at_once: 1 };
        let runs = probe(&task, place, 500, task.bytes_needed(64, 1).expect("bytes")).expect("measured");
        let mut lengths: Vec<usize> = runs.iter().map(|run| run.residues).collect();
        lengths.dedup();
        assert_eq!(lengths, [32, 64], "the memory is enough for no more");
    }
}

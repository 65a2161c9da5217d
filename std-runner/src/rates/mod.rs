//! How fast a model runs on a machine, from runs that were measured there: what `plan` and `info` reckon
//! with.
//!
//! | module | is |
//! |---|---|
//! | `machine` | what a rate belongs to: the machine, and the model |
//! | `file` | measured runs on disk, one file for each model and machine |
//! | `fit` | from measured runs to what a unit of work takes |

mod file;
mod fit;
mod machine;

use foldpoint_core::Isa;
use serde::{Deserialize, Serialize};
use std_runner::batch::Place;
use std_runner::model::Model;
use std_runner::work::Work;

use file::File;
pub use file::RatesError;
use fit::fit;
pub use machine::Owner;

/// The variable that names the folder of measured runs.
pub const VARIABLE: &str = "FOLDPOINT_RATES";

/// A part of the work counts if it is at least this share of it.
const SHARE: f64 = 0.1;
/// How many times as many residues as were measured a rate is still good for.
const REACH: usize = 4;

/// A measured run, or the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Threads inside it.
    pub workers: usize,
    /// Runs at the same time.
    pub at_once: usize,
    /// Residues that the model saw.
    pub residues: usize,
    /// What was done.
    pub work: Work,
    /// How long it took, without the time that other programs had the processor.
    pub seconds: f64,
    /// Whether it ran for nothing but to be measured.
    pub probe: bool,
}

impl Run {
    fn place(&self) -> Place {
        Place { workers: self.workers, at_once: self.at_once }
    }
}

/// Measured runs of one model on one machine, and where they are kept.
#[derive(Debug)]
pub struct Rates {
    owner: Owner,
    /// None where nobody says where.
    file: Option<File>,
    runs: Vec<Run>,
}

impl Rates {
    /// What is kept of `model` on this machine with `isa`. `note` is told of a file that is of no use.
    pub fn of(model: &Model, isa: Isa, note: impl FnOnce(String)) -> Self {
        let owner = Owner::new(model, isa);
        let Some(folder) = store::cache_folder(VARIABLE, "rates") else {
            return Self { owner, file: None, runs: vec![] };
        };
        let file = File::new(&folder, &owner);
        let runs = file.read(&owner).unwrap_or_else(|error| {
            note(format!("{error}; what was measured there is not used, and is measured again"));
            vec![]
        });
        Self { owner, file: Some(file), runs }
    }

    /// The machine, in words.
    pub fn machine(&self) -> &str {
        &self.owner.machine
    }

    /// Adds runs and keeps them, with those that others kept in the meantime.
    ///
    /// # Errors
    /// They can't be kept; this process knows them all the same.
    pub fn add(&mut self, runs: &[Run]) -> Result<(), RatesError> {
        if runs.is_empty() {
            return Ok(());
        }
        self.runs.extend(runs);
        match &self.file {
            Some(file) => file.add(&self.owner, runs),
            None => Err(RatesError::NoHome),
        }
    }

    /// Seconds that `work` takes at `place`, if the processors are free; nothing if nothing was measured with
    /// as many threads.
    pub fn seconds(&self, work: Work, place: Place) -> Option<f64> {
        let runs = self.with(place);
        fit(&runs).map(|rate| rate.seconds(work))
    }

    /// Whether what was measured with so many threads is enough for a run of `residues`, which is `work`: each
    /// part of it that counts was measured on as many residues, or on a quarter of them at least, or as far as a
    /// probe goes.
    pub fn cover(&self, work: Work, residues: usize, place: Place) -> bool {
        let runs = self.with(place);
        let total = work.total();
        let reaches = |run: &&Run| run.probe || run.residues.saturating_mul(REACH) >= residues;
        let measured = |part: usize| runs.iter().filter(reaches).any(|run| run.work.0[part] > 0.0);
        (0..work.0.len()).filter(|&part| work.0[part] >= SHARE * total).all(measured)
    }

    /// The longest run that was measured with so many threads.
    pub fn longest(&self, place: Place) -> Option<usize> {
        self.with(place).iter().map(|run| run.residues).max()
    }

    /// What was measured at `place`, or else with as many threads inside.
    fn with(&self, place: Place) -> Vec<Run> {
        let of = |same: &dyn Fn(&Run) -> bool| self.runs.iter().copied().filter(same).collect::<Vec<_>>();
        match of(&|run| run.place() == place) {
            exact if exact.is_empty() => of(&|run| run.workers == place.workers),
            exact => exact,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of which a product takes a nanosecond.
    fn run(workers: usize, at_once: usize, residues: usize) -> Run {
        let work = Work([1e9 * residues as f64, 1e7 * (residues * residues) as f64, 0.0, 0.0, 0.0, 0.0]);
        Run { workers, at_once, residues, work, seconds: work.total() * 1e-9, probe: false }
    }

    fn rates(runs: Vec<Run>) -> Rates {
        Rates { owner: Owner::default(), file: None, runs }
    }

    fn place(workers: usize, at_once: usize) -> Place {
        Place { workers, at_once }
    }

    #[test]
    fn rates_are_of_as_many_threads_and_of_as_many_neighbours_where_there_are_any() {
        let slower = Run { seconds: run(1, 2, 64).seconds * 1.5, ..run(1, 2, 64) };
        let rates = rates(vec![run(1, 1, 64), slower]);
        let work = run(1, 1, 64).work;
        let seconds = |workers, at_once| rates.seconds(work, place(workers, at_once));
        let close = |seconds: Option<f64>, times: f64| {
            (seconds.expect("measured") / (work.total() * 1e-9 * times) - 1.0).abs() < 0.01
        };
        assert!(close(seconds(1, 1), 1.0) && close(seconds(1, 2), 1.5));
        assert_eq!(seconds(2, 1), None, "nobody knows what two threads gain");
        assert!(seconds(1, 4).is_some());
    }

    #[test]
    fn a_rate_is_not_stretched_too_far() {
        let mut rates = rates(vec![run(2, 1, 100)]);
        let covers = |rates: &Rates, residues| rates.cover(run(2, 1, residues).work, residues, place(2, 1));
        assert!(covers(&rates, 30) && covers(&rates, 400) && !covers(&rates, 401));
        assert!(!rates.cover(run(1, 1, 30).work, 30, place(1, 1)));
        let mut folding = run(2, 1, 100).work;
        folding.0[4] = folding.total();
        assert!(!rates.cover(folding, 100, place(2, 1)), "no fold was measured");
        folding.0[4] *= 0.01;
        assert!(rates.cover(folding, 100, place(2, 1)), "it does not count");
        rates.runs[0].probe = true;
        assert!(covers(&rates, 4000), "a probe goes as far as it can, and is not made again");
        assert_eq!((rates.longest(place(2, 1)), rates.longest(place(1, 1))), (Some(100), None));
    }
}

//! From measured runs to what a unit of work takes, for each part of the work.
//!
//! Least squares of relative errors, in which runs far off count less, and which is drawn a little to the same
//! rate for all parts: so a few runs of one length are enough for a first guess, and runs of several lengths
//! tell the parts apart.

use std_runner::work::{PARTS, Work};

use super::Run;

/// How much it counts, against a run, that a part's rate is that of all others: the square of a run's usual
/// error over that of the guess.
const PRIOR: f64 = 0.01;
/// A rate is that of all parts times this, or by it, at most.
const SPREAD: f64 = 8.0;
/// Relative error from where on a run counts less.
const OFF: f64 = 0.1;
/// Rounds of weighing the runs, and of descent along each part; both have long settled by then.
const ROUNDS: usize = 20;
const SWEEPS: usize = 50;

/// Seconds for a unit of each part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate([f64; PARTS]);

impl Rate {
    /// What `work` takes.
    pub fn seconds(&self, work: Work) -> f64 {
        self.0.iter().zip(work.0).map(|(rate, part)| rate * part).sum()
    }
}

/// The rate that agrees best with the runs; nothing if there are none.
pub fn fit(runs: &[Run]) -> Option<Rate> {
    let runs: Vec<&Run> = runs.iter().filter(|run| run.seconds > 0.0 && run.work.total() > 0.0).collect();
    let mut rates: Vec<f64> = runs.iter().map(|run| run.seconds / run.work.total()).collect();
    rates.sort_by(f64::total_cmp);
    let common = *rates.get(rates.len() / 2)?;
    // A run's parts in units of its own time, at the common rate: with the right factors their sum is 1.
    let rows: Vec<[f64; PARTS]> =
        runs.iter().map(|run| run.work.0.map(|part| part * common / run.seconds)).collect();
    let sum = |row: &[f64; PARTS], factors: &[f64; PARTS]| -> f64 {
        row.iter().zip(factors).map(|(part, factor)| part * factor).sum()
    };
    let mut factors = [1.0; PARTS];
    for _ in 0..ROUNDS {
        let weights: Vec<f64> =
            rows.iter().map(|row| OFF / (sum(row, &factors) - 1.0).abs().max(OFF)).collect();
        for _ in 0..SWEEPS {
            for part in 0..PARTS {
                let (mut above, mut below) = (PRIOR, PRIOR);
                for (row, weight) in rows.iter().zip(&weights) {
                    let rest = 1.0 - (sum(row, &factors) - row[part] * factors[part]);
                    above += weight * row[part] * rest;
                    below += weight * row[part] * row[part];
                }
                factors[part] = (above / below).clamp(SPREAD.recip(), SPREAD);
            }
        }
    }
    Some(Rate(factors.map(|factor| factor * common)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a unit of each part really takes.
    const TRUE: [f64; PARTS] = [1e-11, 2e-11, 1e-11, 0.7e-11, 2.5e-11, 0.5e-11];

    fn work(length: f64, folds: bool) -> Work {
        let fold = if folds { [2e8 * length, 2e7 * length * length, 1e5 * length.powi(3)] } else { [0.0; 3] };
        Work([1e8 * length, 3e4 * length * length, 0.0, fold[0], fold[1], fold[2]])
    }

    fn run(length: f64, folds: bool, times: f64) -> Run {
        let work = work(length, folds);
        let seconds = Rate(TRUE).seconds(work) * times;
        Run { workers: 1, at_once: 1, residues: length as usize, work, seconds, probe: false }
    }

    fn error(runs: &[Run], length: f64) -> f64 {
        let rate = fit(runs).expect("runs");
        rate.seconds(work(length, true)) / Rate(TRUE).seconds(work(length, true)) - 1.0
    }

    #[test]
    fn runs_of_two_lengths_say_what_another_takes() {
        let runs = [run(32.0, true, 1.0), run(32.0, false, 1.0), run(128.0, true, 1.0)];
        for (length, most) in [(32.0, 0.05), (64.0, 0.05), (128.0, 0.05), (256.0, 0.2)] {
            assert!(error(&runs, length).abs() < most, "{length}: {}", error(&runs, length));
        }
    }

    #[test]
    fn one_run_is_a_first_guess_and_further_ones_refine_it() {
        let one = [run(64.0, true, 1.0)];
        assert!(error(&one, 64.0).abs() < 0.01);
        let far = error(&one, 512.0).abs();
        let more = [one[0], run(256.0, true, 1.0), run(512.0, true, 1.0)];
        assert!(far > 0.1 && error(&more, 512.0).abs() < 0.02);
    }

    #[test]
    fn a_run_far_off_changes_little() {
        let mut runs: Vec<Run> = [32.0, 48.0, 64.0, 96.0, 128.0].map(|length| run(length, true, 1.0)).into();
        runs.push(run(80.0, true, 5.0));
        for length in [32.0, 64.0, 128.0] {
            assert!(error(&runs, length).abs() < 0.1, "{}", error(&runs, length));
        }
    }

    #[test]
    fn nothing_measured_says_nothing_and_no_rate_is_below_zero() {
        assert_eq!(fit(&[]), None);
        assert_eq!(fit(&[Run { seconds: 0.0, ..run(9.0, true, 1.0) }]), None);
        // The longer is the faster: by no rate above zero, and so none fits.
        let odd = [run(32.0, true, 10.0), run(128.0, true, 0.1)];
        let rate = fit(&odd).expect("runs");
        assert!(rate.0.iter().all(|&rate| rate > 0.0 && rate.is_finite()), "{rate:?}");
    }
}

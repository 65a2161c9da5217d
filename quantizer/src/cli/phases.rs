//! The parts of a long job, each with its progress.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Phases, one after another.
pub struct Phases {
    number: usize,
    count: usize,
    /// Whether the seconds of each are printed.
    verbose: bool,
}

impl Phases {
    /// So many phases are to come.
    pub fn new(count: usize, verbose: bool) -> Self {
        Self { number: 0, count, verbose }
    }

    /// Does `work` in `steps` steps, of which it tells the bar.
    pub fn run<T>(
        &mut self,
        name: &str,
        steps: usize,
        work: impl FnOnce(&ProgressBar) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.number += 1;
        let title = format!("{}/{} {name}", self.number, self.count);
        let style = ProgressStyle::with_template("{msg:26} {bar:30} {percent}% {elapsed}, {eta} left")?;
        let bar = ProgressBar::new(steps as u64).with_style(style).with_message(title.clone());
        // Where a step takes long, the clock shows that the job lives.
        bar.enable_steady_tick(Duration::from_secs(1));
        let start = Instant::now();
        let done = work(&bar);
        bar.finish_and_clear();
        if self.verbose {
            eprintln!("{title}: {:.1} s", start.elapsed().as_secs_f64());
        }
        done
    }
}

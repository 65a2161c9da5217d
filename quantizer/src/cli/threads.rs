//! `--threads`

use std::num::NonZeroUsize;

use anyhow::Context;

/// How many threads compute.
#[derive(Debug, clap::Args)]
pub struct Threads {
    /// Threads [default: RAYON_NUM_THREADS, or all processors]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

impl Threads {
    /// Starts the threads that all of the program's parallel work uses. To be called once, before any such work.
    ///
    /// # Errors
    /// The threads can't be started.
    pub fn start(&self) -> anyhow::Result<()> {
        let Some(threads) = self.threads else { return Ok(()) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
        pool.build_global().context("--threads: the threads could not be started")
    }
}

//! `--threads`

use std::num::NonZeroUsize;

use anyhow::Context;

/// Starts the threads that all of the program's parallel work uses, if their number is given. To be called
/// once, before any such work.
///
/// # Errors
/// The threads can't be started.
pub fn start(threads: Option<NonZeroUsize>) -> anyhow::Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
    pool.build_global().context("--threads: the threads could not be started")
}

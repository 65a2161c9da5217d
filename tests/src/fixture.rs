//! An executor as unkind as its contract allows.

use foldpoint_core::Executor;
use foldpoint_core::executor::{PairWork, chunks};

/// Runs the last chunk first and hands out the scratch parts in turn, full of what earlier chunks left.
#[derive(Clone, Copy, Debug)]
pub struct Backwards {
    /// Parts of the scratch memory, at least 1.
    pub workers: usize,
}

impl Executor for Backwards {
    fn workers(&self) -> usize {
        self.workers
    }

    fn for_each_pair(&self, data: [&mut [u8]; 2], sizes: [usize; 2], scratch: &mut [u8], work: &PairWork) {
        let part = scratch.len() / self.workers;
        for (index, chunk) in chunks(data, sizes).collect::<Vec<_>>().into_iter().rev() {
            work(index, chunk, &mut scratch[index % self.workers * part..][..part]);
        }
    }
}

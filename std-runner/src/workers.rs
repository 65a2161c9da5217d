//! Workers that there may be: the size of an arena depends on their number, and is asked for before there are
//! threads.

use foldpoint_core::executor::{Executor, PairWork, chunks};

/// So many workers. Runs chunks in order.
#[derive(Clone, Copy, Debug)]
pub struct Workers(pub usize);

impl Executor for Workers {
    fn workers(&self) -> usize {
        self.0
    }

    fn for_each_pair(&self, data: [&mut [u8]; 2], sizes: [usize; 2], scratch: &mut [u8], work: &PairWork) {
        let part = scratch.len() / self.0.max(1);
        for (index, chunk) in chunks(data, sizes) {
            work(index, chunk, &mut scratch[..part]);
        }
    }
}

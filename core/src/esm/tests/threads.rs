//! An executor on several threads that takes chunks in a random order.

use crate::executor::{Executor, PairWork, chunks};
use crate::kernels::testing::Random;
use std::sync::Mutex;
use std::thread;
use std::vec::Vec;

pub struct Threads {
    pub workers: usize,
    pub seed: u64,
}

impl Executor for Threads {
    fn workers(&self) -> usize {
        self.workers
    }

    fn for_each_pair(&self, data: [&mut [u8]; 2], sizes: [usize; 2], scratch: &mut [u8], work: &PairWork) {
        let mut chunks: Vec<_> = chunks(data, sizes).collect();
        let mut random = Random(self.seed);
        for last in (1..chunks.len()).rev() {
            chunks.swap(last, random.below(last + 1));
        }
        let queue = Mutex::new(chunks);
        let part = scratch.len() / self.workers;
        thread::scope(|scope| {
            for scratch in scratch.chunks_exact_mut(part.max(1)).take(self.workers) {
                let queue = &queue;
                scope.spawn(move || {
                    loop {
                        let next = queue.lock().expect("no worker panicked").pop();
                        let Some((index, chunk)) = next else { break };
                        work(index, chunk, scratch);
                    }
                });
            }
        });
    }
}

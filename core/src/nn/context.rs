//! What every operation is given besides its weights, its inputs and its memory.

use crate::arena::{Arena, ArenaError};
use crate::executor::Executor;
use crate::kernels::Backend;
use bytemuck::Pod;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// Kernels, and who runs the pieces of an operation.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    /// The kernels.
    pub backend: &'c Backend,
    /// Who runs chunks.
    pub executor: &'c dyn Executor,
}

impl Context<'_> {
    /// Parts that the scratch memory of an operation must have.
    pub fn workers(&self) -> usize {
        self.executor.workers().max(1)
    }

    /// Calls `work` once for each chunk of `len` values of `data` (the last may be shorter), with its number
    /// and an arena over a part of `scratch` that nobody else uses meanwhile.
    ///
    /// # Errors
    /// [`ArenaError::WrongChunk`] if `work` refuses a chunk or its scratch: neither is as it was asked for
    /// then.
    pub fn for_each<T: Pod>(
        &self,
        data: &mut [T],
        len: usize,
        scratch: &mut [u8],
        work: impl Fn(usize, &mut [T], Arena) -> Result<(), ArenaError> + Sync,
    ) -> Result<(), ArenaError> {
        let refused = AtomicBool::new(false);
        let chunk = len.saturating_mul(size_of::<T>());
        self.executor.for_each(bytemuck::cast_slice_mut(data), chunk, scratch, &|index, chunk, scratch| {
            let chunk = bytemuck::try_cast_slice_mut(chunk).map_err(|_| ArenaError::WrongChunk);
            let done = chunk.and_then(|chunk| work(index, chunk, Arena::new(scratch)?));
            note(done, &refused);
        });
        verdict(&refused)
    }

    /// As [`for_each`](Self::for_each), for chunks of two pieces: `lens` bytes of each of `data`.
    ///
    /// # Errors
    /// As [`for_each`](Self::for_each).
    pub fn for_each_pair(
        &self,
        data: [&mut [u8]; 2],
        lens: [usize; 2],
        scratch: &mut [u8],
        work: impl Fn(usize, [&mut [u8]; 2], Arena) -> Result<(), ArenaError> + Sync,
    ) -> Result<(), ArenaError> {
        let refused = AtomicBool::new(false);
        self.executor.for_each_pair(data, lens, scratch, &|index, chunk, scratch| {
            note(Arena::new(scratch).and_then(|scratch| work(index, chunk, scratch)), &refused);
        });
        verdict(&refused)
    }
}

fn note(done: Result<(), ArenaError>, refused: &AtomicBool) {
    if done.is_err() {
        refused.store(true, Ordering::Relaxed);
    }
}

/// To be called when the executor is done: it has waited for all chunks.
fn verdict(refused: &AtomicBool) -> Result<(), ArenaError> {
    if refused.load(Ordering::Relaxed) { Err(ArenaError::WrongChunk) } else { Ok(()) }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("workers", &self.workers()).finish_non_exhaustive()
    }
}

//! Who runs the pieces of an operation: one after another, or on the caller's threads.
//!
//! Core has no threads. An operation that can be split hands its output (`data`) and its working memory (`scratch`)
//! to an [`Executor`], which cuts both and calls a function for every chunk. A chunk's result depends on nothing but
//! its index and the shared inputs, so the number of workers never changes a bit.

/// The work on one chunk: its index, its bytes, and a scratch part that nobody else uses meanwhile.
pub type ChunkWork<'f> = dyn Fn(usize, &mut [u8], &mut [u8]) + Sync + 'f;

/// Runs the chunks of an operation.
pub trait Executor: Sync {
    /// How many chunks may run at the same time (at least 1).
    fn workers(&self) -> usize;

    /// Cuts `data` into chunks of `chunk` bytes (the last may be shorter) and `scratch` into [`workers`](Self::workers)
    /// equal parts, and calls `work` exactly once for every chunk, in any order, never two at a time with the same
    /// scratch part.
    fn for_each(&self, data: &mut [u8], chunk: usize, scratch: &mut [u8], work: &ChunkWork);
}

/// Runs every chunk in order on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Executor for Serial {
    fn workers(&self) -> usize {
        1
    }

    fn for_each(&self, data: &mut [u8], chunk: usize, scratch: &mut [u8], work: &ChunkWork) {
        for (index, piece) in data.chunks_mut(chunk.max(1)).enumerate() {
            work(index, piece, scratch);
        }
    }
}

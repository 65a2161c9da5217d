//! Who runs the pieces of an operation: one after another, or on the caller's threads.
//!
//! Core has no threads. An operation that can be split hands its output (`data`) and its working memory
//! (`scratch`) to an [`Executor`], which cuts both and calls a function for every chunk. A chunk's result
//! depends on nothing but its index and the shared inputs, so the number of workers never changes a bit.

use core::iter;

/// The work on one chunk: its index, its bytes, and a scratch part that nobody else uses meanwhile.
pub type ChunkWork<'f> = dyn Fn(usize, &mut [u8], &mut [u8]) + Sync + 'f;

/// The same for a chunk of two pieces.
pub type PairWork<'f> = dyn Fn(usize, [&mut [u8]; 2], &mut [u8]) + Sync + 'f;

/// Runs the chunks of an operation.
pub trait Executor: Sync {
    /// How many chunks may run at the same time (at least 1).
    fn workers(&self) -> usize;

    /// Calls `work` exactly once for each of [`chunks`]`(data, sizes)`, in any order. `scratch` is cut into
    /// [`workers`](Self::workers) equal parts; no two calls have the same one at the same time.
    fn for_each_pair(&self, data: [&mut [u8]; 2], sizes: [usize; 2], scratch: &mut [u8], work: &PairWork);

    /// [`for_each_pair`](Self::for_each_pair) for an output that is in one piece.
    fn for_each(&self, data: &mut [u8], size: usize, scratch: &mut [u8], work: &ChunkWork) {
        self.for_each_pair([data, &mut []], [size, 1], scratch, &|index, [chunk, _], scratch| {
            work(index, chunk, scratch);
        });
    }
}

/// Cuts both slices into pieces of so many bytes (the last may be shorter): chunk `i` has both their pieces
/// number `i`. There are as many chunks as pieces of the first slice; where the second has no more, its piece
/// is empty.
pub fn chunks(
    [first, second]: [&mut [u8]; 2],
    sizes: [usize; 2],
) -> impl Iterator<Item = (usize, [&mut [u8]; 2])> {
    let [size, size_of_second] = sizes.map(|size| size.max(1));
    let pieces = second.chunks_mut(size_of_second).chain(iter::repeat_with(|| &mut [][..]));
    first.chunks_mut(size).zip(pieces).map(|(first, second)| [first, second]).enumerate()
}

/// Runs every chunk in order on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Executor for Serial {
    fn workers(&self) -> usize {
        1
    }

    fn for_each_pair(&self, data: [&mut [u8]; 2], sizes: [usize; 2], scratch: &mut [u8], work: &PairWork) {
        for (index, chunk) in chunks(data, sizes) {
            work(index, chunk, scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn chunks_are_cut_as_they_should_be() {
        for (len, other, size, of_other) in
            [(10, 7, 3, 2), (9, 3, 3, 1), (4, 100, 5, 7), (0, 5, 2, 2), (3, 0, 0, 0)]
        {
            let (mut first, mut second) = (vec![0; len], vec![0; other]);
            let cut: Vec<_> = chunks([&mut first, &mut second], [size, of_other])
                .map(|(index, [first, second])| (index, first.len(), second.len()))
                .collect();
            let piece = |len: usize, size: usize, index: usize| len.saturating_sub(index * size).min(size);
            let expected: Vec<_> = (0..len.div_ceil(size.max(1)))
                .map(|index| (index, piece(len, size.max(1), index), piece(other, of_other.max(1), index)))
                .collect();
            assert_eq!(cut, expected, "{len} {other} {size} {of_other}");
        }
    }
}

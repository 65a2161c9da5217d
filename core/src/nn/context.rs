//! What every operation is given besides its weights, its inputs and its memory.

use crate::arena::{Arena, ArenaError};
use crate::executor::Executor;
use crate::kernels::Backend;
use bytemuck::Pod;
use core::fmt;
#[cfg(target_has_atomic = "ptr")]
use core::sync::atomic::AtomicUsize;
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
    /// [`ArenaError::WrongChunk`] if the executor doesn't hand out the chunks as it was asked to, or `work`
    /// refuses its scratch.
    pub fn for_each<T: Pod>(
        &self,
        data: &mut [T],
        len: usize,
        scratch: &mut [u8],
        work: impl Fn(usize, &mut [T], Arena) -> Result<(), ArenaError> + Sync,
    ) -> Result<(), ArenaError> {
        let size = len.saturating_mul(size_of::<T>());
        let data: &mut [u8] = bytemuck::cast_slice_mut(data);
        let pieces = Pieces::new(data, size);
        let tally = Tally::default();
        self.executor.for_each(data, size, scratch, &|index, chunk, scratch| {
            let placed = pieces.is_piece(index, chunk).then_some(chunk).ok_or(ArenaError::WrongChunk);
            let typed = placed
                .and_then(|chunk| bytemuck::try_cast_slice_mut(chunk).map_err(|_| ArenaError::WrongChunk));
            tally.note(typed.and_then(|chunk| work(index, chunk, Arena::new(scratch)?)));
        });
        tally.verdict(pieces.count())
    }

    /// As [`for_each`](Self::for_each), for chunks of two pieces: `sizes` bytes of each of `data`.
    ///
    /// # Errors
    /// As [`for_each`](Self::for_each).
    pub fn for_each_pair(
        &self,
        data: [&mut [u8]; 2],
        sizes: [usize; 2],
        scratch: &mut [u8],
        work: impl Fn(usize, [&mut [u8]; 2], Arena) -> Result<(), ArenaError> + Sync,
    ) -> Result<(), ArenaError> {
        let [first, second] = [Pieces::new(data[0], sizes[0]), Pieces::new(data[1], sizes[1])];
        let tally = Tally::default();
        self.executor.for_each_pair(data, sizes, scratch, &|index, chunk, scratch| {
            let placed = first.is_piece(index, chunk[0]) && second.is_piece(index, chunk[1]);
            tally.note(if placed {
                Arena::new(scratch).and_then(|scratch| work(index, chunk, scratch))
            } else {
                Err(ArenaError::WrongChunk)
            });
        });
        tally.verdict(first.count())
    }
}

/// Where the pieces of a slice lie, to hold what an executor hands out to what it was asked for: what lies
/// elsewhere would be computed as if it were the piece of that number.
struct Pieces {
    start: usize,
    bytes: usize,
    size: usize,
}

impl Pieces {
    fn new(data: &[u8], size: usize) -> Self {
        Self { start: data.as_ptr().addr(), bytes: data.len(), size: size.max(1) }
    }

    fn count(&self) -> usize {
        self.bytes.div_ceil(self.size)
    }

    /// Whether this is piece number `index`; beyond the last one there are empty ones.
    fn is_piece(&self, index: usize, piece: &[u8]) -> bool {
        let offset = index.saturating_mul(self.size);
        let expected = self.bytes.saturating_sub(offset).min(self.size);
        piece.len() == expected && (expected == 0 || piece.as_ptr().addr() == self.start + offset)
    }
}

/// What came of the chunks that were handed out.
#[derive(Default)]
struct Tally {
    refused: AtomicBool,
    // Where there is none such, an executor that leaves chunks out is not noticed.
    #[cfg(target_has_atomic = "ptr")]
    done: AtomicUsize,
}

impl Tally {
    fn note(&self, done: Result<(), ArenaError>) {
        if done.is_err() {
            self.refused.store(true, Ordering::Relaxed);
        }
        #[cfg(target_has_atomic = "ptr")]
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// To be called when the executor is done: it has waited for all `count` chunks.
    fn verdict(&self, count: usize) -> Result<(), ArenaError> {
        #[cfg(target_has_atomic = "ptr")]
        let complete = self.done.load(Ordering::Relaxed) == count;
        #[cfg(not(target_has_atomic = "ptr"))]
        let (complete, _) = (true, count);
        if complete && !self.refused.load(Ordering::Relaxed) { Ok(()) } else { Err(ArenaError::WrongChunk) }
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("workers", &self.workers()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{PairWork, Serial, chunks};
    use crate::kernels::Isa;
    use std::vec;
    use std::vec::Vec;

    /// What an executor does wrong with the chunks that are right.
    type Lie = fn(Vec<(usize, [&mut [u8]; 2])>, &mut dyn FnMut(usize, [&mut [u8]; 2]));

    struct Liar(Lie);

    impl Executor for Liar {
        fn workers(&self) -> usize {
            1
        }

        fn for_each_pair(
            &self,
            data: [&mut [u8]; 2],
            sizes: [usize; 2],
            scratch: &mut [u8],
            work: &PairWork,
        ) {
            self.0(chunks(data, sizes).collect(), &mut |index, chunk| work(index, chunk, scratch));
        }
    }

    const LIES: [(&str, Lie); 8] = [
        ("numbers one too high", |all, work| all.into_iter().for_each(|(i, chunk)| work(i + 1, chunk))),
        ("the highest number", |all, work| all.into_iter().for_each(|(_, chunk)| work(usize::MAX, chunk))),
        ("numbers in reverse", |all, work| {
            let last = all.len() - 1;
            all.into_iter().for_each(|(i, chunk)| work(last - i, chunk));
        }),
        ("half chunks", |all, work| {
            all.into_iter().for_each(|(i, [a, b])| work(i, [&mut a[..4], b]));
        }),
        ("chunks of the second slice cut", |all, work| {
            all.into_iter().for_each(|(i, [a, b])| work(i, [a, &mut b[..0]]));
        }),
        ("nothing at all", |_, _| ()),
        ("all but the first", |all, work| all.into_iter().skip(1).for_each(|(i, chunk)| work(i, chunk))),
        ("each twice", |all, work| {
            for (i, [a, b]) in all {
                work(i, [&mut *a, &mut *b]);
                work(i, [a, b]);
            }
        }),
    ];

    #[test]
    fn chunks_that_are_not_as_asked_for_are_refused() {
        let (mut data, mut other) = (vec![0u32; 12], vec![0; 6]);
        for (what, lie) in LIES {
            let context = Context { backend: Isa::scalar().backend(), executor: &Liar(lie) };
            let pair = [bytemuck::cast_slice_mut(&mut data), &mut other];
            let found = context.for_each_pair(pair, [16, 2], &mut [], |_, _, _| Ok(()));
            assert_eq!(found, Err(ArenaError::WrongChunk), "{what}, two pieces");
            if !what.contains("second") {
                let found = context.for_each(&mut data, 4, &mut [], |_, _, _| Ok(()));
                assert_eq!(found, Err(ArenaError::WrongChunk), "{what}");
            }
        }
    }

    #[test]
    fn every_length_passes_with_an_executor_that_keeps_its_contract() {
        let context = Context { backend: Isa::scalar().backend(), executor: &Serial };
        for (values, len) in [(0, 4), (1, 4), (4, 4), (5, 4), (12, 4), (7, 0), (7, usize::MAX)] {
            let mut data = vec![0u32; values];
            let found = context.for_each(&mut data, len, &mut [], |index, chunk, _| {
                chunk.fill(index as u32 + 1);
                Ok(())
            });
            assert_eq!(found.is_ok(), len > 0 || values == 0, "{values} in chunks of {len}");
            assert!(found.is_err() || !data.contains(&0));
        }
        let found = context.for_each_pair([&mut [0; 5], &mut [0; 3]], [2, 3], &mut [], |_, _, _| Ok(()));
        assert_eq!(found, Ok(()));
    }
}

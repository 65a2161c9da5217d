//! Working memory: one caller-given byte slice, from which typed pieces are taken.
//!
//! What lies in the arena is a struct with one function, generic over a [`Source`], that takes its pieces in
//! their order. From a [`Counter`] that function finds how many bytes they need and where each begins, from
//! an [`Arena`] it takes them to be written, from a [`Reader`] to be read by all workers: so that what is
//! counted, what is written and what is read can't differ.

use bytemuck::Pod;
use core::fmt::Debug;
use thiserror::Error;

/// Every piece starts at a multiple of this, which is also what the arena itself must be aligned to.
pub const ALIGN: usize = 64;

/// The arena can't serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArenaError {
    /// Fewer bytes than the plan says.
    #[error("the arena has {given} bytes where {needed} are needed")]
    TooSmall {
        /// Bytes asked for.
        needed: usize,
        /// Bytes left.
        given: usize,
    },
    /// The slice does not start at a multiple of [`ALIGN`].
    #[error("the arena must start at a multiple of {ALIGN} bytes")]
    Misaligned,
    /// The number of bytes does not fit the machine's address width.
    #[error("the working memory exceeds this machine's address width")]
    TooLarge,
    /// An [`Executor`](crate::executor::Executor) handed out a chunk under another's number, of another length
    /// or place, or a scratch part too small; or not as many chunks as there are.
    #[error("the executor did not hand out every chunk once, with its own number, place and length")]
    WrongChunk,
}

/// What the pieces of a struct are taken from.
pub trait Source: Debug {
    /// A piece of this kind of memory.
    type Piece<T: Pod + Debug>: Debug;

    /// The next `count` values.
    ///
    /// # Errors
    /// There are not so many, or their bytes can't be counted.
    fn take<T: Pod + Debug>(&mut self, count: usize) -> Result<Self::Piece<T>, ArenaError>;
}

/// Bytes of `count` values of type `T`, padded.
const fn padded<T>(count: usize) -> Result<usize, ArenaError> {
    let Some(bytes) = size_of::<T>().checked_mul(count) else { return Err(ArenaError::TooLarge) };
    match bytes.checked_next_multiple_of(ALIGN) {
        Some(padded) => Ok(padded),
        None => Err(ArenaError::TooLarge),
    }
}

/// Counts the bytes that pieces take. A piece is the offset at which it begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    bytes: usize,
}

impl Counter {
    /// Bytes so far, a multiple of [`ALIGN`].
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Source for Counter {
    type Piece<T: Pod + Debug> = usize;

    fn take<T: Pod + Debug>(&mut self, count: usize) -> Result<usize, ArenaError> {
        let start = self.bytes;
        self.bytes = start.checked_add(padded::<T>(count)?).ok_or(ArenaError::TooLarge)?;
        Ok(start)
    }
}

/// Bytes of all that `take` takes, a multiple of [`ALIGN`].
///
/// # Errors
/// [`ArenaError::TooLarge`]
pub fn bytes_of<T>(take: impl FnOnce(&mut Counter) -> Result<T, ArenaError>) -> Result<usize, ArenaError> {
    let mut counter = Counter::default();
    take(&mut counter)?;
    Ok(counter.bytes)
}

/// Hands out disjoint typed pieces of a byte slice, front to back, with whatever they held before.
#[derive(Debug)]
pub struct Arena<'m> {
    rest: &'m mut [u8],
}

impl<'m> Arena<'m> {
    /// Starts at the front of `memory`.
    ///
    /// # Errors
    /// [`ArenaError::Misaligned`]
    pub fn new(memory: &'m mut [u8]) -> Result<Self, ArenaError> {
        if memory.is_empty() || memory.as_ptr().addr().is_multiple_of(ALIGN) {
            Ok(Self { rest: memory })
        } else {
            Err(ArenaError::Misaligned)
        }
    }

    /// As [`new`](Self::new), for memory of which `needed` bytes are going to be taken: fewer are refused
    /// with both numbers.
    ///
    /// # Errors
    /// [`ArenaError::TooSmall`], [`ArenaError::Misaligned`]
    pub fn of_size(needed: usize, memory: &'m mut [u8]) -> Result<Self, ArenaError> {
        let given = memory.len();
        Self::new(memory.get_mut(..needed).ok_or(ArenaError::TooSmall { needed, given })?)
    }
}

impl<'m> Source for Arena<'m> {
    type Piece<T: Pod + Debug> = &'m mut [T];

    fn take<T: Pod + Debug>(&mut self, count: usize) -> Result<&'m mut [T], ArenaError> {
        let given = self.rest.len();
        let needed = padded::<T>(count)?;
        let rest = core::mem::take(&mut self.rest);
        let Some((piece, rest)) = rest.split_at_mut_checked(needed) else {
            return Err(ArenaError::TooSmall { needed, given });
        };
        self.rest = rest;
        let used = piece.get_mut(..count * size_of::<T>()).unwrap_or_default();
        bytemuck::try_cast_slice_mut(used).map_err(|_| ArenaError::Misaligned)
    }
}

/// Reads what an [`Arena`] was carved into, front to back.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'m> {
    rest: &'m [u8],
}

impl<'m> Reader<'m> {
    /// Starts at the front of `memory`.
    pub const fn new(memory: &'m [u8]) -> Self {
        Self { rest: memory }
    }

    /// Starts at the front of piece number `index` of pieces of `len` bytes each.
    pub fn of_piece(memory: &'m [u8], index: usize, len: usize) -> Self {
        Self { rest: memory.get(index.saturating_mul(len)..).unwrap_or_default() }
    }
}

impl<'m> Source for Reader<'m> {
    type Piece<T: Pod + Debug> = &'m [T];

    fn take<T: Pod + Debug>(&mut self, count: usize) -> Result<&'m [T], ArenaError> {
        let given = self.rest.len();
        let needed = padded::<T>(count)?;
        let Some((piece, rest)) = self.rest.split_at_checked(needed) else {
            return Err(ArenaError::TooSmall { needed, given });
        };
        self.rest = rest;
        let used = piece.get(..count * size_of::<T>()).unwrap_or_default();
        bytemuck::try_cast_slice(used).map_err(|_| ArenaError::Misaligned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aligned;

    #[derive(Debug)]
    struct Both<S: Source> {
        words: S::Piece<i32>,
        bytes: S::Piece<u8>,
    }

    impl<S: Source> Both<S> {
        fn take(source: &mut S) -> Result<Self, ArenaError> {
            Ok(Self { words: source.take(3)?, bytes: source.take(65)? })
        }
    }

    #[test]
    fn what_is_counted_is_what_is_written_and_read() {
        let mut memory = Aligned([0; 256]);
        assert_eq!(bytes_of(Both::take), Ok(192));
        let offsets = Both::take(&mut Counter::default()).unwrap();
        assert_eq!((offsets.words, offsets.bytes), (0, 64));
        let mut arena = Arena::new(&mut memory.0[..192]).unwrap();
        let written = Both::take(&mut arena).unwrap();
        written.words.copy_from_slice(&[1, 2, 3]);
        written.bytes.fill(7);
        assert_eq!(arena.take::<u8>(1), Err(ArenaError::TooSmall { needed: 64, given: 0 }));
        let mut reader = Reader::new(&memory.0[..192]);
        let read = Both::take(&mut reader).unwrap();
        assert_eq!((read.words, read.bytes), (&[1, 2, 3][..], &[7; 65][..]));
        assert_eq!(reader.take::<u8>(1), Err(ArenaError::TooSmall { needed: 64, given: 0 }));
    }

    #[test]
    fn refuses_a_misaligned_slice_and_an_absurd_size() {
        let mut memory = Aligned([0; 256]);
        assert_eq!(Arena::new(&mut memory.0[1..]).unwrap_err(), ArenaError::Misaligned);
        assert_eq!(bytes_of(|counter| counter.take::<i64>(usize::MAX / 4)), Err(ArenaError::TooLarge));
        assert_eq!(
            bytes_of(|counter| counter.take::<u8>(usize::MAX - 70).and(counter.take::<u8>(65))),
            Err(ArenaError::TooLarge)
        );
        let mut arena = Arena::new(&mut memory.0).unwrap();
        assert_eq!(arena.take::<i64>(usize::MAX / 4), Err(ArenaError::TooLarge));
        let small = Arena::of_size(300, &mut memory.0).unwrap_err();
        assert_eq!(small, ArenaError::TooSmall { needed: 300, given: 256 });
    }
}

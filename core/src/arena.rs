//! Working memory: one caller-given byte slice, carved into typed pieces.
//!
//! Every user of the arena has two functions side by side, one that counts the bytes ([`Layout`]) and one that carves
//! them ([`Arena`]), with the same calls in the same order; tests hold them to the same number.

use bytemuck::Pod;
use thiserror::Error;

/// Every piece starts at a multiple of this, which is also what the arena itself must be aligned to.
pub const ALIGN: usize = 64;

/// The arena can't serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ArenaError {
    /// Fewer bytes than the plan says.
    #[error("the arena has {given} bytes left and {needed} are needed")]
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
}

/// Counts the bytes that a sequence of pieces takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    bytes: usize,
    overflow: bool,
}

impl Layout {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { bytes: 0, overflow: false }
    }

    /// Adds `count` values of type `T`.
    pub const fn add<T>(self, count: usize) -> Self {
        self.add_bytes_of(size_of::<T>(), count)
    }

    /// Adds `count` pieces that another layout describes, each padded to [`ALIGN`].
    pub const fn repeat(self, piece: Layout, count: usize) -> Self {
        let next = self.add_bytes_of(piece.bytes, count);
        Self { bytes: next.bytes, overflow: next.overflow || piece.overflow }
    }

    const fn add_bytes_of(self, size: usize, count: usize) -> Self {
        let Some(bytes) = size.checked_mul(count) else { return Self { overflow: true, ..self } };
        let Some(padded) = bytes.checked_next_multiple_of(ALIGN) else {
            return Self { overflow: true, ..self };
        };
        match self.bytes.checked_add(padded) {
            Some(bytes) => Self { bytes, ..self },
            None => Self { overflow: true, ..self },
        }
    }

    /// The sum, a multiple of [`ALIGN`].
    pub const fn bytes(self) -> Result<usize, ArenaError> {
        if self.overflow { Err(ArenaError::TooLarge) } else { Ok(self.bytes) }
    }
}

/// Hands out disjoint typed pieces of a byte slice, front to back.
#[derive(Debug)]
pub struct Arena<'m> {
    rest: &'m mut [u8],
}

impl<'m> Arena<'m> {
    /// Starts at the front of `memory`.
    pub fn new(memory: &'m mut [u8]) -> Result<Self, ArenaError> {
        if memory.as_ptr().addr().is_multiple_of(ALIGN) {
            Ok(Self { rest: memory })
        } else {
            Err(ArenaError::Misaligned)
        }
    }

    /// The next `count` values, with whatever they held before.
    pub fn take<T: Pod>(&mut self, count: usize) -> Result<&'m mut [T], ArenaError> {
        let given = self.rest.len();
        let padded = Layout::new().add::<T>(count).bytes()?;
        let rest = core::mem::take(&mut self.rest);
        let Some((piece, rest)) = rest.split_at_mut_checked(padded) else {
            return Err(ArenaError::TooSmall { needed: padded, given });
        };
        self.rest = rest;
        let used = piece.get_mut(..count * size_of::<T>()).unwrap_or_default();
        bytemuck::try_cast_slice_mut(used).map_err(|_| ArenaError::Misaligned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(64))]
    struct Memory([u8; 256]);

    #[test]
    fn carves_what_the_layout_counts() {
        let layout = Layout::new().add::<i32>(3).add::<u8>(65);
        assert_eq!(layout.bytes(), Ok(192));
        let mut memory = Memory([0; 256]);
        let mut arena = Arena::new(&mut memory.0[..192]).unwrap();
        assert_eq!(arena.take::<i32>(3).unwrap().len(), 3);
        assert_eq!(arena.take::<u8>(65).unwrap().len(), 65);
        assert_eq!(arena.take::<u8>(1), Err(ArenaError::TooSmall { needed: 64, given: 0 }));
    }

    #[test]
    fn refuses_a_misaligned_slice_and_an_absurd_size() {
        let mut memory = Memory([0; 256]);
        assert_eq!(Arena::new(&mut memory.0[1..]).unwrap_err(), ArenaError::Misaligned);
        assert_eq!(Layout::new().add::<i64>(usize::MAX / 4).bytes(), Err(ArenaError::TooLarge));
        let mut arena = Arena::new(&mut memory.0).unwrap();
        assert_eq!(arena.take::<i64>(usize::MAX / 4), Err(ArenaError::TooLarge));
    }
}

//! Sixteen keys' values of eight channels.

use crate::kernels::attention::HeadBlock;
use core::arch::aarch64::*;

/// Keys that are summed at a time.
pub const KEYS: usize = 16;

/// Eight pairs of rows of values, `[8, width, 2]`, from some channel on.
#[derive(Clone, Copy)]
pub struct Values<'v> {
    from: &'v [i8],
    row_len: usize,
}

impl<'v> Values<'v> {
    /// The eight channels from `first` on of all of a block's keys, sixteen keys after another.
    pub fn of(block: &HeadBlock<'v>, width: usize, first: usize) -> impl Iterator<Item = Self> + use<'v> {
        let row_len = 2 * width;
        // The last pair ends where its eight channels do.
        let used = 2 * first..7 * row_len + 2 * first + 16;
        let chunks = block.values.chunks_exact((8 * row_len).max(1)).take(block.count.div_ceil(KEYS));
        chunks.map_while(move |chunk| Some(Self { from: chunk.get(used.clone())?, row_len }))
    }

    /// The pair of rows `PAIR`, 0 to 7: a channel's two keys lie together.
    #[target_feature(enable = "neon")]
    #[inline]
    pub fn pair<const PAIR: usize>(self) -> int8x16_t {
        const { assert!(PAIR < 8) }
        // SAFETY: `of` has seen that sixteen bytes of pair 7 are there, and so are those of the pairs before
        // it.
        unsafe { vld1q_s8(self.from.as_ptr().add(PAIR * self.row_len)) }
    }
}

//! Scales of keys and values, relative to each head's largest.

use super::{Record, Shape};
use crate::arena::{Arena, ArenaError, Reader, Source, bytes_of};
use crate::kernels::attention::{key_scale_max, pack, relative_scales};

/// The scales of all keys and values, relative to each head's largest.
#[derive(Debug)]
pub struct RelativeScales<S: Source> {
    /// `[heads, stride]`, 0 to [`key_scale_max`].
    pub(super) key_scale: S::Piece<i16>,
    /// `[heads, stride]`, 0 to 32767.
    pub(super) value_scale: S::Piece<i16>,
    /// The token scales of one kind, `[heads, stride]`, while they are made relative.
    gathered: S::Piece<u32>,
    /// The largest key scale of every head, then the largest value scale.
    pub(super) largest: S::Piece<u32>,
}

impl<S: Source> RelativeScales<S> {
    /// Takes its pieces.
    pub fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        let Shape { heads, stride, .. } = *shape;
        let all = heads.saturating_mul(stride);
        Ok(Self {
            key_scale: source.take(all)?,
            value_scale: source.take(all)?,
            gathered: source.take(all)?,
            largest: source.take(2 * heads)?,
        })
    }
}

impl RelativeScales<Arena<'_>> {
    /// To be read by all workers.
    pub fn read(&self) -> RelativeScales<Reader<'_>> {
        let Self { key_scale, value_scale, gathered, largest } = self;
        RelativeScales { key_scale, value_scale, gathered, largest }
    }

    /// Reads the scales of all `records`.
    ///
    /// # Errors
    /// A record is not as [`Record::take`] makes it.
    pub fn fill(&mut self, shape: &Shape, records: &[u8]) -> Result<(), ArenaError> {
        let Shape { heads, head_width, rows, keys, stride, .. } = *shape;
        let record_len = bytes_of(|counter| Record::take(counter, shape))?;
        for values in [false, true] {
            for (index, first) in (0..keys).step_by(rows.max(1)).enumerate() {
                let record = Record::take(&mut Reader::of_piece(records, index, record_len), shape)?;
                let scales = if values { record.value_scales } else { record.key_scales };
                let count = rows.min(keys - first);
                for (all, own) in self.gathered.chunks_exact_mut(stride).zip(scales.chunks_exact(rows)) {
                    all[first..first + count].copy_from_slice(&own[..count]);
                }
            }
            let (out, numerator) = if values {
                (&mut *self.value_scale, i16::MAX)
            } else {
                (&mut *self.key_scale, key_scale_max(head_width))
            };
            let largest = self.largest.iter_mut().skip(if values { heads } else { 0 });
            let per_head = self.gathered.chunks_exact(stride).zip(out.chunks_exact_mut(stride));
            for ((scales, out), largest) in per_head.zip(largest) {
                *largest = pack(relative_scales(&scales[..keys], numerator, out));
            }
        }
        Ok(())
    }
}

//! What moves each residue's frame (algorithm 23).

use super::config::Config;
use super::memory::UPDATE;
use super::names::WeightSet;
use crate::arena::Arena;
use crate::format::{FormatError, ModelFile};
use crate::geometry::Frame;
use crate::kernels::Backend;
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::nn::quantized_tile::QuantizedTile;

/// The backbone update's weights.
#[derive(Clone, Copy, Debug)]
pub struct BackboneUpdate<'a> {
    /// `width` to 6: the imaginary part of a quaternion whose real part is 1, then a translation; unit 2^-20.
    linear: Linear<'a>,
}

impl<'a> BackboneUpdate<'a> {
    /// Reads `backbone_update` of a set of weights.
    #[inline(never)]
    pub fn load(file: &ModelFile<'a>, set: WeightSet, config: &Config) -> Result<Self, FormatError> {
        let linear = Linear::load(file, &set.name("backbone_update.linear"), config.width, UPDATE)?;
        Ok(Self { linear })
    }

    /// The updates of `rows` rows of `x`, `[rows, width]`, to `updates`, `[rows, 6]`.
    pub fn run(
        &self,
        backend: &Backend,
        rows: usize,
        x: &[i32],
        tile: &mut QuantizedTile<Arena>,
        updates: &mut [i32],
    ) {
        let x = Rows::new(x, self.linear.inputs());
        tile.apply(backend, &self.linear, rows, x, Epilogue::Store, updates);
    }
}

/// The frame after an update.
pub fn moved(frame: &Frame, update: &[i32]) -> Frame {
    match *update {
        [b, c, d, x, y, z] => frame.update([b, c, d], [x, y, z]),
        _ => *frame,
    }
}

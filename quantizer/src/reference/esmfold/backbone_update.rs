//! Moves each residue's frame.

use candle_core::Tensor;

use super::rigid::Frame;
use super::site::FoldTap;
use crate::checkpoint::Checkpoint;
use crate::reference::ReferenceError;
use crate::reference::ops::{Linear, with_values};

/// The backbone update.
pub struct BackboneUpdate {
    /// `[6, width]`: the imaginary part of a quaternion whose real part is 1, then a translation.
    pub linear: Linear,
}

impl BackboneUpdate {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self, ReferenceError> {
        Ok(Self { linear: Linear::load(checkpoint, "trunk.structure_module.bb_update.linear")? })
    }

    /// The frames after an update by `sequence`, `[residues, width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        sequence: &Tensor,
        frames: &[Frame],
        tap: &mut FoldTap<'_>,
    ) -> Result<Vec<Frame>, ReferenceError> {
        tap.show("linear", sequence)?;
        with_values(&self.linear.forward(sequence)?, |values| {
            let updates = values.as_chunks::<6>().0.iter().map(|update| update.map(f64::from));
            let update = |(frame, [b, c, d, x, y, z]): (&Frame, [f64; 6])| frame.update([b, c, d], [x, y, z]);
            frames.iter().zip(updates).map(update).collect()
        })
    }
}

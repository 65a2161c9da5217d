//! Moves each residue's frame.

use candle_core::Tensor;

use super::rigid::Frame;
use crate::reference::ops::{Linear, with_values};
use crate::reference::{ReferenceError, Tap, Weights};

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
    pub fn load(weights: &Weights<'_>) -> Result<Self, ReferenceError> {
        Ok(Self { linear: weights.linear("linear")? })
    }

    /// The frames after an update by `sequence`, `[residues, width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        sequence: &Tensor,
        frames: &[Frame],
        tap: &mut Tap<'_>,
    ) -> Result<Vec<Frame>, ReferenceError> {
        tap.show("linear", sequence)?;
        with_values(&self.linear.forward(sequence)?, |values| {
            let updates = values.as_chunks::<6>().0.iter().map(|update| update.map(f64::from));
            let update = |(frame, [b, c, d, x, y, z]): (&Frame, [f64; 6])| frame.update([b, c, d], [x, y, z]);
            frames.iter().zip(updates).map(update).collect()
        })
    }
}

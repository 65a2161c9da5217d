//! The transition of a trunk block: two Linears with ReLU between, on residues or pairs.

use candle_core::Tensor;

use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap, Weights};

/// A transition.
pub struct Transition {
    /// Before the first Linear.
    pub norm: LayerNorm,
    /// `[4 * width, width]`.
    pub up: Linear,
    /// `[width, 4 * width]`.
    pub down: Linear,
}

impl Transition {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(weights: &Weights<'_>) -> Result<Self, ReferenceError> {
        Ok(Self { norm: weights.norm("norm")?, up: weights.linear("up")?, down: weights.linear("down")? })
    }

    /// What is added to `x`, `[rows, width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor, ReferenceError> {
        tap.show("norm", x)?;
        let y = self.norm.forward(x)?;
        tap.show("up", &y)?;
        let y = self.up.forward(&y)?.relu()?;
        tap.show("down", &y)?;
        self.down.forward(&y)
    }
}

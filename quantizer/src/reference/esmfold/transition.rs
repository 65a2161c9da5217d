//! The transition of a trunk block: two Linears with ReLU between, on residues or pairs.

use candle_core::Tensor;

use super::ops::load_norm;
use super::site::FoldTap;
use crate::checkpoint::Checkpoint;
use crate::reference::ReferenceError;
use crate::reference::ops::{LayerNorm, Linear};

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
    /// Reads the weights below `prefix`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint, prefix: &str) -> Result<Self, ReferenceError> {
        Ok(Self {
            norm: load_norm(checkpoint, &format!("{prefix}.mlp.0"))?,
            up: Linear::load(checkpoint, &format!("{prefix}.mlp.1"))?,
            down: Linear::load(checkpoint, &format!("{prefix}.mlp.3"))?,
        })
    }

    /// What is added to `x`, `[rows, width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(&self, x: &Tensor, tap: &mut FoldTap<'_>) -> Result<Tensor, ReferenceError> {
        tap.show("norm", x)?;
        let y = self.norm.forward(x)?;
        tap.show("up", &y)?;
        let y = self.up.forward(&y)?.relu()?;
        tap.show("down", &y)?;
        self.down.forward(&y)
    }
}

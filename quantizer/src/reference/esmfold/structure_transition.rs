//! The transition of the structure module: layers of three Linears with ReLU between, each added to what it reads.

use candle_core::Tensor;

use super::ops::load_norm;
use super::site::FoldTap;
use crate::checkpoint::{Checkpoint, StructureConfig};
use crate::reference::ReferenceError;
use crate::reference::ops::{LayerNorm, Linear};

/// The transition.
pub struct StructureTransition {
    /// Each layer's Linears, `[width, width]`.
    pub layers: Vec<[Linear; 3]>,
    /// On the result.
    pub norm: LayerNorm,
}

impl StructureTransition {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint, config: &StructureConfig) -> Result<Self, ReferenceError> {
        let prefix = "trunk.structure_module.transition";
        let layer = |index: usize| -> Result<[Linear; 3], ReferenceError> {
            let part =
                |number: usize| Linear::load(checkpoint, &format!("{prefix}.layers.{index}.linear_{number}"));
            Ok([part(1)?, part(2)?, part(3)?])
        };
        Ok(Self {
            layers: (0..config.transition_layers).map(layer).collect::<Result<_, _>>()?,
            norm: load_norm(checkpoint, &format!("{prefix}.layer_norm"))?,
        })
    }

    /// `x` is `[residues, width]`, and so is the result, which takes its place.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(&self, x: &Tensor, tap: &mut FoldTap<'_>) -> Result<Tensor, ReferenceError> {
        let mut x = x.clone();
        for (index, [first, second, third]) in self.layers.iter().enumerate() {
            tap.show(format_args!("{index}.first"), &x)?;
            let y = first.forward(&x)?.relu()?;
            tap.show(format_args!("{index}.second"), &y)?;
            let y = second.forward(&y)?.relu()?;
            tap.show(format_args!("{index}.third"), &y)?;
            x = (third.forward(&y)? + x)?;
        }
        tap.show("norm", &x)?;
        self.norm.forward(&x)
    }
}

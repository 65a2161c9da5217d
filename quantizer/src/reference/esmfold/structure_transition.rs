//! The transition of the structure module: layers of three Linears with ReLU between, each added to what it
//! reads.

use candle_core::Tensor;

use crate::checkpoint::StructureConfig;
use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap, Weights};

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
    pub fn load(weights: &Weights<'_>, config: &StructureConfig) -> Result<Self, ReferenceError> {
        let layer = |index: usize| -> Result<[Linear; 3], ReferenceError> {
            let linear = |part: &str| weights.linear(format_args!("{index}.{part}"));
            Ok([linear("first")?, linear("second")?, linear("third")?])
        };
        Ok(Self {
            layers: (0..config.transition_layers).map(layer).collect::<Result<_, _>>()?,
            norm: weights.norm("norm")?,
        })
    }

    /// `x` is `[residues, width]`, and so is the result, which takes its place.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(&self, x: &Tensor, tap: &mut Tap<'_>) -> Result<Tensor, ReferenceError> {
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

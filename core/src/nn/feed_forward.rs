//! The feed-forward network of a transformer block, in folding models called transition: LayerNorm, two
//! linear layers with an activation between, added.

use super::norm::Norm;
use super::quantized_tile::QuantizedTile;
use crate::arena::Arena;
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::Backend;
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;

/// What is between the two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x * Phi(x)`
    Gelu,
}

/// A feed-forward network.
#[derive(Clone, Copy, Debug)]
pub struct FeedForward<'a> {
    norm: Norm<'a>,
    activation: Activation,
    /// `width` to `hidden`.
    up: Linear<'a>,
    /// `hidden` to `width`, in the stream's units.
    down: Linear<'a>,
}

impl<'a> FeedForward<'a> {
    /// Reads the tensors below `name`: `norm`, `up` from `width` to `hidden` channels, `down` back.
    pub fn load(
        file: &ModelFile<'a>,
        name: &str,
        [width, hidden]: [usize; 2],
        activation: Activation,
    ) -> Result<Self, FormatError> {
        let norm = Norm::load(file, &join(name, "norm"), width)?;
        let up = Linear::load(file, &join(name, "up"), width, hidden)?;
        let down = Linear::load(file, &join(name, "down"), hidden, width)?;
        Ok(Self { norm, activation, up, down })
    }

    /// Adds the network's outputs for the rows of `stream`, `[rows, width]` in the stream's units, to them,
    /// and stores the sums as `epilogue` says. `hidden` holds `[rows, hidden]`; `epsilon` is in squares of
    /// the stream's unit.
    pub fn add(
        &self,
        backend: &Backend,
        epsilon: u64,
        stream: &mut [i32],
        tile: &mut QuantizedTile<Arena>,
        hidden: &mut [i32],
        epilogue: Epilogue,
    ) {
        let rows = stream.len() / self.up.inputs().max(1);
        let wide = self.up.outputs();
        let hidden = &mut hidden[..rows * wide];
        let activation = match self.activation {
            Activation::Relu => Epilogue::Relu,
            Activation::Gelu => Epilogue::Gelu,
        };
        tile.make_norm(backend, &self.norm, epsilon, stream);
        tile.apply_made(backend, &self.up, rows, activation, hidden);
        tile.apply(backend, &self.down, rows, Rows::new(hidden, wide), epilogue, stream);
    }
}

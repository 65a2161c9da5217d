//! The transition of a trunk block: LayerNorm, two Linears with ReLU between, added. On residues or pairs.

use super::rows::{Codes, TILE};
use crate::esm2::Norm;
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::Backend;
use crate::kernels::linear::{Linear, Then};
use crate::kernels::rows::Rows;

/// A transition.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    norm: Norm<'a>,
    /// `width` to `4 * width`.
    up: Linear<'a>,
    /// `4 * width` to `width`, in the representation's units.
    down: Linear<'a>,
}

impl<'a> Transition<'a> {
    /// Reads the tensors below `name`.
    pub fn load(file: &ModelFile<'a>, name: &str, width: usize) -> Result<Self, FormatError> {
        Ok(Self {
            norm: Norm::load(file, &join(name, "norm")?, width)?,
            up: Linear::load(file, &join(name, "up")?, width, 4 * width)?,
            down: Linear::load(file, &join(name, "down")?, 4 * width, width)?,
        })
    }

    /// Adds the transition of the rows of `stream`, `[rows, width]` in the representation's units, to them, and stores the sums as `then`
    /// says. `hidden` holds `[rows, 4 * width]`.
    pub fn add(
        &self,
        backend: &Backend,
        epsilon: u64,
        stream: &mut [i32],
        codes: &mut Codes,
        hidden: &mut [i32],
        then: Then,
    ) {
        let width = self.up.inputs();
        let rows = stream.len() / width.max(1);
        let hidden = &mut hidden[..rows * 4 * width];
        let epsilons = &[epsilon; TILE][..rows];
        codes.apply_to_norm(
            backend,
            &self.up,
            &self.norm,
            epsilons,
            Rows::new(stream, width),
            Then::Relu,
            hidden,
        );
        codes.apply(backend, &self.down, rows, Rows::new(hidden, 4 * width), then, stream);
    }
}

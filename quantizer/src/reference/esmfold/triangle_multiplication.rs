//! Triangle multiplication: a pair (i, j) is updated from the pairs that i and j form with all other
//! residues.

use candle_core::Tensor;

use crate::reference::elementwise::gated;
use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap, Weights};

/// Which pairs are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Outgoing edges: (i, k) and (j, k).
    Outgoing,
    /// Incoming edges: (k, i) and (k, j).
    Incoming,
}

/// Triangle multiplication of a trunk block.
pub struct TriangleMultiplication {
    /// Which pairs are multiplied.
    pub direction: Direction,
    /// On the pair representation.
    pub norm_in: LayerNorm,
    /// Left operand, `[width, width]`.
    pub a: Linear,
    /// Gate of the left operand, `[width, width]`, before sigmoid.
    pub a_gate: Linear,
    /// Right operand, `[width, width]`.
    pub b: Linear,
    /// Gate of the right operand, `[width, width]`, before sigmoid.
    pub b_gate: Linear,
    /// Gate of the output, `[width, width]`, before sigmoid.
    pub gate: Linear,
    /// On the product, whose range grows with the number of residues.
    pub norm_out: LayerNorm,
    /// `[width, width]`.
    pub output: Linear,
}

impl TriangleMultiplication {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(weights: &Weights<'_>, direction: Direction) -> Result<Self, ReferenceError> {
        let [a, a_gate, b, b_gate] = weights.linears("projections")?;
        let (norm_in, norm_out) = (weights.norm("norm_in")?, weights.norm("norm_out")?);
        let (gate, output) = (weights.linear("gate")?, weights.linear("output")?);
        Ok(Self { direction, norm_in, a, a_gate, b, b_gate, gate, norm_out, output })
    }

    /// What is added to `pair`, `[residues * residues, width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        pair: &Tensor,
        residues: usize,
        tap: &mut Tap<'_>,
    ) -> Result<Tensor, ReferenceError> {
        tap.show("norm_in", pair)?;
        let x = self.norm_in.forward(pair)?;
        tap.show("projections", &x)?;
        let a = gated(self.a.forward(&x)?, &self.a_gate.forward(&x)?)?;
        tap.show("a", &a)?;
        let b = gated(self.b.forward(&x)?, &self.b_gate.forward(&x)?)?;
        tap.show("b", &b)?;
        // One matrix per channel.
        let matrices = |x: Tensor| x.t()?.contiguous()?.reshape(((), residues, residues));
        let (a, b) = (matrices(a)?, matrices(b)?);
        let product = match self.direction {
            Direction::Outgoing => a.matmul(&b.t()?)?,
            Direction::Incoming => a.t()?.contiguous()?.matmul(&b)?,
        };
        let product = product.flatten_from(1)?.t()?.contiguous()?;
        tap.show("norm_out", &product)?;
        let y = self.norm_out.forward(&product)?;
        tap.show("output", &y)?;
        gated(self.output.forward(&y)?, &self.gate.forward(&x)?)
    }
}

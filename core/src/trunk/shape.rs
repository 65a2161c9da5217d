//! Sizes of the representations that a trunk works on.

use crate::fixed::Multiplier;
use crate::kernels::linear::PANEL;
use crate::nn::{Context, attention};

/// What every operation of the trunk works with, besides its weights.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'s> {
    /// Kernels and workers.
    pub context: Context<'s>,
    /// Sizes.
    pub shape: &'s Shape,
}

/// A representation: one row for each residue, or for each pair of residues.
#[derive(Clone, Copy, Debug)]
pub struct Representation {
    /// Channels.
    pub width: usize,
    /// Heads of its attention.
    pub heads: usize,
    /// What a product of codes is worth in its attention:
    /// [`bias_factor`](crate::kernels::attention::bias_factor).
    pub temperature: Multiplier,
    /// LayerNorm's epsilon in squares of its unit.
    pub epsilon: u64,
    /// Bytes from one stored row to the next.
    pub code_row: usize,
}

impl Representation {
    /// Channels of a head.
    pub const fn head_width(&self) -> usize {
        match self.width.checked_div(self.heads) {
            Some(width) => width,
            None => 0,
        }
    }
}

/// Every size that the trunk's operations and their memory depend on.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Residues, linkers included.
    pub residues: usize,
    /// One row for each residue.
    pub sequence: Representation,
    /// One row for each pair of residues.
    pub pair: Representation,
    /// LayerNorm's epsilon in squares of the unit of a product of two activations, 2^-32.
    pub epsilon_product: u64,
    /// Codes of the longest quantized row of pairs that an operation saves for its next step.
    pub quantized_pair: usize,
}

impl Shape {
    /// Panels of 16 residues.
    pub const fn panels(&self) -> usize {
        self.residues.div_ceil(PANEL)
    }

    /// Residues of panel `panel`.
    pub fn panel_rows(&self, panel: usize) -> usize {
        self.residues.saturating_sub(panel * PANEL).min(PANEL)
    }

    /// Residues rounded up to a multiple of 32.
    pub const fn stride(&self) -> usize {
        self.residues.next_multiple_of(32)
    }

    /// Bytes of a stored row of pairs: those of one residue with all.
    pub const fn pair_row(&self) -> usize {
        self.residues.saturating_mul(self.pair.code_row)
    }

    /// The attention over the sequence: a record for each panel.
    pub const fn sequence_attention(&self) -> attention::Shape {
        self.attention(&self.sequence, PANEL)
    }

    /// Triangle attention: one record, a row of pairs.
    pub const fn triangle_attention(&self) -> attention::Shape {
        self.attention(&self.pair, self.panels() * PANEL)
    }

    const fn attention(&self, representation: &Representation, rows: usize) -> attention::Shape {
        attention::Shape {
            heads: representation.heads,
            head_width: representation.head_width(),
            rows,
            keys: self.residues,
            stride: self.stride(),
            gated: true,
            temperature: representation.temperature,
        }
    }
}

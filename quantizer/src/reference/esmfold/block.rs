//! One block of the trunk.

use candle_core::Tensor;

use super::pair_bias::PairBias;
use super::sequence_attention::SequenceAttention;
use super::sequence_to_pair::SequenceToPair;
use super::transition::Transition;
use super::triangle_attention::{Node, TriangleAttention};
use super::triangle_multiplication::{Direction, TriangleMultiplication};
use crate::checkpoint::{Checkpoint, FoldConfig};
use crate::reference::ops::add;
use crate::reference::{ReferenceError, Tap, Weights};

/// The weights of a trunk block, in the order in which they work.
pub struct Block {
    /// Number of this block.
    pub index: usize,
    /// Reads the pair representation as it comes in.
    pub pair_bias: PairBias,
    /// Attention over residues.
    pub sequence_attention: SequenceAttention,
    /// On residues.
    pub sequence_transition: Transition,
    /// Reads the sequence representation as it goes out.
    pub sequence_to_pair: SequenceToPair,
    /// Outgoing edges.
    pub triangle_multiplication_out: TriangleMultiplication,
    /// Incoming edges.
    pub triangle_multiplication_in: TriangleMultiplication,
    /// Around the starting node.
    pub triangle_attention_start: TriangleAttention,
    /// Around the ending node.
    pub triangle_attention_end: TriangleAttention,
    /// On pairs.
    pub pair_transition: Transition,
}

impl Block {
    /// Reads the weights of block `index`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &Checkpoint, config: &FoldConfig, index: usize) -> Result<Self, ReferenceError> {
        let weights = Weights::new(checkpoint).at(format_args!("fold.trunk.{index}"));
        let multiplication = |part, direction| TriangleMultiplication::load(&weights.at(part), direction);
        let attention = |part, node| TriangleAttention::load(&weights.at(part), config.pair_heads, node);
        Ok(Self {
            index,
            pair_bias: PairBias::load(&weights.at("pair_bias"))?,
            sequence_attention: SequenceAttention::load(
                &weights.at("sequence_attention"),
                config.sequence_heads,
            )?,
            sequence_transition: Transition::load(&weights.at("sequence_transition"))?,
            sequence_to_pair: SequenceToPair::load(&weights.at("sequence_to_pair"))?,
            triangle_multiplication_out: multiplication("triangle_multiplication_out", Direction::Outgoing)?,
            triangle_multiplication_in: multiplication("triangle_multiplication_in", Direction::Incoming)?,
            triangle_attention_start: attention("triangle_attention_start", Node::Starting)?,
            triangle_attention_end: attention("triangle_attention_end", Node::Ending)?,
            pair_transition: Transition::load(&weights.at("pair_transition"))?,
        })
    }

    /// `sequence` is `[residues, sequence width]`, `pair` is `[residues * residues, pair width]`; returns
    /// both after this block.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        sequence: &Tensor,
        pair: &Tensor,
        tap: &mut Tap<'_>,
    ) -> Result<(Tensor, Tensor), ReferenceError> {
        let (residues, _) = sequence.dims2()?;
        let mut tap = tap.at(format_args!("trunk.{}", self.index));
        let t = &mut tap;
        let bias = self.pair_bias.forward(pair, residues, &mut t.at("pair_bias"))?;
        let update = self.sequence_attention.forward(sequence, &bias, &mut t.at("sequence_attention"))?;
        let s = add(sequence, update)?;
        let s = add(&s, self.sequence_transition.forward(&s, &mut t.at("sequence_transition"))?)?;
        let z = add(pair, self.sequence_to_pair.forward(&s, &mut t.at("sequence_to_pair"))?)?;
        let multiplications = [
            (&self.triangle_multiplication_out, "triangle_multiplication_out"),
            (&self.triangle_multiplication_in, "triangle_multiplication_in"),
        ];
        let mut z = z;
        for (multiplication, name) in multiplications {
            z = add(&z, multiplication.forward(&z, residues, &mut t.at(name))?)?;
        }
        let attentions = [
            (&self.triangle_attention_start, "triangle_attention_start"),
            (&self.triangle_attention_end, "triangle_attention_end"),
        ];
        for (attention, name) in attentions {
            z = add(&z, attention.forward(&z, residues, &mut t.at(name))?)?;
        }
        let z = add(&z, self.pair_transition.forward(&z, &mut t.at("pair_transition"))?)?;
        Ok((s, z))
    }
}

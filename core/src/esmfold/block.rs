//! One block of the trunk.

use super::config::Config;
use crate::arena::{Arena, ArenaError};
use crate::format::{FormatError, ModelFile, join, numbered};
use crate::nn::feed_forward::{Activation, FeedForward};
use crate::nn::stream::{Formats, Stream, StreamFormat};
use crate::quant::Site;
use crate::trunk::memory::Memory;
use crate::trunk::pair_transition;
use crate::trunk::sequence_attention::SequenceAttention;
use crate::trunk::sequence_to_pair::SequenceToPair;
use crate::trunk::shape::Setting;
use crate::trunk::transpose::transpose;
use crate::trunk::triangle_attention::TriangleAttention;
use crate::trunk::triangle_multiplication::{Direction, TriangleMultiplication};

/// Operations of a block that store the pair representation.
pub const PAIR_SITES: usize = 6;

/// The weights of a block in the order in which they work, and how the representations are stored in it.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    sequence_attention: SequenceAttention<'a>,
    sequence_to_pair: SequenceToPair<'a>,
    multiplication_out: TriangleMultiplication<'a>,
    multiplication_in: TriangleMultiplication<'a>,
    attention_start: TriangleAttention<'a>,
    attention_end: TriangleAttention<'a>,
    pair_transition: FeedForward<'a>,
    /// The sequence representation after the block.
    pub sequence: Site<'a>,
    /// The pair representation after each of its six operations.
    pub pair: [Site<'a>; PAIR_SITES],
}

/// The sequence representation's site number `index`: 0 at the start of a pass, b + 1 after block b.
pub fn sequence_site<'a>(
    file: &ModelFile<'a>,
    config: &Config,
    index: usize,
) -> Result<Site<'a>, FormatError> {
    Site::load(file, &numbered("fold.residual.sequence.", index, "")?, config.sequence_width)
}

/// The pair representation's site number `index`: 0 at the start of a pass, 6 b + 1 to 6 b + 6 in block b.
pub fn pair_site<'a>(file: &ModelFile<'a>, config: &Config, index: usize) -> Result<Site<'a>, FormatError> {
    Site::load(file, &numbered("fold.residual.pair.", index, "")?, config.pair_width)
}

impl<'a> Block<'a> {
    /// Reads the tensors of block `index`.
    pub fn load(file: &ModelFile<'a>, config: &Config, index: usize) -> Result<Self, FormatError> {
        let name = numbered("fold.trunk.", index, "")?;
        let Config { sequence_width, sequence_heads, pair_width, pair_heads, .. } = *config;
        let multiplication =
            |part, direction| TriangleMultiplication::load(file, &join(&name, part)?, direction, pair_width);
        let attention = |part| TriangleAttention::load(file, &join(&name, part)?, pair_heads, pair_width);
        let transition = join(&name, "pair_transition")?;
        let first = pair_site(file, config, PAIR_SITES * index + 1)?;
        let mut pair = [first; PAIR_SITES];
        for (after, site) in pair.iter_mut().enumerate().skip(1) {
            *site = pair_site(file, config, PAIR_SITES * index + after + 1)?;
        }
        Ok(Self {
            sequence_attention: SequenceAttention::load(
                file,
                &name,
                sequence_heads,
                sequence_width,
                pair_width,
            )?,
            sequence_to_pair: SequenceToPair::load(file, &name, sequence_width, pair_width)?,
            multiplication_out: multiplication("triangle_multiplication_out", Direction::Outgoing)?,
            multiplication_in: multiplication("triangle_multiplication_in", Direction::Incoming)?,
            attention_start: attention("triangle_attention_start")?,
            attention_end: attention("triangle_attention_end")?,
            pair_transition: FeedForward::load(
                file,
                &transition,
                [pair_width, 4 * pair_width],
                Activation::Relu,
            )?,
            sequence: sequence_site(file, config, index + 1)?,
            pair,
        })
    }

    /// Codes of the longest quantized pair that an operation saves.
    pub fn quantized_pair(&self) -> usize {
        let multiplications = [&self.multiplication_out, &self.multiplication_in].map(|m| m.quantized_pair());
        let attentions = [&self.attention_start, &self.attention_end].map(|a| a.quantized_pair());
        multiplications.into_iter().chain(attentions).fold(0, usize::max)
    }

    /// Updates both representations, the sequence's and the pairs', from how they are stored before the block.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run(
        &self,
        on: &Setting,
        [sequence_before, pair_before]: [&StreamFormat; 2],
        [sequence, pair]: [&mut [u8]; 2],
        memory: &mut Memory<Arena>,
    ) -> Result<(), ArenaError> {
        let shape = on.shape;
        let after = StreamFormat { site: self.sequence, code_row: shape.sequence.code_row };
        let formats = Formats { before: *sequence_before, after };
        let pairs = Stream { codes: pair, format: *pair_before };
        self.sequence_attention.run(on, &formats, sequence, &pairs, memory)?;

        let mut before = *pair_before;
        let mut sites = self.pair.iter();
        let mut next = || {
            let code_row = shape.pair.code_row;
            let after = sites.next().map_or(before, |&site| StreamFormat { site, code_row });
            Formats { before: core::mem::replace(&mut before, after), after }
        };
        let transposed = |pair: &mut [u8]| transpose(pair, shape.residues, shape.pair.code_row);
        let updated = Stream { codes: sequence, format: after };
        self.sequence_to_pair.run(on, &updated, &next(), pair, memory)?;
        self.multiplication_out.run(on, &next(), pair, memory.pair_records, memory.scratch)?;
        transposed(pair);
        self.multiplication_in.run(on, &next(), pair, memory.pair_records, memory.scratch)?;
        transposed(pair);
        self.attention_start.run(on, &next(), pair, memory.pair_records, memory.scratch)?;
        transposed(pair);
        self.attention_end.run(on, &next(), pair, memory.pair_records, memory.scratch)?;
        transposed(pair);
        pair_transition::run(on, &self.pair_transition, &next(), pair, memory.scratch)
    }
}

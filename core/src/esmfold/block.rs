//! One block of the trunk.

use super::config::Config;
use super::request::RunError;
use crate::arena::Arena;
use crate::format::{FormatError, ModelFile, Name, numbered};
use crate::nn::feed_forward::{Activation, FeedForward};
use crate::nn::stream::{Formats, Stream, StreamFormat};
use crate::quant::Site;
use crate::trunk::memory::Memory;
use crate::trunk::pair_transition;
use crate::trunk::sequence_attention::{AttentionWeights, SequenceAttention};
use crate::trunk::sequence_to_pair::SequenceToPair;
use crate::trunk::shape::Setting;
use crate::trunk::transpose::transpose;
use crate::trunk::triangle_attention::TriangleAttention;
use crate::trunk::triangle_multiplication::{Direction, TriangleMultiplication};
use core::mem::replace;

/// Operations of a block that store the pair representation.
pub const PAIR_SITES: usize = 6;

/// Around which node of a pair's edges the pairs attend.
#[derive(Clone, Copy)]
enum Node {
    /// The rows of pairs.
    Starting,
    /// The transposed ones.
    Ending,
}

/// A block's operations, whose weights are read where they are used: all at once would be some kilobytes of
/// stack. None is inlined, so that one operation's are gone when the next one's come.
#[derive(Clone, Copy)]
pub struct Block<'m, 'a> {
    /// The model's file.
    pub file: ModelFile<'a>,
    /// The model's shape.
    pub config: &'m Config,
    /// Its number.
    pub index: usize,
}

/// How both representations are stored at some place, the sequence's and the pairs'.
#[derive(Clone, Copy, Debug)]
pub struct TrunkFormats<'a> {
    /// One row for each residue.
    pub sequence: StreamFormat<'a>,
    /// One row for each pair of residues.
    pub pair: StreamFormat<'a>,
}

/// The sequence representation's site number `index`: 0 at the start of a pass, b + 1 after block b.
#[inline(never)]
pub fn sequence_site<'a>(
    file: &ModelFile<'a>,
    config: &Config,
    index: usize,
) -> Result<Site<'a>, FormatError> {
    Site::load(file, &numbered("fold.residual.sequence.", index, ""), config.sequence_width)
}

/// The pair representation's site number `index`: 0 at the start of a pass, 6 b + 1 to 6 b + 6 in block b.
#[inline(never)]
pub fn pair_site<'a>(file: &ModelFile<'a>, config: &Config, index: usize) -> Result<Site<'a>, FormatError> {
    Site::load(file, &numbered("fold.residual.pair.", index, ""), config.pair_width)
}

impl<'a> Block<'_, 'a> {
    /// Checks all tensors of the block. Returns the codes of the longest quantized pair that an operation
    /// saves.
    ///
    /// # Errors
    /// That of the first tensor that can't be used.
    pub fn check(&self) -> Result<usize, FormatError> {
        self.check_sequence()?;
        self.check_pair()?;
        let mut longest = 0;
        for direction in [Direction::Outgoing, Direction::Incoming] {
            longest = longest.max(self.check_multiplication(direction)?);
        }
        for node in [Node::Starting, Node::Ending] {
            longest = longest.max(self.check_attention(node)?);
        }
        Ok(longest)
    }

    #[inline(never)]
    fn check_sequence(&self) -> Result<(), FormatError> {
        self.attention_weights()?;
        self.sequence_transition()?;
        Ok(())
    }

    #[inline(never)]
    fn check_pair(&self) -> Result<(), FormatError> {
        self.sequence_to_pair()?;
        self.pair_transition()?;
        Ok(())
    }

    #[inline(never)]
    fn check_multiplication(&self, direction: Direction) -> Result<usize, FormatError> {
        Ok(self.multiplication(direction)?.quantized_pair())
    }

    #[inline(never)]
    fn check_attention(&self, node: Node) -> Result<usize, FormatError> {
        Ok(self.attention(node)?.quantized_pair())
    }

    /// Updates both representations, the sequence's and the pairs', from how they are stored before the
    /// block, `stored`, which then says how they are stored after it.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run(
        &self,
        on: &Setting,
        stored: &mut TrunkFormats<'a>,
        [sequence, pair]: [&mut [u8]; 2],
        memory: &mut Memory<Arena>,
    ) -> Result<(), RunError> {
        let shape = on.shape;
        let site = sequence_site(&self.file, self.config, self.index + 1)?;
        let after = StreamFormat { site, code_row: shape.sequence.code_row };
        let pairs = Stream { codes: pair, format: stored.pair };
        let formats = Formats { before: replace(&mut stored.sequence, after), after };
        self.attend_sequence(on, &formats, sequence, &pairs, memory)?;

        let sequence = Stream { codes: sequence, format: after };
        let transposed = |pair: &mut [u8]| transpose(pair, shape.residues, shape.pair.code_row);
        self.add_sequence(on, &sequence, &self.next(on, 1, stored)?, pair, memory)?;
        self.multiply(on, Direction::Outgoing, &self.next(on, 2, stored)?, pair, memory)?;
        transposed(pair);
        self.multiply(on, Direction::Incoming, &self.next(on, 3, stored)?, pair, memory)?;
        transposed(pair);
        self.attend_pairs(on, Node::Starting, &self.next(on, 4, stored)?, pair, memory)?;
        transposed(pair);
        self.attend_pairs(on, Node::Ending, &self.next(on, 5, stored)?, pair, memory)?;
        transposed(pair);
        self.transform_pairs(on, &self.next(on, PAIR_SITES, stored)?, pair, memory)
    }

    /// How the pairs are stored before and after operation `number`, counted from 1.
    #[inline(never)]
    fn next(
        &self,
        on: &Setting,
        number: usize,
        stored: &mut TrunkFormats<'a>,
    ) -> Result<Formats<'a>, FormatError> {
        let site = pair_site(&self.file, self.config, PAIR_SITES * self.index + number)?;
        let after = StreamFormat { site, code_row: on.shape.pair.code_row };
        Ok(Formats { before: replace(&mut stored.pair, after), after })
    }

    #[inline(never)]
    fn attend_sequence(
        &self,
        on: &Setting,
        formats: &Formats,
        sequence: &mut [u8],
        pair: &Stream,
        memory: &mut Memory<Arena>,
    ) -> Result<(), RunError> {
        let weights = self.attention_weights()?;
        let transition = self.sequence_transition()?;
        Ok(SequenceAttention { weights, transition }.run(on, formats, sequence, pair, memory)?)
    }

    #[inline(never)]
    fn add_sequence(
        &self,
        on: &Setting,
        sequence: &Stream,
        formats: &Formats,
        pair: &mut [u8],
        memory: &mut Memory<Arena>,
    ) -> Result<(), RunError> {
        Ok(self.sequence_to_pair()?.run(on, sequence, formats, pair, memory)?)
    }

    #[inline(never)]
    fn multiply(
        &self,
        on: &Setting,
        direction: Direction,
        formats: &Formats,
        pair: &mut [u8],
        Memory { pair_records, scratch, .. }: &mut Memory<Arena>,
    ) -> Result<(), RunError> {
        Ok(self.multiplication(direction)?.run(on, formats, pair, pair_records, scratch)?)
    }

    #[inline(never)]
    fn attend_pairs(
        &self,
        on: &Setting,
        node: Node,
        formats: &Formats,
        pair: &mut [u8],
        Memory { pair_records, scratch, .. }: &mut Memory<Arena>,
    ) -> Result<(), RunError> {
        Ok(self.attention(node)?.run(on, formats, pair, pair_records, scratch)?)
    }

    #[inline(never)]
    fn transform_pairs(
        &self,
        on: &Setting,
        formats: &Formats,
        pair: &mut [u8],
        memory: &mut Memory<Arena>,
    ) -> Result<(), RunError> {
        Ok(pair_transition::run(on, &self.pair_transition()?, formats, pair, memory.scratch)?)
    }

    #[inline(never)]
    fn attention_weights(&self) -> Result<AttentionWeights<'a>, FormatError> {
        let Config { sequence_width, sequence_heads, pair_width, .. } = *self.config;
        AttentionWeights::load(&self.file, &self.name(""), sequence_heads, sequence_width, pair_width)
    }

    #[inline(never)]
    fn sequence_transition(&self) -> Result<FeedForward<'a>, FormatError> {
        self.transition(".sequence_transition", self.config.sequence_width)
    }

    #[inline(never)]
    fn sequence_to_pair(&self) -> Result<SequenceToPair<'a>, FormatError> {
        let Config { sequence_width, pair_width, .. } = *self.config;
        SequenceToPair::load(&self.file, &self.name(""), sequence_width, pair_width)
    }

    #[inline(never)]
    fn multiplication(&self, direction: Direction) -> Result<TriangleMultiplication<'a>, FormatError> {
        let part = match direction {
            Direction::Outgoing => ".triangle_multiplication_out",
            Direction::Incoming => ".triangle_multiplication_in",
        };
        let width = self.config.pair_width;
        TriangleMultiplication::load(&self.file, &self.name(part), direction, width)
    }

    #[inline(never)]
    fn attention(&self, node: Node) -> Result<TriangleAttention<'a>, FormatError> {
        let part = match node {
            Node::Starting => ".triangle_attention_start",
            Node::Ending => ".triangle_attention_end",
        };
        let Config { pair_heads, pair_width, .. } = *self.config;
        TriangleAttention::load(&self.file, &self.name(part), pair_heads, pair_width)
    }

    #[inline(never)]
    fn pair_transition(&self) -> Result<FeedForward<'a>, FormatError> {
        self.transition(".pair_transition", self.config.pair_width)
    }

    fn transition(&self, part: &str, width: usize) -> Result<FeedForward<'a>, FormatError> {
        FeedForward::load(&self.file, &self.name(part), [width, 4 * width], Activation::Relu)
    }

    fn name(&self, part: &str) -> Name {
        numbered("fold.trunk.", self.index, part)
    }
}

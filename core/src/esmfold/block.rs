//! One block of the trunk.

use super::memory::Trunk;
use super::pair_transition;
use super::rows::Stored;
use super::run::{Pass, RunError};
use super::sequence_attention::SequenceAttention;
use super::sequence_to_pair::SequenceToPair;
use super::transition::Transition;
use super::transpose::transpose;
use super::triangle_attention::TriangleAttention;
use super::triangle_multiplication::{Direction, TriangleMultiplication};
use super::{Config, PAIR_SITES};
use crate::esm2::numbered;
use crate::executor::Executor;
use crate::format::{FormatError, ModelFile, join};
use crate::quant::Site;

/// The weights of a block in the order in which they work, and how the representations are stored in it.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    sequence_attention: SequenceAttention<'a>,
    sequence_to_pair: SequenceToPair<'a>,
    multiplication_out: TriangleMultiplication<'a>,
    multiplication_in: TriangleMultiplication<'a>,
    attention_start: TriangleAttention<'a>,
    attention_end: TriangleAttention<'a>,
    pair_transition: Transition<'a>,
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
        let multiplication = |part| TriangleMultiplication::load(file, &join(&name, part)?, config);
        let attention = |part| TriangleAttention::load(file, &join(&name, part)?, config);
        let first = pair_site(file, config, PAIR_SITES * index + 1)?;
        let mut pair = [first; PAIR_SITES];
        for (after, site) in pair.iter_mut().enumerate().skip(1) {
            *site = pair_site(file, config, PAIR_SITES * index + after + 1)?;
        }
        Ok(Self {
            sequence_attention: SequenceAttention::load(file, &name, config)?,
            sequence_to_pair: SequenceToPair::load(file, &name, config)?,
            multiplication_out: multiplication("triangle_multiplication_out")?,
            multiplication_in: multiplication("triangle_multiplication_in")?,
            attention_start: attention("triangle_attention_start")?,
            attention_end: attention("triangle_attention_end")?,
            pair_transition: Transition::load(file, &join(&name, "pair_transition")?, config.pair_width)?,
            sequence: sequence_site(file, config, index + 1)?,
            pair,
        })
    }

    /// Codes of the longest row of pairs that an operation saves.
    pub fn saved_row(&self) -> usize {
        let multiplications = [&self.multiplication_out, &self.multiplication_in].map(|m| m.saved_row());
        let attentions = [&self.attention_start, &self.attention_end].map(|a| a.saved_row());
        multiplications.into_iter().chain(attentions).fold(0, usize::max)
    }

    /// Updates both representations, which are stored at the given sites before the block.
    #[expect(clippy::too_many_arguments, reason = "a block's inputs and outputs")]
    pub fn run(
        &self,
        pass: &Pass,
        sequence_before: &Stored,
        pair_before: &Stored,
        sequence: &mut [u8],
        pair: &mut [u8],
        trunk: &mut Trunk,
        executor: &dyn Executor,
    ) -> Result<(), RunError> {
        let dims = &pass.dims;
        let s = pass.sequence(&self.sequence);
        self.sequence_attention.run(
            pass,
            sequence_before,
            &s,
            pair_before,
            sequence,
            pair,
            trunk,
            executor,
        )?;
        let [z1, z2, z3, z4, z5, z6] = self.pair.each_ref().map(|site| pass.pair(site));
        self.sequence_to_pair.run(pass, &s, sequence, pair_before, &z1, pair, trunk, executor);
        self.multiplication_out.run(pass, Direction::Outgoing, &z1, &z2, pair, trunk, executor)?;
        transpose(pair, dims.residues, dims.pair_row);
        self.multiplication_in.run(pass, Direction::Incoming, &z2, &z3, pair, trunk, executor)?;
        transpose(pair, dims.residues, dims.pair_row);
        self.attention_start.run(pass, &z3, &z4, pair, trunk, executor)?;
        transpose(pair, dims.residues, dims.pair_row);
        self.attention_end.run(pass, &z4, &z5, pair, trunk, executor)?;
        transpose(pair, dims.residues, dims.pair_row);
        pair_transition::run(pass, &self.pair_transition, &z5, &z6, pair, trunk.scratch, executor);
        Ok(())
    }
}

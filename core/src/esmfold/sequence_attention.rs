//! Attention over the sequence with a bias from the pairs, and the transition after it: a trunk block's work on the
//! sequence representation.

use super::attention_rows::{Keys, Record};
use super::memory::{Dims, SequenceScratch, Trunk};
use super::pair_bias::{self, Biases};
use super::rows::Stored;
use super::run::{Pass, RunError};
use super::transition::Transition;
use crate::esm2::Norm;
use crate::executor::Executor;
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::linear::{Linear, PANEL, Then};
use crate::kernels::rows::Rows;

/// The weights on the sequence representation.
#[derive(Clone, Copy, Debug)]
pub struct SequenceAttention<'a> {
    pair_norm: Norm<'a>,
    /// Pair width to heads.
    pair_bias: Linear<'a>,
    norm: Norm<'a>,
    /// Queries, keys, values and gates: `width` to `4 * width`.
    projections: Linear<'a>,
    /// `width` to `width`, sequence units.
    output: Linear<'a>,
    transition: Transition<'a>,
}

impl<'a> SequenceAttention<'a> {
    /// Reads the tensors of the block `name`.
    pub fn load(
        file: &ModelFile<'a>,
        name: &str,
        config: &super::config::Config,
    ) -> Result<Self, FormatError> {
        let (width, pair_width) = (config.sequence_width, config.pair_width);
        let attention = join(name, "sequence_attention")?;
        Ok(Self {
            pair_norm: Norm::load(file, &join(name, "pair_bias.norm")?, pair_width)?,
            pair_bias: Linear::load(
                file,
                &join(name, "pair_bias.linear")?,
                pair_width,
                config.sequence_heads,
            )?,
            norm: Norm::load(file, &join(&attention, "norm")?, width)?,
            projections: Linear::load(file, &join(&attention, "projections")?, width, 4 * width)?,
            output: Linear::load(file, &join(&attention, "output")?, width, width)?,
            transition: Transition::load(file, &join(name, "sequence_transition")?, width)?,
        })
    }

    /// Updates the sequence representation, stored at `stored` and after the block at `next`. The pair representation is read
    /// as it enters the block.
    #[expect(clippy::too_many_arguments, reason = "an operation's weights, inputs and outputs")]
    pub fn run(
        &self,
        pass: &Pass,
        stored: &Stored,
        next: &Stored,
        pair_stored: &Stored,
        sequence: &mut [u8],
        pair: &[u8],
        trunk: &mut Trunk,
        executor: &dyn Executor,
    ) -> Result<(), RunError> {
        let dims = &pass.dims;
        let biases = pair_bias::run(
            pass,
            dims.sequence_bias(),
            &self.pair_norm,
            &self.pair_bias,
            pair_stored,
            pair,
            trunk.pair_records,
            trunk.scratch,
            executor,
        );
        let shape = dims.sequence_attention();
        let record = shape.record().bytes()?;
        executor.for_each(trunk.records, record, trunk.scratch, &|panel, chunk, scratch| {
            if let (Ok(record), Ok(scratch)) =
                (Record::carve(&shape, chunk), SequenceScratch::carve(dims, scratch))
            {
                let first = panel * PANEL * stored.code_row;
                self.project(pass, panel, stored, sequence.get(first..).unwrap_or_default(), record, scratch);
            }
        });
        trunk.related.fill(&shape, trunk.records);
        let keys = Keys { shape, records: trunk.records, related: &trunk.related };
        let chunk = PANEL * stored.code_row;
        executor.for_each(sequence, chunk, trunk.scratch, &|panel, codes, scratch| {
            if let Ok(scratch) = SequenceScratch::carve(dims, scratch) {
                self.transform(pass, panel, stored, next, &keys, &biases, codes, scratch);
            }
        });
        Ok(())
    }

    /// Makes a panel's record.
    fn project(
        &self,
        pass: &Pass,
        panel: usize,
        stored: &Stored,
        codes: &[u8],
        mut record: Record,
        scratch: SequenceScratch,
    ) {
        let Dims { config, .. } = pass.dims;
        let width = config.sequence_width;
        let rows = pass.dims.panel_rows(panel);
        let SequenceScratch { stream, codes: mut quantized, outputs, .. } = scratch;
        let stream = &mut stream[..rows * width];
        stored.decode(pass.backend, codes, stream);
        let epsilons = &[config.epsilon_sequence; PANEL][..rows];
        let stream = Rows::new(stream, width);
        quantized.apply_to_norm(
            pass.backend,
            &self.projections,
            &self.norm,
            epsilons,
            stream,
            Then::Store,
            outputs,
        );
        record.store(pass.backend, 0, &outputs[..rows * 4 * width]);
    }

    /// Attends, projects, adds; then the transition.
    #[expect(clippy::too_many_arguments, reason = "one panel's inputs and outputs")]
    fn transform(
        &self,
        pass: &Pass,
        panel: usize,
        stored: &Stored,
        next: &Stored,
        keys: &Keys,
        biases: &Biases,
        codes: &mut [u8],
        scratch: SequenceScratch,
    ) {
        let Dims { config, .. } = pass.dims;
        let width = config.sequence_width;
        let rows = pass.dims.panel_rows(panel);
        let SequenceScratch { stream, update, codes: mut quantized, outputs, mut attending } = scratch;
        let (stream, context) = (&mut stream[..rows * width], &mut update[..rows * width]);
        keys.attend(pass.backend, panel, 0, biases, panel * PANEL, &mut attending, context);
        stored.decode(pass.backend, codes, stream);
        quantized.apply(pass.backend, &self.output, rows, Rows::new(context, width), Then::Add, stream);
        let epsilon = config.epsilon_sequence;
        self.transition.add(pass.backend, epsilon, stream, &mut quantized, outputs, next.then(codes));
    }
}

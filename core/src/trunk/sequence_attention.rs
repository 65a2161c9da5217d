//! Attention over the sequence with a bias from the pairs, and the transition after it: a trunk block's work
//! on the sequence representation.

use super::memory::Memory;
use super::pair_bias::{self, BiasWeights, PairBiases};
use super::scratch::SequenceScratch;
use super::shape::{Representation, Setting};
use crate::arena::{Arena, ArenaError, bytes_of};
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::linear::{Epilogue, Linear, PANEL};
use crate::kernels::rows::Rows;
use crate::nn::Norm;
use crate::nn::attention::{Keys, Queries, Record};
use crate::nn::feed_forward::FeedForward;
use crate::nn::stream::{Formats, Stream};

/// The weights of the attention.
#[derive(Clone, Copy, Debug)]
pub struct AttentionWeights<'a> {
    pair_norm: Norm<'a>,
    /// Pair width to heads.
    pair_bias: Linear<'a>,
    norm: Norm<'a>,
    /// Queries, keys, values and gates: `width` to `4 * width`.
    projections: Linear<'a>,
    /// `width` to `width`, sequence units.
    output: Linear<'a>,
}

impl<'a> AttentionWeights<'a> {
    /// Reads the tensors of the block `name`, for `heads` heads and representations of so many channels.
    pub fn load(
        file: &ModelFile<'a>,
        name: &str,
        heads: usize,
        width: usize,
        pair_width: usize,
    ) -> Result<Self, FormatError> {
        let pair_norm = Norm::load(file, &join(name, "pair_bias.norm"), pair_width)?;
        let pair_bias = Linear::load(file, &join(name, "pair_bias.linear"), pair_width, heads)?;
        let norm = Norm::load(file, &join(name, "sequence_attention.norm"), width)?;
        let projections = join(name, "sequence_attention.projections");
        let projections = Linear::load(file, &projections, width, 4 * width)?;
        let output = Linear::load(file, &join(name, "sequence_attention.output"), width, width)?;
        Ok(Self { pair_norm, pair_bias, norm, projections, output })
    }
}

/// All weights on the sequence representation.
#[derive(Clone, Copy, Debug)]
pub struct SequenceAttention<'a> {
    /// The attention's.
    pub weights: AttentionWeights<'a>,
    /// `width` to `4 * width` and back.
    pub transition: FeedForward<'a>,
}

impl SequenceAttention<'_> {
    /// Updates the sequence representation. The pair representation is read as it enters the block.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run(
        &self,
        on: &Setting,
        formats: &Formats,
        sequence: &mut [u8],
        pair: &Stream,
        memory: &mut Memory<Arena>,
    ) -> Result<(), ArenaError> {
        let Setting { context, shape } = *on;
        let Memory { pair_records, records, scales, scratch, .. } = memory;
        let weights = BiasWeights { norm: &self.weights.pair_norm, linear: &self.weights.pair_bias };
        let bias = pair_bias::Shape::of_sequence(shape);
        let biases = weights.run(on, bias, pair, pair_records, scratch)?;
        let attention = shape.sequence_attention();
        let record = bytes_of(|counter| Record::take(counter, &attention))?;
        let stream = Stream { codes: sequence, format: formats.before };
        context.for_each(records, record, scratch, |panel, chunk, mut scratch| {
            let record = Record::take(&mut Arena::new(chunk)?, &attention)?;
            let scratch = SequenceScratch::take(&mut scratch, shape)?;
            self.project(on, panel, &stream, record, scratch);
            Ok(())
        })?;
        scales.fill(&attention, records)?;
        let keys = Keys { shape: attention, records, scales: scales.read() };
        let chunk = PANEL * shape.sequence.code_row;
        context.for_each(sequence, chunk, scratch, |panel, codes, mut scratch| {
            let scratch = SequenceScratch::take(&mut scratch, shape)?;
            self.transform(on, panel, formats, (&keys, &biases), codes, scratch)
        })
    }

    /// Makes a panel's record.
    fn project(
        &self,
        on: &Setting,
        panel: usize,
        sequence: &Stream,
        mut record: Record<Arena>,
        scratch: SequenceScratch<Arena>,
    ) {
        let (backend, shape) = (on.context.backend, on.shape);
        let Representation { width, epsilon, .. } = shape.sequence;
        let rows = shape.panel_rows(panel);
        let SequenceScratch { stream, mut tile, outputs, .. } = scratch;
        let stream = &mut stream[..rows * width];
        sequence.decode(backend, panel * PANEL, stream);
        tile.make_norm(backend, &self.weights.norm, epsilon, stream);
        tile.apply_made(backend, &self.weights.projections, rows, Epilogue::Store, outputs);
        record.store(backend, &shape.sequence_attention(), 0, &outputs[..rows * 4 * width]);
    }

    /// Attends, projects, adds; then the transition.
    fn transform(
        &self,
        on: &Setting,
        panel: usize,
        formats: &Formats,
        (keys, biases): (&Keys, &PairBiases),
        codes: &mut [u8],
        scratch: SequenceScratch<Arena>,
    ) -> Result<(), ArenaError> {
        let (backend, shape) = (on.context.backend, on.shape);
        let Representation { width, epsilon, .. } = shape.sequence;
        let rows = shape.panel_rows(panel);
        let SequenceScratch { stream, update, mut tile, outputs, mut attention } = scratch;
        let (stream, attended) = (&mut stream[..rows * width], &mut update[..rows * width]);
        let queries = Queries { record: panel, from: 0, count: rows };
        keys.attend(backend, queries, Some(biases.of(panel * PANEL)), &mut attention, attended, |_| ())?;
        formats.before.decode(backend, codes, stream);
        tile.apply(backend, &self.weights.output, rows, Rows::new(attended, width), Epilogue::Add, stream);
        let stored = formats.after.epilogue(codes);
        self.transition.add(backend, epsilon, stream, &mut tile, outputs, stored);
        Ok(())
    }
}

//! The iterations.

use super::backbone_update::moved;
use super::invariant_point_attention::{Query, attend};
use super::memory::{Memory, PairRow, PairRows, PairScratch, ROWS, ResidueScratch, Shape, UPDATE};
use super::pair_rows::make_bias;
use super::projections::HeadShape;
use super::weights::{StructureModule, UpdateWeights};
use crate::arena::{Arena, ArenaError};
use crate::fixed::{ACT_FRAC, Multiplier};
use crate::format::FormatError;
use crate::geometry::{ATOM14, FRAME_FRAC, Frame, Residue, TORSIONS, atom14_positions, torsion_frames};
use crate::kernels::linear::Epilogue;
use crate::kernels::rows::Rows;
use crate::kernels::scalar::activation::add;
use crate::nn::Context;
use crate::nn::stream::to_activation;
use core::fmt;
use thiserror::Error;

/// From a frame's translation to points of attention.
const TO_POINTS: Multiplier = Multiplier { mantissa: 1, shift: FRAME_FRAC as i32 - ACT_FRAC as i32 };

/// What the structure module reads.
pub struct Inputs<'i> {
    /// How many residues there are.
    pub residues: usize,
    /// The residue with a number.
    pub residue: &'i (dyn Fn(usize) -> Residue + Sync),
    /// Writes a residue's row of the trunk's sequence representation, `[trunk.sequence_width]` in sequence
    /// units.
    pub sequence: &'i (dyn Fn(usize, &mut [i32]) + Sync),
    /// Writes a residue's pairs with all residues, `[residues, trunk.pair_width]` in pair units.
    pub pair: &'i (dyn Fn(usize, &mut [i32]) + Sync),
}

impl fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("residues", &self.residues).finish_non_exhaustive()
    }
}

/// Where the results go.
#[derive(Debug)]
pub struct Outputs<'o> {
    /// Atoms in the `atom14` layout, unit 2^-16 angstrom: `[residues]`.
    pub atoms: &'o mut [[[i32; 3]; ATOM14]],
    /// The residues' origins, where they have their CA, X too, which has no atom there: unit 2^-16 angstrom,
    /// `[residues]`. Fewer, if they aren't wanted.
    pub origins: &'o mut [[i32; 3]],
    /// The sequence representation after the last iteration, `[residues, width]`, activation units.
    pub state: &'o mut [i32],
}

/// Why there is no structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The memory is misaligned, too small, or would exceed the address width.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// A tensor can't be used.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// What all steps read.
struct Steps<'s, 'a> {
    model: &'s StructureModule<'a>,
    shape: Shape,
    context: &'s Context<'s>,
}

impl StructureModule<'_> {
    /// Runs all iterations. `memory` holds at least [`bytes`](Self::bytes) for [`Context::workers`] workers;
    /// its contents don't matter. At most 16384 residues.
    ///
    /// # Errors
    /// `memory` is misaligned or smaller than [`bytes`](Self::bytes) says. No tensor that
    /// [`load`](Self::load) has checked is refused.
    pub fn run(
        &self,
        inputs: &Inputs,
        outputs: Outputs,
        memory: &mut [u8],
        context: &Context,
    ) -> Result<(), RunError> {
        let shape = self.shape(inputs.residues);
        let workers = context.workers();
        let mut arena = Arena::of_size(self.bytes(inputs.residues, workers)?, memory)?;
        let mut memory = Memory::take(&mut arena, &shape, workers)?;
        let steps = Steps { model: self, shape, context };
        steps.make_pairs(inputs, &mut memory)?;
        steps.start(inputs, &mut memory)?;
        for iteration in 0..shape.config.iterations {
            steps.project(iteration, &mut memory)?;
            steps.update(iteration, &mut memory)?;
        }
        steps.turn(&mut memory)?;
        steps.finish(inputs, outputs, &mut memory);
        Ok(())
    }
}

impl Steps<'_, '_> {
    fn make_pairs(&self, inputs: &Inputs, memory: &mut Memory<Arena>) -> Result<(), RunError> {
        let shape = &self.shape;
        let weights = self.model.pair_weights()?;
        let Memory { pairs, scratch, .. } = memory;
        self.context.for_each(pairs, shape.pair_row()?, scratch, |index, chunk, mut scratch| {
            let row = PairRow::take(&mut Arena::new(chunk)?, shape)?;
            let scratch = PairScratch::take(&mut scratch, shape)?;
            let decode = |row: &mut [i32]| (inputs.pair)(index, row);
            weights.make_row(self.context.backend, shape, &decode, row, scratch);
            Ok(())
        })?;
        Ok(())
    }

    /// Calls `work` for chunks of [`ROWS`] rows of `row_len` values: first row, rows, scratch.
    fn for_rows(
        &self,
        data: &mut [i32],
        row_len: usize,
        scratch: &mut [u8],
        work: impl Fn(usize, &mut [i32], ResidueScratch<Arena>) -> Result<(), RunError> + Sync,
    ) -> Result<(), RunError> {
        let done = self.context.for_each(data, ROWS * row_len, scratch, |index, rows, mut scratch| {
            let scratch = ResidueScratch::take(&mut scratch, &self.shape)?;
            work(index * ROWS, rows, scratch).map_err(|error| match error {
                RunError::Arena(error) => error,
                RunError::Format(_) => ArenaError::WrongChunk,
            })
        });
        done.or_else(|error| {
            // A worker can't hand out which tensor it could not use: that is looked for once more.
            self.model.check()?;
            Err(error.into())
        })
    }

    /// The sequence representation before the first iteration, and frames that have not moved.
    fn start(&self, inputs: &Inputs, memory: &mut Memory<Arena>) -> Result<(), RunError> {
        let (model, shape, backend) = (self.model, &self.shape, self.context.backend);
        let weights = model.input_weights()?;
        let (width, len, trunk) = (shape.config.width, shape.state_len(), &shape.trunk);
        let Memory { states, frames, scratch, .. } = memory;
        frames.fill(Frame::IDENTITY.to_array());
        self.for_rows(states, len, scratch, |first, states, scratch| {
            let ResidueScratch { mut tile, outputs: [x, y, _], .. } = scratch;
            let rows = states.len() / len;
            tile.make(rows, trunk.sequence_width, |row, x| {
                (inputs.sequence)(first + row, x);
                x.iter_mut().for_each(|x| *x = to_activation(*x, trunk.sequence_frac));
            });
            tile.apply_made(backend, &weights.linear, rows, Epilogue::Store, x);
            weights.norm.apply(backend, model.epsilon, &x[..rows * width], y);
            tile.apply(backend, &weights.initial, rows, Rows::new(y, width), Epilogue::Store, x);
            let made = y.chunks_exact(width).zip(x.chunks_exact(width));
            for (state, (initial, sequence)) in shape.states(states).zip(made) {
                state.initial.copy_from_slice(initial);
                state.sequence.copy_from_slice(sequence);
            }
            Ok(())
        })
    }

    /// Fills the records of all residues.
    fn project(&self, iteration: usize, memory: &mut Memory<Arena>) -> Result<(), RunError> {
        let (shape, backend) = (&self.shape, self.context.backend);
        let linear = &self.model.projections(iteration)?;
        let heads = HeadShape::new(&shape.config);
        let (len, state_len) = (shape.record_len(), shape.state_len());
        let Memory { states, records, frames, scratch, .. } = memory;
        let (states, frames) = (&**states, &**frames);
        self.for_rows(records, len, scratch, |first, records, scratch| {
            let ResidueScratch { mut tile, outputs: [x, ..], .. } = scratch;
            let rows = records.len() / len;
            let inputs =
                Rows { values: &states[first * state_len..], width: linear.inputs(), stride: state_len };
            tile.apply(backend, linear, rows, inputs, Epilogue::Store, x);
            let made = x.chunks_exact(len).zip(&frames[first..]);
            for (record, (projections, &frame)) in records.chunks_exact_mut(len).zip(made) {
                heads.store(projections, &Frame::from_array(frame).rigid(TO_POINTS), record);
            }
            Ok(())
        })
    }

    /// Attention, transition and the frames' update.
    fn update(&self, iteration: usize, memory: &mut Memory<Arena>) -> Result<(), RunError> {
        let (shape, backend) = (&self.shape, self.context.backend);
        let len = shape.state_len();
        let Memory { states, records, frames, pairs, scratch } = memory;
        let (records, pairs) = (&**records, PairRows::new(shape, pairs)?);
        let shared = &**frames;
        let weights = self.model.update_weights(iteration)?;
        let scores = weights.attention.scores();
        self.for_rows(states, len, scratch, |first, states, mut scratch| {
            for (row, &frame) in shared[first..].iter().take(states.len() / len).enumerate() {
                let residue = first + row;
                let PairRow { codes, mut bias } = pairs.of(residue)?;
                let ResidueScratch { tile, pair_bias, attention, .. } = &mut scratch;
                if let Some(linear) = &weights.pair_bias {
                    make_bias(backend, shape, linear, codes, tile, pair_bias);
                    bias = &*pair_bias.row;
                }
                let frame = &Frame::from_array(frame).rigid(TO_POINTS);
                let query = Query { records, residue, frame, codes, bias };
                attend(backend, shape, scores, &query, row, attention);
            }
            Ok(self.update_rows(&weights, states, scratch)?)
        })?;
        for (frame, state) in frames.iter_mut().zip(shape.states(states)) {
            *frame = moved(&Frame::from_array(*frame), state.update).to_array();
        }
        Ok(())
    }

    /// All that follows attention.
    fn update_rows(
        &self,
        weights: &UpdateWeights,
        states: &mut [i32],
        scratch: ResidueScratch<Arena>,
    ) -> Result<(), FormatError> {
        let (shape, backend) = (&self.shape, self.context.backend);
        let (len, width, epsilon) = (shape.state_len(), shape.config.width, self.model.epsilon);
        let rows = states.len() / len;
        let ResidueScratch { mut tile, sequence, outputs: [x, y, _], attention, .. } = scratch;
        let sequence = &mut sequence[..rows * width];
        weights.attention.output(&shape.config, backend, rows, &attention, &mut tile, x)?;
        for (state, x) in states.chunks_exact(len).zip(x.chunks_exact_mut(width)) {
            add(x, &state[..width]);
        }
        weights.attention_norm.apply(backend, epsilon, &x[..rows * width], sequence);
        weights.transition.run(backend, epsilon, sequence, &mut tile, [&mut *x, &mut *y])?;
        weights.backbone_update.run(backend, rows, sequence, &mut tile, x);
        let made = sequence.chunks_exact(width).zip(x.chunks_exact(UPDATE));
        for (state, (sequence, update)) in shape.states(states).zip(made) {
            state.sequence.copy_from_slice(sequence);
            state.update.copy_from_slice(update);
        }
        Ok(())
    }

    /// The torsions, once the last iteration is done.
    fn turn(&self, memory: &mut Memory<Arena>) -> Result<(), RunError> {
        let (shape, backend) = (&self.shape, self.context.backend);
        let (len, width) = (shape.state_len(), shape.config.width);
        let weights = self.model.angle_resnet()?;
        let Memory { states, scratch, .. } = memory;
        self.for_rows(states, len, scratch, |_, states, scratch| {
            let ResidueScratch { mut tile, outputs, .. } = scratch;
            // The sequence representation, and that from before the first iteration.
            let inputs = [0, width].map(|at| Rows { values: &states[at..], width, stride: len });
            let torsions = weights.run(backend, states.len() / len, inputs, &mut tile, outputs)?;
            for (state, torsions) in shape.states(states).zip(torsions.chunks_exact(2 * TORSIONS)) {
                state.torsions.copy_from_slice(torsions);
            }
            Ok(())
        })
    }

    /// Atoms, and the state for whoever is next.
    fn finish(&self, inputs: &Inputs, outputs: Outputs, memory: &mut Memory<Arena>) {
        let (shape, scale) = (&self.shape, self.shape.config.translation_scale);
        let Memory { states, frames, .. } = memory;
        let rows = outputs.state.chunks_exact_mut(shape.config.width).zip(outputs.atoms);
        let states = shape.states(states).zip(&**frames);
        for (index, ((state, frame), (out, atoms))) in states.zip(rows).enumerate() {
            out.copy_from_slice(state.sequence);
            let residue = (inputs.residue)(index);
            let mut torsions = [[0; 2]; TORSIONS];
            torsions.iter_mut().zip(state.torsions.as_chunks().0).for_each(|(out, &torsion)| *out = torsion);
            let backbone = Frame::from_array(*frame).rigid(scale);
            if let Some(origin) = outputs.origins.get_mut(index) {
                *origin = backbone.translation;
            }
            *atoms = atom14_positions(&torsion_frames(&backbone, &torsions, residue), residue);
        }
    }
}

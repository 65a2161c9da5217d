//! The iterations.

use super::backbone_update::moved;
use super::invariant_point_attention::{Query, attend};
use super::memory::{Dims, Memory, PairRow, PairScratch, ROWS, ResidueScratch, StateRow, UPDATE, pair_row};
use super::projections::HeadShape;
use super::weights::StructureModule;
use crate::arena::ArenaError;
use crate::esmfold::config::TORSIONS;
use crate::esmfold::rows::to_activation;
use crate::executor::Executor;
use crate::fixed::{ACT_FRAC, Multiplier};
use crate::geometry::{ATOM14, FRAME_FRAC, Frame, Residue, atom14_positions, torsion_frames};
use crate::kernels::Backend;
use crate::kernels::linear::Then;
use crate::kernels::rows::Rows;
use crate::kernels::scalar::activation::add;

/// From a frame's translation to points of attention.
const TO_POINTS: Multiplier = Multiplier { mantissa: 1, shift: FRAME_FRAC as i32 - ACT_FRAC as i32 };

/// What the structure module reads.
#[expect(missing_debug_implementations, reason = "functions")]
pub struct Inputs<'i> {
    /// How many residues there are.
    pub residues: usize,
    /// The residue with a number.
    pub residue: &'i (dyn Fn(usize) -> Residue + Sync),
    /// Writes a residue's row of the trunk's sequence representation, `[sequence_width]` in sequence units.
    pub sequence: &'i (dyn Fn(usize, &mut [i32]) + Sync),
    /// Writes a residue's pairs with all residues, `[residues, pair_width]` in pair units.
    pub pair: &'i (dyn Fn(usize, &mut [i32]) + Sync),
}

/// Where the results go.
#[derive(Debug)]
pub struct Outputs<'o> {
    /// Atoms in the `atom14` layout, unit 2^-16 angstrom: `[residues]`.
    pub atoms: &'o mut [[[i32; 3]; ATOM14]],
    /// The sequence representation after the last iteration, `[residues, width]`, activation units.
    pub state: &'o mut [i32],
}

/// What all steps read.
struct Pass<'p, 'a> {
    model: &'p StructureModule<'a>,
    dims: Dims,
    backend: &'p Backend,
}

impl StructureModule<'_> {
    /// Runs all iterations. `memory` holds at least [`layout`](Self::layout)'s bytes for `executor.workers()` workers; its contents don't
    /// matter. At most 16384 residues.
    ///
    /// # Errors
    /// `memory` is misaligned or smaller than [`layout`](Self::layout) says.
    pub fn run(
        &self,
        inputs: &Inputs,
        outputs: Outputs,
        memory: &mut [u8],
        backend: &Backend,
        executor: &dyn Executor,
    ) -> Result<(), ArenaError> {
        let dims = Dims::new(&self.config, inputs.residues, executor.workers());
        let mut memory = Memory::carve(&dims, memory)?;
        let pass = Pass { model: self, dims, backend };
        pass.make_pairs(inputs, &mut memory, executor)?;
        pass.start(inputs, &mut memory, executor);
        for iteration in 1..=dims.config.iterations {
            pass.project(&mut memory, executor);
            pass.update(iteration == dims.config.iterations, &mut memory, executor);
        }
        pass.finish(inputs, outputs, &mut memory);
        Ok(())
    }
}

impl Pass<'_, '_> {
    fn make_pairs(
        &self,
        inputs: &Inputs,
        memory: &mut Memory,
        executor: &dyn Executor,
    ) -> Result<(), ArenaError> {
        let dims = &self.dims;
        let chunk = dims.pair_row_layout().bytes()?;
        executor.for_each(memory.pairs, chunk, memory.scratch, &|index, chunk, scratch| {
            if let (Ok(row), Ok(scratch)) = (PairRow::carve(dims, chunk), PairScratch::carve(dims, scratch)) {
                let decode = |row: &mut [i32]| (inputs.pair)(index, row);
                self.model.make_pair_row(self.backend, dims, &decode, row, scratch);
            }
        });
        Ok(())
    }

    /// Calls `work` for chunks of [`ROWS`] rows of `row_len` values: first row, rows, scratch.
    fn for_rows(
        &self,
        data: &mut [i32],
        row_len: usize,
        scratch: &mut [u8],
        executor: &dyn Executor,
        work: &(dyn Fn(usize, &mut [i32], ResidueScratch) + Sync),
    ) {
        let chunk = ROWS * row_len * size_of::<i32>();
        executor.for_each(bytemuck::cast_slice_mut(data), chunk, scratch, &|index, chunk, scratch| {
            let rows = bytemuck::try_cast_slice_mut(chunk);
            if let (Ok(rows), Ok(scratch)) = (rows, ResidueScratch::carve(&self.dims, scratch)) {
                work(index * ROWS, rows, scratch);
            }
        });
    }

    /// The sequence representation before the first iteration, and frames that have not moved.
    fn start(&self, inputs: &Inputs, memory: &mut Memory, executor: &dyn Executor) {
        let (model, dims, backend) = (self.model, &self.dims, self.backend);
        let width = dims.config.width;
        memory.frames.fill(Frame::IDENTITY.to_array());
        let len = dims.state_len();
        self.for_rows(memory.states, len, memory.scratch, executor, &|first, states, scratch| {
            let ResidueScratch { mut codes, outputs: [x, y, _], .. } = scratch;
            let rows = states.len() / len;
            let fill = |row: usize, x: &mut [i32]| {
                (inputs.sequence)(first + row, x);
                x.iter_mut().for_each(|x| *x = to_activation(*x, model.config.sequence_frac));
            };
            codes.apply_with(backend, &model.sequence_input, rows, fill, Then::Store, x);
            let epsilon = model.config.epsilon_activation;
            model.sequence_norm.apply(backend, epsilon, &x[..rows * width], y);
            codes.apply(backend, &model.initial, rows, Rows::new(y, width), Then::Store, x);
            let by_row = states.chunks_exact_mut(len).filter_map(|row| StateRow::split(dims, row));
            for ((state, initial), sequence) in by_row.zip(y.chunks_exact(width)).zip(x.chunks_exact(width)) {
                state.initial.copy_from_slice(initial);
                state.sequence.copy_from_slice(sequence);
            }
        });
    }

    /// Fills the records of all residues.
    fn project(&self, memory: &mut Memory, executor: &dyn Executor) {
        let (dims, backend) = (&self.dims, self.backend);
        let (states, frames) = (&*memory.states, &*memory.frames);
        let linear = self.model.attention.projections();
        let shape = HeadShape::new(&dims.config);
        let len = dims.record_len();
        self.for_rows(memory.records, len, memory.scratch, executor, &|first, records, scratch| {
            let ResidueScratch { mut codes, outputs: [x, ..], .. } = scratch;
            let rows = records.len() / len;
            let state_len = dims.state_len();
            let inputs =
                Rows { values: &states[first * state_len..], width: linear.inputs(), stride: state_len };
            codes.apply(backend, linear, rows, inputs, Then::Store, x);
            let frames = frames.iter().skip(first);
            for ((record, projections), &frame) in
                records.chunks_exact_mut(len).zip(x.chunks_exact(len)).zip(frames)
            {
                shape.store(projections, &Frame::from_array(frame).rigid(TO_POINTS), record);
            }
        });
    }

    /// Attention, transition and the frames' update; in the last iteration the torsions too, since only those are used.
    fn update(&self, last: bool, memory: &mut Memory, executor: &dyn Executor) {
        let dims = &self.dims;
        let len = dims.state_len();
        let Memory { states, records, frames, pairs, scratch } = memory;
        let (records, pairs) = (&**records, &**pairs);
        let shared = &**frames;
        self.for_rows(states, len, scratch, executor, &|first, states, mut scratch| {
            for (row, &frame) in shared.iter().skip(first).take(states.len() / len).enumerate() {
                let residue = first + row;
                let (codes, bias) = pair_row(dims, pairs, residue);
                let frame = &Frame::from_array(frame).rigid(TO_POINTS);
                let query = Query { records, residue, frame, codes, bias };
                attend(
                    self.backend,
                    dims,
                    self.model.attention.scores(),
                    &query,
                    row,
                    &mut scratch.attention,
                );
            }
            self.update_rows(last, states, scratch);
        });
        for (frame, row) in frames.iter_mut().zip(states.chunks_exact_mut(len)) {
            if let Some(StateRow { update, .. }) = StateRow::split(dims, row) {
                *frame = moved(&Frame::from_array(*frame), update).to_array();
            }
        }
    }

    /// All that follows attention.
    fn update_rows(&self, last: bool, states: &mut [i32], scratch: ResidueScratch) {
        let (model, backend) = (self.model, self.backend);
        let (len, width) = (self.dims.state_len(), self.dims.config.width);
        let epsilon = model.config.epsilon_activation;
        let rows = states.len() / len;
        let ResidueScratch { mut codes, sequence, outputs: [x, y, z], attention } = scratch;
        let sequence = &mut sequence[..rows * width];
        model.attention.output(backend, rows, &attention, &mut codes, x);
        for ((state, x), sequence) in
            states.chunks_exact(len).zip(x.chunks_exact_mut(width)).zip(sequence.chunks_exact_mut(width))
        {
            add(x, &state[..width]);
            model.attention_norm.apply(backend, epsilon, x, sequence);
        }
        model.transition.run(backend, epsilon, rows, sequence, &mut codes, [&mut *x, &mut *y]);
        model.backbone_update.run(backend, rows, sequence, &mut codes, x);
        let by_row = states.chunks_exact_mut(len).filter_map(|row| StateRow::split(&self.dims, row));
        for ((state, sequence), update) in
            by_row.zip(sequence.chunks_exact(width)).zip(x.chunks_exact(UPDATE))
        {
            state.sequence.copy_from_slice(sequence);
            state.update.copy_from_slice(update);
        }
        if last {
            let fill = |row: usize, x: &mut [i32]| x.copy_from_slice(&sequence[row * width..][..width]);
            let fill_initial =
                |row: usize, x: &mut [i32]| x.copy_from_slice(&states[row * len + width..][..width]);
            let torsions = model.angle_resnet.run(backend, rows, fill, fill_initial, &mut codes, [x, y, z]);
            let by_row = states.chunks_exact_mut(len).filter_map(|row| StateRow::split(&self.dims, row));
            for (state, torsions) in by_row.zip(torsions.chunks_exact(2 * TORSIONS)) {
                state.torsions.copy_from_slice(torsions);
            }
        }
    }

    /// Atoms, and the state for whoever is next.
    fn finish(&self, inputs: &Inputs, outputs: Outputs, memory: &mut Memory) {
        let (dims, scale) = (&self.dims, self.dims.config.translation_scale);
        let states = memory.states.chunks_exact_mut(dims.state_len());
        let states = states.filter_map(|row| StateRow::split(dims, row));
        let rows = outputs.state.chunks_exact_mut(dims.config.width).zip(outputs.atoms);
        for (index, ((state, frame), (out, atoms))) in states.zip(&*memory.frames).zip(rows).enumerate() {
            out.copy_from_slice(state.sequence);
            let residue = (inputs.residue)(index);
            let mut torsions = [[0; 2]; TORSIONS];
            torsions.iter_mut().zip(state.torsions.as_chunks().0).for_each(|(out, &torsion)| *out = torsion);
            let backbone = Frame::from_array(*frame).rigid(scale);
            *atoms = atom14_positions(&torsion_frames(&backbone, &torsions, residue), residue);
        }
    }
}

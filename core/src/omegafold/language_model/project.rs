//! What a layer begins with: keys and values of the residues that each row keeps.

use super::error::RunError;
use super::memory::{Memory, ProjectScratch};
use super::pass::Pass;
use super::records::{KeyRecord, RowScales};
use super::rows::KeyLists;
use super::shape::Shape;
use super::weights::KeyWeights;
use crate::arena::{Arena, ArenaError, Reader, bytes_of};
use crate::kernels::Backend;
use crate::kernels::attention::{key_scale_max, pack, relative_scales, store_keys, store_values};
use crate::kernels::linear::Epilogue;
use crate::kernels::rows::Rows;
use crate::nn::attention::{CODES, quantize};
use crate::nn::stream::{Stream, StreamFormat};

/// Fills the records and scales of all rows from the stream.
pub fn run(
    pass: &Pass,
    layer: usize,
    stored: &StreamFormat,
    states: &[u8],
    memory: &mut Memory<Arena>,
) -> Result<(), RunError> {
    let weights = pass.model.key_weights(layer)?;
    let shape = pass.shape;
    let record = bytes_of(|counter| KeyRecord::take(counter, shape))?;
    let Memory { key_lists, key_counts, rotary, records, scales, scratch, .. } = memory;
    let lists = KeyLists { residues: shape.residues, lists: key_lists, counts: key_counts };
    let stream = Stream { codes: states, format: *stored };
    let projection = Projection { pass, weights: &weights, stream, rotary, lists };
    pass.context.for_each(records, record, scratch, |index, chunk, mut scratch| {
        let scratch = ProjectScratch::take(&mut scratch, shape)?;
        let record = KeyRecord::take(&mut Arena::new(chunk)?, shape)?;
        projection.record(index, record, scratch);
        Ok(())
    })?;
    let of_row = bytes_of(|counter| RowScales::take(counter, shape))?;
    let records = &**records;
    pass.context.for_each(scales, of_row, scratch, |row, chunk, _| {
        let scales = RowScales::take(&mut Arena::new(chunk)?, shape)?;
        RowRecords { shape, records, len: record, row }.relate(lists.of(row).at.len(), scales)
    })?;
    Ok(())
}

/// What all records are made from.
struct Projection<'p, 'a> {
    pass: &'p Pass<'p, 'a>,
    weights: &'p KeyWeights<'a>,
    stream: Stream<'p>,
    /// `[residues, query_width / 2]`
    rotary: &'p [[i32; 2]],
    lists: KeyLists<'p>,
}

impl Projection<'_, '_> {
    /// Fills record `index`, of those that each row has one after another; nothing where the row has no more
    /// keys.
    fn record(&self, index: usize, mut record: KeyRecord<Arena>, scratch: ProjectScratch<Arena>) {
        let (backend, shape) = (self.pass.context.backend, self.pass.shape);
        let Shape { width, value_width, query_width, key_block, .. } = *shape;
        let (row, from) = (index / shape.key_blocks(), index % shape.key_blocks() * key_block);
        let keys = self.lists.of(row).at.get(from..).unwrap_or_default();
        let keys = &keys[..keys.len().min(key_block)];
        if keys.is_empty() {
            return;
        }
        let ProjectScratch { stream, mut tile, outputs, keys: key_rows, gate } = scratch;
        let (stream, stride) = (&mut stream[..keys.len() * width], value_width + query_width);
        for (x, &residue) in stream.chunks_exact_mut(width).zip(keys) {
            self.stream.decode(backend, shape.token(row, residue.into()), x);
        }
        tile.make_norm(backend, &self.weights.norm, self.pass.model.config.epsilon_stream, stream);
        let outputs = &mut outputs[..keys.len() * stride];
        tile.apply_made(backend, &self.weights.projections, keys.len(), Epilogue::Store, outputs);
        let key_rows = &mut key_rows[..keys.len() * query_width];
        let rows = outputs.chunks_exact_mut(stride).zip(key_rows.chunks_exact_mut(query_width));
        for ((outputs, key), &residue) in rows.zip(keys) {
            silu(backend, outputs, gate);
            key.copy_from_slice(&outputs[value_width..]);
            self.weights.scaling.apply(backend, key, angles(self.rotary, residue.into(), query_width));
        }
        store(backend, shape, outputs, key_rows, &mut record);
    }
}

/// `x * sigmoid(x)` in place; `copy` has room for as many.
pub fn silu(backend: &Backend, x: &mut [i32], copy: &mut [i32]) {
    let copy = &mut copy[..x.len()];
    copy.copy_from_slice(x);
    (backend.gate)(x, copy);
}

/// The rotations of one residue's queries and keys.
pub fn angles(rotary: &[[i32; 2]], residue: usize, query_width: usize) -> &[[i32; 2]] {
    let half = query_width / 2;
    rotary.get(residue * half..(residue + 1) * half).unwrap_or_default()
}

/// Quantizes and stores keys, and the values that `outputs` begin with.
fn store(backend: &Backend, shape: &Shape, outputs: &[i32], keys: &[i32], record: &mut KeyRecord<Arena>) {
    let Shape { query_width: width, value_width, key_block, .. } = *shape;
    let memory = &mut [0; CODES];
    quantize(backend, Rows::new(keys, width), 0, memory, record.key_scales, |row, codes| {
        store_keys(codes, width, row, record.keys);
    });
    let slices = record.values.chunks_exact_mut(key_block * width);
    let scales = record.value_scales.chunks_exact_mut(key_block);
    for (slice, (values, scales)) in slices.zip(scales).enumerate() {
        let part = outputs.get(slice * width..).unwrap_or_default();
        let rows = Rows { values: part, width, stride: value_width + width };
        quantize(backend, rows, 0, memory, scales, |row, codes| store_values(codes, width, row, values));
    }
}

/// The records of one row's keys, to read.
struct RowRecords<'r> {
    shape: &'r Shape,
    records: &'r [u8],
    /// Bytes of a record.
    len: usize,
    row: usize,
}

impl RowRecords<'_> {
    /// Makes the scales of the row's `count` keys, and of their values, relative to the largest.
    fn relate(&self, count: usize, scales: RowScales<Arena>) -> Result<(), ArenaError> {
        let RowScales { keys, values, gathered, largest } = scales;
        let gathered = &mut gathered[..count];
        let mut largest = largest.iter_mut();
        let mut note = |of_kind| largest.next().into_iter().for_each(|place| *place = pack(of_kind));
        self.gather(None, gathered)?;
        note(relative_scales(gathered, key_scale_max(self.shape.query_width), keys));
        for (slice, values) in values.chunks_exact_mut(self.shape.stride()).enumerate() {
            self.gather(Some(slice), gathered)?;
            note(relative_scales(gathered, i16::MAX, values));
        }
        Ok(())
    }

    /// Copies the token scales of keys, or of a slice of the values.
    fn gather(&self, slice: Option<usize>, gathered: &mut [u32]) -> Result<(), ArenaError> {
        let key_block = self.shape.key_block;
        for (block, gathered) in gathered.chunks_mut(key_block).enumerate() {
            let index = self.row * self.shape.key_blocks() + block;
            let record = KeyRecord::take(&mut Reader::of_piece(self.records, index, self.len), self.shape)?;
            let own = match slice {
                None => record.key_scales,
                Some(slice) => record.value_scales.get(slice * key_block..).unwrap_or_default(),
            };
            gathered.iter_mut().zip(own).for_each(|(to, &scale)| *to = scale);
        }
        Ok(())
    }
}

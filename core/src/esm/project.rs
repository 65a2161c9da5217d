//! What a layer begins with: LayerNorm, queries, keys and values, rotary embedding, quantization.

use super::memory::{Dims, Memory, Scratch};
use super::pass::Pass;
use super::request::RunError;
use super::weights::ProjectionWeights;
use crate::arena::{Arena, ArenaError};
use crate::kernels::linear::Epilogue;
use crate::nn::attention::Record;
use crate::nn::stream::{Stream, StreamFormat};

/// Fills every block's queries, keys and values from the stream.
pub fn run(
    pass: &Pass,
    layer: usize,
    stored: &StreamFormat,
    memory: &mut Memory<Arena>,
) -> Result<(), RunError> {
    let projection = pass.model.projection(layer)?;
    let dims = &pass.dims;
    let (record, state_len) = (dims.record_bytes()?, dims.state_bytes()?);
    let Memory { states, records, rotary, scratch, .. } = memory;
    let projection = Projection { weights: &projection, stored, rotary };
    pass.context.for_each(records, record, scratch, |block, record, mut scratch| {
        let state = states.get(block * state_len..).unwrap_or_default();
        projection.block(pass, block, state, record, &mut Scratch::take(&mut scratch, dims)?)
    })?;
    Ok(())
}

/// What all blocks read.
pub struct Projection<'p> {
    /// The layer's.
    pub weights: &'p ProjectionWeights<'p>,
    /// How the stream is stored.
    pub stored: &'p StreamFormat<'p>,
    /// `[tokens, head_width / 2]`
    pub rotary: &'p [[i32; 2]],
}

impl Projection<'_> {
    /// Fills the queries, keys and values of one block, `record`, from the codes of its stream.
    pub fn block(
        &self,
        pass: &Pass,
        block: usize,
        codes: &[u8],
        record: &mut [u8],
        scratch: &mut Scratch<Arena>,
    ) -> Result<(), ArenaError> {
        let Pass { dims, context, .. } = pass;
        let (backend, attention) = (context.backend, dims.attention());
        let mut record = Record::take(&mut Arena::new(record)?, &attention)?;
        let Dims { config, block_rows, tile_rows, .. } = *dims;
        let (width, half) = (config.width, config.head_width() / 2);
        let (first, count) = (block * block_rows, dims.rows_of(block));
        let codes = Stream { codes, format: *self.stored };
        let Scratch { stream, tile, outputs, .. } = scratch;
        for done in (0..count).step_by(tile_rows) {
            let rows = tile_rows.min(count - done);
            let stream = &mut stream[..rows * width];
            codes.decode(backend, done, stream);
            tile.make_norm(backend, &self.weights.norm, config.epsilon, stream);
            let outputs = &mut outputs[..rows * 3 * width];
            tile.apply_made(backend, &self.weights.qkv, rows, Epilogue::Store, outputs);
            for (outputs, token) in outputs.chunks_exact_mut(3 * width).zip(first + done..) {
                let angles = self.rotary.get(token * half..(token + 1) * half).unwrap_or_default();
                let (rotated, _) = outputs.split_at_mut(2 * width);
                (backend.rotary)(rotated, angles);
            }
            record.store(backend, &attention, done, outputs);
        }
        Ok(())
    }
}

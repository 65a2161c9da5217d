//! The rest of a layer: queries, attention, gates, and what they add to the stream; the layer's maps.

use super::attend::{Attention, Queries};
use super::error::RunError;
use super::maps::MapCodec;
use super::memory::{Features, Memory, TransformScratch};
use super::pass::Pass;
use super::project::{angles, silu};
use super::rows::KeyLists;
use super::shape::Shape;
use super::weights::TransformWeights;
use crate::arena::{Arena, ArenaError};
use crate::fixed::TokenScale;
use crate::kernels::attention::QUERY_TILE;
use crate::kernels::linear::Epilogue;
use crate::kernels::rows::Rows;
use crate::kernels::scalar::activation::multiply;
use crate::nn::quantized_tile::TILE_MAX;
use crate::nn::stream::Formats;

/// Updates the stream of every block, and stores layer `layer`'s maps.
pub fn run(
    pass: &Pass,
    layer: usize,
    formats: &Formats,
    features: &mut Features<Arena>,
    memory: &mut Memory<Arena>,
) -> Result<(), RunError> {
    let weights = pass.model.transform_weights(layer)?;
    let shape = pass.shape;
    let Memory { key_lists, key_counts, rotary, records, scales, scratch, .. } = memory;
    let attention = Attention {
        shape,
        records,
        scales,
        keys: KeyLists { residues: shape.residues, lists: key_lists, counts: key_counts },
        temperature: pass.model.config.stream_temperature,
        offsets: weights.offsets,
    };
    let step = Step { pass, layer, weights: &weights, formats, attention, rotary };
    let maps: &mut [u8] = bytemuck::cast_slice_mut(&mut *features.maps);
    let sizes = [shape.block_maps().saturating_mul(size_of::<u16>()), shape.block_bytes()];
    pass.context.for_each_pair([maps, features.states], sizes, scratch, |block, chunks, mut scratch| {
        step.block(block, chunks, TransformScratch::take(&mut scratch, shape)?)
    })?;
    Ok(())
}

/// One layer's work.
struct Step<'s, 'a> {
    pass: &'s Pass<'s, 'a>,
    layer: usize,
    weights: &'s TransformWeights<'a>,
    formats: &'s Formats<'s>,
    attention: Attention<'s>,
    /// `[residues, query_width / 2]`
    rotary: &'s [[i32; 2]],
}

impl Step<'_, '_> {
    /// Updates the block's stream, `codes`, and stores its maps.
    fn block(
        &self,
        block: usize,
        [maps, codes]: [&mut [u8]; 2],
        mut scratch: TransformScratch<Arena>,
    ) -> Result<(), ArenaError> {
        let shape = self.pass.shape;
        let tokens = shape.residues_of(block) * shape.rows;
        self.begin_maps(block, scratch.sums);
        for from in (0..tokens).step_by(shape.tile()) {
            let count = shape.tile().min(tokens - from);
            let codes = codes.get_mut(from * shape.code_row..).unwrap_or_default();
            self.tile(block, from, count, codes, &mut scratch)?;
        }
        let maps = bytemuck::try_cast_slice_mut(maps).map_err(|_| ArenaError::WrongChunk)?;
        self.store_maps(scratch.sums, maps);
        Ok(())
    }

    /// Updates `count` tokens of the block from its token `from` on; `codes` begin with them.
    fn tile(
        &self,
        block: usize,
        from: usize,
        count: usize,
        codes: &mut [u8],
        scratch: &mut TransformScratch<Arena>,
    ) -> Result<(), ArenaError> {
        let (backend, shape) = (self.pass.context.backend, self.pass.shape);
        let Shape { width, value_width, query_width, .. } = *shape;
        let TransformScratch { stream, tile, gates, attended, queries, .. } = scratch;
        let stream = &mut stream[..count * width];
        self.formats.before.decode(backend, codes, stream);
        tile.make_norm(backend, &self.weights.norm, self.pass.model.config.epsilon_stream, stream);
        let gates = &mut gates[..count * value_width];
        tile.apply_made(backend, &self.weights.gate, count, Epilogue::Store, gates);
        let queries = &mut queries[..count * query_width];
        tile.gemm(backend, &self.weights.base, count, Epilogue::Store, queries);
        let (first, residues) = (block * shape.block, shape.residues_of(block).max(1));
        for (query, token) in queries.chunks_exact_mut(query_width).zip(from..) {
            silu(backend, query, scratch.gate);
            let residue = first + token % residues;
            self.weights.scaling.apply(backend, query, angles(self.rotary, residue, query_width));
        }
        let query_codes = &mut scratch.query_codes[..count * query_width];
        let mut scales = [TokenScale::covering(0, 0); TILE_MAX];
        let scales = &mut scales[..count];
        (backend.quantize_rows)(Rows::new(queries, query_width), &[], query_codes, scales);

        let attended = &mut attended[..count * value_width];
        let mut at = 0;
        while at < count {
            // Queries of one row.
            let (row, residue) = ((from + at) / residues, (from + at) % residues);
            let end = count.min(at + QUERY_TILE.min(residues - residue));
            let queries = Queries {
                row,
                residue: first + residue,
                codes: &query_codes[at * query_width..end * query_width],
                scales: &scales[at..end],
            };
            let out = &mut attended[at * value_width..end * value_width];
            let sums = &mut scratch.sums[residue * shape.stride()..];
            self.attention.attend(backend, queries, &mut scratch.attention, out, sums)?;
            at = end;
        }
        // Values times gates, which are x * sigmoid(x).
        attended.iter_mut().zip(&*gates).for_each(|(value, &gate)| *value = multiply(*value, gate));
        (backend.gate)(attended, gates);
        let attended = Rows::new(attended, value_width);
        let stored = self.formats.after.epilogue(codes);
        tile.apply(backend, &self.weights.output, count, attended, stored, stream);
        Ok(())
    }

    /// Begins the sums of the block's maps, `[block, stride]`, with those of the sequence itself, or with
    /// nothing.
    fn begin_maps(&self, block: usize, sums: &mut [i32]) {
        let shape = self.pass.shape;
        let codec = MapCodec::of_rows(1);
        for (residue, sums) in (block * shape.block..).zip(sums.chunks_exact_mut(shape.stride())) {
            sums.fill(0);
            let at = residue * shape.maps_of_residue() + self.layer * shape.residues;
            let before = self.pass.rows.before.and_then(|before| before.get(at..at + shape.residues));
            let codes = before.unwrap_or_default();
            sums.iter_mut().zip(codes).for_each(|(sum, &code)| *sum = codec.decode(code));
        }
    }

    /// Stores the sums in the layer's place of each residue of the block.
    fn store_maps(&self, sums: &[i32], maps: &mut [u16]) {
        let shape = self.pass.shape;
        let codec = MapCodec::of_rows(self.pass.rows.total());
        let maps = maps.chunks_exact_mut(shape.maps_of_residue().max(1));
        for (maps, sums) in maps.zip(sums.chunks_exact(shape.stride())) {
            let at = self.layer * shape.residues;
            let codes = maps.get_mut(at..at + shape.residues).unwrap_or_default();
            codes.iter_mut().zip(sums).for_each(|(code, &sum)| *code = codec.encode(sum as u32));
        }
    }
}

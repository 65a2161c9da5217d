//! First step of a layer: LayerNorm, queries, keys and values, rotary, quantization.

use super::memory::{Dims, HeadRows, Memory, ROW_TILE, Scratch};
use super::run::{Pass, RunError};
use super::weights::Layer;
use crate::executor::Executor;
use crate::kernels::attention::{key_scale_max, pack, relative_scales, store_key, store_value};
use crate::quant::Site;

/// Fills every block's queries, keys and values.
pub fn run(
    pass: &Pass,
    layer: &Layer,
    site: &Site,
    memory: &mut Memory,
    executor: &dyn Executor,
) -> Result<(), RunError> {
    let dims = &pass.dims;
    let (chunk, state_len) = (dims.heads_layout().all.bytes()?, dims.state_layout().bytes()?);
    let Memory { states, heads, rotary, scratch, .. } = memory;
    let (states, rotary) = (&**states, &**rotary);
    executor.for_each(heads, chunk, scratch, &|index, chunk, scratch| {
        let state = states.get(index * state_len..).unwrap_or_default();
        // Both chunks are as long as the layouts say, so carving them succeeds.
        if let (Ok(rows), Ok(scratch)) = (HeadRows::carve(dims, chunk), Scratch::carve(dims, scratch)) {
            project_block(pass, layer, site, index, state, rotary, rows, scratch);
        }
    });
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "one block's inputs and outputs")]
fn project_block(
    pass: &Pass,
    layer: &Layer,
    site: &Site,
    index: usize,
    state: &[u8],
    rotary: &[[i32; 2]],
    mut rows: HeadRows,
    scratch: Scratch,
) {
    let (dims, backend) = (&pass.dims, pass.backend);
    let width = dims.config.width;
    let first = index * dims.block_rows;
    let count = dims.block_rows.min(dims.tokens.saturating_sub(first));
    let coded = state.chunks_exact(dims.code_row()).take(count);
    let Scratch { stream, codes, mut scales, outputs, row: normed, .. } = scratch;
    let row_len = layer.qkv.row_len();
    let mut coded = coded.peekable();
    let mut done = 0;
    while coded.peek().is_some() {
        let mut tile = 0;
        for ((coded, codes), scale) in
            coded.by_ref().take(ROW_TILE).zip(codes.chunks_exact_mut(row_len)).zip(&mut scales)
        {
            let (x, normed) = (&mut stream[..width], &mut normed[..width]);
            (backend.decode)(site, coded, x);
            let norm = &layer.attention_norm;
            (backend.layer_norm)(x, norm.gain, norm.bias, dims.config.epsilon, normed);
            *scale = (backend.quantize_row)(normed, layer.qkv.outliers(), codes);
            tile += 1;
        }
        let outputs = &mut outputs[..tile * 3 * width];
        (backend.gemm)(&layer.qkv, &codes[..tile * row_len], &scales[..tile], outputs);
        for (row, outputs) in outputs.chunks_exact_mut(3 * width).enumerate() {
            let row = done + row;
            let half = dims.config.head_width() / 2;
            let angles = rotary.get((first + row) * half..(first + row + 1) * half).unwrap_or_default();
            store_row(pass, row, outputs, angles, &mut rows);
        }
        done += tile;
    }
}

/// Rotates, quantizes and stores one token's queries, keys and values, head by head.
fn store_row(pass: &Pass, row: usize, outputs: &mut [i32], angles: &[[i32; 2]], rows: &mut HeadRows) {
    let Dims { block_rows, config, .. } = pass.dims;
    let (backend, width) = (pass.backend, config.head_width());
    let (queries, rest) = outputs.split_at_mut(config.width);
    let (keys, values) = rest.split_at_mut(config.width);
    let heads =
        queries.chunks_exact_mut(width).zip(keys.chunks_exact_mut(width)).zip(values.chunks_exact(width));
    for (head, ((query, key), value)) in heads.enumerate() {
        (backend.rotary)(query, angles);
        (backend.rotary)(key, angles);
        let at = head * block_rows * width;
        let scale_at = head * block_rows + row;
        let mut codes = [0i8; 256];
        let codes = &mut codes[..width];
        let query_scale = (backend.quantize_row)(query, &[], codes);
        rows.queries[at + row * width..][..width].copy_from_slice(codes);
        rows.query_scales[scale_at] = pack(query_scale);
        rows.key_scales[scale_at] = pack((backend.quantize_row)(key, &[], codes));
        store_key(codes, row, &mut rows.keys[at..]);
        rows.value_scales[scale_at] = pack((backend.quantize_row)(value, &[], codes));
        store_value(codes, row, &mut rows.values[at..]);
    }
}

/// Makes the key and value scales of all blocks relative to each head's largest.
pub fn relate_scales(pass: &Pass, memory: &mut Memory) -> Result<(), RunError> {
    let dims = &pass.dims;
    let chunk = dims.heads_layout().all.bytes()?;
    let heads = dims.config.heads;
    for values in [false, true] {
        for (index, block) in memory.heads.chunks_exact_mut(chunk).enumerate() {
            let rows = HeadRows::carve(dims, block)?;
            let scales = if values { rows.value_scales } else { rows.key_scales };
            let first = index * dims.block_rows;
            let count = dims.block_rows.min(dims.tokens.saturating_sub(first));
            let by_head =
                memory.gathered.chunks_exact_mut(dims.stride).zip(scales.chunks_exact(dims.block_rows));
            for (all, block) in by_head {
                all[first..first + count].copy_from_slice(&block[..count]);
            }
        }
        let (out, numerator) = if values {
            (&mut *memory.value_scale, i16::MAX)
        } else {
            (&mut *memory.key_scale, key_scale_max(dims.config.head_width()))
        };
        let per_head = memory.gathered.chunks_exact(dims.stride).zip(out.chunks_exact_mut(dims.stride));
        let largest = memory.largest.iter_mut().skip(if values { heads } else { 0 });
        for ((scales, out), largest) in per_head.zip(largest) {
            *largest = pack(relative_scales(&scales[..dims.tokens], numerator, out));
        }
    }
    Ok(())
}

//! The masked language model head: final LayerNorm, dense, GELU, LayerNorm, decoder.

use super::memory::{Memory, ROW_TILE, Scratch};
use super::run::{Pass, RunError};
use super::weights::LmHead;
use crate::executor::Executor;
use crate::quant::Site;

/// Fills `memory.logits`.
pub fn run(
    pass: &Pass,
    head: &LmHead,
    site: &Site,
    memory: &mut Memory,
    executor: &dyn Executor,
) -> Result<(), RunError> {
    let dims = &pass.dims;
    let Memory { states, logits, scratch, .. } = memory;
    let (states, state_len) = (&**states, dims.state_layout().bytes()?);
    let chunk = dims.block_rows * dims.config.vocab * size_of::<i32>();
    executor.for_each(bytemuck::cast_slice_mut(logits), chunk, scratch, &|block, logits, scratch| {
        let state = states.get(block * state_len..).unwrap_or_default();
        if let (Ok(logits), Ok(scratch)) =
            (bytemuck::try_cast_slice_mut(logits), Scratch::carve(dims, scratch))
        {
            block_logits(pass, head, site, state, logits, scratch);
        }
    });
    Ok(())
}

fn block_logits(pass: &Pass, head: &LmHead, site: &Site, state: &[u8], logits: &mut [i32], scratch: Scratch) {
    let (dims, backend, norm) = (&pass.dims, pass.backend, &pass.model.final_norm);
    let (width, vocab) = (dims.config.width, dims.config.vocab);
    let Scratch { stream, context, codes, mut scales, row, .. } = scratch;
    let code_row = dims.code_row();
    let tiles = logits.chunks_mut(ROW_TILE * vocab).zip(state.chunks(ROW_TILE * code_row));
    for (logits, coded_rows) in tiles {
        let rows = logits.len() / vocab;
        let (x, normed) = (&mut stream[..width], &mut row[..width]);
        let row_len = head.dense.row_len();
        for ((coded, codes), scale) in
            coded_rows.chunks_exact(code_row).take(rows).zip(codes.chunks_exact_mut(row_len)).zip(&mut scales)
        {
            (backend.decode)(site, coded, x);
            backend.layer_norm(x, norm.gain, norm.bias, dims.config.epsilon, normed);
            *scale = backend.quantize_row(normed, head.dense.outliers(), codes);
        }
        let hidden = &mut context[..rows * width];
        (backend.gemm)(&head.dense, &codes[..rows * row_len], &scales[..rows], hidden);
        (backend.gelu)(hidden);
        let row_len = head.decoder.row_len();
        let hidden_rows = hidden.chunks_exact(width).zip(codes.chunks_exact_mut(row_len)).zip(&mut scales);
        for ((hidden, codes), scale) in hidden_rows {
            backend.layer_norm(
                hidden,
                head.norm.gain,
                head.norm.bias,
                dims.config.epsilon_activation,
                normed,
            );
            *scale = backend.quantize_row(normed, head.decoder.outliers(), codes);
        }
        (backend.gemm)(&head.decoder, &codes[..rows * row_len], &scales[..rows], logits);
    }
}

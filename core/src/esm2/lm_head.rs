//! The masked language model head: final LayerNorm, dense, GELU, LayerNorm, decoder.

use super::memory::{Memory, Scratch};
use super::run::{Pass, RunError};
use super::weights::LmHead;
use crate::executor::Executor;
use crate::kernels::linear::Then;
use crate::kernels::rows::Rows;
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
    let Scratch { stream, context, codes, mut scales, outputs, .. } = scratch;
    let code_row = dims.code_row();
    let tiles = logits.chunks_mut(dims.tile_rows * vocab).zip(state.chunks(dims.tile_rows * code_row));
    for (logits, coded_rows) in tiles {
        let rows = logits.len() / vocab;
        let (x, normed) = (&mut stream[..rows * width], &mut outputs[..rows * width]);
        (backend.decode)(site, coded_rows, code_row, x);
        norm.apply(backend, dims.config.epsilon, x, normed);
        let (hidden, scales) = (&mut context[..rows * width], &mut scales[..rows]);
        head.dense.apply(backend, Rows::new(normed, width), codes, scales, Then::Gelu, hidden);
        head.norm.apply(backend, dims.config.epsilon_activation, hidden, normed);
        head.decoder.apply(backend, Rows::new(normed, width), codes, scales, Then::Store, logits);
    }
}

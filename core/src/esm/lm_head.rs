//! The masked language model head: final LayerNorm, dense, GELU, LayerNorm, decoder.

use super::memory::{Memory, Scratch};
use super::pass::Pass;
use super::request::RunError;
use super::weights::LmHead;
use crate::arena::Arena;
use crate::kernels::linear::Epilogue;
use crate::nn::stream::{Stream, StreamFormat};

/// Fills `memory.logits`.
pub fn run(pass: &Pass, stored: &StreamFormat, memory: &mut Memory<Arena>) -> Result<(), RunError> {
    let head = &pass.model.lm_head()?;
    let dims = &pass.dims;
    let Memory { states, logits, scratch, .. } = memory;
    let state_len = dims.state_bytes()?;
    let chunk = dims.block_rows * dims.config.vocab;
    pass.context.for_each(logits, chunk, scratch, |block, logits, mut scratch| {
        let codes = states.get(block * state_len..).unwrap_or_default();
        let stream = Stream { codes, format: *stored };
        block_logits(pass, head, &stream, logits, Scratch::take(&mut scratch, dims)?);
        Ok(())
    })?;
    Ok(())
}

fn block_logits(pass: &Pass, head: &LmHead, codes: &Stream, logits: &mut [i32], scratch: Scratch<Arena>) {
    let (dims, backend) = (&pass.dims, pass.context.backend);
    let (width, vocab) = (dims.config.width, dims.config.vocab);
    let Scratch { stream, mut tile, outputs, .. } = scratch;
    for (index, logits) in logits.chunks_mut(dims.tile_rows * vocab).enumerate() {
        let rows = logits.len() / vocab;
        let (x, hidden) = (&mut stream[..rows * width], &mut outputs[..rows * width]);
        codes.decode(backend, index * dims.tile_rows, x);
        tile.make_norm(backend, &pass.model.final_norm, dims.config.epsilon, x);
        tile.apply_made(backend, &head.dense, rows, Epilogue::Gelu, hidden);
        tile.make_norm(backend, &head.norm, dims.config.epsilon_activation, hidden);
        tile.apply_made(backend, &head.decoder, rows, Epilogue::Store, logits);
    }
}

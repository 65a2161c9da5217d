//! What a layer begins with: LayerNorm, queries, keys and values, rotary, quantization.

use super::memory::{Memory, Scratch};
use super::run::{Pass, RunError};
use super::weights::Layer;
use crate::executor::Executor;
use crate::kernels::attention::{key_scale_max, pack, relative_scales};
use crate::kernels::linear::Then;
use crate::kernels::rows::Rows;
use crate::quant::Site;

/// Fills every block's queries, keys and values from the stream, stored at `site`.
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
    let (states, projection) = (&**states, Projection { layer, site, rotary });
    executor.for_each(heads, chunk, scratch, &|index, chunk, scratch| {
        let state = states.get(index * state_len..).unwrap_or_default();
        // The chunk is as long as the layout says, so carving it succeeds.
        if let Ok(mut scratch) = Scratch::carve(dims, scratch) {
            projection.block(pass, index, state, chunk, &mut scratch);
        }
    });
    Ok(())
}

/// What all blocks read.
pub(super) struct Projection<'p> {
    pub layer: &'p Layer<'p>,
    /// How the stream is stored.
    pub site: &'p Site<'p>,
    /// `[tokens, head_width / 2]`
    pub rotary: &'p [[i32; 2]],
}

impl Projection<'_> {
    /// Fills the queries, keys and values of one block, `heads`, from the codes of its stream.
    pub fn block(&self, pass: &Pass, index: usize, state: &[u8], heads: &mut [u8], scratch: &mut Scratch) {
        let (dims, backend) = (&pass.dims, pass.backend);
        // The chunk is as long as the layout says, so carving it succeeds.
        let Ok(mut store) = dims.heads(heads) else { return };
        let Self { layer, site, rotary } = *self;
        let width = dims.config.width;
        let half = dims.config.head_width() / 2;
        let (first, count) = (index * dims.block_rows, dims.rows_of(index));
        let Scratch { stream, context: normed, codes, scales, outputs, .. } = scratch;
        for done in (0..count).step_by(dims.tile_rows) {
            let tile = dims.tile_rows.min(count - done);
            let (x, normed) = (&mut stream[..tile * width], &mut normed[..tile * width]);
            let coded = state.get(done * dims.code_row()..).unwrap_or_default();
            (backend.decode)(site, coded, dims.code_row(), x);
            layer.attention_norm.apply(backend, dims.config.epsilon, x, normed);
            let outputs = &mut outputs[..tile * 3 * width];
            layer.qkv.apply(
                backend,
                Rows::new(normed, width),
                codes,
                &mut scales[..tile],
                Then::Store,
                outputs,
            );
            for (outputs, token) in outputs.chunks_exact_mut(3 * width).zip(first + done..) {
                let angles = rotary.get(token * half..(token + 1) * half).unwrap_or_default();
                let (turned, _) = outputs.split_at_mut(2 * width);
                (backend.rotary)(turned, angles);
            }
            store.write(backend, done, outputs, 3 * width);
        }
    }
}

/// Makes the key and value scales of all blocks relative to each head's largest.
pub fn relate_scales(pass: &Pass, memory: &mut Memory) -> Result<(), RunError> {
    let dims = &pass.dims;
    let chunk = dims.heads_layout().all.bytes()?;
    let heads = dims.config.heads;
    for values in [false, true] {
        for (index, block) in memory.heads.chunks_exact_mut(chunk).enumerate() {
            let rows = dims.heads(block)?;
            let scales = if values { rows.value_scales } else { rows.key_scales };
            let first = index * dims.block_rows;
            let count = dims.rows_of(index);
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

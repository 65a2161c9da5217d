//! What pairs add to the logits of attention: over the sequence, and within rows of pairs.

use super::memory::{Dims, PairScratch};
use super::rows::{Stored, TILE, layer_norm};
use super::run::Pass;
use crate::esm2::Norm;
use crate::executor::Executor;
use crate::kernels::linear::Linear;

/// Fills `bias`, `[residues, heads, stride]` in units of 2^-16 log2: for the query i, `linear` of the LayerNorm of the pairs (i, j). Rows of
/// i are computed in parallel.
#[expect(clippy::too_many_arguments, reason = "an operation's weights, inputs and outputs")]
pub fn run(
    pass: &Pass,
    norm: &Norm,
    linear: &Linear,
    stored: &Stored,
    pair: &[u8],
    bias: &mut [i32],
    scratch: &mut [u8],
    executor: &dyn Executor,
) {
    let dims = &pass.dims;
    let row_len = linear.outputs() * dims.stride;
    let bias = &mut bias[..dims.residues * row_len];
    let chunk = row_len * size_of::<i32>();
    executor.for_each(bytemuck::cast_slice_mut(bias), chunk, scratch, &|i, chunk, scratch| {
        let pairs = pair.get(i * dims.pair_rows()..).unwrap_or_default();
        // Both chunks are as long as the layouts say, so carving them succeeds.
        if let (Ok(bias), Ok(scratch)) =
            (bytemuck::try_cast_slice_mut(chunk), PairScratch::carve(dims, scratch))
        {
            row(pass, norm, linear, stored, pairs, bias, scratch);
        }
    });
}

/// The bias of one query: `[heads, stride]`.
fn row(
    pass: &Pass,
    norm: &Norm,
    linear: &Linear,
    stored: &Stored,
    pairs: &[u8],
    bias: &mut [i32],
    scratch: PairScratch,
) {
    let Dims { residues, stride, config, .. } = pass.dims;
    let (width, heads) = (config.pair_width, linear.outputs());
    let PairScratch { stream, mut codes, outputs, .. } = scratch;
    for from in (0..residues).step_by(TILE) {
        let rows = TILE.min(residues - from);
        let stream = &mut stream[..rows * width];
        stored.decode(pass.backend, &pairs[from * stored.code_row..], stream);
        let input = |row: usize, x: &mut [i32]| {
            layer_norm(pass.backend, norm, config.epsilon_pair, &stream[row * width..][..width], x);
        };
        codes.apply(pass.backend, linear, rows, input, outputs);
        for (row, outputs) in outputs.chunks_exact(heads).take(rows).enumerate() {
            for (bias, &output) in bias.chunks_exact_mut(stride).zip(outputs) {
                bias[from + row] = output;
            }
        }
    }
}

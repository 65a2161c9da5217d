//! The pair representation of the structure module, the same in every iteration, and what it adds to the
//! scores.

use super::memory::{PairBias, PairRow, PairScratch, Shape};
use super::weights::PairWeights;
use crate::arena::Arena;
use crate::kernels::Backend;
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::nn::quantized_tile::{QuantizedTile, TILE};
use crate::nn::stream::{to_activation, to_unit};
use core::ops::Range;

impl PairWeights<'_> {
    /// Fills one row of pairs; `decode` writes the trunk's row, `[residues, trunk.pair_width]` in pair units.
    pub fn make_row(
        &self,
        backend: &Backend,
        shape: &Shape,
        decode: &dyn Fn(&mut [i32]),
        row: PairRow<Arena>,
        scratch: PairScratch<Arena>,
    ) {
        let (trunk_width, frac) = (shape.trunk.pair_width, shape.trunk.pair_frac);
        let width = shape.config.pair_width;
        let PairScratch { trunk, mut tile, input, normed, bias } = scratch;
        decode(trunk);
        let mut done = 0;
        for (trunk, out) in trunk.chunks(TILE * trunk_width).zip(row.codes.chunks_mut(TILE * width)) {
            let rows = trunk.len() / trunk_width;
            if let Some(linear) = &self.linear {
                for (x, &value) in tile.rows().iter_mut().zip(trunk) {
                    *x = to_activation(value, frac);
                }
                tile.apply_made(backend, linear, rows, Epilogue::Store, input);
                self.norm.apply(backend, self.epsilon, &input[..rows * width], normed);
            } else {
                self.norm.apply(backend, self.epsilon, trunk, normed);
            }
            for (out, &value) in out.iter_mut().zip(&*normed) {
                let code = to_unit(value, shape.config.pair_frac);
                *out = code.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            }
            if let Some(linear) = &self.bias {
                tile.apply(backend, linear, rows, Rows::new(normed, width), Epilogue::Store, bias);
                by_head(shape, bias, done..done + rows, row.bias);
            }
            done += rows;
        }
    }
}

/// Makes the bias of one row of pairs, `codes`, by `linear`: [`PairBias::row`].
pub fn make_bias(
    backend: &Backend,
    shape: &Shape,
    linear: &Linear,
    codes: &[i16],
    tile: &mut QuantizedTile<Arena>,
    bias: &mut PairBias<Arena>,
) {
    let width = shape.config.pair_width;
    let mut done = 0;
    for codes in codes.chunks(TILE * width) {
        let rows = codes.len() / width;
        for (x, &code) in tile.rows().iter_mut().zip(codes) {
            *x = to_activation(code.into(), shape.config.pair_frac);
        }
        tile.apply_made(backend, linear, rows, Epilogue::Store, bias.tile);
        by_head(shape, bias.tile, done..done + rows, bias.row);
        done += rows;
    }
}

/// Writes the bias of the pairs `pairs` of a row, `[pairs, heads]`, to `[heads, residues]`.
fn by_head(shape: &Shape, bias: &[i32], pairs: Range<usize>, row: &mut [i32]) {
    let heads = shape.config.heads;
    for (head, by_head) in row.chunks_exact_mut(shape.residues).enumerate() {
        let from = bias.chunks_exact(heads).filter_map(|pair| pair.get(head));
        by_head[pairs.clone()].iter_mut().zip(from).for_each(|(out, &bias)| *out = bias);
    }
}

//! The pair representation of the structure module, and what it adds to the scores: the same in every
//! iteration.

use super::memory::{PairRow, PairScratch, Shape};
use super::weights::PairWeights;
use crate::arena::Arena;
use crate::kernels::Backend;
use crate::kernels::linear::Epilogue;
use crate::kernels::rows::Rows;
use crate::nn::quantized_tile::TILE;
use crate::nn::stream::{to_activation, to_unit};

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
        let (width, heads) = (shape.config.pair_width, shape.config.heads);
        let PairScratch { trunk, mut tile, input, normed, bias } = scratch;
        decode(trunk);
        let mut done = 0;
        for (trunk, out) in trunk.chunks(TILE * trunk_width).zip(row.codes.chunks_mut(TILE * width)) {
            let rows = trunk.len() / trunk_width;
            for (x, &value) in tile.rows().iter_mut().zip(trunk) {
                *x = to_activation(value, frac);
            }
            tile.apply_made(backend, &self.linear, rows, Epilogue::Store, input);
            self.norm.apply(backend, self.epsilon, &input[..rows * width], normed);
            for (out, &value) in out.iter_mut().zip(&*normed) {
                let code = to_unit(value, shape.config.pair_frac);
                *out = code.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            }
            tile.apply(backend, &self.bias, rows, Rows::new(normed, width), Epilogue::Store, bias);
            for (head, by_head) in row.bias.chunks_exact_mut(shape.residues).enumerate() {
                let from = bias.chunks_exact(heads).take(rows).filter_map(|pair| pair.get(head));
                by_head[done..done + rows].iter_mut().zip(from).for_each(|(out, &bias)| *out = bias);
            }
            done += rows;
        }
    }
}

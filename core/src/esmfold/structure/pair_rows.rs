//! The pair representation of the structure module, and what it adds to the scores: the same in every iteration.

use super::memory::{Dims, PairRow, PairScratch};
use super::weights::StructureModule;
use crate::esmfold::rows::{TILE, to_activation, to_unit};
use crate::kernels::Backend;
use crate::kernels::linear::Then;
use crate::kernels::rows::Rows;

impl StructureModule<'_> {
    /// Fills one row of pairs; `decode` writes the trunk's row, `[residues, pair_width]` in pair units.
    pub(super) fn make_pair_row(
        &self,
        backend: &Backend,
        dims: &Dims,
        decode: &dyn Fn(&mut [i32]),
        row: PairRow,
        scratch: PairScratch,
    ) {
        let (trunk_width, width, heads) = (dims.trunk_pair_width, dims.config.pair_width, dims.config.heads);
        let PairScratch { trunk, mut codes, input, normed, bias } = scratch;
        decode(trunk);
        let mut done = 0;
        for (trunk, out) in trunk.chunks(TILE * trunk_width).zip(row.codes.chunks_mut(TILE * width)) {
            let rows = trunk.len() / trunk_width;
            let fill = |row: usize, x: &mut [i32]| {
                for (x, &value) in x.iter_mut().zip(&trunk[row * trunk_width..]) {
                    *x = to_activation(value, self.config.pair_frac);
                }
            };
            codes.apply_with(backend, &self.pair_input, rows, fill, Then::Store, input);
            let epsilon = self.config.epsilon_activation;
            self.pair_norm.apply(backend, epsilon, &input[..rows * width], normed);
            for (out, &value) in out.iter_mut().zip(&*normed) {
                let code = to_unit(value, dims.config.pair_frac);
                *out = code.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            }
            codes.apply(
                backend,
                self.attention.pair_bias(),
                rows,
                Rows::new(normed, width),
                Then::Store,
                bias,
            );
            for (head, by_head) in row.bias.chunks_exact_mut(dims.residues).enumerate() {
                let from = bias.chunks_exact(heads).take(rows).filter_map(|pair| pair.get(head));
                by_head[done..done + rows].iter_mut().zip(from).for_each(|(out, &bias)| *out = bias);
            }
            done += rows;
        }
    }
}

//! The transition on pairs.

use super::memory::{Dims, PairScratch};
use super::rows::{Stored, TILE};
use super::run::Pass;
use super::transition::Transition;
use crate::executor::Executor;

/// Adds the transition to the pair representation, stored at `stored` and then at `next`. Rows are updated in parallel.
pub fn run(
    pass: &Pass,
    transition: &Transition,
    stored: &Stored,
    next: &Stored,
    pair: &mut [u8],
    scratch: &mut [u8],
    executor: &dyn Executor,
) {
    let Dims { residues, config, .. } = pass.dims;
    let width = config.pair_width;
    executor.for_each(pair, pass.dims.pair_rows(), scratch, &|_, codes, scratch| {
        let Ok(PairScratch { stream, codes: mut quantized, outputs, .. }) =
            PairScratch::carve(&pass.dims, scratch)
        else {
            return;
        };
        for from in (0..residues).step_by(TILE) {
            let rows = TILE.min(residues - from);
            let stream = &mut stream[..rows * width];
            let codes = &mut codes[from * stored.code_row..];
            stored.decode(pass.backend, codes, stream);
            let epsilon = config.epsilon_pair;
            transition.add(pass.backend, epsilon, stream, &mut quantized, outputs, next.then(codes));
        }
    });
}

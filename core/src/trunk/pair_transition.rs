//! The transition on pairs.

use super::scratch::PairScratch;
use super::shape::{Representation, Setting, Shape};
use crate::arena::ArenaError;
use crate::nn::feed_forward::FeedForward;
use crate::nn::quantized_tile::TILE;
use crate::nn::stream::Formats;

/// Adds the transition to the pair representation. Rows are updated in parallel.
///
/// # Errors
/// The memory is not as the plan says.
pub fn run(
    on: &Setting,
    transition: &FeedForward,
    formats: &Formats,
    pair: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), ArenaError> {
    let Setting { context, shape } = *on;
    let Shape { residues, pair: Representation { width, epsilon, code_row, .. }, .. } = *shape;
    let backend = context.backend;
    context.for_each(pair, shape.pair_row(), scratch, |_, codes, mut scratch| {
        let PairScratch { stream, mut tile, outputs, .. } = PairScratch::take(&mut scratch, shape)?;
        for from in (0..residues).step_by(TILE) {
            let rows = TILE.min(residues - from);
            let stream = &mut stream[..rows * width];
            let codes = &mut codes[from * code_row..];
            formats.before.decode(backend, codes, stream);
            transition.add(backend, epsilon, stream, &mut tile, outputs, formats.after.epilogue(codes));
        }
        Ok(())
    })
}

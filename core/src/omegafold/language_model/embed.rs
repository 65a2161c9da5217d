//! Token embedding.

use super::error::RunError;
use super::memory::TransformScratch;
use super::pass::Pass;
use super::rows::{Factor, KeyLists};
use crate::arena::ArenaError;
use crate::nn::stream::StreamFormat;

/// Fills the stream of all blocks with the embedded tokens.
pub fn run(
    pass: &Pass,
    stored: &StreamFormat,
    lists: KeyLists,
    states: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), RunError> {
    let (backend, shape, model) = (pass.context.backend, pass.shape, pass.model);
    let width = shape.width;
    pass.context.for_each(states, shape.block_bytes(), scratch, |block, codes, mut scratch| {
        let TransformScratch { stream, .. } = TransformScratch::take(&mut scratch, shape)?;
        let row = stream.get_mut(..width).ok_or(ArenaError::WrongChunk)?;
        let residues = shape.residues_of(block).max(1);
        for (token, codes) in codes.chunks_exact_mut(shape.code_row.max(1)).enumerate() {
            let (of_row, residue) = (token / residues, block * shape.block + token % residues);
            let factor = Factor::new(lists.of(of_row).kept as usize, shape.residues);
            let from = usize::from(pass.rows.token(of_row, residue)) * width;
            let embedding = model.embedding.get(from..from + width).unwrap_or_default();
            row.iter_mut().zip(embedding).for_each(|(x, &value)| *x = factor.apply(value));
            stored.encode(backend, row, codes);
        }
        Ok(())
    })?;
    Ok(())
}

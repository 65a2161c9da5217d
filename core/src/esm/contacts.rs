//! Contact maps: logistic regression over symmetrised, APC-corrected attention maps.
//!
//! With A the attention of a map (`<cls>` and `<eos>` left out) and S = A + A^T, the head sees S - (row sums
//! of S)(row sums of S)^T / (total of S), weighted over maps. The weighted A are added up as attention is
//! computed; the corrections need each map's row sums and are taken off at the end.

use super::memory::{Dims, Memory, Scratch, State};
use super::pass::Pass;
use super::weights::{ContactHead, LOGIT_FRAC};
use crate::arena::{Arena, ArenaError, Counter};
use crate::fixed::saturate::to_i32;
use crate::fixed::{ACT_FRAC, div_round, sigmoid};
use crate::nn::attention::Weights;

/// Fractional bits of a row's share of its map's total.
const SHARE_FRAC: u32 = 12;

/// Adds a tile's attention in layer `layer` to its block's contact rows and the layer's column and row sums.
pub fn add_rows(pass: &Pass, layer: usize, block: usize, tile: &Weights, state: &mut State<Arena>) {
    let Some(contact_head) = &pass.model.contact_head else { return };
    let dims = &pass.dims;
    let (stride, residues) = (dims.stride, dims.residues());
    let head_weight = contact_head.weight(layer * dims.config.heads + tile.head);
    let columns = &mut state.columns[tile.head * stride..][..residues];
    for (offset, (&sum, weights)) in tile.sums.iter().zip(tile.weights.chunks_exact(stride)).enumerate() {
        let row = tile.row + offset;
        let token = block * dims.block_rows + row;
        let row_sum = &mut state.row_sums[tile.head * dims.block_rows + row];
        *row_sum = 0;
        if token == 0 || token > residues {
            continue;
        }
        let contacts = &mut state.contact_rows[row * stride..][..residues];
        *row_sum =
            (pass.context.backend.contact)(&weights[1..=residues], sum, head_weight, contacts, columns);
    }
}

/// Adds the blocks' sums up to the row sums and totals of layer `index`'s symmetrised maps.
pub fn sum_maps(pass: &Pass, index: usize, memory: &mut Memory<Arena>) -> Result<(), ArenaError> {
    let dims = &pass.dims;
    let (heads, residues) = (dims.config.heads, dims.residues());
    let maps = &mut memory.map_rows[index * heads * residues..][..heads * residues];
    maps.fill(0);
    for (block, state) in memory.states.chunks_exact_mut(dims.state_bytes()?).enumerate() {
        let state = State::take(&mut Arena::new(state)?, dims)?;
        let per_head =
            state.columns.chunks_exact(dims.stride).zip(state.row_sums.chunks_exact(dims.block_rows));
        for (map, (columns, rows)) in maps.chunks_exact_mut(residues).zip(per_head) {
            map.iter_mut().zip(columns).for_each(|(sum, &column)| *sum = sum.wrapping_add(column));
            for (row, &sum) in rows.iter().enumerate() {
                let residue = (block * dims.block_rows + row).checked_sub(1).and_then(|r| map.get_mut(r));
                if let Some(total) = residue {
                    *total = total.wrapping_add(sum);
                }
            }
        }
    }
    let totals = memory.map_totals.iter_mut().skip(index * heads);
    for (total, map) in totals.zip(maps.chunks_exact(residues)) {
        *total = map.iter().map(|&sum| i64::from(sum)).sum();
    }
    Ok(())
}

/// Turns the sums into probabilities.
pub fn finish(pass: &Pass, head: &ContactHead, memory: &mut Memory<Arena>) -> Result<(), ArenaError> {
    let dims = &pass.dims;
    let residues = dims.residues();
    let Memory { contacts, states, map_rows, map_totals, scratch, .. } = memory;
    let mut counter = Counter::default();
    let contact_rows = State::take(&mut counter, dims)?.contact_rows;
    let state_len = counter.bytes();
    let maps = Maps { head, states, rows: map_rows, totals: map_totals, state_len, contact_rows };
    pass.context.for_each(contacts, residues, scratch, |i, row, mut scratch| {
        maps.upper_row(dims, i, row, Scratch::take(&mut scratch, dims)?.wide_row);
        Ok(())
    })?;
    for i in 1..residues {
        for j in 0..i {
            contacts[i * residues + j] = contacts[j * residues + i];
        }
    }
    Ok(())
}

struct Maps<'s> {
    head: &'s ContactHead<'s>,
    states: &'s [u8],
    /// At most 2^16 a key and a row: 65,535 tokens fit.
    rows: &'s [u32],
    totals: &'s [i64],
    state_len: usize,
    /// Where the contact rows begin in a state.
    contact_rows: usize,
}

impl Maps<'_> {
    /// Probabilities of residue `i` with `i..`; the rest of the row is left.
    fn upper_row(&self, dims: &Dims, i: usize, row: &mut [u16], corrections: &mut [i64]) {
        let residues = dims.residues();
        let corrections = &mut corrections[..residues];
        corrections.fill(0);
        for (index, (map, &total)) in self.rows.chunks_exact(residues).zip(self.totals).enumerate() {
            let weight = i64::from(self.head.weight(index).weight);
            let share = div_round((weight * i64::from(map[i])) << SHARE_FRAC, total);
            for (correction, &sum) in corrections[i..].iter_mut().zip(&map[i..]) {
                // |weight| <= 2^14 and neither row exceeds the total, so that one term is below
                // 2^14 * 2^12 * 2^32; a sum over so many and such maps that it wraps has no meaning as a logit
                // either.
                *correction = correction.wrapping_add(share * i64::from(sum));
            }
        }
        // From weight * probability * share units to logits.
        let down = self.head.frac + 16 + SHARE_FRAC - LOGIT_FRAC;
        for (j, (out, &correction)) in row.iter_mut().zip(&*corrections).enumerate().skip(i) {
            let correction = correction.wrapping_add(1 << (down - 1)) >> down;
            let sum = i64::from(self.attention(dims, i, j)) + i64::from(self.attention(dims, j, i));
            let logit = sum - correction + i64::from(self.head.bias);
            let logit = (logit + (1 << (LOGIT_FRAC - ACT_FRAC - 1))) >> (LOGIT_FRAC - ACT_FRAC);
            let probability = sigmoid(to_i32(logit));
            *out = probability.clamp(0, 65_535) as u16;
        }
    }

    /// The weighted sum of attention from residue `i` to `j` over all maps.
    fn attention(&self, dims: &Dims, i: usize, j: usize) -> i32 {
        let (block, row) = ((i + 1) / dims.block_rows, (i + 1) % dims.block_rows);
        let at = block * self.state_len + self.contact_rows + 4 * (row * dims.stride + j);
        let bytes = self.states.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().map_or(0, i32::from_ne_bytes)
    }
}

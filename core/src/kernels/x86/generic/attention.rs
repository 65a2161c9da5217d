//! Attention of one head.

use super::loops::Loops;
use super::pairs::Pairs;
use super::softmax::{KEYS, SoftmaxRows};
use super::vectors::{Channels, RowScale, SHIFTS};
use crate::fixed::{Multiplier, requantize};
use crate::kernels::attention::{Head, KEYS_MAX, Logits, RowLogits, RowTile};
use crate::kernels::linear::PANEL;
use crate::kernels::scalar;
use crate::kernels::scalar::attention::{WIDTH_MAX, output_scale, reduced};
use core::hint::black_box;

/// The scale of rows that are requantized by their channels' alone.
const ONE: RowScale = RowScale { mantissa: 1, exponent: 0 };

/// Pairs of keys whose products a 32-bit sum holds: 255 * 2 * 32767 * 128 < 2^31.
const PAIRS: usize = 255;

/// The specification's [`attention`](crate::kernels::scalar::attention::attention), `R` rows at a time.
#[inline(always)]
pub fn attention<V: Loops, const R: usize>(v: V, head: &Head, mut tile: RowTile) {
    let (stride, width) = (tile.stride, head.width);
    let rows = tile.rows(width);
    let sized = tile.out_stride >= width
        && rows.checked_sub(1).is_some_and(|last| tile.out.len() >= last * tile.out_stride + width)
        && head.key_scale.len() >= head.keys
        && head.value_scale.len() >= head.keys;
    let usual = width.is_multiple_of(8)
        && (8..=WIDTH_MAX).contains(&width)
        && head.block_rows.is_multiple_of(PANEL)
        && stride.is_multiple_of(KEYS)
        && (1..=stride).contains(&head.keys);
    if !(sized && usual) {
        return scalar::attention::attention(head, tile);
    }
    let mut row = 0;
    while row < rows {
        let part = tile.starting_at(row, width);
        row += match rows - row {
            left if left >= R => attend::<V, R>(v, head, part),
            2.. => attend::<V, 2>(v, head, part),
            _ => attend::<V, 1>(v, head, part),
        };
    }
}

/// The first `R` rows of a tile, which has as many; returns how many that are.
#[inline(always)]
fn attend<V: Loops, const R: usize>(v: V, head: &Head, tile: RowTile) -> usize {
    let stride = tile.stride;
    v.score::<R>(head, tile.queries, stride, tile.scores);
    let rows = SoftmaxRows {
        scores: tile.scores,
        weights: tile.weights,
        stride,
        keys: head.keys,
        value_scale: head.value_scale,
    };
    let sums = softmax::<V, R>(v, tile.logits, rows);
    tile.sums.iter_mut().zip(sums).for_each(|(sum, of_row)| *sum = of_row);
    // Apart from the rows above, so that no row waits for another's division.
    let mut scales = [(0, 0, 0); R];
    for (scale, &sum) in scales.iter_mut().zip(&*tile.sums) {
        *scale = output_scale(head, sum);
    }
    let mut first = 0;
    while first < head.width {
        let rows = tile.out.chunks_mut(tile.out_stride.max(1));
        first += if V::VALUES == 2 && head.width - first >= 2 * PANEL {
            contexts::<V, R, 2>(v, head, first, tile.scores, stride, &scales, rows)
        } else {
            contexts::<V, R, 1>(v, head, first, tile.scores, stride, &scales, rows)
        };
    }
    R
}

/// The specification's [`softmax`](scalar::attention::softmax) for `R` rows, and their weights times the
/// keys' value scales where the scores were; returns the sums.
#[inline(always)]
fn softmax<V: Loops, const R: usize>(v: V, logits: Logits, mut rows: SoftmaxRows) -> [u32; R] {
    let temperatures = match logits {
        Logits::Plain(temperatures) => temperatures.first_chunk::<R>(),
        Logits::Biased { .. } => None,
    };
    // A difference that isn't shifted may be above 2^31: not in models, whose scores are finer than
    // exponents.
    if temperatures.is_some_and(|all| all.iter().any(|temperature| temperature.shift == 0)) {
        let mut sums = [0; R];
        for ((sum, logits), row) in sums.iter_mut().zip(logits.each()).zip(0..) {
            *sum = rows.softmax_as_specified(row, logits);
        }
        return sums;
    }
    let keys = rows.keys;
    for (row, logits) in (0..R).zip(logits.each()) {
        let (scores, _) = rows.row(row);
        if let RowLogits::Biased { factor, bias } = logits {
            scale_scores(&mut scores[..keys], factor);
            for (score, &bias) in scores[..keys].iter_mut().zip(bias) {
                *score = score.saturating_add(bias);
            }
        }
        // What is no key's is never the largest.
        scores[keys..].fill(i32::MIN);
    }
    v.softmax(rows, temperatures)
}

/// [`Multiplier::apply`] to every score. Shifts of a model are 32 to 62: nothing saturates, and only the
/// upper half of a product is left, so that 32-bit lanes do the shift.
#[inline(always)]
fn scale_scores(scores: &mut [i32], factor: Multiplier) {
    if !(32..=62).contains(&factor.shift) {
        return scores.iter_mut().for_each(|score| *score = factor.apply(*score));
    }
    let (mantissa, half) = (i64::from(factor.mantissa), 1i64 << (factor.shift - 1));
    for score in scores {
        // At most 2^62 + 2^61.
        *score = ((i64::from(*score) * mantissa + half) >> 32) as i32 >> (factor.shift - 32);
    }
}

/// The context of `R` rows in the `W * 16` channels from `first` on, as far as the head has them; returns how
/// many that are.
#[inline(always)]
fn contexts<'o, V: Loops, const R: usize, const W: usize>(
    v: V,
    head: &Head,
    first: usize,
    scores: &[i32],
    stride: usize,
    scales: &[(i32, i32, u32); R],
    rows: impl Iterator<Item = &'o mut [i32]>,
) -> usize {
    let mut sums = [[v.no_values(); W]; R];
    // No sum of products exceeds 128 times that of the weights: where none of these has more than 24 bits, so
    // that nothing is reduced, 32 bits are enough.
    let narrow = head.keys <= KEYS_MAX && scales.iter().all(|&(_, _, reduce)| reduce == 0);
    let totals = if narrow {
        for block in head.blocks() {
            let (weights, count, row_len) =
                (&scores[block.first / 2..], block.count.div_ceil(2), 2 * head.width);
            let pairs = Pairs { count, values: block.values, row_len, at: 2 * first, weights, stride };
            v.add_pairs(pairs, &mut sums);
        }
        None
    } else {
        Some(sum_values::<V, R, W>(v, head, first, scores, stride))
    };
    // Compilers that see this 1 make two products of 32 bits of one.
    let one = black_box(ONE);
    for (row, (out, &(mantissa, shift, reduce))) in rows.zip(scales).enumerate() {
        let channels = Channels { mantissa: [mantissa; PANEL], shift: [shift; PANEL], bias: [1; PANEL] };
        for (part, out) in out[..head.width][first..].chunks_mut(PANEL).take(W).enumerate() {
            // Here, not for all rows at a time: compilers would gather them.
            let sums = match &totals {
                None => v.context(sums[row][part]),
                Some(totals) => all_reduced(&totals[row][part], reduce),
            };
            let mut results = [0; PANEL];
            if !(SHIFTS.contains(&shift) && v.requantize::<true>(&sums, 0, &channels, one, &mut results)) {
                results = sums.map(|sum| requantize(sum, mantissa, shift));
            }
            match out.first_chunk_mut() {
                Some(out) => *out = results,
                None => out.copy_from_slice(&results[..out.len()]),
            }
        }
    }
    W * PANEL
}

/// [`reduced`] for each of sixteen channels.
#[inline(always)]
fn all_reduced(totals: &[i64; PANEL], reduce: u32) -> [i32; PANEL] {
    let mut sums = [0; PANEL];
    sums.iter_mut().zip(totals).for_each(|(sum, &total)| *sum = reduced(total, reduce));
    sums
}

/// `sum over keys of scaled weight * value`, two keys at a time.
#[inline(always)]
fn sum_values<V: Loops, const R: usize, const W: usize>(
    v: V,
    head: &Head,
    first: usize,
    scores: &[i32],
    stride: usize,
) -> [[[i64; PANEL]; W]; R] {
    let row_len = 2 * head.width;
    let mut totals = [[[0; PANEL]; W]; R];
    let mut sums = [[v.no_values(); W]; R];
    let mut held = 0;
    for block in head.blocks() {
        let (weights, pairs) = (&scores[block.first / 2..], block.count.div_ceil(2));
        let mut from = 0;
        while from < pairs {
            if held == PAIRS {
                drain(v, &mut sums, &mut totals);
                held = 0;
            }
            let count = (pairs - from).min(PAIRS - held);
            let (values, weights) = (&block.values[from * row_len..], &weights[from..]);
            v.add_pairs(Pairs { count, values, row_len, at: 2 * first, weights, stride }, &mut sums);
            from += count;
            held += count;
        }
    }
    drain(v, &mut sums, &mut totals);
    totals
}

/// Moves sums into totals of 64 bits.
#[inline(always)]
fn drain<V: Loops, const R: usize, const W: usize>(
    v: V,
    sums: &mut [[V::Context; W]; R],
    totals: &mut [[[i64; PANEL]; W]; R],
) {
    for (sum, totals) in sums.as_flattened_mut().iter_mut().zip(totals.as_flattened_mut()) {
        for (total, sum) in totals.iter_mut().zip(v.context(*sum)) {
            *total += i64::from(sum);
        }
        *sum = v.no_values();
    }
}

//! Attention of one head.

use super::matrix::Rows;
use super::pairs::Pairs;
use super::vectors::{Channels, Group, RowScale, SHIFTS, Scores, Vectors, Weights};
use crate::fixed::{Multiplier, requantize};
use crate::kernels::attention::{Head, RowLogits, RowTile, Temperature};
use crate::kernels::linear::{GROUP, PANEL};
use crate::kernels::scalar;
use crate::kernels::scalar::attention::{WIDTH_MAX, output_scale, reduced, scaled_weight};

/// Keys whose scores, or weights, are worked on at a time.
const KEYS: usize = 32;

/// The scale of rows that are requantized by their channels' alone.
const ONE: RowScale = RowScale { mantissa: 1, exponent: 0 };

/// Pairs of keys whose products a 32-bit sum holds: 255 * 2 * 32767 * 128 < 2^31.
const PAIRS: usize = 255;

/// The specification's [`attention`](crate::kernels::scalar::attention::attention), `R` rows at a time.
#[inline(always)]
pub fn attention<V: Vectors, const R: usize>(v: V, head: &Head, mut tile: RowTile) {
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
        let part = tile.from_row(row, width);
        row += match rows - row {
            left if left >= R => attend::<V, R>(v, head, part),
            2.. => attend::<V, 2>(v, head, part),
            _ => attend::<V, 1>(v, head, part),
        };
    }
}

/// The first `R` rows of a tile, which has as many; returns how many that are.
#[inline(always)]
fn attend<V: Vectors, const R: usize>(v: V, head: &Head, tile: RowTile) -> usize {
    let stride = tile.stride;
    score::<V, R>(v, head, tile.queries, stride, tile.scores);
    let rows = tile.scores.chunks_exact_mut(stride).zip(tile.weights.chunks_exact_mut(stride));
    for (((scores, weights), logits), sum) in rows.zip(tile.logits.each()).zip(&mut *tile.sums) {
        *sum = weigh(v, head.keys, scores, logits, weights);
        scale(v, head, weights, scores);
    }
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

/// The scores of `R` queries, `[R, stride]`.
#[inline(always)]
fn score<V: Vectors, const R: usize>(v: V, head: &Head, queries: &[i8], stride: usize, scores: &mut [i32]) {
    let (width, groups) = (head.width, head.width / GROUP);
    let queries = &queries[..R * width];
    let mut excess = [0; R];
    for (excess, query) in excess.iter_mut().zip(queries.chunks_exact(width)) {
        *excess = v.excess(query);
    }
    let rows = Rows { codes: queries.as_chunks().0, count: R, groups, panel_groups: groups, high: 0 };
    for block in head.blocks() {
        let panels: &[Group] = block.keys.as_chunks().0;
        let scales = block.of(head.key_scale);
        let mut key = 0;
        while key < block.count {
            let panels = &panels[key / PANEL * groups..];
            let (scales, scores) = (&scales[key..], &mut scores[block.first + key..]);
            key += if V::PANELS == 2 && block.count - key > PANEL {
                score_panels::<V, R, 2>(v, rows, panels, &excess, scales, stride, scores)
            } else {
                score_panels::<V, R, 1>(v, rows, panels, &excess, scales, stride, scores)
            };
        }
    }
}

/// The scores of `P` panels; returns how many keys they hold.
#[inline(always)]
fn score_panels<V: Vectors, const R: usize, const P: usize>(
    v: V,
    rows: Rows,
    panels: &[Group],
    excess: &[i32; R],
    scales: &[i16],
    stride: usize,
    scores: &mut [i32],
) -> usize {
    let mut sums = [[v.zero(); P]; R];
    for (sums, &excess) in sums.iter_mut().zip(excess) {
        *sums = [v.less(excess); P];
    }
    let sums = v.add_rows(rows, panels, sums);
    if scores.len() < (R - 1) * stride + P * PANEL {
        return P * PANEL;
    }
    for panel in 0..P {
        let scales = wide_scales(&scales[panel * PANEL..]);
        for (row, sums) in sums.iter().enumerate() {
            // SAFETY: the last row's last panel ends within the scores.
            let place = unsafe { scores.as_mut_ptr().add(row * stride + panel * PANEL) };
            // SAFETY: as above; arrays are aligned as what is in them.
            unsafe { *place.cast() = v.finish_scaled(sums[panel], &scales) };
        }
    }
    P * PANEL
}

/// The first sixteen scales; 0 where there are fewer.
#[inline(always)]
fn wide_scales(scales: &[i16]) -> [i32; PANEL] {
    let mut wide = [0; PANEL];
    if let Some(scales) = scales.first_chunk::<PANEL>() {
        wide.iter_mut().zip(scales).for_each(|(wide, &scale)| *wide = scale.into());
    } else {
        wide.iter_mut().zip(scales).for_each(|(wide, &scale)| *wide = scale.into());
    }
    wide
}

/// The specification's [`weigh`](scalar::attention::weigh); weights beyond the keys are 0.
#[inline(always)]
fn weigh<V: Vectors>(v: V, keys: usize, scores: &mut [i32], logits: RowLogits, weights: &mut [i16]) -> u32 {
    let temperature = match logits {
        // A difference that isn't shifted may be above 2^31: not in models, whose scores are finer than exponents.
        RowLogits::Plain(Temperature { shift: 0, .. }) => {
            let (weights, padding) = weights.split_at_mut(keys);
            padding.fill(0);
            return scalar::attention::weigh(scores, logits, weights);
        }
        RowLogits::Plain(temperature) => Some(temperature),
        RowLogits::Biased { factor, bias } => {
            scale_scores(&mut scores[..keys], factor);
            for (score, &bias) in scores[..keys].iter_mut().zip(bias) {
                *score = score.saturating_add(bias);
            }
            None
        }
    };
    let end = keys.next_multiple_of(KEYS);
    // What is no key's is never the largest; its weight is taken off the sum.
    scores[keys..end].fill(i32::MIN);
    let (scores, _): (&[Scores], _) = scores[..end].as_chunks();
    let (chunks, _): (&mut [Weights], _) = weights[..end].as_chunks_mut();
    let sum = v.weigh(scores, temperature, chunks);
    let padding = weights[keys..end].iter().fold(0, |sum, &weight| sum + u32::from(weight.unsigned_abs()));
    // Most often there is nothing to fill, which a call would take long for.
    weights.iter_mut().skip(keys).for_each(|weight| *weight = 0);
    sum.wrapping_sub(padding)
}

/// [`Multiplier::apply`] to every score. Shifts of a model are 32 to 62: nothing saturates, and only the upper half of a product is
/// left, so that 32-bit lanes do the shift.
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

/// Puts each weight times its key's relative value scale where the scores were, two to a score; zeros up to a whole pair.
#[inline(always)]
fn scale<V: Vectors>(v: V, head: &Head, weights: &[i16], scores: &mut [i32]) {
    let scaled: &mut [i16] = bytemuck::cast_slice_mut(scores);
    let (weights, rest) = weights[..head.keys].as_chunks();
    let (scales, rest_scales) = head.value_scale[..head.keys].as_chunks();
    let (whole, after) = scaled.split_at_mut(head.keys - rest.len());
    for ((scaled, weights), scales) in whole.as_chunks_mut().0.iter_mut().zip(weights).zip(scales) {
        *scaled = v.scale(weights, scales);
    }
    for ((scaled, &weight), &scale) in after.iter_mut().zip(rest).zip(rest_scales) {
        *scaled = scaled_weight(weight, scale);
    }
    after.iter_mut().skip(rest.len()).take(1).for_each(|after| *after = 0);
}

/// The context of `R` rows in the `W * 16` channels from `first` on, as far as the head has them; returns how many that are.
#[inline(always)]
fn contexts<'o, V: Vectors, const R: usize, const W: usize>(
    v: V,
    head: &Head,
    first: usize,
    scores: &[i32],
    stride: usize,
    scales: &[(i32, i32, u32); R],
    rows: impl Iterator<Item = &'o mut [i32]>,
) -> usize {
    let mut sums = [[v.no_values(); W]; R];
    // The weights' sum has 24 bits up to so many keys: nothing is reduced.
    let totals = if head.keys <= 2 * PAIRS {
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
    for (row, (out, &(mantissa, shift, reduce))) in rows.zip(scales).enumerate() {
        let channels = Channels { mantissa: [mantissa; PANEL], shift: [shift; PANEL], bias: [1; PANEL] };
        for (part, out) in out[..head.width][first..].chunks_mut(PANEL).take(W).enumerate() {
            // Here, not for all rows at a time: compilers would gather them.
            let sums = match &totals {
                None => v.context(sums[row][part]),
                Some(totals) => all_reduced(&totals[row][part], reduce),
            };
            let mut results = [0; PANEL];
            if !(SHIFTS.contains(&shift) && v.requantize::<true>(&sums, 0, &channels, ONE, &mut results)) {
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
fn sum_values<V: Vectors, const R: usize, const W: usize>(
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
fn drain<V: Vectors, const R: usize, const W: usize>(
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

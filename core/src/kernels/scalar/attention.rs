//! Attention of one head, streaming over the blocks of keys.
//!
//! Sums are exact integers and the maximum is taken before any exponent, so neither the order of keys nor the
//! size of a block changes a bit.

use super::gemm::dot_panel;
use crate::fixed::saturate::to_i32;
use crate::fixed::{exp2_neg, reciprocal, requantize};
use crate::kernels::attention::{Head, HeadBlock, RowLogits, RowTile, Temperature};
use crate::kernels::linear::{GROUP, PANEL};

/// Widest head.
pub const WIDTH_MAX: usize = 256;

/// Fills `tile.weights`, `tile.sums` and `tile.out` for every row of the tile. Heads are 8 to 256 channels
/// wide.
pub fn attention(head: &Head, tile: RowTile) {
    let stride = tile.stride.max(1);
    let rows = tile
        .queries
        .chunks_exact(head.width.max(1))
        .zip(tile.logits.each())
        .zip(tile.scores.chunks_exact_mut(stride))
        .zip(tile.weights.chunks_exact_mut(stride))
        .zip(tile.sums.iter_mut())
        .zip(tile.out.chunks_mut(tile.out_stride.max(1)));
    for (((((query, logits), scores), weights), sum), out) in rows {
        for block in head.blocks() {
            score_block(head, &block, query, scores);
        }
        let keys = head.keys.min(stride);
        let weights = &mut weights[..keys];
        *sum = softmax(scores, logits, weights);
        let mut acc = [0i64; WIDTH_MAX];
        for block in head.blocks() {
            sum_values(head, &block, weights, &mut acc);
        }
        let (mantissa, shift, reduce) = output_scale(head, *sum);
        for (out, &acc) in out.iter_mut().zip(acc.iter().take(head.width)) {
            *out = requantize(reduced(acc, reduce), mantissa, shift);
        }
    }
}

/// `scores[j] = (query . key j) * key_scale[j]` for the keys of one block.
fn score_block(head: &Head, block: &HeadBlock, query: &[i8], scores: &mut [i32]) {
    debug_assert!(query.len().is_multiple_of(GROUP));
    let mut dots =
        block.keys.chunks_exact(PANEL * head.width.max(1)).flat_map(|panel| dot_panel(query, panel));
    for (score, &scale) in block.of_mut(scores).iter_mut().zip(block.of(head.key_scale)) {
        *score = dots.next().unwrap_or(0).wrapping_mul(i32::from(scale));
    }
}

/// `weights[j]` = 2^15 * 2^-(distance to the largest logit); returns their sum. Scores beyond the weights
/// don't count: no key has them. Where there is a bias, logits replace the scores.
pub(in crate::kernels) fn softmax(scores: &mut [i32], logits: RowLogits, weights: &mut [i16]) -> u32 {
    match logits {
        RowLogits::Plain(temperature) => {
            exponentiate(scores, weights, |largest, score| exponent(largest, score, temperature))
        }
        RowLogits::Biased { factor, bias } => {
            scores.iter_mut().for_each(|score| *score = factor.apply(*score));
            softmax_biased(scores, bias, weights)
        }
    }
}

/// The weights of scores in units of 2^-16 log2, after the bias is added to as many as have one.
fn softmax_biased(scores: &mut [i32], bias: &[i32], weights: &mut [i16]) -> u32 {
    for (score, &bias) in scores.iter_mut().zip(bias) {
        *score = score.saturating_add(bias);
    }
    exponentiate(scores, weights, exponent_of_logit)
}

/// The weights of scores or logits, whose Q4.11 exponents follow from the largest and each one.
#[inline(always)]
fn exponentiate(scores: &[i32], weights: &mut [i16], exponent: impl Fn(i32, i32) -> u16) -> u32 {
    let scores = scores.get(..weights.len()).unwrap_or(scores);
    let largest = scores.iter().copied().max().unwrap_or(0);
    let mut sum = 0u32;
    for (weight, &score) in weights.iter_mut().zip(scores) {
        *weight = exp2_neg(exponent(largest, score));
        sum = sum.wrapping_add(u32::from(weight.unsigned_abs()));
    }
    sum
}

/// Q4.11 exponent of one logit, rounded half up.
#[inline(always)]
pub(in crate::kernels) fn exponent_of_logit(largest: i32, logit: i32) -> u16 {
    let difference = largest.wrapping_sub(logit) as u32;
    (difference.saturating_add(16) >> 5).min(65_535) as u16
}

/// Q4.11 exponent of one score. The `+ 1` centres the rounding of two truncations; the largest score still
/// gets 0.
#[inline(always)]
pub(in crate::kernels) fn exponent(largest: i32, score: i32, temperature: Temperature) -> u16 {
    let difference = largest.wrapping_sub(score) as u32;
    let scaled = ((difference >> temperature.shift.min(31)).saturating_add(1)).min(65_535);
    ((scaled * u32::from(temperature.factor)) >> 16) as u16
}

/// `acc[c] += sum over the block's keys of (weight * value scale) * value`.
fn sum_values(head: &Head, block: &HeadBlock, weights: &[i16], acc: &mut [i64]) {
    let weights = block.of(weights).iter().zip(block.of(head.value_scale));
    for (row, (&weight, &scale)) in weights.enumerate() {
        let weight = scaled_weight(weight, scale);
        let pair = block.values.chunks_exact(2 * head.width.max(1)).nth(row / 2).unwrap_or(&[]);
        for (acc, value) in acc.iter_mut().zip(pair.chunks_exact(2)) {
            *acc += i64::from(weight) * i64::from(value[row % 2]);
        }
    }
}

/// A weight times its key's relative value scale, Q15 rounded half up.
#[inline(always)]
pub(in crate::kernels) fn scaled_weight(weight: i16, scale: i16) -> i16 {
    ((i32::from(weight) * i32::from(scale) + (1 << 14)) >> 15) as i16
}

/// `out = requantize(reduced(acc, reduce), mantissa, shift)` is `acc * value_max / sum`.
pub(in crate::kernels) fn output_scale(head: &Head, sum: u32) -> (i32, i32, u32) {
    // |acc| <= 127 * sum, so `reduce` bits less fit an i32.
    let reduce = (32 - sum.leading_zeros() + 7).saturating_sub(31);
    let inverse = reciprocal(u64::from(sum));
    // In 2^15..=2^16; a mantissa near 2^31 would leave i32 while it is rounded.
    let factor = ((inverse.mantissa.unsigned_abs() + (1 << 14)) >> 15) as i32;
    let mantissa = i32::from(head.value_max.mantissa & 0x7fff) * factor;
    (mantissa, inverse.shift - 15 - i32::from(head.value_max.exponent) - reduce as i32, reduce)
}

/// `acc / 2^bits`, rounded half up.
pub(in crate::kernels) fn reduced(acc: i64, bits: u32) -> i32 {
    let half = (1i64 << bits) >> 1;
    to_i32((acc + half) >> bits)
}

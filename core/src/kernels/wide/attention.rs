//! Attention of one head.

use super::dot::dot_rows;
use crate::fixed::requantize;
use crate::kernels::attention::{Head, HeadBlock, QUERY_TILE, RowTile};
use crate::kernels::linear::PANEL;
use crate::kernels::scalar::attention::{WIDTH_MAX, exponentiate, output_scale, reduced, scaled_weight};
use wide::{i8x16, i16x16, i32x8};

/// Channels that one vector of products covers.
const LANES: usize = 8;

/// Pairs of keys whose products a 32-bit sum holds: 128 * 2 * 32767 * 128 < 2^31.
const PAIRS: usize = 128;

/// The specification's [`attention`](crate::kernels::scalar::attention::attention).
pub fn attention(head: &Head, tile: RowTile) {
    let (stride, width) = (tile.stride.max(1), head.width.max(1));
    let keys = head.keys.min(stride);
    if tile.queries.len() == QUERY_TILE * width && tile.scores.len() == QUERY_TILE * stride {
        score::<QUERY_TILE>(head, tile.queries, stride, tile.scores);
    } else {
        let rows = tile.queries.chunks_exact(width).zip(tile.scores.chunks_exact_mut(stride));
        rows.for_each(|(query, scores)| score::<1>(head, query, stride, scores));
    }
    let rows = tile
        .temperatures
        .iter()
        .zip(tile.scores.chunks_exact(stride))
        .zip(tile.weights.chunks_exact_mut(stride))
        .zip(tile.sums.iter_mut())
        .zip(tile.out.chunks_mut(tile.out_stride.max(1)))
        .take(tile.queries.len() / width);
    for ((((&temperature, scores), weights), sum), out) in rows {
        let (weights, padding) = weights.split_at_mut(keys);
        padding.fill(0);
        *sum = exponentiate(scores, temperature, weights);
        let mut acc = [0i64; WIDTH_MAX];
        head.blocks().for_each(|block| sum_values(head, &block, weights, &mut acc));
        let (mantissa, shift, reduce) = output_scale(head, *sum);
        for (out, &acc) in out.iter_mut().zip(acc.iter().take(width)) {
            *out = requantize(reduced(acc, reduce), mantissa, shift);
        }
    }
}

/// The scores of `R` queries, `[R, stride]`.
fn score<const R: usize>(head: &Head, queries: &[i8], stride: usize, scores: &mut [i32]) {
    let width = head.width.max(1);
    let mut rows = queries.chunks_exact(width);
    let queries: [&[i8]; R] = core::array::from_fn(|_| rows.next().unwrap_or_default());
    for block in head.blocks() {
        let scales = block.of(head.key_scale);
        for (index, (panel, scales)) in
            block.keys.chunks_exact(PANEL * width).zip(scales.chunks(PANEL)).enumerate()
        {
            let dots = dot_rows(queries, panel);
            let first = block.first + index * PANEL;
            for (dots, scores) in dots.iter().zip(scores.chunks_exact_mut(stride)) {
                for ((score, &dot), &scale) in scores.iter_mut().skip(first).zip(dots).zip(scales) {
                    *score = dot.wrapping_mul(i32::from(scale));
                }
            }
        }
    }
}

/// `acc[c] += sum over the block's keys of (weight * value scale) * value`, two keys at a time.
fn sum_values(head: &Head, block: &HeadBlock, weights: &[i16], acc: &mut [i64; WIDTH_MAX]) {
    let width = head.width.max(1);
    let weights = block.of(weights);
    let scales = block.of(head.value_scale);
    let values = block.values.chunks(PAIRS * 2 * width);
    for ((weights, scales), values) in weights.chunks(2 * PAIRS).zip(scales.chunks(2 * PAIRS)).zip(values) {
        let mut scaled = [0i16; 2 * PAIRS];
        for ((scaled, &weight), &scale) in scaled.iter_mut().zip(weights).zip(scales) {
            *scaled = scaled_weight(weight, scale);
        }
        let pairs = scaled.as_chunks::<2>().0.iter().zip(values.chunks_exact(2 * width));
        let mut sums = [i32x8::ZERO; WIDTH_MAX / LANES];
        for (&pair, values) in pairs.take(weights.len().div_ceil(2)) {
            let pair: i16x16 = bytemuck::cast(i32x8::splat(bytemuck::cast(pair)));
            for (sum, &values) in sums.iter_mut().zip(values.as_chunks::<16>().0) {
                *sum += pair.dot(i16x16::from_i8x16(i8x16::new(values)));
            }
        }
        let sums: &[i32] = bytemuck::cast_slice(&sums);
        for (acc, &sum) in acc.iter_mut().zip(sums).take(width) {
            *acc += i64::from(sum);
        }
    }
}

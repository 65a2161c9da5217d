//! Attention of one head.

use super::dot::dots;
use crate::fixed::requantize;
use crate::kernels::attention::{Head, RowTile};
use crate::kernels::lanes::softmax::{scale_weights, softmax};
use crate::kernels::linear::PANEL;
use crate::kernels::scalar::attention::{output_scale, reduced};
use wide::{i8x16, i16x16, i32x8};

/// Channels that one vector of products covers.
const LANES: usize = 8;

/// Query rows that are worked on at a time.
const ROWS: usize = 4;

/// Vectors of channels that are summed at a time: with four rows, as many sums as hide the latency of an
/// addition.
const VECTORS: usize = 2;

/// Pairs of keys whose products a 32-bit sum holds: 128 * 2 * 32767 * 128 < 2^31.
const PAIRS: usize = 128;

/// The specification's [`attention`](crate::kernels::scalar::attention::attention).
pub fn attention(head: &Head, mut tile: RowTile) {
    let width = head.width.max(1);
    let rows = tile.rows(width);
    let whole = rows / ROWS * ROWS;
    for row in (0..whole).step_by(ROWS) {
        attend::<ROWS>(head, tile.starting_at(row, width));
    }
    for row in whole..rows {
        attend::<1>(head, tile.starting_at(row, width));
    }
}

/// The first `R` rows of a tile, which has as many.
fn attend<const R: usize>(head: &Head, tile: RowTile) {
    let stride = tile.stride.max(1);
    let keys = head.keys.min(stride);
    score::<R>(head, tile.queries, stride, tile.scores);
    let mut scales = [(0, 0, 0); R];
    let rows = tile
        .logits
        .each()
        .zip(tile.scores.chunks_exact_mut(stride))
        .zip(tile.weights.chunks_exact_mut(stride))
        .zip(tile.sums.iter_mut().zip(&mut scales));
    for (((logits, scores), weights), (sum, scale)) in rows {
        let weights = &mut weights[..keys];
        *sum = softmax(scores, logits, weights);
        *scale = output_scale(head, *sum);
        scale_weights(head, weights, scores);
    }
    for first in (0..head.width).step_by(VECTORS * LANES) {
        let sums = if first + VECTORS * LANES <= head.width {
            sum_values::<R, VECTORS>(head, first, tile.scores, stride)
        } else {
            sum_values::<R, 1>(head, first, tile.scores, stride)
        };
        let rows = tile.out.chunks_mut(tile.out_stride.max(1)).zip(&sums).zip(scales);
        for ((out, sums), (mantissa, shift, reduce)) in rows {
            let channels = out.iter_mut().take(head.width).skip(first);
            for (out, &sum) in channels.zip(sums) {
                *out = requantize(reduced(sum, reduce), mantissa, shift);
            }
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
            let dots = dots(queries, panel);
            let first = block.first + index * PANEL;
            for (dots, scores) in dots.iter().zip(scores.chunks_exact_mut(stride)) {
                let scores = scores.get_mut(first..).unwrap_or_default();
                for ((score, &dot), &scale) in scores.iter_mut().zip(dots).zip(scales) {
                    *score = dot.wrapping_mul(i32::from(scale));
                }
            }
        }
    }
}

/// `sum over keys of scaled weight * value` for `R` rows and the `V * 8` channels from `first` on, two keys
/// at a time.
fn sum_values<const R: usize, const V: usize>(
    head: &Head,
    first: usize,
    scores: &[i32],
    stride: usize,
) -> [[i64; VECTORS * LANES]; R] {
    let row_len = 2 * head.width.max(1);
    let mut sums = [[0; VECTORS * LANES]; R];
    for block in head.blocks() {
        for (part, values) in block.values.chunks(PAIRS * row_len).enumerate() {
            let from = block.first / 2 + part * PAIRS;
            let count = block.count.div_ceil(2).saturating_sub(part * PAIRS).min(PAIRS);
            let mut rows = scores.chunks_exact(stride);
            // A pair of scaled weights lies in the place of a score.
            let pairs: [&[i32]; R] = core::array::from_fn(|_| {
                rows.next().and_then(|row| row.get(from..from + count)).unwrap_or_default()
            });
            let mut acc = [[i32x8::ZERO; V]; R];
            for (index, values) in values.chunks_exact(row_len).take(count).enumerate() {
                let values = values.get(2 * first..).unwrap_or_default().as_chunks::<16>().0;
                let Some(values) = values.first_chunk::<V>() else { continue };
                let vectors: [i16x16; V] =
                    core::array::from_fn(|v| i16x16::from_i8x16(i8x16::new(values[v])));
                for (acc, pairs) in acc.iter_mut().zip(&pairs) {
                    let pair: i16x16 = bytemuck::cast(i32x8::splat(pairs.get(index).copied().unwrap_or(0)));
                    for (acc, &vector) in acc.iter_mut().zip(&vectors) {
                        *acc += pair.dot(vector);
                    }
                }
            }
            for (sums, acc) in sums.iter_mut().zip(&acc) {
                for (sum, &acc) in sums.iter_mut().zip(bytemuck::cast_slice::<_, i32>(acc)) {
                    *sum += i64::from(acc);
                }
            }
        }
    }
    sums
}

//! Attention of one head.

use super::mix::{Mix, Weights};
use super::vector::{Factor, load_i16, load_i32, mulhi, padded, store_i8, store_i16, store_i32};
use crate::fixed::Multiplier;
use crate::fixed::tables::EXP2_COEFFICIENTS;
use crate::kernels::attention::{Head, KEYS_MAX, RowLogits, RowTile};
use crate::kernels::linear::PANEL;
use crate::kernels::portable::{Codes, Columns, PANELS};
use crate::kernels::scalar::attention as specification;
use core::arch::aarch64::*;
use heapless::Vec;

/// Channels that are summed at a time.
const CHANNELS: usize = 8;

/// Keys that are weighed at a time.
const LANES: usize = 8;

/// Query rows whose sums stay in registers.
const ROWS: usize = 4;

/// The specification's [`attention`](specification::attention).
#[target_feature(enable = "neon")]
pub fn attention<P: Mix>(products: P, head: &Head, tile: RowTile) {
    let (stride, width) = (tile.stride, head.width);
    let whole = |count: usize, part| count > 0 && count.is_multiple_of(part);
    let fits = whole(width, CHANNELS) && whole(stride, PANEL) && whole(head.block_rows, PANEL);
    let scales = head.key_scale.len().min(head.value_scale.len());
    if !fits || head.keys > stride.min(scales).min(KEYS_MAX) {
        return specification::attention(head, tile);
    }
    let parts = tile
        .queries
        .chunks(ROWS * width)
        .zip((0..).step_by(ROWS).map(|first| tile.logits.starting_at(first)))
        .zip(tile.scores.chunks_mut(ROWS * stride))
        .zip(tile.weights.chunks_mut(ROWS * stride))
        .zip(tile.sums.chunks_mut(ROWS))
        .zip(tile.out.chunks_mut(ROWS * tile.out_stride.max(1)));
    for (((((queries, logits), scores), weights), sums), out) in parts {
        let part = RowTile { queries, logits, scores, weights, sums, out, ..tile };
        let whole = queries.len() == ROWS * width
            && [part.scores.len(), part.weights.len()] == [ROWS * stride; 2]
            && part.sums.len() == ROWS
            && logits.rows() >= ROWS;
        if whole {
            attend::<_, ROWS>(products, head, part);
        } else {
            attend_singly(products, head, part);
        }
    }
}

/// As many rows as there are.
#[target_feature(enable = "neon")]
#[inline]
fn attend_singly<P: Mix>(products: P, head: &Head, tile: RowTile) {
    let rows = tile
        .queries
        .chunks_exact(head.width)
        .zip((0..tile.logits.rows()).map(|row| tile.logits.starting_at(row)))
        .zip(tile.scores.chunks_exact_mut(tile.stride))
        .zip(tile.weights.chunks_exact_mut(tile.stride))
        .zip(tile.sums.chunks_mut(1))
        .zip(tile.out.chunks_mut(tile.out_stride.max(1)));
    for (((((queries, logits), scores), weights), sums), out) in rows {
        attend::<_, 1>(products, head, RowTile { queries, logits, scores, weights, sums, out, ..tile });
    }
}

/// A tile of exactly `R` rows.
#[target_feature(enable = "neon")]
#[inline]
fn attend<P: Mix, const R: usize>(products: P, head: &Head, tile: RowTile) {
    let stride = tile.stride;
    score::<_, R>(products, head, tile.queries, stride, tile.scores);
    let mut outputs = [Output::new(head, 0); R];
    let rows = tile
        .logits
        .each()
        .zip(tile.scores.chunks_exact_mut(stride))
        .zip(tile.weights.chunks_exact_mut(stride))
        .zip(tile.sums.iter_mut().zip(&mut outputs));
    for (((logits, scores), weights), (sum, output)) in rows {
        let largest = largest(head.keys, scores, logits);
        *sum = softmax(head.keys, scores, largest, logits, weights);
        *output = Output::new(head, *sum);
        scale_weights(products, head, weights, scores);
    }
    let mut rows = tile.scores.chunks_exact(stride);
    let scaled: [&[Weights]; R] = core::array::from_fn(|_| {
        let row: &[i8] = bytemuck::cast_slice(rows.next().unwrap_or_default());
        row.as_chunks().0.as_chunks().0
    });
    for first in (0..head.width).step_by(CHANNELS) {
        let sums = products.mix(head, first, scaled);
        for ((out, sums), output) in tile.out.chunks_mut(tile.out_stride.max(1)).zip(&sums).zip(outputs) {
            let mut channels = [0; CHANNELS];
            for (channels, sums) in channels.as_chunks_mut().0.iter_mut().zip(sums.as_chunks().0) {
                store_i32(channels, output.of(sums));
            }
            out.iter_mut().skip(first).zip(channels).for_each(|(out, channel)| *out = channel);
        }
    }
}

/// The scores of `R` queries, `[R, stride]`, also for the keys that a panel has beyond the last.
#[target_feature(enable = "neon")]
#[inline]
fn score<P: Mix, const R: usize>(
    products: P,
    head: &Head,
    queries: &[i8],
    stride: usize,
    scores: &mut [i32],
) {
    let queries = Codes::<R>::of(queries, head.width);
    let mut dots = [[[0; PANEL]; R]; PANELS];
    for block in head.blocks() {
        let panels = block.keys.chunks_exact(PANEL * head.width).take(block.count.div_ceil(PANEL));
        let mut panels = panels.map(Columns::of).zip((block.first..).step_by(PANEL)).peekable();
        while let Some(&(_, first)) = panels.peek() {
            let columns: Vec<_, PANELS> = panels.by_ref().take(PANELS).map(|(columns, _)| columns).collect();
            products.sums(&queries, &columns, &mut dots);
            for (dots, first) in dots.iter().take(columns.len()).zip((first..).step_by(PANEL)) {
                scale_dots(dots, &padded(head.key_scale, first), first, stride, scores);
            }
        }
    }
}

/// The scores of sixteen keys, the first of which is `first`, from products of codes and these keys' scales.
#[target_feature(enable = "neon")]
#[inline]
fn scale_dots<const R: usize>(
    dots: &[[i32; PANEL]; R],
    scales: &[i16; PANEL],
    first: usize,
    stride: usize,
    scores: &mut [i32],
) {
    let [a, b] = [0, LANES].map(|at| load_i16(&padded(scales, at)));
    let scales =
        [vmovl_s16(vget_low_s16(a)), vmovl_high_s16(a), vmovl_s16(vget_low_s16(b)), vmovl_high_s16(b)];
    for (dots, scores) in dots.iter().zip(scores.chunks_exact_mut(stride)) {
        let scores = scores.get_mut(first..).unwrap_or_default().as_chunks_mut().0;
        for ((score, dot), &scale) in scores.iter_mut().zip(dots.as_chunks().0).zip(&scales) {
            store_i32(score, vmulq_s32(load_i32(dot), scale));
        }
    }
}

/// Brings scores to logits where there is a bias; returns the largest.
#[target_feature(enable = "neon")]
#[inline]
fn largest(keys: usize, scores: &mut [i32], logits: RowLogits) -> i32 {
    let mut largest = vdupq_n_s32(i32::MIN);
    let lanes = load_i32(&[0, 1, 2, 3]);
    let mut each = |index: usize, score: int32x4_t| {
        let left = vdupq_n_s32((keys - 4 * index) as i32);
        let score = vbslq_s32(vcltq_s32(lanes, left), score, vdupq_n_s32(i32::MIN));
        largest = vmaxq_s32(largest, score);
    };
    let chunks = scores.as_chunks_mut().0.iter_mut().take(keys.div_ceil(4)).enumerate();
    match logits {
        RowLogits::Plain(_) => chunks.for_each(|(index, score)| each(index, load_i32(score))),
        RowLogits::Biased { factor, bias } => {
            let factor = Factor::new(factor);
            for (index, score) in chunks {
                let logit = vqaddq_s32(factor.apply(load_i32(score)), load_i32(&padded(bias, 4 * index)));
                store_i32(score, logit);
                each(index, logit);
            }
        }
    }
    vmaxvq_s32(largest)
}

/// The weights of scores or logits, and their sum; zeros beyond the keys.
#[target_feature(enable = "neon")]
#[inline]
fn softmax(keys: usize, scores: &[i32], largest: i32, logits: RowLogits, weights: &mut [i16]) -> u32 {
    let largest = vdupq_n_s32(largest);
    let lanes = load_i16(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let mut sum = vdupq_n_u32(0);
    let (weights, scores) = (weights.as_chunks_mut::<LANES>().0, scores.as_chunks::<LANES>().0);
    for (index, (weights, scores)) in weights.iter_mut().zip(scores).enumerate() {
        let [a, b] = [0, 4].map(|at| {
            let score = load_i32(&padded(scores, at));
            vreinterpretq_u32_s32(vsubq_s32(largest, score))
        });
        let exponent = match logits {
            RowLogits::Plain(temperature) => {
                let shift = vdupq_n_s32(-i32::from(temperature.shift.min(31)));
                let scaled = |difference| vqaddq_u32(vshlq_u32(difference, shift), vdupq_n_u32(1));
                let scaled = vqmovn_high_u32(vqmovn_u32(scaled(a)), scaled(b));
                mulhi(scaled, vdupq_n_u16(temperature.factor))
            }
            RowLogits::Biased { .. } => vqrshrn_high_n_u32::<5>(vqrshrn_n_u32::<5>(a), b),
        };
        let left = vdupq_n_s16(keys.saturating_sub(LANES * index).min(LANES) as i16);
        let weight = vandq_u16(exp2_neg(exponent), vcltq_s16(lanes, left));
        sum = vpadalq_u16(sum, weight);
        store_i16(weights, vreinterpretq_s16_u16(weight));
    }
    vaddvq_u32(sum)
}

/// [`exp2_neg`](crate::fixed::exp2_neg), lane by lane: its two shifts, the second with rounding, are one of
/// `n + 1` places.
#[target_feature(enable = "neon")]
#[inline]
fn exp2_neg(t: uint16x8_t) -> uint16x8_t {
    let [a, b, c, d] = EXP2_COEFFICIENTS.map(|coefficient| vdupq_n_u16(coefficient));
    let f = vshlq_n_u16::<5>(t);
    let slope = vsubq_u16(b, mulhi(f, vsubq_u16(c, mulhi(f, d))));
    let mantissa = vsubq_u16(a, mulhi(f, slope));
    // -(n + 1)
    let shift = vmvnq_u16(vshrq_n_u16::<11>(t));
    vrshlq_u16(mantissa, vreinterpretq_s16_u16(shift))
}

/// Puts each weight times its key's relative value scale where the scores were, sixteen keys after another.
#[target_feature(enable = "neon")]
#[inline]
fn scale_weights<P: Mix>(products: P, head: &Head, weights: &[i16], scores: &mut [i32]) {
    let scaled: &mut [i8] = bytemuck::cast_slice_mut(scores);
    let scaled = scaled.as_chunks_mut().0.as_chunks_mut::<2>().0;
    let chunks = scaled.iter_mut().zip(weights.as_chunks::<PANEL>().0);
    for (index, (scaled, weights)) in chunks.enumerate() {
        let scales: [i16; PANEL] = padded(head.value_scale, PANEL * index);
        let halves = [0, LANES].map(|at| {
            let [weights, scales] = [weights, &scales].map(|values| load_i16(&padded(values, at)));
            // (2 * weight * scale + 2^15) >> 16
            vqrdmulhq_s16(weights, scales)
        });
        for (scaled, limbs) in scaled.iter_mut().zip(products.weights(halves)) {
            store_i8(scaled, limbs);
        }
    }
}

/// How sums of a row become outputs: `requantize(reduced(sum))`.
#[derive(Clone, Copy)]
struct Output {
    reduce: int64x2_t,
    factor: Factor,
}

impl Output {
    #[target_feature(enable = "neon")]
    #[inline]
    fn new(head: &Head, sum: u32) -> Self {
        let (mantissa, shift, reduce) = specification::output_scale(head, sum);
        let reduce = vdupq_n_s64(-i64::from(reduce));
        Self { reduce, factor: Factor::new(Multiplier { mantissa, shift }) }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    fn of(self, [a, b]: &[int64x2_t; 2]) -> int32x4_t {
        let [a, b] = [a, b].map(|&sum| vrshlq_s64(sum, self.reduce));
        self.factor.apply(vqmovn_high_s64(vqmovn_s64(a), b))
    }
}

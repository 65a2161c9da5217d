//! Attention weights.

use super::multiply::Lanes;
use crate::fixed::exp2_neg;
use crate::kernels::attention::{Head, RowLogits};
use crate::kernels::scalar;
use crate::kernels::scalar::attention::{exponent, exponent_of_logit};

/// The specification's [`softmax`](scalar::attention::softmax).
#[inline(always)]
pub fn softmax(scores: &mut [i32], logits: RowLogits, weights: &mut [i16]) -> u32 {
    let count = weights.len().min(scores.len());
    let (keys, _) = scores.split_at_mut(count);
    match logits {
        RowLogits::Plain(temperature) => {
            let largest = keys.iter().copied().max().unwrap_or(0);
            exponentiate(keys, weights, |score| exponent(largest, score, temperature))
        }
        RowLogits::Biased { factor, bias } => {
            // Scores may be anything; where nothing is shifted left, that includes the least of all.
            let Some(factor) = Lanes::new(factor, i32::MAX.unsigned_abs()) else {
                return scalar::attention::softmax(scores, logits, weights);
            };
            let (biased, rest) = keys.split_at_mut(bias.len().min(count));
            for (score, &bias) in biased.iter_mut().zip(bias) {
                *score = factor.apply(*score).saturating_add(bias);
            }
            rest.iter_mut().for_each(|score| *score = factor.apply(*score));
            let largest = keys.iter().copied().max().unwrap_or(0);
            exponentiate(keys, weights, |logit| exponent_of_logit(largest, logit))
        }
    }
}

/// The weights of scores or logits, and their sum.
#[inline(always)]
fn exponentiate(scores: &[i32], weights: &mut [i16], exponent: impl Fn(i32) -> u16) -> u32 {
    let mut sum = 0u32;
    for (weight, &score) in weights.iter_mut().zip(scores) {
        *weight = exp2_neg(exponent(score));
        sum = sum.wrapping_add(u32::from(weight.unsigned_abs()));
    }
    sum
}

/// Puts each weight times its key's relative value scale where the scores were, two to a score and a zero
/// after the last.
#[inline(always)]
pub fn scale_weights(head: &Head, weights: &[i16], scores: &mut [i32]) {
    let scaled: &mut [i16] = bytemuck::cast_slice_mut(scores);
    scaled.iter_mut().skip(weights.len()).take(1).for_each(|after| *after = 0);
    for ((scaled, &weight), &scale) in scaled.iter_mut().zip(weights).zip(head.value_scale) {
        *scaled = scalar::attention::scaled_weight(weight, scale);
    }
}

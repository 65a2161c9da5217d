//! Linear inputs: i8 codes with one scale per token.

use super::multiply::Lanes;
use crate::fixed::TokenScale;
use crate::kernels::linear::{GROUP, row_len};
use crate::kernels::scalar;
use crate::kernels::scalar::quantize::limbs;

/// The specification's [`quantize_row`](scalar::quantize::quantize_row).
#[inline(always)]
pub fn quantize_row(values: &[i32], outliers: &[u16], codes: &mut [i8]) -> TokenScale {
    let within = outliers.last().is_none_or(|&last| usize::from(last) < values.len());
    if codes.len() < row_len(values.len(), outliers.len()) || !within || !outliers.is_sorted_by(|a, b| a < b)
    {
        return scalar::quantize::quantize_row(values, outliers, codes);
    }
    let (high, low) = codes.split_at_mut(outliers.len().div_ceil(GROUP) * GROUP);
    let all_loud = outliers.len() == values.len();
    let (ordinary, loud) = if all_loud {
        (0, largest(values))
    } else {
        let loud = outliers.iter().filter_map(|&c| values.get(usize::from(c))).map(|v| v.unsigned_abs());
        (ordinary_max(values, outliers, low), loud.max().unwrap_or(0))
    };
    let scale = TokenScale::covering(ordinary, loud);
    let inverse = scale.inverse();
    let Some(lanes) = Lanes::new(inverse, ordinary.max(loud)) else {
        // A row of zeros, or nearly.
        return scalar::quantize::quantize_row(values, outliers, codes);
    };
    let (ordinary, padding) = low.split_at_mut(values.len());
    padding.fill(0);
    let (limbs_of, padding) = high.split_at_mut(outliers.len());
    padding.fill(0);
    if all_loud {
        for ((high, low), &value) in limbs_of.iter_mut().zip(ordinary).zip(values) {
            (*high, *low) = limbs(lanes.apply(value));
        }
    } else {
        for (code, &value) in ordinary.iter_mut().zip(values) {
            // The scale covers all but outliers, whose codes are replaced.
            *code = lanes.apply(value) as i8;
        }
        for (high, &channel) in limbs_of.iter_mut().zip(outliers) {
            let channel = usize::from(channel);
            if let (Some(&value), Some(low)) = (values.get(channel), ordinary.get_mut(channel)) {
                (*high, *low) = limbs(lanes.apply(value));
            }
        }
    }
    scale
}

/// The largest magnitude among the channels that are not outliers. `mask` is memory for one byte a channel.
#[inline(always)]
fn ordinary_max(values: &[i32], outliers: &[u16], mask: &mut [i8]) -> u32 {
    if outliers.is_empty() {
        return largest(values);
    }
    mask.fill(-1);
    for &outlier in outliers {
        if let Some(mask) = mask.get_mut(usize::from(outlier)) {
            *mask = 0;
        }
    }
    let masked = values.iter().zip(mask).map(|(value, mask)| value.unsigned_abs() & i32::from(*mask) as u32);
    masked.fold(0, u32::max)
}

#[inline(always)]
fn largest(values: &[i32]) -> u32 {
    values.iter().fold(0, |largest, value| largest.max(value.unsigned_abs()))
}

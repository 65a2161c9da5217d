//! Linear inputs: i8 codes with one scale per token.

use crate::fixed::TokenScale;
use crate::kernels::linear::{GROUP, LIMB_BITS, row_len};
use crate::kernels::rows::Rows;

/// Quantizes rows: [`quantize_row`] for as many as there are whole rows, whole rows of codes ([`row_len`])
/// and scales.
pub fn quantize_rows(rows: Rows, outliers: &[u16], codes: &mut [i8], scales: &mut [TokenScale]) {
    let len = row_len(rows.width, outliers.len());
    for (row, (values, scale)) in rows.iter().zip(scales).enumerate() {
        let Some(codes) = codes.get_mut(row * len..(row + 1) * len) else { return };
        *scale = quantize_row(values, outliers, codes);
    }
}

/// Quantizes `values` (activation units) into `codes` (`[high limbs | one code per channel]`, each part
/// padded with zeros to a multiple of four) and returns the row's scale. `outliers` are ascending channel
/// indices; these channels get a second limb and so 15 bits, and do not stretch the scale of the others.
pub fn quantize_row(values: &[i32], outliers: &[u16], codes: &mut [i8]) -> TokenScale {
    let outlier_max =
        outliers.iter().filter_map(|&c| values.get(usize::from(c))).map(|v| v.unsigned_abs()).max();
    let scale = TokenScale::covering(ordinary_max(values, outliers), outlier_max.unwrap_or(0));
    let inverse = scale.inverse();
    codes.fill(0);
    let high_len = outliers.len().div_ceil(GROUP) * GROUP;
    if codes.len() < row_len(values.len(), outliers.len()) {
        return scale;
    }
    let (high, low) = codes.split_at_mut(high_len);
    for (code, &value) in low.iter_mut().zip(values) {
        *code = inverse.apply(value).clamp(-127, 127) as i8;
    }
    for (high, &channel) in high.iter_mut().zip(outliers) {
        let channel = usize::from(channel);
        if let (Some(&value), Some(low)) = (values.get(channel), low.get_mut(channel)) {
            let (upper, lower) = limbs(inverse.apply(value));
            (*high, *low) = (upper, lower);
        }
    }
    scale
}

/// The largest magnitude among the channels that are not outliers.
pub fn ordinary_max(values: &[i32], outliers: &[u16]) -> u32 {
    let mut largest = 0;
    let mut from = 0;
    for &outlier in outliers {
        let outlier = usize::from(outlier);
        let between = values.get(from..outlier).unwrap_or(&[]);
        largest = between.iter().fold(largest, |m, v| m.max(v.unsigned_abs()));
        from = outlier + 1;
    }
    values.get(from..).unwrap_or(&[]).iter().fold(largest, |m, v| m.max(v.unsigned_abs()))
}

/// The largest magnitude that two limbs hold.
pub const LIMBS_MAX: i32 = 16_319;

/// `value = 128 * high + low` with low in -64..=63, value clamped to what two limbs hold.
pub fn limbs(value: i32) -> (i8, i8) {
    let value = value.clamp(-LIMBS_MAX, LIMBS_MAX);
    let high = (value + (1 << (LIMB_BITS - 1))) >> LIMB_BITS;
    (high as i8, (value - (high << LIMB_BITS)) as i8)
}

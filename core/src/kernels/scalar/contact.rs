//! What attention contributes to a contact map.

use crate::fixed::reciprocal;
use crate::kernels::attention::{CONTACT_WEIGHT_MAX, ContactWeight};

/// Normalises one query's attention weights to 16-bit probabilities `A[j] = weights[j] / sum` (unit 2^-16, at
/// most 65535), adds `(A[j] * weight) >> shift` (rounded) to `row[j]` and `A[j]` to `columns[j]`, and returns
/// the sum of `A`. All slices cover the residues only: the caller leaves out `<cls>` and `<eos>`. 65,536 rows
/// can't overflow a column.
#[inline(always)]
pub fn accumulate(
    weights: &[i16],
    sum: u32,
    head: ContactWeight,
    row: &mut [i32],
    columns: &mut [u32],
) -> u32 {
    let (factor, shift) = probability_scale(sum);
    let shift_row = head.shift.clamp(1, 30);
    let weight_of_head = i32::from(head.weight.clamp(-CONTACT_WEIGHT_MAX, CONTACT_WEIGHT_MAX));
    let mut total = 0u32;
    for ((&weight, row), column) in weights.iter().zip(row).zip(columns) {
        let probability = probability(weight, factor, shift);
        // Below 2^16 * 2^14 in magnitude, so the half fits too.
        let term = probability as i32 * weight_of_head;
        *row = row.wrapping_add((term + (1 << (shift_row - 1))) >> shift_row);
        *column = column.wrapping_add(probability);
        total = total.wrapping_add(probability);
    }
    total
}

/// 2^16 / sum as a factor of at most 2^16 and a shift.
pub(in crate::kernels) fn probability_scale(sum: u32) -> (u32, u32) {
    let inverse = reciprocal(u64::from(sum));
    // A mantissa near 2^31 would leave i32 while it is rounded.
    let factor = (inverse.mantissa.unsigned_abs() + (1 << 14)) >> 15;
    (factor, (inverse.shift - 31).clamp(1, 31) as u32)
}

/// One probability; the product is below 2^31.
#[inline(always)]
pub(in crate::kernels) fn probability(weight: i16, factor: u32, shift: u32) -> u32 {
    let product = u32::from(weight.unsigned_abs()) * factor;
    ((product + (1 << (shift - 1))) >> shift).min(65_535)
}

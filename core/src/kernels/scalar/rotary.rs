//! Rotary position embedding.

use crate::fixed::saturate::to_i32;

/// Rotates the pairs (c, c + width/2) of every whole head in a row (the "rotate half" convention of ESM-2) by
/// the angles whose `[cos, sin]` (Q1.30) are given, one for each pair of a head. Rounded once, saturating.
pub fn rotary(row: &mut [i32], cos_sin: &[[i32; 2]]) {
    let half = cos_sin.len();
    for head in row.chunks_exact_mut((2 * half).max(1)) {
        let (first, second) = head.split_at_mut(half);
        for ((first, second), &[cos, sin]) in first.iter_mut().zip(second).zip(cos_sin) {
            (*first, *second) = rotate(*first, *second, cos, sin);
        }
    }
}

/// One pair turned by one angle.
pub fn rotate(x: i32, y: i32, cos: i32, sin: i32) -> (i32, i32) {
    let [x, y, cos, sin] = [x, y, cos, sin].map(i64::from);
    (round(x * cos - y * sin), round(y * cos + x * sin))
}

/// Q30 to units. |x cos| <= 2^31 * 2^30 each, so the sum of two and the half stay below 2^63.
fn round(q30: i64) -> i32 {
    to_i32(q30.saturating_add(1 << 29) >> 30)
}

//! Rotary position embedding.

use crate::kernels::scalar;

/// Values below this can't leave an i32, whatever the angles: two products below 2^60 each.
const END: i32 = 1 << 29;

/// The specification's [`rotary`](scalar::rotary::rotary).
#[inline(always)]
pub fn rotary(row: &mut [i32], cos_sin: &[[i32; 2]]) {
    let all = row.iter().fold(0, |all, x| all | x.wrapping_add(END));
    if all.cast_unsigned() >= 2 * END.unsigned_abs() {
        return scalar::rotary::rotary(row, cos_sin);
    }
    let Some((first, second)) = row.split_at_mut_checked(cos_sin.len()) else { return };
    for ((first, second), &[cos, sin]) in first.iter_mut().zip(second).zip(cos_sin) {
        let [x, y, cos, sin] = [*first, *second, cos, sin].map(i64::from);
        *first = round(x * cos - y * sin);
        *second = round(y * cos + x * sin);
    }
}

/// Q30 to units.
#[inline(always)]
fn round(q30: i64) -> i32 {
    ((q30 + (1 << 29)) >> 30) as i32
}

//! What becomes of a value that does not fit: the nearest one that does.

/// The i32 nearest to `v`.
#[inline(always)]
pub const fn to_i32(v: i64) -> i32 {
    if v > i32::MAX as i64 {
        i32::MAX
    } else if v < i32::MIN as i64 {
        i32::MIN
    } else {
        v as i32
    }
}

/// The i64 nearest to `v`.
#[inline(always)]
pub const fn to_i64(v: i128) -> i64 {
    if v > i64::MAX as i128 {
        i64::MAX
    } else if v < i64::MIN as i128 {
        i64::MIN
    } else {
        v as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_nearest_value_is_what_clamp_gives(v: i64, places in 0..64u32, wide: i128, more in 0..128u32) {
            let (v, wide) = (v >> places, wide >> more);
            prop_assert_eq!(i64::from(to_i32(v)), v.clamp(i32::MIN.into(), i32::MAX.into()));
            prop_assert_eq!(i128::from(to_i64(wide)), wide.clamp(i64::MIN.into(), i64::MAX.into()));
        }
    }

    #[test]
    fn the_ends_of_both_ranges() {
        let (low, high) = (i64::from(i32::MIN), i64::from(i32::MAX));
        assert_eq!([low - 1, low, high, high + 1].map(to_i32), [i32::MIN, i32::MIN, i32::MAX, i32::MAX]);
        let (low, high) = (i128::from(i64::MIN), i128::from(i64::MAX));
        assert_eq!([low - 1, low, high, high + 1].map(to_i64), [i64::MIN, i64::MIN, i64::MAX, i64::MAX]);
    }
}

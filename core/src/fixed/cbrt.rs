//! Cube root of an unsigned integer.

/// The root of any u128 is below `2^ROOT_BITS`.
const ROOT_BITS: u32 = 43;

/// `floor(cbrt(v))`, exact.
///
/// One bit of the root at a time, from the highest on; it is taken where the cube still is at most `v`.
pub const fn icbrt(v: u128) -> u64 {
    let mut root = 0u128;
    let mut bit = ROOT_BITS;
    while bit > 0 {
        bit = bit.wrapping_sub(1);
        let longer = root | 1u128.wrapping_shl(bit);
        // A root has at most 43 bits, so its square fits; a cube that doesn't fit is above any v.
        let square = longer.wrapping_mul(longer);
        if let Some(cube) = square.checked_mul(longer)
            && cube <= v
        {
            root = longer;
        }
    }
    root as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `root^3 <= v < (root + 1)^3`; a cube beyond 128 bits is above any v.
    fn check(v: u128) {
        let root = u128::from(icbrt(v));
        assert!(root * root * root <= v, "{v}");
        let next = root + 1;
        assert!((next * next).checked_mul(next).is_none_or(|cube| cube > v), "{v}");
    }

    #[test]
    fn small_values_cubes_and_their_neighbours() {
        (0..100_000).for_each(check);
        for root in (1..5000u128).chain((0..42).map(|bit| 1 << bit)) {
            let cube = root * root * root;
            assert_eq!([icbrt(cube - 1), icbrt(cube)].map(u128::from), [root - 1, root]);
        }
        assert_eq!(icbrt(u128::MAX), 6_981_463_658_331);
        check(u128::MAX);
    }

    proptest! {
        #[test]
        fn floor(v: u128, cut in 0..128u32) {
            check(v >> cut);
        }
    }
}

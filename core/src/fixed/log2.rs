//! The base-2 logarithm of a count.

/// Fractional bits of [`log2`].
pub const LOG2_FRAC: u32 = 26;

/// `log2(n)` in units of 2^-26, rounded down; `n = 0` is taken as 1. Below 2^31 for every `n`.
///
/// One bit at a time: a number in 1..2 is squared, and where the square reaches 2 the bit is 1 and the square
/// is halved. The number has 63 fractional bits and loses less than the last one of them in each of 26 steps,
/// which together lower the logarithm by less than 2^-61: so the error is below 1 unit (and 2^-35 of one).
/// Exact for powers of two.
pub const fn log2(n: u32) -> i32 {
    let n = if n == 0 { 1 } else { n };
    let mut fraction = (n as u64).wrapping_shl((n as u64).leading_zeros());
    let mut log = n.ilog2();
    let mut bit = 0;
    while bit < LOG2_FRAC {
        let square = (fraction as u128).wrapping_mul(fraction as u128);
        // 126 fractional bits: of 128 bits the upper one says whether the square is 2 or more.
        let carry = square.wrapping_shr(127) as u32;
        fraction = square.wrapping_shr(63u32.wrapping_add(carry)) as u64;
        log = log.wrapping_shl(1) | carry;
        bit = bit.wrapping_add(1);
    }
    log as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How far the logarithm is below the real one, in units. f64's own error is below 2^-20 of a unit.
    fn error(n: u32) -> f64 {
        libm::ldexp(libm::log2(f64::from(n.max(1))), LOG2_FRAC as i32) - f64::from(log2(n))
    }

    #[test]
    fn every_length_of_a_sequence_is_rounded_down_and_no_logarithm_falls() {
        let mut before = 0;
        for n in 0..70_000 {
            assert!((-1e-5..1.0).contains(&error(n)), "{n}");
            assert!(log2(n) >= before, "falls at {n}");
            before = log2(n);
        }
    }

    #[test]
    fn powers_of_two_are_exact_and_the_largest_fits() {
        for bit in 0..32 {
            assert_eq!(log2(1 << bit), bit << LOG2_FRAC);
        }
        assert_eq!((log2(0), log2(u32::MAX)), (0, i32::MAX));
    }

    proptest! {
        #[test]
        fn any_number(n: u32, cut in 0..32u32) {
            prop_assert!((-1e-5..1.0).contains(&error(n >> cut)));
        }
    }
}

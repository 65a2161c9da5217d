//! The exponential of softmaxes whose weights must be finer than [`exp2_neg`](super::exp2_neg)'s.

/// Fractional bits of [`exp2_fine`].
pub const EXP2_FINE_FRAC: u32 = 22;

/// 2^-(i / 16) in units of 2^-31.
const SIXTEENTHS: [u32; 16] = [
    2_147_483_648,
    2_056_437_387,
    1_969_251_188,
    1_885_761_398,
    1_805_811_301,
    1_729_250_827,
    1_655_936_265,
    1_585_730_000,
    1_518_500_250,
    1_454_120_821,
    1_392_470_869,
    1_333_434_672,
    1_276_901_417,
    1_222_764_986,
    1_170_923_762,
    1_121_280_436,
];

/// (ln 2 / 16)^k / k! for k = 1 to 4, in units of 2^-32: the series of 2^-(u / 16), whose next term is below
/// 2^-29.
const SERIES: [u64; 4] = [186_065_279, 4_030_332, 58_200, 630];

/// `2^-(t * 2^-16)` in units of 2^-22, rounded; 2^22 for 0, and 0 from 23 on (exclusive: 2^-23 is half a
/// unit, and 1).
///
/// A sixteenth from a table, the rest of the exponent by a power series. Error: at most 0.51 units. Never
/// rises with `t`.
#[inline]
pub const fn exp2_fine(t: u32) -> u32 {
    let whole = t >> 16;
    if whole > EXP2_FINE_FRAC + 1 {
        return 0;
    }
    // The offset u within the sixteenth, unit 2^-12.
    let u = (t & 0xfff) as u64;
    let [a, b, c, d] = SERIES;
    // Each bracket falls in u and stays positive, since each coefficient is far below the one before.
    let inner = c - ((d * u) >> 12);
    let inner = b - ((inner * u) >> 12);
    let inner = a - ((inner * u) >> 12);
    let series = (1 << 32) - ((inner * u) >> 12);
    // At most 2^63.
    let product = SIXTEENTHS[((t >> 12) & 15) as usize] as u64 * series;
    (((product >> (62 - EXP2_FINE_FRAC + whole)) + 1) >> 1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every argument whose result is not 0, and the first ones where it is.
    #[test]
    fn every_argument_is_close_and_none_rises() {
        let mut before = 1 << EXP2_FINE_FRAC;
        let mut worst = 0f64;
        for t in 0..25 << 16 {
            let value = exp2_fine(t);
            assert!(value <= before, "rises at {t}");
            before = value;
            let exact = libm::exp2(22.0 - f64::from(t) / 65536.0);
            worst = worst.max((f64::from(value) - exact).abs());
        }
        assert!((0.49..=0.51).contains(&worst), "{worst}");
    }

    #[test]
    fn ends() {
        assert_eq!((exp2_fine(0), exp2_fine(1 << 16), exp2_fine(22 << 16)), (1 << 22, 1 << 21, 1));
        assert_eq!((exp2_fine(23 << 16), exp2_fine((23 << 16) + 64)), (1, 0));
        assert_eq!((exp2_fine(24 << 16), exp2_fine(u32::MAX)), (0, 0));
    }
}

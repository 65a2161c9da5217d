//! Sine and cosine of a phase.

use super::tables::{COS_SERIES, SIN_SERIES};

/// `(sin, cos)` of `phase`, 2^32 being one full turn; outputs in units of 2^-30, so 1 is `1 << 30`.
///
/// The phase is reduced to an eighth of a turn either side of the nearest quarter, where both power series,
/// in units of 2^-32, are cut where the next term is below 2^-37. Exact at quarter turns. Error: at most 1.0
/// units for the sine and 1.27 for the cosine (2^-29.6), over all 2^32 phases.
pub const fn sin_cos(phase: u32) -> (i32, i32) {
    let quarter = phase.wrapping_add(1 << 29) >> 30;
    // In units of an eighth of a turn this is x * 2^-29, |x| <= 2^29.
    let x = phase.wrapping_sub(quarter << 30) as i32 as i64;
    let square = (x.wrapping_mul(x) as u64) >> 26;
    let sine_by_x = alternating(&SIN_SERIES, square) as i64;
    let sine = (x.wrapping_mul(sine_by_x).wrapping_add(1 << 30) >> 31) as i32;
    let cosine = (alternating(&COS_SERIES, square).wrapping_add(2) >> 2) as i32;
    match quarter & 3 {
        0 => (sine, cosine),
        1 => (cosine, sine.wrapping_neg()),
        2 => (sine.wrapping_neg(), cosine.wrapping_neg()),
        _ => (cosine.wrapping_neg(), sine),
    }
}

/// `c[0] - u*(c[1] - u*(c[2] - ...))`, all in units of 2^-32, `u` at most 1. Coefficients after the first
/// must be below 1/2 and fall, so that every product fits 64 bits and no difference is negative.
const fn alternating(coefficients: &[u64], u: u64) -> u64 {
    let mut rest = coefficients;
    let mut sum = 0u64;
    while let [head @ .., last] = rest {
        sum = last.wrapping_sub(sum.wrapping_mul(u) >> 32);
        rest = head;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: i32 = 1 << 30;
    const WORST: f64 = 1.27;

    /// The larger error of the two, in units of 2^-30.
    fn error(phase: u32) -> f64 {
        let angle = f64::from(phase) * core::f64::consts::TAU / 4_294_967_296.0;
        let (sine, cosine) = sin_cos(phase);
        let one = f64::from(ONE);
        f64::max(
            (f64::from(sine) - libm::sin(angle) * one).abs(),
            (f64::from(cosine) - libm::cos(angle) * one).abs(),
        )
    }

    #[test]
    fn quarter_turns_are_exact() {
        assert_eq!(sin_cos(0), (0, ONE));
        assert_eq!(sin_cos(1 << 30), (ONE, 0));
        assert_eq!(sin_cos(2 << 30), (0, -ONE));
        assert_eq!(sin_cos(3 << 30), (-ONE, 0));
    }

    #[test]
    fn worst_error_on_a_grid_of_a_million_phases() {
        let worst = (0..1u32 << 20).map(|i| error(i << 12 | i >> 8)).fold(0.0, f64::max);
        assert!((1.1..=WORST).contains(&worst), "{worst}");
    }

    #[test]
    fn around_every_eighth_of_a_turn() {
        for eighth in 0..8u32 {
            for near in -2000..2000i32 {
                let phase = (eighth << 29).wrapping_add_signed(near);
                assert!(error(phase) <= WORST, "{phase}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_phase(phase: u32) {
            prop_assert!(error(phase) <= WORST);
        }
    }
}

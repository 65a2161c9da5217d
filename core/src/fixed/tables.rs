//! The fitted constants, and their checks against the functions that they stand for.
//!
//! Cubic coefficients are minimax fits per segment, rounded to integers and then searched in their
//! neighbourhood for the smallest error of the whole integer evaluation.

use super::cubic::Cubic16;

/// `a * Phi(-a)` for `a` in 0..6: argument unit 2^-17, so the finer segments are 1/4 wide and the coarser
/// 1/2.
#[rustfmt::skip]
pub const GELU_TAIL: Cubic16 = Cubic16 {
    c: [
        [52_596, -39_889, -12_456, -252],
        [80_880, -17_340, -10_222, -720],
        [89_113, -91, -7_138, -1_002],
        [83_182, 10_915, -3_935, -1_047],
        [69_240, 16_061, -1_229, -889],
        [52_540, 16_689, 629, -617],
        [36_755, 14_522, 1_592, -328],
        [23_856, 11_159, 1_831, -90],
        [8_141, 9_801, 5_139, 777],
        [2_122, 3_159, 1_895, 964],
        [426, 768, 452, 477],
        [66, 144, 71, 146],
        [8, 21, 5, 33],
        [-2, 3, 0, 13],
        [1, 1, 0, 1],
        [1, 1, 0, 0],
    ],
};

/// `1 / (1 + e^a)` for `a` in 0..12: argument unit 2^-16, so the finer segments are 1/2 wide and the coarser
/// 1.
#[rustfmt::skip]
pub const SIGMOID_TAIL: Cubic16 = Cubic16 {
    c: [
        [197_943, 61_574, 3_917, -1_287],
        [141_006, 51_491, 6_192, -745],
        [95_646, 39_059, 6_389, -88],
        [62_498, 27_505, 5_325, 318],
        [39_772, 18_372, 3_915, 439],
        [24_865, 11_849, 2_652, 407],
        [15_368, 7_466, 1_723, 309],
        [9_430, 4_635, 1_091, 213],
        [3_508, 3_534, 1_486, 902],
        [1_296, 1_314, 544, 356],
        [477, 486, 202, 132],
        [176, 179, 71, 53],
        [65, 65, 28, 19],
        [23, 28, 7, 7],
        [9, 9, 4, 3],
        [3, 4, 6, -3],
    ],
};

/// `A, B, C, D` of `2^-f ~ A - f*(B - f*(C - f*D))` in units of 2^-16; see [`exp2_neg`](super::exp2_neg). `A`
/// is given; the other three have the smallest relative error of the integer evaluation over its 2048
/// arguments.
pub const EXP2_COEFFICIENTS: [u16; 4] = [65534, 45323, 15148, 2596];

/// `(pi/4)^(2k+1) / (2k+1)!` in units of 2^-32: the series of `sin(x * pi/4) / x` in powers of `-x^2`.
pub(super) const SIN_SERIES: [u64; 6] = [3_373_259_426, 346_799_334, 10_696_163, 157_094, 1_346, 8];

/// `(pi/4)^2k / (2k)!` in units of 2^-32: the series of `cos(x * pi/4)` in powers of `-x^2`.
pub(super) const COS_SERIES: [u64; 7] = [4_294_967_296, 1_324_675_879, 68_093_890, 1_400_124, 15_423, 106, 0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::cubic;

    fn gelu_tail(a: f64) -> f64 {
        a * libm::erfc(a / core::f64::consts::SQRT_2) / 2.0
    }

    fn sigmoid_tail(a: f64) -> f64 {
        1.0 / (1.0 + libm::exp(a))
    }

    /// The worst error of every segment, over all of its arguments, in units of 2^-16.
    fn errors(table: &Cubic16, unit: f64, exact: fn(f64) -> f64) -> [f64; 16] {
        let mut worst = [0.0; 16];
        for x in 0..cubic::DOMAIN {
            let (segment, _) = cubic::locate(x);
            let error = (f64::from(table.eval(x)) - exact(f64::from(x) * unit) * 65536.0).abs();
            worst[segment] = f64::max(worst[segment], error);
        }
        worst
    }

    /// Half a unit is the last rounding's; what the cubic adds is largest in the first coarse segment.
    fn check(worst: [f64; 16], stated: f64) {
        for (segment, error) in worst.iter().enumerate() {
            let limit = if segment == 8 { stated } else { 0.74 };
            assert!(*error <= limit, "segment {segment}: {error}");
        }
        assert!(worst[8] > stated - 0.01, "the stated error is no longer the worst: {}", worst[8]);
    }

    #[test]
    fn gelu_tail_segments() {
        check(errors(&GELU_TAIL, libm::exp2(-17.0), gelu_tail), 0.86);
    }

    #[test]
    fn sigmoid_tail_segments() {
        check(errors(&SIGMOID_TAIL, libm::exp2(-16.0), sigmoid_tail), 0.81);
    }

    #[test]
    fn series_are_rounded_to_nearest() {
        let mut term = 4_294_967_296.0;
        for n in 0..13 {
            let coefficient = if n % 2 == 0 { COS_SERIES[n / 2] } else { SIN_SERIES[n / 2] };
            assert!((coefficient as f64 - term).abs() <= 0.5 + 1e-5, "order {n}");
            term *= core::f64::consts::FRAC_PI_4 / (n + 1) as f64;
        }
    }

    #[test]
    fn exp2_coefficients_are_a_local_optimum() {
        let worst = |[a, b, c, d]: [u16; 4]| {
            let relative = |i: u16| {
                let mantissa = crate::fixed::exp2::cubic([a, b, c, d], i << 5);
                (f64::from(mantissa) / (65534.0 * libm::exp2(-f64::from(i) / 2048.0)) - 1.0).abs()
            };
            (0..2048).map(relative).fold(0.0, f64::max)
        };
        let [a, b, c, d] = EXP2_COEFFICIENTS;
        let here = worst(EXP2_COEFFICIENTS);
        for step in 0..125u16 {
            let near = [a, b + step % 5 - 2, c + step / 5 % 5 - 2, d + step / 25 - 2];
            assert!(worst(near) >= here, "{near:?}");
        }
    }
}

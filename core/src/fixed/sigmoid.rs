//! The logistic function.

use super::tables::SIGMOID_TAIL;

/// From here on `1 / (1 + e^a)` is below half a unit of 2^-16.
const TAIL_END: u32 = 12 << 16;

/// `1 / (1 + e^-x)`; input in units of 2^-16, any i32; output in units of 2^-16, in `0..=65536`.
///
/// The lower half comes from the cubics of [`SIGMOID_TAIL`] on `|x| < 12` (0 beyond), the upper one from
/// `sigmoid(-x) = 65536 - sigmoid(x)`, which holds exactly. Monotone over all of i32. Error: at most 0.801
/// units (1.23e-5), of which half a unit is the output's rounding.
#[inline(always)]
pub const fn sigmoid(x: i32) -> i32 {
    sigmoid_of_tail(x, SIGMOID_TAIL.eval(sigmoid_tail_at(x)))
}

/// Where [`sigmoid`] needs [`SIGMOID_TAIL`].
#[inline(always)]
pub(crate) const fn sigmoid_tail_at(x: i32) -> i32 {
    let magnitude = x.unsigned_abs();
    (if magnitude < TAIL_END { magnitude } else { TAIL_END - 1 }) as i32
}

/// [`sigmoid`] from the tail there.
#[inline(always)]
pub(crate) const fn sigmoid_of_tail(x: i32, tail: i32) -> i32 {
    if x < 0 { tail } else { (1i32 << 16).wrapping_sub(tail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(x: i32) -> f64 {
        (f64::from(sigmoid(x)) - 65536.0 / (1.0 + libm::exp(-f64::from(x) / 65536.0))).abs()
    }

    #[test]
    fn worst_error_and_monotonicity_over_every_input_with_a_tail() {
        let end = TAIL_END as i32 + 1000;
        let (mut worst, mut previous) = (0.0, 0);
        for x in -end..=end {
            worst = f64::max(worst, error(x));
            assert!(sigmoid(x) >= previous, "falls at {x}");
            previous = sigmoid(x);
        }
        assert!((0.79..=0.801).contains(&worst), "{worst}");
        assert_eq!(previous, 65536);
    }

    #[test]
    fn ends_and_centre() {
        assert_eq!((sigmoid(i32::MIN), sigmoid(0), sigmoid(i32::MAX)), (0, 32768, 65536));
    }

    proptest! {
        #[test]
        fn any_input(x: i32, cut in 0..32u32) {
            let x = x >> cut;
            prop_assert!(error(x) <= 0.801);
            prop_assert!((0..=65536).contains(&sigmoid(x)));
            prop_assert_eq!(sigmoid(x.saturating_neg()), 65536 - sigmoid(x));
        }
    }
}

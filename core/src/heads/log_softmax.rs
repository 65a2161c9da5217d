//! Logarithms of the probabilities that logits stand for.

use crate::fixed::{EXP2_FINE_FRAC, LOG2_FRAC, exp2_fine, log2};
use crate::units::ACTIVATION_FRAC;

/// log2(e), unit 2^-30.
const LOG2_E: u64 = 1_549_082_005;

/// ln(2), unit 2^-32.
const LN_2: u64 = 2_977_044_472;

/// Fills `out` with the natural logarithm of each logit's softmax, at most 0; both in units of 2^-16.
///
/// `log_softmax(x)[i] = x[i] - m - ln(sum over j of exp(x[j] - m))` with `m` the largest logit. A share
/// `exp(x[j] - m)` has 22 fractional bits and is within 0.52 units of 2^-22 and a relative error of 2^-17;
/// sums are exact, so that no order of tokens can matter. With up to 1,023 logits the error is below 2 units
/// for 33 of them and 18 for all; what is below -32,768 is -32,768 (`i32::MIN`).
///
/// ```
/// let mut log_probabilities = [0; 3];
/// foldpoint_core::esm::log_softmax(&[0, 0, -(40 << 16)], &mut log_probabilities);
/// assert_eq!(log_probabilities, [-45_426, -45_426, -45_426 - (40 << 16)]); // ln(1/2) * 2^16
/// ```
pub fn log_softmax(logits: &[i32], out: &mut [i32]) {
    let largest = logits.iter().copied().max().unwrap_or(0);
    let shares = logits.iter().map(|logit| {
        // Below 2^32 * 1.45: beyond 24 there is nothing left of a share.
        let below = u64::from(largest.abs_diff(*logit)).wrapping_mul(LOG2_E);
        let below = below.wrapping_add(1 << 29) >> 30;
        exp2_fine(u32::try_from(below).unwrap_or(u32::MAX))
    });
    let total = shares.fold(0u32, u32::saturating_add);
    // The largest logit's own share is 1, so that the sum's logarithm isn't negative.
    let log = log2(total).saturating_sub((EXP2_FINE_FRAC << LOG2_FRAC) as i32).max(0);
    const DOWN: u32 = LOG2_FRAC + 32 - ACTIVATION_FRAC;
    let log = (log as u64).wrapping_mul(LN_2).wrapping_add(1 << (DOWN - 1)) >> DOWN;
    for (out, &logit) in out.iter_mut().zip(logits) {
        let below = i64::from(logit).wrapping_sub(largest.into()).wrapping_sub(log as i64);
        *out = i32::try_from(below).unwrap_or(i32::MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// Of all logits, in floats.
    fn exact(logits: &[i32]) -> Vec<f64> {
        let largest = f64::from(*logits.iter().max().unwrap());
        let sum: f64 = logits.iter().map(|&x| libm::exp((f64::from(x) - largest) / 65536.0)).sum();
        logits.iter().map(|&x| f64::from(x) - largest - libm::log(sum) * 65536.0).collect()
    }

    #[test]
    fn ends() {
        let mut out = [7; 2];
        log_softmax(&[], &mut []);
        log_softmax(&[i32::MIN], &mut out[..1]);
        assert_eq!(out, [0, 7]);
        log_softmax(&[i32::MIN, i32::MAX], &mut out);
        assert_eq!(out, [i32::MIN, 0]);
        let mut out = vec![0; 1023];
        log_softmax(&[i32::MAX; 1023], &mut out);
        assert!(out.iter().all(|&log| (log + 454_197).abs() <= 1), "{}", out[0]);
    }

    proptest! {
        #[test]
        fn close_to_the_real_one(
            logits in prop::collection::vec(-(30 << 16)..30 << 16, 1..34),
            cut in 0..20u32,
        ) {
            let logits: Vec<i32> = logits.iter().map(|logit| logit >> cut).collect();
            let mut out = vec![0; logits.len()];
            log_softmax(&logits, &mut out);
            for (found, exact) in out.iter().zip(exact(&logits)) {
                prop_assert!((f64::from(*found) - exact).abs() < 2.0, "{found} {exact}");
            }
        }

        #[test]
        fn an_order_of_logits_is_kept(logits in prop::collection::vec(any::<i32>(), 1..1024)) {
            let mut out = vec![0; logits.len()];
            log_softmax(&logits, &mut out);
            for (a, b) in (0..logits.len()).zip(1..logits.len()) {
                prop_assert!(out[a].cmp(&out[b]) == logits[a].cmp(&logits[b]) || out[a].min(out[b]) == i32::MIN);
            }
            prop_assert!(out.iter().all(|&log| log <= 0));
        }
    }
}

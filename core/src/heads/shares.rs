//! Softmax over bins, and expectations under it.

use crate::fixed::exp2_fine;

/// For `M` quantities at once: the sums over the bins k of share(k) * values(k)\[m\], and the sum of all
/// shares.
///
/// `logits` are in units of 2^-16 log2; a share is `2^(logit - largest)` in units of 2^-22. Exact sums, so
/// that no order of bins can matter. With up to 64 bins and values up to 2^30 a sum is at most 2^58.
pub fn sums<const M: usize>(logits: &[i32], values: impl Fn(usize) -> [u32; M]) -> ([u64; M], u64) {
    let largest = logits.iter().copied().max().unwrap_or(0);
    let (mut sums, mut total) = ([0u64; M], 0u64);
    for (bin, &logit) in logits.iter().enumerate() {
        let share = u64::from(exp2_fine(largest.abs_diff(logit)));
        total = total.saturating_add(share);
        for (sum, value) in sums.iter_mut().zip(values(bin)) {
            *sum = sum.saturating_add(share.saturating_mul(value.into()));
        }
    }
    (sums, total)
}

/// `sum / count` to the nearest integer, half up; 0 of nothing.
pub const fn mean(sum: u64, count: u64) -> u64 {
    match sum.saturating_add(count / 2).checked_div(count) {
        Some(mean) => mean,
        None => 0,
    }
}

/// The mean of the bins' centres, (k + 0.5) / bins, under the softmax of `logits`, units of 2^-16 log2: unit
/// 2^-16, rounded half up, at most 65535.
pub fn mean_of_bins(logits: &[i32]) -> u16 {
    // A centre is (2 k + 1) / (2 bins).
    let ([sum], total) = sums(logits, |bin| [(2 * bin as u32 + 1) << 16]);
    mean(sum, total.saturating_mul(2 * logits.len() as u64)).min(u16::MAX.into()) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_certain_bin_has_all_of_the_share_and_equal_ones_halves() {
        let value = |bin: usize| [bin as u32];
        let (sums, total) = super::sums(&[i32::MIN, 0, i32::MAX], value);
        assert_eq!(mean(sums[0], total), 2);
        let (sums, total) = super::sums(&[5, -(60 << 16), 5], |bin| [100 * bin as u32]);
        assert_eq!(mean(sums[0], total), 100);
        assert_eq!(super::sums(&[], value), ([0], 0));
    }

    #[test]
    fn means_round_half_up_and_nothing_is_zero() {
        assert_eq!([mean(5, 2), mean(4, 3), mean(5, 3), mean(7, 0)], [3, 1, 2, 0]);
    }

    proptest! {
        #[test]
        fn an_expectation_is_that_of_the_real_softmax(
            logits in prop::collection::vec(-(20 << 16)..20 << 16, 1..65),
            values in prop::collection::vec(0..=1u32 << 30, 64),
        ) {
            let (sums, total) = super::sums(&logits, |bin| [values[bin]]);
            let largest = *logits.iter().max().unwrap();
            let share = |&logit: &i32| libm::exp2(f64::from(logit - largest) / 65536.0);
            let exact: f64 = logits.iter().zip(&values).map(|(logit, &value)| share(logit) * f64::from(value)).sum();
            let exact = exact / logits.iter().map(share).sum::<f64>();
            // Each of 64 shares is off by at most 2^-22 of the largest.
            let bound = libm::exp2(30.0 - 22.0) * logits.len() as f64 + 1.0;
            prop_assert!((mean(sums[0], total) as f64 - exact).abs() <= bound);
        }

        #[test]
        fn any_logits(logits in prop::collection::vec(any::<i32>(), 0..65)) {
            let (sums, total) = super::sums(&logits, |_| [1 << 30, 0]);
            prop_assert_eq!(mean(sums[0], total), if logits.is_empty() { 0 } else { 1 << 30 });
            prop_assert_eq!(sums[1], 0);
        }
    }
}

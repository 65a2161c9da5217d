//! Integer division to nearest.

/// `n / d` to the nearest integer, half away from zero; `d <= 0` is taken as 1. Error: at most 1/2.
pub const fn div_round(n: i64, d: i64) -> i64 {
    let divisor = if d <= 0 { 1 } else { d as u64 };
    let magnitude = nearest(n.unsigned_abs(), divisor);
    // A magnitude of 2^63 belongs to n = i64::MIN alone, and wraps to itself.
    if n < 0 { (magnitude as i64).wrapping_neg() } else { magnitude as i64 }
}

/// `n / d` to the nearest integer, half up, for `n + d/2` below 2^64; `n` itself for `d = 0`.
pub(super) const fn nearest(n: u64, d: u64) -> u64 {
    divide(n.wrapping_add(d >> 1), d)
}

/// The floor of `n / d`; `n` for `d = 0`, so that no division can trap, whatever the optimiser proves.
pub(super) const fn divide(n: u64, d: u64) -> u64 {
    match n.checked_div(d) {
        Some(quotient) => quotient,
        None => n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Twice the distance is at most the divisor, and a tie goes away from zero.
    fn check(n: i64, d: i64) {
        let q = i128::from(div_round(n, d));
        let (n, d) = (i128::from(n), i128::from(d.max(1)));
        let rest = 2 * (n - q * d);
        assert!(rest.abs() <= d, "{n} {d} {q}");
        assert!(rest.abs() < d || q.abs() * d > n.abs(), "tie toward zero: {n} {d} {q}");
    }

    #[test]
    fn all_small_pairs_and_extremes() {
        for n in -300..=300 {
            for d in -2..=40 {
                check(n, d);
            }
        }
        for n in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX] {
            for d in [i64::MIN, 0, 1, 2, 3, i64::MAX - 1, i64::MAX] {
                check(n, d);
            }
        }
        assert_eq!((div_round(5, 2), div_round(-5, 2), div_round(7, -3)), (3, -3, 7));
    }

    proptest! {
        #[test]
        fn nearest(n: i64, d: i64, a in 0..63u32, b in 0..63u32) {
            check(n >> a, d >> b);
        }
    }
}

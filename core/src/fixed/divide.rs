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

/// A divisor of many numbers, most of them far below 2^64 divided by it: those are multiplied by its
/// reciprocal, which is faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divisor {
    divisor: u64,
    /// 2^64 divided by the divisor, rounded up; 0 for 1.
    reciprocal: u64,
}

impl Divisor {
    /// 0 is taken as 1.
    pub const fn new(divisor: u64) -> Self {
        let divisor = if divisor == 0 { 1 } else { divisor };
        Self { divisor, reciprocal: divide(u64::MAX, divisor).wrapping_add(1) }
    }

    /// The divisor.
    pub const fn get(self) -> u64 {
        self.divisor
    }

    /// The floor of `n / divisor`.
    #[inline(always)]
    pub const fn divide(self, n: u64) -> u64 {
        // The reciprocal is too large by less than 1, the product by less than n. While n times the divisor
        // is below 2^64, that is less than the divisor's part of 2^64: too little to reach the next quotient.
        if n < self.reciprocal {
            (n as u128).wrapping_mul(self.reciprocal as u128).wrapping_shr(64) as u64
        } else if self.divisor == 1 {
            n
        } else {
            divide(n, self.divisor)
        }
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

    #[test]
    fn divisors_at_their_edges() {
        for d in (0..64).flat_map(|bit| [1, (1 << bit) + 1, u64::MAX >> bit, 1 << bit]) {
            let (divisor, end) = (Divisor::new(d), u64::MAX / d);
            // Multiples, where the reciprocal serves and where it doesn't, and their neighbours.
            for n in [0, 1, 2, end / d, (end / d).saturating_add(1), end - 1, end]
                .map(|q| q * d.min(u64::MAX / q.max(1)))
            {
                for n in [n.saturating_sub(1), n, n.saturating_add(1), end - 1, end, end.saturating_add(1)] {
                    assert_eq!(divisor.divide(n), n / d, "{n} {d}");
                }
            }
        }
        assert_eq!((Divisor::new(0).get(), Divisor::new(0).divide(7)), (1, 7));
    }

    proptest! {
        #[test]
        fn divisors(n: u64, d: u64, a in 0..64u32, b in 0..64u32) {
            let (n, d) = (n >> a, (d >> b).max(1));
            prop_assert_eq!(Divisor::new(d).divide(n), n / d);
        }

        #[test]
        fn nearest(n: i64, d: i64, a in 0..63u32, b in 0..63u32) {
            check(n >> a, d >> b);
        }
    }
}

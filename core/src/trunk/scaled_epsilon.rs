//! The epsilon of a LayerNorm that reads another unit.

/// `epsilon` in squares of a unit that is `2^exponent` times as large.
pub fn scaled_epsilon(epsilon: u64, exponent: i32) -> u64 {
    let places = 2 * exponent;
    if places >= 0 {
        epsilon.checked_shr(places as u32).unwrap_or(0)
    } else if places.unsigned_abs() > epsilon.leading_zeros() {
        u64::MAX
    } else {
        epsilon << places.unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_follows_the_unit() {
        assert_eq!(
            [scaled_epsilon(1000, 2), scaled_epsilon(1000, -2), scaled_epsilon(9, 0)],
            [62, 16_000, 9]
        );
        assert_eq!(
            [scaled_epsilon(1 << 40, -20), scaled_epsilon(1, 40), scaled_epsilon(1, 32)],
            [u64::MAX, 0, 0]
        );
        assert_eq!(scaled_epsilon(0, -40), u64::MAX);
    }
}

//! Rotary frequencies: how far a pair of channels turns from one position to the next.

/// Base of the frequencies in every published ESM-2.
pub const BASE: f64 = 10000.0;

/// A position at which errors of frequencies are told: the end of the longest sequences seen in training.
const FAR: f64 = 1024.0;

/// Half of a half-precision number's last bit, relative to the number.
const HALF_ROUNDING: f64 = 1.0 / 2048.0;
/// Half of the last bit of half-precision numbers that are too small for a full mantissa.
const SMALL_ROUNDING: f64 = 1.0 / 33_554_432.0;

/// The frequencies of `width` channels, in radians: BASE^(-2i / width).
pub fn exact(width: usize) -> Vec<f64> {
    (0..width / 2).map(|i| BASE.powf(-2.0 * i as f64 / width as f64)).collect()
}

/// What to say about `stored` frequencies that are further from the exact ones than rounding to half
/// precision takes them, which is how published checkpoints hold them.
pub fn deviation(stored: &[f64]) -> Option<String> {
    let exact = exact(2 * stored.len());
    let rounding = |value: f64| (value * HALF_ROUNDING).max(SMALL_ROUNDING) * 1.001;
    let off = stored.iter().zip(&exact).filter(|(s, e)| (*s - *e).abs() > rounding(**e)).count();
    if off == 0 {
        return None;
    }
    let (index, radians) = stored
        .iter()
        .zip(&exact)
        .map(|(stored, exact)| (stored - exact).abs() * FAR)
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(format!(
        "{off} of {} stored rotary frequencies are further from 10000^(-2i/{}) than half precision rounds them: by up to \
         {radians:.3} radians ({:.1} degrees) at position 1,024, in pair {index}; the stored ones are used, as PyTorch does. \
         Tables that were converted to bfloat16 look so",
        stored.len(),
        2 * stored.len(),
        radians.to_degrees()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    #[test]
    fn rounding_to_half_precision_is_no_deviation_and_to_bfloat16_is_one() {
        for width in [16, 24, 32, 64, 128] {
            let exact = exact(width);
            assert_eq!(deviation(&exact), None);
            let half: Vec<f64> = exact.iter().map(|&f| f16::from_f64(f).to_f64()).collect();
            assert_eq!(deviation(&half), None, "{width}");
            let brain: Vec<f64> = exact.iter().map(|&f| bf16::from_f64(f).to_f64()).collect();
            assert!(deviation(&brain).is_some(), "{width}");
        }
    }

    #[test]
    fn the_error_of_phase_is_told_at_position_1024() {
        let mut frequencies = exact(16);
        frequencies[1] += 0.001;
        let text = deviation(&frequencies).unwrap();
        assert!(text.starts_with("1 of 8 stored rotary frequencies"), "{text}");
        assert!(text.contains("1.024 radians (58.7 degrees) at position 1,024, in pair 1"), "{text}");
    }
}

//! Hidden states as embeddings of residues and of whole sequences.

use crate::engine::{FRACTION_BITS, decode};

/// Rows of the residues `[L, width]` of a hidden state `[L + 2, width]`, without `<cls>` and `<eos>`.
pub fn residues(hidden: &[i32], length: usize, width: usize) -> &[i32] {
    &hidden[width..(length + 1) * width]
}

/// Integers in units of 2^-16 as floats.
pub fn to_floats(values: &[i32]) -> Vec<f32> {
    values.iter().map(|&v| decode(v)).collect()
}

/// Mean over the rows of `[L, width]`: exact sums, one rounding.
pub fn mean(rows: &[i32], width: usize) -> Vec<f32> {
    let mut sums = vec![0i64; width];
    for row in rows.chunks_exact(width) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += i64::from(value);
        }
    }
    let scale = (rows.len() / width.max(1)).max(1) as f64 * f64::from(1u32 << FRACTION_BITS);
    sums.into_iter().map(|sum| (sum as f64 / scale) as f32).collect()
}

/// The row of `<cls>`, the token before the residues, of a hidden state `[L + 2, width]`.
pub fn cls(hidden: &[i32], width: usize) -> &[i32] {
    &hidden[..width]
}

/// Which hidden states an option asks for: `last`, `all`, or numbers, or several of them separated by commas.
/// Negative numbers count from the last, which is -1. In ascending order, each once.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_layers(text: &str, layers: usize) -> Result<Vec<usize>, String> {
    let number = |text: &str| match text.strip_prefix('-') {
        Some(from_last) => (layers + 1).checked_sub(digits(from_last).filter(|&n| n > 0)?),
        None => digits(text).filter(|&n| n <= layers),
    };
    let mut chosen = Vec::new();
    for part in text.split(',').map(str::trim) {
        match part {
            "all" => chosen.extend(0..=layers),
            "last" => chosen.push(layers),
            other => chosen.push(number(other).ok_or_else(|| {
                format!(
                    "layer `{other}`: expected `last`, `all`, a number from 0 (the embedding) to {layers} (the last), or \
                     one counted from the last, from -{} (the embedding) to -1 (the last)",
                    layers + 1
                )
            })?),
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// A number of digits alone, without a sign.
fn digits(text: &str) -> Option<usize> {
    text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_means() {
        let hidden = [9, 9, 65536, 0, 3 * 65536, -65536, 9, 9];
        let rows = residues(&hidden, 2, 2);
        assert_eq!(to_floats(rows), [1.0, 0.0, 3.0, -1.0]);
        assert_eq!(mean(rows, 2), [2.0, -0.5]);
        assert_eq!(to_floats(cls(&[65536, 0, 7, 7], 2)), [1.0, 0.0]);
    }

    #[test]
    fn layers() {
        assert_eq!(parse_layers("last", 6), Ok(vec![6]));
        assert_eq!(parse_layers("all", 2), Ok(vec![0, 1, 2]));
        assert_eq!(parse_layers("3, 0,last,3", 6), Ok(vec![0, 3, 6]));
        assert_eq!(parse_layers("-1", 6), Ok(vec![6]));
        assert_eq!(parse_layers("-1,-2, -7", 6), Ok(vec![0, 5, 6]));
        assert_eq!(parse_layers("-1,last,6", 6), Ok(vec![6]));
        for bad in ["", "7", "-8", "-0", "-", "--1", "+1", "1.0", "-1-", "first", "1,,2", "0-6", "-o"] {
            let error = parse_layers(bad, 6).expect_err(bad);
            assert!(error.contains("from 0 (the embedding) to 6 (the last)"), "{error}");
            assert!(error.contains("from -7 (the embedding) to -1 (the last)"), "{error}");
        }
    }

    /// Hidden states lie below 2^15, and the largest half-precision float is 65504.
    #[test]
    fn half_precision_holds_every_value() {
        for value in [i32::MIN, i32::MAX, -1, 1, 0] {
            let float = to_floats(&[value])[0];
            let half = half::f16::from_f32(float);
            assert!(half.is_finite());
            assert!((half.to_f32() - float).abs() <= float.abs() / 2048.0 + 2f32.powi(-25), "{float} {half}");
        }
    }
}

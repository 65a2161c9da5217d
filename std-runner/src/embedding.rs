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

/// Which hidden states an option asks for: `last`, `all`, or numbers, or several of them separated by commas.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_layers(text: &str, layers: usize) -> Result<Vec<usize>, String> {
    let mut chosen = Vec::new();
    for part in text.split(',').map(str::trim) {
        match part {
            "all" => chosen.extend(0..=layers),
            "last" => chosen.push(layers),
            number => match number.parse() {
                Ok(n) if n <= layers => chosen.push(n),
                _ => {
                    return Err(format!(
                        "layer `{number}`: expected `last`, `all`, or a number from 0 to {layers}"
                    ));
                }
            },
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
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
    }

    #[test]
    fn layers() {
        assert_eq!(parse_layers("last", 6), Ok(vec![6]));
        assert_eq!(parse_layers("all", 2), Ok(vec![0, 1, 2]));
        assert_eq!(parse_layers("3, 0,last,3", 6), Ok(vec![0, 3, 6]));
        for bad in ["", "7", "-1", "first", "1,,2"] {
            let error = parse_layers(bad, 6).expect_err(bad);
            assert!(error.contains("from 0 to 6"), "{error}");
        }
    }
}

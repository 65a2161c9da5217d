//! The predicted aligned error as the AlphaFold database gives it, which ChimeraX and others draw.

use std::io::{self, Write};

/// The largest predicted aligned error that there can be, the centre of its last bin, in ångström.
const MAX_ALIGNED_ERROR: &str = "31.75";

/// Writes a matrix `[length, length]` of predicted aligned errors in ångström, aligned residue first:
/// `[{"predicted_aligned_error": [[...]], "max_predicted_aligned_error": 31.75}]`.
///
/// Written by hand, since two decimals are what a reader needs, and a matrix of 1,000 residues would be 20 MB of digits.
///
/// # Errors
/// The writer's, or [`io::ErrorKind::InvalidInput`] if `values` is no such matrix.
pub fn aligned_error_json(out: &mut dyn Write, values: &[f32], length: usize) -> io::Result<()> {
    if values.len() != length * length {
        let message = format!("{} values do not fill [{length}, {length}]", values.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    write!(out, "[{{\"predicted_aligned_error\":[")?;
    for (i, row) in values.chunks_exact(length.max(1)).enumerate() {
        write!(out, "{}[", if i == 0 { "" } else { "," })?;
        for (j, value) in row.iter().enumerate() {
            write!(out, "{}{value:.2}", if j == 0 { "" } else { "," })?;
        }
        write!(out, "]")?;
    }
    write!(out, "],\"max_predicted_aligned_error\":{MAX_ALIGNED_ERROR}}}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_alphafold_database() {
        let mut text = Vec::new();
        aligned_error_json(&mut text, &[0.25, 31.746, 4.0, 0.2501], 2).expect("in memory");
        let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!([{
                "predicted_aligned_error": [[0.25, 31.75], [4.0, 0.25]],
                "max_predicted_aligned_error": 31.75,
            }])
        );
        assert!(aligned_error_json(&mut text, &[0.0; 3], 2).is_err());
    }
}

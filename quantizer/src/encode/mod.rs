//! A calibrated checkpoint as a model file: the groups of the [table](crate::table), one after another.
//!
//! `encoder` writes a group of any model, given its weights; `esm` and `omegafold` give them.

mod compensate;
mod encoder;
mod error;
mod esm;
mod fold;
mod language_model;
mod linear;
mod metadata;
mod omegafold;
mod structure;
mod units;

use foldpoint_core::fixed::ACT_FRAC;

pub use crate::fixed::{multiplier, split, to_fixed};
pub use error::EncodeError;
pub use esm::{check, encode, groups};
pub use linear::{WeightCodes, quantize_weights};
pub use metadata::Provenance;
pub use omegafold::{check_omegafold, encode_omegafold};

/// Every value of a tensor in units of which `per_one` are 1; values beyond an i32, or no numbers, are
/// errors.
fn all_fixed(
    tensor: &str,
    values: impl IntoIterator<Item = f64>,
    per_one: f64,
) -> Result<Vec<i32>, EncodeError> {
    let limit = 31f64.exp2() / per_one;
    values
        .into_iter()
        .map(|value| {
            if value.abs() < limit {
                Ok((value * per_one).round() as i32)
            } else {
                Err(EncodeError::OutOfRange { tensor: tensor.to_owned(), value, limit })
            }
        })
        .collect()
}

/// What the names of a run's records begin with, the last made first: what
/// [`Work::remove`](crate::work::Work::remove) needs.
pub const RECORDS: [&str; 3] = ["rounded.", "folding", "language-model"];

/// Fractional bits of a stream's unit: as fine as lets magnitudes up to `range` stay below `limit` units, at
/// most [`ACT_FRAC`].
fn finest(stream: &str, range: f64, limit: i32) -> Result<u32, EncodeError> {
    // A level's steps are rounded up to whole units; 2% make room for that.
    let frac = (f64::from(limit) / (range.max(f64::MIN_POSITIVE) * 1.02)).log2().floor();
    if frac >= 0.0 {
        Ok(frac.min(f64::from(ACT_FRAC)) as u32)
    } else {
        Err(EncodeError::OutOfRange { tensor: stream.to_owned(), value: range, limit: limit.into() })
    }
}

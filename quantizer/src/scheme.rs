//! What a user may choose about a model file.

use std::fmt;

/// How the residual stream is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// Piecewise linear codes of this many bits (2 to 8).
    Piecewise(u32),
    /// Equal steps over the whole range, of this many bits (2 to 8): what piecewise codes are compared with.
    Uniform(u32),
    /// 16-bit codes.
    Wide,
}

impl fmt::Display for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Piecewise(bits) => write!(f, "{bits}-bit piecewise"),
            Self::Uniform(bits) => write!(f, "{bits}-bit uniform"),
            Self::Wide => f.write_str("16-bit"),
        }
    }
}

/// Everything that is chosen before calibration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scheme {
    /// The residual stream.
    pub residual: Residual,
    /// Share of a Linear's input channels that get a second limb, 0 to 1.
    pub outliers: f64,
    /// Whether the rounding errors of a row of weights make up for each other on the calibration inputs.
    pub compensate: bool,
    /// Part of the calibration values that the residual's range must hold, 0 to 1. Values beyond are clipped.
    pub percentile: f64,
    /// Factor from the calibration range to the stored range.
    pub headroom: f64,
}

impl Default for Scheme {
    fn default() -> Self {
        Self { residual: Residual::Wide, outliers: 0.05, compensate: true, percentile: 1.0, headroom: 1.25 }
    }
}

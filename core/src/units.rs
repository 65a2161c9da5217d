//! Units of what models return: a value `v` of a unit with `frac` fractional bits means `v / 2^frac`.

/// Hidden states, logits, and the distogram's natural logits: i32.
pub const ACTIVATION_FRAC: u32 = crate::fixed::ACT_FRAC;

/// Contact probabilities, pLDDT and TM-scores: u16, of which 65535 stands for 1.
pub const PROBABILITY_FRAC: u32 = 16;

/// Coordinates of atoms: i32, in angstroms.
pub const COORDINATE_FRAC: u32 = 16;

/// Predicted aligned errors: u16, in angstroms.
pub const ALIGNED_ERROR_FRAC: u32 = 11;

//! The units of what a model file holds.

use std::f64::consts::LOG2_E;

use foldpoint_core::fixed::ACT_FRAC;

use crate::fixed::{TRANSLATION_FRAC, per_one};
use crate::table::{Stream, Unit};

/// Fractional bits of the shares that hidden states have in the mix.
const SHARE_FRAC: u32 = 30;

/// Fractional bits of the representations, which follow from calibration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Units {
    pub language_model: u32,
    pub sequence: u32,
    pub node: u32,
    pub pair: u32,
}

impl Units {
    /// Fractional bits of a representation.
    pub fn frac(&self, stream: Stream) -> u32 {
        match stream {
            Stream::LanguageModel => self.language_model,
            Stream::Sequence => self.sequence,
            Stream::Node => self.node,
            Stream::Pair => self.pair,
        }
    }

    /// How many of `unit` are 1.
    pub fn per_one(&self, unit: Unit) -> f64 {
        let activation = per_one(ACT_FRAC);
        match unit {
            Unit::Own => 1.0,
            Unit::Activation => activation,
            Unit::Stream(stream) => per_one(self.frac(stream)),
            Unit::Log2 => activation * LOG2_E,
            Unit::Log2Third => activation * LOG2_E * (1.0f64 / 3.0).sqrt(),
            Unit::Translation => per_one(TRANSLATION_FRAC),
            Unit::Share => per_one(SHARE_FRAC),
        }
    }
}

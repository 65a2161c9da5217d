//! What a user may choose about a model file.

use std::fmt;

use foldpoint_core::kernels::linear::LIMB_BITS;

/// Largest `inputs + 128 * outliers` of a Linear: an accumulator holds no more.
const ACCUMULATOR: usize = 131_071;

/// How a residual stream is stored.
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

/// How the inputs of Linears are coded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activations {
    /// 8 bits; this share of the channels, 0 to 1, has a second limb.
    Outliers(f64),
    /// The same, but as `TwoLimbs` where the signal-to-noise ratio in calibration is below so many dB.
    AsNeeded {
        /// The share where 8 bits do.
        share: f64,
        /// The least ratio that they may have.
        decibel: f64,
    },
    /// All channels have two limbs, or as many as an accumulator can bear.
    TwoLimbs,
}

impl Activations {
    /// How many of a Linear's `inputs` channels get a second limb.
    pub fn outliers(self, inputs: usize) -> usize {
        let most = (ACCUMULATOR.saturating_sub(inputs) >> LIMB_BITS).min(inputs);
        match self {
            Self::Outliers(share) | Self::AsNeeded { share, .. } => {
                ((inputs as f64 * share).round() as usize).min(most)
            }
            Self::TwoLimbs => most,
        }
    }

    /// Whether the signal-to-noise ratio `snr` of 8 bits isn't enough.
    pub fn asks_for_two_limbs(self, snr: f64) -> bool {
        matches!(self, Self::AsNeeded { decibel, .. } if snr < decibel)
    }
}

impl fmt::Display for Activations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outliers(share) => write!(f, "8-bit, {}% in two limbs", 100.0 * share),
            Self::AsNeeded { share, decibel } => {
                write!(f, "{}, 16-bit where that is below {decibel} dB", Self::Outliers(*share))
            }
            Self::TwoLimbs => f.write_str("16-bit"),
        }
    }
}

/// A part of a model with choices of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From tokens to hidden states.
    LanguageModel,
    /// From hidden states to the sequence and the pair representation.
    Trunk,
    /// From there to atoms and to what the heads say. It stores no residual stream.
    Structure,
}

impl Part {
    /// The part that a tensor of a model file belongs to.
    pub fn of(name: &str) -> Self {
        match name.strip_prefix("fold.") {
            None => Self::LanguageModel,
            Some(name)
                if ["structure.", "heads.", "confidence."].iter().any(|part| name.starts_with(part)) =>
            {
                Self::Structure
            }
            Some(_) => Self::Trunk,
        }
    }
}

/// What is chosen for a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartScheme {
    /// Its residual streams.
    pub residual: Residual,
    /// The inputs of its Linears.
    pub activations: Activations,
}

impl fmt::Display for PartScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "residual stream {}, Linear inputs {}", self.residual, self.activations)
    }
}

/// Everything that is chosen before calibration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scheme {
    /// The language model.
    pub language_model: PartScheme,
    /// The folding trunk.
    pub trunk: PartScheme,
    /// The structure module and the heads.
    pub structure: PartScheme,
    /// Whether the rounding errors of a row of weights make up for each other on the calibration inputs.
    pub compensate: bool,
    /// Part of the calibration values that the residual's range must hold, 0 to 1. Values beyond are clipped.
    pub percentile: f64,
    /// Factor from the calibration range to the stored range.
    pub headroom: f64,
}

impl Scheme {
    /// The choices for a part.
    pub fn part(&self, part: Part) -> &PartScheme {
        match part {
            Part::LanguageModel => &self.language_model,
            Part::Trunk => &self.trunk,
            Part::Structure => &self.structure,
        }
    }

    /// How the inputs of Linear `name` are coded.
    pub fn activations(&self, name: &str) -> Activations {
        match name {
            // Maps of attention lie far apart in size, and few channels of them stand for all layers.
            "fold.embedding.pair" => Activations::TwoLimbs,
            _ => self.part(Part::of(name)).activations,
        }
    }

    /// As [`part`](Self::part), to be changed.
    pub fn part_mut(&mut self, part: Part) -> &mut PartScheme {
        match part {
            Part::LanguageModel => &mut self.language_model,
            Part::Trunk => &mut self.trunk,
            Part::Structure => &mut self.structure,
        }
    }
}

/// Share of channels with two limbs in the parts that have 8-bit activations by default.
pub const OUTLIERS: f64 = 0.05;

impl Scheme {
    /// The choices for a folding checkpoint by default. Nearly all that a fold loses to 8-bit inputs is lost
    /// in the language model, whose hidden states every pass reads, and there two limbs cost least: it works
    /// on residues, the trunk on pairs.
    pub fn folding() -> Self {
        let scheme = Self::default();
        let language_model = PartScheme { activations: Activations::TwoLimbs, ..scheme.language_model };
        Self { language_model, ..scheme }
    }
}

/// The least signal-to-noise ratio, in dB, of inputs of 8 bits in a model that nobody has measured.
const LEAST: f64 = 35.0;

impl Scheme {
    /// The choices for an OmegaFold by default. What its trained weights need isn't known: where inputs of 8
    /// bits show more noise than those of other models, they have two limbs.
    pub fn omegafold() -> Self {
        let scheme = Self::default();
        let activations = Activations::AsNeeded { share: OUTLIERS, decibel: LEAST };
        let part = PartScheme { activations, ..scheme.trunk };
        Self { language_model: part, trunk: part, ..scheme }
    }
}

impl Default for Scheme {
    fn default() -> Self {
        let eight = PartScheme { residual: Residual::Wide, activations: Activations::Outliers(OUTLIERS) };
        Self {
            language_model: eight,
            trunk: eight,
            structure: PartScheme { activations: Activations::TwoLimbs, ..eight },
            compensate: true,
            percentile: 1.0,
            headroom: 1.25,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_limbs_go_as_far_as_an_accumulator() {
        assert_eq!(Activations::TwoLimbs.outliers(1016), 1016);
        for inputs in [1017, 1280, 10_240] {
            let outliers = Activations::TwoLimbs.outliers(inputs);
            assert!(outliers < inputs && inputs + 128 * outliers <= 131_071);
            assert!(inputs + 128 * (outliers + 1) > 131_071);
        }
        assert_eq!(Activations::Outliers(0.05).outliers(64), 3);
        assert_eq!(Activations::Outliers(1.0).outliers(10_240), Activations::TwoLimbs.outliers(10_240));
    }

    #[test]
    fn names_tell_the_part() {
        assert_eq!(Part::of("lm.layers.0.ffn.up"), Part::LanguageModel);
        assert_eq!(Part::of("fold.embedding.up"), Part::Trunk);
        assert_eq!(Part::of("fold.residual.pair.3"), Part::Trunk);
        assert_eq!(Part::of("fold.trunk.3.pair_transition.up"), Part::Trunk);
        assert_eq!(Part::of("fold.structure.initial"), Part::Structure);
        assert_eq!(Part::of("fold.heads.pair"), Part::Structure);
        assert_eq!(Part::of("fold.confidence.first"), Part::Structure);
    }
}

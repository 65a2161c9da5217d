//! The shape of a folding model.

use crate::fixed::{ACT_FRAC, Multiplier};
use crate::format::{FormatError, ModelFile};
use crate::kernels::linear::GROUP;
use crate::structure::Config as StructureConfig;

/// Name of the configuration tensor.
pub const CONFIG: &str = "fold.config";

/// Values in the configuration tensor.
pub const CONFIG_LEN: usize = 48;

/// Bins of the distance between two residues that recycling embeds; bin 0 is also what the first pass sees.
pub const DISTANCE_BINS: usize = 15;

/// Rows of the residue embedding: 20 amino acids in AlphaFold's order, and X.
pub const RESIDUES: usize = 21;

/// The shape and the constants of a folding model, as `fold.config` stores them.
///
/// Whoever writes a model file begins with the default, in which everything is 0, assigns every field, and
/// has it [checked](Self::check).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Trunk blocks.
    pub blocks: usize,
    /// Channels of the sequence representation.
    pub sequence_width: usize,
    /// Heads of the attention over the sequence.
    pub sequence_heads: usize,
    /// Channels of the pair representation.
    pub pair_width: usize,
    /// Heads of triangle attention.
    pub pair_heads: usize,
    /// Largest difference of residue numbers that has an embedding of its own.
    pub position_bins: usize,
    /// Passes through trunk and structure module that the model was trained for.
    pub passes: usize,
    /// Fractional bits of the sequence representation's unit.
    pub sequence_frac: u32,
    /// Fractional bits of the pair representation's unit.
    pub pair_frac: u32,
    /// Fractional bits of the mix of hidden states.
    pub mix_frac: u32,
    /// The structure module.
    pub structure: StructureConfig,
    /// LayerNorm's epsilon in squares of the mix's unit.
    pub epsilon_mix: u64,
    /// ... of the sequence representation's unit.
    pub epsilon_sequence: u64,
    /// ... of the pair representation's unit.
    pub epsilon_pair: u64,
    /// ... of the activation unit.
    pub epsilon_activation: u64,
    /// ... of the unit of a product of two activations, 2^-32.
    pub epsilon_product: u64,
    /// `log2(e) * 2^-16 / (key_scale_max(head width) * sqrt(head width))` of the attention over the sequence:
    /// what a score is worth in units of 2^-16 log2, per product of the query's and the largest key's scale.
    pub sequence_temperature: Multiplier,
    /// The same of triangle attention.
    pub pair_temperature: Multiplier,
}

impl Config {
    /// Channels of one head of the attention over the sequence.
    pub const fn sequence_head_width(&self) -> usize {
        match self.sequence_width.checked_div(self.sequence_heads) {
            Some(width) => width,
            None => 0,
        }
    }

    /// Channels of one head of triangle attention.
    pub const fn pair_head_width(&self) -> usize {
        match self.pair_width.checked_div(self.pair_heads) {
            Some(width) => width,
            None => 0,
        }
    }

    /// Rows of the relative position's embedding.
    pub const fn positions(&self) -> usize {
        2 * self.position_bins + 2
    }

    /// Reads and checks `fold.config`.
    pub fn load(file: &ModelFile) -> Result<Self, FormatError> {
        let values = file.u32s(CONFIG, &[CONFIG_LEN])?;
        let mut record = [0; CONFIG_LEN];
        record.iter_mut().zip(values).for_each(|(field, &value)| *field = value);
        let config = Self::from_record(&record);
        config.check().map_err(|what| FormatError::bad_value(CONFIG, what))?;
        // What this version does not know must not be ignored: it would change the outputs.
        if config.to_record() != record {
            return Err(FormatError::bad_value(CONFIG, "a reserved value"));
        }
        Ok(config)
    }

    /// The values of `fold.config`, in the order of the fields; a u64 is its low and its high word, a
    /// multiplier its mantissa and its shift; zeros at the end.
    pub const fn to_record(&self) -> [u32; CONFIG_LEN] {
        let s = &self.structure;
        let head = [
            self.blocks as u32,
            self.sequence_width as u32,
            self.sequence_heads as u32,
            self.pair_width as u32,
            self.pair_heads as u32,
            self.position_bins as u32,
            self.passes as u32,
            self.sequence_frac,
            self.pair_frac,
            self.mix_frac,
            s.iterations as u32,
            s.width as u32,
            s.pair_width as u32,
            s.heads as u32,
            s.head_width as u32,
            s.query_points as u32,
            s.value_points as u32,
            s.transition_layers as u32,
            s.resnet_blocks as u32,
            s.resnet_width as u32,
            s.pair_frac,
        ];
        let longs = [
            self.epsilon_mix,
            self.epsilon_sequence,
            self.epsilon_pair,
            self.epsilon_activation,
            self.epsilon_product,
            s.point_epsilon,
        ];
        let multipliers =
            [self.sequence_temperature, self.pair_temperature, s.scalar_weight, s.translation_scale];
        let mut record = [0; CONFIG_LEN];
        let mut at = 0;
        while at < HEAD {
            record[at] = head[at];
            at += 1;
        }
        let mut index = 0;
        while index < LONGS {
            record[HEAD + 2 * index] = longs[index] as u32;
            record[HEAD + 2 * index + 1] = (longs[index] >> 32) as u32;
            index += 1;
        }
        let mut index = 0;
        while index < MULTIPLIERS {
            record[HEAD + 2 * LONGS + 2 * index] = multipliers[index].mantissa as u32;
            record[HEAD + 2 * LONGS + 2 * index + 1] = multipliers[index].shift as u32;
            index += 1;
        }
        record
    }

    /// The reverse of [`to_record`](Self::to_record); the reserved values are dropped.
    pub const fn from_record(record: &[u32; CONFIG_LEN]) -> Self {
        Self {
            blocks: record[0] as usize,
            sequence_width: record[1] as usize,
            sequence_heads: record[2] as usize,
            pair_width: record[3] as usize,
            pair_heads: record[4] as usize,
            position_bins: record[5] as usize,
            passes: record[6] as usize,
            sequence_frac: record[7],
            pair_frac: record[8],
            mix_frac: record[9],
            structure: StructureConfig {
                iterations: record[10] as usize,
                own_weights: false,
                pair_input: true,
                width: record[11] as usize,
                pair_width: record[12] as usize,
                heads: record[13] as usize,
                head_width: record[14] as usize,
                query_points: record[15] as usize,
                value_points: record[16] as usize,
                transition_layers: record[17] as usize,
                resnet_blocks: record[18] as usize,
                resnet_width: record[19] as usize,
                pair_frac: record[20],
                point_epsilon: long_at(record, 5),
                torsion_epsilon: long_at(record, 5),
                scalar_weight: multiplier_at(record, 2),
                translation_scale: multiplier_at(record, 3),
            },
            epsilon_mix: long_at(record, 0),
            epsilon_sequence: long_at(record, 1),
            epsilon_pair: long_at(record, 2),
            epsilon_activation: long_at(record, 3),
            epsilon_product: long_at(record, 4),
            sequence_temperature: multiplier_at(record, 0),
            pair_temperature: multiplier_at(record, 1),
        }
    }

    /// Everything that a pass relies on.
    pub fn check(&self) -> Result<(), &'static str> {
        let between = |value: usize, most: usize| (1..=most).contains(&value);
        let head = |width: usize, heads: usize| {
            between(heads, 256)
                && width.is_multiple_of(heads)
                && (width / heads).is_multiple_of(2 * GROUP)
                && between(width / heads, 256)
        };
        let multiplier = |m: Multiplier| m.mantissa >= 1 << 30 && (-64..=127).contains(&m.shift);
        match () {
            () if !between(self.blocks, 256) => Err("there must be 1 to 256 blocks"),
            () if !between(self.sequence_width, 16_384) => Err("the sequence width must be 1 to 16384"),
            () if !between(self.pair_width, 4096) || !self.pair_width.is_multiple_of(2) => {
                Err("the pair width must be even, 2 to 4096")
            }
            () if !head(self.sequence_width, self.sequence_heads)
                || !head(self.pair_width, self.pair_heads) =>
            {
                Err("the heads must divide the width into multiples of 8 channels, at most 256")
            }
            () if !between(self.position_bins, 1024) => Err("there must be 1 to 1024 position bins"),
            () if !between(self.passes, 256) => Err("there must be 1 to 256 passes"),
            () if [self.sequence_frac, self.pair_frac, self.mix_frac].iter().any(|&frac| frac > ACT_FRAC) => {
                Err("a representation has at most 16 fractional bits")
            }
            () if !multiplier(self.sequence_temperature) || !multiplier(self.pair_temperature) => {
                Err("a constant's mantissa must be at least 2^30 and its shift -64 to 127")
            }
            () if self.structure.own_weights || !self.structure.pair_input => {
                Err("all iterations of the structure module have the same weights, and pairs a Linear to it")
            }
            () if self.structure.point_epsilon != self.structure.torsion_epsilon => {
                Err("points and torsions must have the same epsilon")
            }
            () => self.structure.check(),
        }
    }
}

/// Single words of the record, then pairs of words.
const HEAD: usize = 21;
const LONGS: usize = 6;
const MULTIPLIERS: usize = 4;

const fn long_at(record: &[u32; CONFIG_LEN], index: usize) -> u64 {
    record[HEAD + 2 * index] as u64 | (record[HEAD + 2 * index + 1] as u64) << 32
}

const fn multiplier_at(record: &[u32; CONFIG_LEN], index: usize) -> Multiplier {
    let at = HEAD + 2 * LONGS + 2 * index;
    Multiplier { mantissa: record[at] as i32, shift: record[at + 1] as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Multiplier = Multiplier { mantissa: 1 << 30, shift: 30 };

    /// esmfold_v1's shape.
    const V1: Config = Config {
        blocks: 48,
        sequence_width: 1024,
        sequence_heads: 32,
        pair_width: 128,
        pair_heads: 4,
        position_bins: 32,
        passes: 4,
        sequence_frac: 14,
        pair_frac: 13,
        mix_frac: 12,
        structure: crate::structure::V1,
        epsilon_mix: 168,
        epsilon_sequence: 2684,
        epsilon_pair: 671,
        epsilon_activation: 42_950,
        epsilon_product: 184_467_440_737_096,
        sequence_temperature: ONE,
        pair_temperature: Multiplier { mantissa: (1 << 30) + 1, shift: -3 },
    };

    #[test]
    fn records_round_trip() {
        assert_eq!(Config::from_record(&V1.to_record()), V1);
        assert_eq!(V1.check(), Ok(()));
    }

    #[test]
    fn shapes_that_can_not_run_are_refused() {
        assert!(Config::default().check().is_err());
        let refused = |change: fn(&mut Config)| {
            let mut config = V1;
            change(&mut config);
            config.check().is_err()
        };
        assert!(refused(|c| c.blocks = 0));
        assert!(refused(|c| c.sequence_heads = 0));
        assert!(refused(|c| c.sequence_heads = 3));
        assert!(refused(|c| c.pair_width = 0));
        assert!(refused(|c| c.pair_heads = 32));
        assert!(refused(|c| c.position_bins = 0));
        assert!(refused(|c| c.pair_frac = 17));
        assert!(refused(|c| c.passes = 0));
        assert!(refused(|c| c.structure.width = 1017));
        assert!(refused(|c| c.structure.heads = 0));
        assert!(refused(|c| c.structure.own_weights = true));
        assert!(refused(|c| c.structure.pair_input = false));
        assert!(refused(|c| c.structure.torsion_epsilon = 7));
        assert!(refused(|c| c.structure.pair_width = 1017));
        assert!(refused(|c| c.structure.translation_scale.mantissa = 0));
        assert!(refused(|c| c.sequence_temperature.shift = 128));
    }
}

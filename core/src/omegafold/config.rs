//! The shape of an OmegaFold.

use crate::fixed::{ACT_FRAC, Multiplier};
use crate::format::{FormatError, ModelFile};
use crate::geometry::Residue;
use crate::kernels::linear::GROUP;
use crate::structure::Config as StructureConfig;

/// Name of the configuration tensor.
pub const CONFIG: &str = "omegafold.config";

/// Values in the configuration tensor.
pub const CONFIG_LEN: usize = 64;

/// Token of a masked residue. Those of residues are their numbers in AlphaFold's order, 0 to 20.
pub const MASK: u8 = RESIDUES as u8;

/// Rows of the residues' embeddings of pairs: 20 amino acids in AlphaFold's order, and X.
pub const RESIDUES: usize = Residue::X.index() + 1;

/// Bins of the distance between two residues that recycling embeds; bin 0 is also what the first cycle sees.
pub const DISTANCE_BINS: usize = 16;

/// Bins of a residue's confidence.
pub const CONFIDENCE_BINS: usize = 50;

/// Channels within a transition, over the channels that it reads.
pub const TRANSITION_FACTOR: usize = 4;

/// Fractional bits of the language model's maps of attention: their mean over the rows of the pseudo-MSA.
pub const MAP_FRAC: u32 = 20;

/// The shape and the constants of an OmegaFold, as `omegafold.config` stores them.
///
/// Whoever writes a model file begins with the default, in which everything is 0, assigns every field, and
/// has it [checked](Self::check).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Tokens of the language model: 21 residues, [`MASK`], and what else the embedding has rows for.
    pub vocab: usize,
    /// Layers of the language model, each with one map of attention.
    pub layers: usize,
    /// Channels of the language model's residual stream.
    pub width: usize,
    /// Channels of its values and gates: a multiple of `query_width`.
    pub value_width: usize,
    /// Channels of its queries and keys, of the one head.
    pub query_width: usize,
    /// Largest offset of a key from a query that has a bias of its own.
    pub offset_bins: usize,
    /// Geoformer blocks.
    pub blocks: usize,
    /// Channels of the node representation.
    pub node_width: usize,
    /// Heads of its attention over rows and columns.
    pub node_heads: usize,
    /// Channels of the pair representation.
    pub pair_width: usize,
    /// Heads of geometric attention.
    pub pair_heads: usize,
    /// Layers of geometric attention in a block.
    pub geometric_layers: usize,
    /// Channels of either side of the outer product.
    pub outer_width: usize,
    /// Largest difference of residue numbers that has an embedding of its own.
    pub position_bins: usize,
    /// Channels within the confidence head.
    pub confidence_width: usize,
    /// Fractional bits of the unit of the language model's residual stream.
    pub stream_frac: u32,
    /// Fractional bits of the node representation's unit.
    pub node_frac: u32,
    /// Fractional bits of the pair representation's unit.
    pub pair_frac: u32,
    /// Normalization's epsilon in squares of the unit of the language model's stream.
    pub epsilon_stream: u64,
    /// ... of the activation unit, for the last states of the language model: less by one part in `width`,
    /// for a variance that divides by one channel less.
    pub epsilon_features: u64,
    /// ... of the maps' unit, `2^-`[`MAP_FRAC`]: less by one part in `layers`, as above.
    pub epsilon_maps: u64,
    /// ... of the node representation's unit.
    pub epsilon_node: u64,
    /// ... of the pair representation's unit.
    pub epsilon_pair: u64,
    /// ... of the activation unit.
    pub epsilon_activation: u64,
    /// ... of the unit of a product of two activations, 2^-32.
    pub epsilon_product: u64,
    /// `2^-16 / (key_scale_max(query width) * sqrt(query width) * ln(512))`, for the language model: times
    /// the base-2 logarithm of the number of keys it is what a score is worth in units of 2^-16 log2, per
    /// product of the query's and the largest key's scale.
    pub stream_temperature: Multiplier,
    /// `log2(e) * 2^-16 / (key_scale_max(head width) * sqrt(head width))` of the attention over rows and
    /// columns: the same without a logarithm.
    pub node_temperature: Multiplier,
    /// The same of geometric attention.
    pub pair_temperature: Multiplier,
    /// The structure module. Each iteration has weights of its own, it reads the trunk's pairs without a
    /// Linear between, and adds nothing to points' squared norms.
    pub structure: StructureConfig,
}

impl Config {
    /// Biases of the language model's attention: one an offset.
    pub const fn offsets(&self) -> usize {
        2 * self.offset_bins + 1
    }

    /// Rows of the relative position's embedding.
    pub const fn positions(&self) -> usize {
        2 * self.position_bins + 1
    }

    /// Channels of one head of the attention over rows and columns.
    pub const fn node_head_width(&self) -> usize {
        match self.node_width.checked_div(self.node_heads) {
            Some(width) => width,
            None => 0,
        }
    }

    /// Channels of one head of geometric attention.
    pub const fn pair_head_width(&self) -> usize {
        match self.pair_width.checked_div(self.pair_heads) {
            Some(width) => width,
            None => 0,
        }
    }

    /// Reads and checks `omegafold.config`.
    ///
    /// # Errors
    /// The tensor is missing, or a value is not one that a run can do with.
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

    /// The values of `omegafold.config`: the fields in their order, those of the structure module last; a u64
    /// is its low and its high word, a multiplier its mantissa and its shift; zeros at the end.
    pub fn to_record(&self) -> [u32; CONFIG_LEN] {
        let s = &self.structure;
        let sizes = [
            self.vocab,
            self.layers,
            self.width,
            self.value_width,
            self.query_width,
            self.offset_bins,
            self.blocks,
            self.node_width,
            self.node_heads,
            self.pair_width,
            self.pair_heads,
            self.geometric_layers,
            self.outer_width,
            self.position_bins,
            self.confidence_width,
        ];
        let fracs = [self.stream_frac, self.node_frac, self.pair_frac];
        let epsilons = [
            self.epsilon_stream,
            self.epsilon_features,
            self.epsilon_maps,
            self.epsilon_node,
            self.epsilon_pair,
            self.epsilon_activation,
            self.epsilon_product,
        ];
        let temperatures = [self.stream_temperature, self.node_temperature, self.pair_temperature];
        let structure = [
            s.iterations,
            s.width,
            s.pair_width,
            s.heads,
            s.head_width,
            s.query_points,
            s.value_points,
            s.transition_layers,
            s.resnet_blocks,
            s.resnet_width,
        ];
        let size = |size: usize| size as u32;
        let long = |long: u64| [long as u32, (long >> 32) as u32];
        let multiplier = |m: Multiplier| [m.mantissa as u32, m.shift as u32];
        let words = sizes.into_iter().map(size).chain(fracs);
        let words = words.chain(epsilons.into_iter().flat_map(long));
        let words = words.chain(temperatures.into_iter().flat_map(multiplier));
        let words =
            words.chain(structure.into_iter().map(size)).chain([s.pair_frac]).chain(long(s.torsion_epsilon));
        let words = words.chain([s.scalar_weight, s.translation_scale].into_iter().flat_map(multiplier));
        let mut record = [0; CONFIG_LEN];
        record.iter_mut().zip(words).for_each(|(field, word)| *field = word);
        record
    }

    /// The reverse of [`to_record`](Self::to_record); the reserved values are dropped.
    pub const fn from_record(record: &[u32; CONFIG_LEN]) -> Self {
        let mut words = Words { rest: record };
        // Words are read in the order in which the fields stand here.
        Self {
            vocab: words.size(),
            layers: words.size(),
            width: words.size(),
            value_width: words.size(),
            query_width: words.size(),
            offset_bins: words.size(),
            blocks: words.size(),
            node_width: words.size(),
            node_heads: words.size(),
            pair_width: words.size(),
            pair_heads: words.size(),
            geometric_layers: words.size(),
            outer_width: words.size(),
            position_bins: words.size(),
            confidence_width: words.size(),
            stream_frac: words.word(),
            node_frac: words.word(),
            pair_frac: words.word(),
            epsilon_stream: words.long(),
            epsilon_features: words.long(),
            epsilon_maps: words.long(),
            epsilon_node: words.long(),
            epsilon_pair: words.long(),
            epsilon_activation: words.long(),
            epsilon_product: words.long(),
            stream_temperature: words.multiplier(),
            node_temperature: words.multiplier(),
            pair_temperature: words.multiplier(),
            structure: StructureConfig {
                iterations: words.size(),
                own_weights: true,
                pair_input: false,
                width: words.size(),
                pair_width: words.size(),
                heads: words.size(),
                head_width: words.size(),
                query_points: words.size(),
                value_points: words.size(),
                transition_layers: words.size(),
                resnet_blocks: words.size(),
                resnet_width: words.size(),
                pair_frac: words.word(),
                point_epsilon: 0,
                torsion_epsilon: words.long(),
                scalar_weight: words.multiplier(),
                translation_scale: words.multiplier(),
            },
        }
    }

    /// Everything that a run relies on.
    ///
    /// # Errors
    /// What it can't be.
    pub fn check(&self) -> Result<(), &'static str> {
        let between = |value: usize, most: usize| (1..=most).contains(&value);
        let heads = |width: usize, heads: usize| {
            between(heads, 256)
                && width.is_multiple_of(heads)
                && (width / heads).is_multiple_of(2 * GROUP)
                && between(width / heads, 256)
        };
        let multiplier = |m: Multiplier| m.mantissa >= 1 << 30 && (-64..=127).contains(&m.shift);
        let temperatures = [self.stream_temperature, self.node_temperature, self.pair_temperature];
        match () {
            () if self.vocab <= MASK.into() || self.vocab > 256 => {
                Err("the vocabulary must have 22 to 256 tokens")
            }
            () if !between(self.layers, 256) => Err("there must be 1 to 256 layers"),
            () if !between(self.width, 16_384) => Err("the width must be 1 to 16384"),
            () if !heads(self.query_width, 1) => {
                Err("queries must have a multiple of 8 channels, at most 256")
            }
            () if !between(self.value_width, 65_536)
                || !self.value_width.is_multiple_of(self.query_width) =>
            {
                Err("the width of values must be a multiple of the width of queries, at most 65536")
            }
            () if !between(self.offset_bins, 4096) || !between(self.position_bins, 1024) => {
                Err("there must be 1 to 4096 bins of offsets, and 1 to 1024 of positions")
            }
            () if !between(self.blocks, 256) => Err("there must be 1 to 256 blocks"),
            () if !between(self.node_width, 16_384) => Err("the node width must be 1 to 16384"),
            () if !between(self.pair_width, 4096) || !self.pair_width.is_multiple_of(2) => {
                Err("the pair width must be even, 2 to 4096")
            }
            () if !heads(self.node_width, self.node_heads) || !heads(self.pair_width, self.pair_heads) => {
                Err("the heads must divide the width into multiples of 8 channels, at most 256")
            }
            () if !between(self.geometric_layers, 16) => {
                Err("there must be 1 to 16 layers of geometric attention in a block")
            }
            () if !between(self.outer_width, 256) => Err("the outer product's width must be 1 to 256"),
            () if !between(self.confidence_width, 16_384) => {
                Err("the confidence head's width must be 1 to 16384")
            }
            () if [self.stream_frac, self.node_frac, self.pair_frac].iter().any(|&frac| frac > ACT_FRAC) => {
                Err("a representation has at most 16 fractional bits")
            }
            () if !temperatures.into_iter().all(multiplier) => {
                Err("a constant's mantissa must be at least 2^30 and its shift -64 to 127")
            }
            () if self.structure.pair_width != self.pair_width => {
                Err("the structure module must read pairs of the trunk's width")
            }
            () if !self.structure.own_weights
                || self.structure.pair_input
                || self.structure.point_epsilon != 0 =>
            {
                Err(
                    "iterations of the structure module must have weights of their own, pairs no Linear, and \
                     points no epsilon",
                )
            }
            () => self.structure.check(),
        }
    }
}

/// Reads a record, word by word; beyond its end there are zeros.
struct Words<'r> {
    rest: &'r [u32],
}

impl Words<'_> {
    const fn word(&mut self) -> u32 {
        let Some((&word, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        word
    }

    const fn size(&mut self) -> usize {
        self.word() as usize
    }

    const fn long(&mut self) -> u64 {
        let low = self.word();
        low as u64 | (self.word() as u64) << 32
    }

    const fn multiplier(&mut self) -> Multiplier {
        let mantissa = self.word() as i32;
        Multiplier { mantissa, shift: self.word() as i32 }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const fn multiplier(more: i32) -> Multiplier {
        Multiplier { mantissa: (1 << 30) + more, shift: more }
    }

    /// The shape of release 1.
    pub const RELEASE_1: Config = Config {
        vocab: 23,
        layers: 66,
        width: 1280,
        value_width: 2560,
        query_width: 256,
        offset_bins: 64,
        blocks: 50,
        node_width: 256,
        node_heads: 8,
        pair_width: 128,
        pair_heads: 4,
        geometric_layers: 2,
        outer_width: 32,
        position_bins: 32,
        confidence_width: 128,
        stream_frac: 12,
        node_frac: 11,
        pair_frac: 10,
        epsilon_stream: 168,
        epsilon_features: 42_916,
        epsilon_maps: 10_828_539,
        epsilon_node: 42,
        epsilon_pair: 10,
        epsilon_activation: 42_950,
        epsilon_product: 184_467_440_737_096,
        stream_temperature: multiplier(1),
        node_temperature: multiplier(2),
        pair_temperature: multiplier(3),
        structure: StructureConfig {
            own_weights: true,
            pair_input: false,
            point_epsilon: 0,
            torsion_epsilon: 7,
            ..crate::structure::V1
        },
    };

    #[test]
    fn records_round_trip() {
        assert_eq!(Config::from_record(&RELEASE_1.to_record()), RELEASE_1);
        assert_eq!(RELEASE_1.check(), Ok(()));
        assert_eq!((RELEASE_1.offsets(), RELEASE_1.positions(), MASK), (129, 65, 21));
        assert_eq!((RELEASE_1.node_head_width(), RELEASE_1.pair_head_width()), (32, 32));
    }

    #[test]
    fn every_word_of_a_record_but_the_reserved_ones_is_a_field() {
        let record = RELEASE_1.to_record();
        let kept = (0..CONFIG_LEN).filter(|&place| {
            let mut changed = record;
            changed[place] ^= 1 << 5;
            Config::from_record(&changed).to_record() == changed
        });
        assert!(kept.eq(0..55));
    }

    #[test]
    fn shapes_that_can_not_run_are_refused() {
        assert!(Config::default().check().is_err());
        let refused = |change: fn(&mut Config)| {
            let mut config = RELEASE_1;
            change(&mut config);
            config.check().is_err()
        };
        assert!(refused(|c| c.vocab = 21));
        assert!(refused(|c| c.vocab = 257));
        assert!(refused(|c| c.layers = 0));
        assert!(refused(|c| c.width = 16_385));
        assert!(refused(|c| c.query_width = 0));
        assert!(refused(|c| c.query_width = 260));
        assert!(refused(|c| c.value_width = 2552));
        assert!(refused(|c| c.value_width = 0));
        assert!(refused(|c| c.offset_bins = 0));
        assert!(refused(|c| c.blocks = 257));
        assert!(refused(|c| c.node_heads = 3));
        assert!(refused(|c| c.node_width = 0));
        assert!(refused(|c| c.pair_heads = 32));
        assert!(refused(|c| c.pair_width = 64));
        assert!(refused(|c| c.geometric_layers = 0));
        assert!(refused(|c| c.outer_width = 257));
        assert!(refused(|c| c.position_bins = 1025));
        assert!(refused(|c| c.confidence_width = 0));
        assert!(refused(|c| c.node_frac = 17));
        assert!(refused(|c| c.stream_temperature.mantissa = 0));
        assert!(refused(|c| c.structure.iterations = 0));
        assert!(refused(|c| c.structure.own_weights = false));
        assert!(refused(|c| c.structure.pair_input = true));
        assert!(refused(|c| c.structure.point_epsilon = 1));
    }
}

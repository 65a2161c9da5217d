//! Whole folding models of random weights, as [`random_model`](crate::random_model) makes language models.

use foldpoint_core::esmfold::{Config, DISTANCE_BINS, PAIR_SITES, RESIDUES, StructureConfig};
use foldpoint_core::heads::{ATOM_TYPES, PAIR_BINS, PLDDT_BINS};
use quantizer::writer::{ModelWriter, WriteError};

use crate::layers::{ACT, STREAM_FRAC, Tensors, add_site};
use crate::random::Random;
use crate::random_model::{ESM2_8M, Shape, TINY, multiplier, temperature};

/// The shape of a random folding model.
#[derive(Clone, Copy, Debug)]
pub struct FoldShape {
    /// The language model below.
    pub language_model: Shape,
    /// Trunk blocks.
    pub blocks: usize,
    /// Heads of the attention over the sequence.
    pub sequence_heads: usize,
    /// Heads of triangle attention.
    pub pair_heads: usize,
    /// Channels of a head of either, a multiple of 8.
    pub head_width: usize,
    /// Outlier channels of the trunk's Linears, at most a representation's width.
    pub outliers: usize,
    /// Bits of the stored sequence representation: 1 to 8, or 16.
    pub sequence_bits: i32,
    /// ... of the pair representation.
    pub pair_bits: i32,
    /// Largest difference of residue numbers with an embedding of its own.
    pub position_bins: usize,
    /// The structure module.
    pub structure: StructureShape,
}

/// The shape of a random structure module.
#[derive(Clone, Copy, Debug)]
pub struct StructureShape {
    /// Iterations.
    pub iterations: usize,
    /// Channels of the sequence representation.
    pub width: usize,
    /// Channels of the pair representation.
    pub pair_width: usize,
    /// Heads of invariant point attention.
    pub heads: usize,
    /// Channels of a head.
    pub head_width: usize,
    /// Query and key points of a head; it has as many value points and one more.
    pub points: usize,
    /// Channels of the angle resnet.
    pub resnet_width: usize,
}

impl StructureShape {
    /// ESMFold's, of this shape.
    pub(crate) fn config(&self) -> StructureConfig {
        let mut structure = StructureConfig::default();
        structure.iterations = self.iterations;
        structure.pair_input = true;
        structure.width = self.width;
        structure.pair_width = self.pair_width;
        structure.heads = self.heads;
        structure.head_width = self.head_width;
        structure.query_points = self.points;
        structure.value_points = self.points + 1;
        structure.transition_layers = 1;
        structure.resnet_blocks = 1;
        structure.resnet_width = self.resnet_width;
        structure.pair_frac = 11;
        structure.point_epsilon = 43;
        structure.torsion_epsilon = 43;
        structure.scalar_weight =
            multiplier(std::f64::consts::LOG2_E / libm::sqrt(3.0 * self.head_width as f64)).scaled(-16);
        structure.translation_scale = multiplier(10.0).scaled(-4);
        structure
    }
}

/// A small one.
pub const TINY_FOLD: FoldShape = FoldShape {
    language_model: TINY,
    blocks: 2,
    sequence_heads: 2,
    pair_heads: 2,
    head_width: 8,
    outliers: 2,
    sequence_bits: 16,
    pair_bits: 8,
    position_bins: 4,
    structure: StructureShape {
        iterations: 2,
        width: 24,
        pair_width: 16,
        heads: 3,
        head_width: 8,
        points: 2,
        resnet_width: 16,
    },
};

/// As wide as esmfold_v1, with one layer and one block: its working memory is the same.
pub const ESMFOLD_V1_WIDTHS: FoldShape = FoldShape {
    language_model: Shape { layers: 1, heads: 40, head_width: 64, ffn: 10_240, outliers: 8, ..TINY },
    blocks: 1,
    sequence_heads: 32,
    pair_heads: 4,
    head_width: 32,
    outliers: 8,
    sequence_bits: 16,
    pair_bits: 16,
    position_bins: 32,
    structure: StructureShape {
        iterations: 8,
        width: 384,
        pair_width: 128,
        heads: 12,
        head_width: 16,
        points: 7,
        resnet_width: 128,
    },
};

/// A trunk as wide as esmfold_v1's, on ESM-2 8M: of several blocks, the time of one can be told from what
/// comes before.
pub const ESMFOLD_V1_TRUNK: FoldShape = FoldShape { language_model: ESM2_8M, blocks: 3, ..ESMFOLD_V1_WIDTHS };

impl FoldShape {
    /// Channels of the sequence representation.
    pub const fn sequence_width(&self) -> usize {
        self.sequence_heads * self.head_width
    }

    /// Channels of the pair representation.
    pub const fn pair_width(&self) -> usize {
        self.pair_heads * self.head_width
    }

    fn config(&self) -> Config {
        // Scores in units of 2^-16 log2, scales in units of 2^-16.
        let score = temperature(self.head_width).scaled(-16);
        let mut config = Config::default();
        config.blocks = self.blocks;
        config.sequence_width = self.sequence_width();
        config.sequence_heads = self.sequence_heads;
        config.pair_width = self.pair_width();
        config.pair_heads = self.pair_heads;
        config.position_bins = self.position_bins;
        config.passes = 2;
        config.sequence_frac = STREAM_FRAC;
        config.pair_frac = STREAM_FRAC;
        config.mix_frac = STREAM_FRAC;
        config.structure = self.structure.config();
        config.epsilon_mix = 168;
        config.epsilon_sequence = 168;
        config.epsilon_pair = 168;
        config.epsilon_activation = 42_950;
        config.epsilon_product = 184_467_440_737_096;
        config.sequence_temperature = score;
        config.pair_temperature = score;
        config
    }

    /// The model file of this shape whose weights are drawn from `seed`.
    ///
    /// # Errors
    /// Those of [`ModelWriter`], which a shape that [`Config::check`] accepts never meets.
    pub fn model(&self, seed: u64) -> Result<Vec<u8>, WriteError> {
        let mut writer = ModelWriter::new();
        let mut random = Random::new(seed);
        self.language_model.add_to(&mut writer, &mut random)?;
        let tensors = Tensors { writer, random, outliers: self.outliers };
        let mut adding = Adding { shape: self, config: self.config(), tensors };
        adding.ends()?;
        (0..self.blocks).try_for_each(|block| adding.block(block))?;
        adding.tensors.structure(&adding.config.structure, self.sequence_width(), self.pair_width())?;
        adding.tensors.writer.to_bytes()
    }
}

struct Adding<'s> {
    shape: &'s FoldShape,
    config: Config,
    tensors: Tensors,
}

impl Adding<'_> {
    fn site(&mut self, kind: &str, index: usize) -> Result<(), WriteError> {
        let (width, bits) = match kind {
            "pair" => (self.shape.pair_width(), self.shape.pair_bits),
            _ => (self.shape.sequence_width(), self.shape.sequence_bits),
        };
        let name = format!("fold.residual.{kind}.{index}");
        add_site(&mut self.tensors.writer, &mut self.tensors.random, &name, width, bits)
    }

    /// What comes before the first block and after the last.
    fn ends(&mut self) -> Result<(), WriteError> {
        let (sequence, pair) = (self.shape.sequence_width(), self.shape.pair_width());
        let lm = self.shape.language_model;
        let record = self.config.to_record();
        self.tensors.writer.add_u32("fold.config", &[record.len()], record.to_vec())?;
        let states = lm.layers + 1;
        let share = (1 << 30) / states as i32;
        self.tensors.writer.add_i32("fold.embedding.mix", &[states], vec![share; states])?;
        self.tensors.norm("fold.embedding.norm", lm.width())?;
        self.tensors.linear("fold.embedding.up", lm.width(), sequence, ACT)?;
        self.tensors.linear("fold.embedding.down", sequence, sequence, STREAM_FRAC)?;
        let mut table = |name: &str, rows: usize, width: usize| {
            let values = self.tensors.random.values(rows * width, 1 << STREAM_FRAC);
            self.tensors.writer.add_i32(name, &[rows, width], values)
        };
        table("fold.embedding.residue", RESIDUES, sequence)?;
        table("fold.recycling.distance", DISTANCE_BINS, pair)?;
        table("fold.recycling.position", self.config.positions(), pair)?;
        self.tensors.norm("fold.recycling.sequence_norm", sequence)?;
        self.tensors.norm("fold.recycling.pair_norm", pair)?;
        self.site("sequence", 0)?;
        self.site("pair", 0)?;
        self.tensors.norm("fold.heads.plddt.norm", self.shape.structure.width)?;
        self.tensors.precise(
            "fold.heads.plddt.linear",
            self.shape.structure.width,
            ATOM_TYPES * PLDDT_BINS,
            ACT,
        )?;
        self.tensors.precise("fold.heads.aligned_error", pair, PAIR_BINS, ACT)?;
        self.tensors.precise("fold.heads.distogram", pair, PAIR_BINS, ACT)
    }

    fn block(&mut self, block: usize) -> Result<(), WriteError> {
        let (sequence, pair) = (self.shape.sequence_width(), self.shape.pair_width());
        let name = |part: &str| format!("fold.trunk.{block}.{part}");
        self.tensors.norm(&name("pair_bias.norm"), pair)?;
        self.tensors.linear(&name("pair_bias.linear"), pair, self.shape.sequence_heads, ACT)?;
        self.tensors.norm(&name("sequence_attention.norm"), sequence)?;
        self.tensors.linear(&name("sequence_attention.projections"), sequence, 4 * sequence, ACT)?;
        self.tensors.linear(&name("sequence_attention.output"), sequence, sequence, STREAM_FRAC)?;
        for (kind, width) in [("sequence", sequence), ("pair", pair)] {
            let name = name(&format!("{kind}_transition"));
            self.tensors.norm(&format!("{name}.norm"), width)?;
            self.tensors.linear(&format!("{name}.up"), width, 4 * width, ACT)?;
            self.tensors.linear(&format!("{name}.down"), 4 * width, width, STREAM_FRAC)?;
        }
        self.tensors.norm(&name("sequence_to_pair.norm"), sequence)?;
        self.tensors.linear(&name("sequence_to_pair.projection"), sequence, pair, ACT)?;
        self.tensors.linear(&name("sequence_to_pair.output"), pair, pair, STREAM_FRAC)?;
        for part in ["out", "in"] {
            let name = name(&format!("triangle_multiplication_{part}"));
            self.tensors.norm(&format!("{name}.norm_in"), pair)?;
            self.tensors.norm(&format!("{name}.norm_out"), pair)?;
            self.tensors
                .pair([(format!("{name}.projections"), 4 * pair), (format!("{name}.gate"), pair)], pair)?;
            self.tensors.linear(&format!("{name}.output"), pair, pair, STREAM_FRAC)?;
        }
        for part in ["start", "end"] {
            let name = name(&format!("triangle_attention_{part}"));
            let heads = self.shape.pair_heads;
            self.tensors.norm(&format!("{name}.norm"), pair)?;
            self.tensors
                .pair([(format!("{name}.projections"), 4 * pair), (format!("{name}.bias"), heads)], pair)?;
            self.tensors.linear(&format!("{name}.output"), pair, pair, STREAM_FRAC)?;
        }
        self.site("sequence", block + 1)?;
        (1..=PAIR_SITES).try_for_each(|after| self.site("pair", PAIR_SITES * block + after))
    }
}

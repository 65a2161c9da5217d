//! Whole OmegaFolds of random weights, as [`random_fold`](crate::random_fold) makes ESMFolds.

use foldpoint_core::esmfold::StructureConfig;
use foldpoint_core::kernels::attention::key_scale_max;
use foldpoint_core::omegafold::{
    CONFIDENCE_BINS, CONFIG, CONFIG_LEN, Config, DISTANCE_BINS, MASK, NODE_SITES, RESIDUES,
    TRANSITION_FACTOR, pair_sites,
};
use quantizer::writer::{ModelWriter, WriteError};

use crate::layers::{ACT, STREAM_FRAC, Tensors, add_site};
use crate::random::Random;
use crate::random_fold::{StructureShape, TINY_FOLD};
use crate::random_model::{multiplier, phases, temperature};

/// The shape of a random OmegaFold.
#[derive(Clone, Copy, Debug)]
pub struct OmegaFoldShape {
    /// Layers of the language model.
    pub layers: usize,
    /// Channels of its stream.
    pub width: usize,
    /// Channels of its queries and keys, a multiple of 8.
    pub query_width: usize,
    /// Slices of its values, each as wide as the queries.
    pub slices: usize,
    /// Geoformer blocks.
    pub blocks: usize,
    /// Heads of the attention over rows and columns.
    pub node_heads: usize,
    /// Heads of geometric attention.
    pub pair_heads: usize,
    /// Channels of a head of either, a multiple of 8.
    pub head_width: usize,
    /// Layers of geometric attention in a block.
    pub geometric_layers: usize,
    /// Channels of either side of the outer product.
    pub outer_width: usize,
    /// Channels within the confidence head.
    pub confidence_width: usize,
    /// Outlier channels of most Linears.
    pub outliers: usize,
    /// Bits of the stored language model's stream: 1 to 8, or 16.
    pub stream_bits: i32,
    /// ... of the node representation.
    pub node_bits: i32,
    /// ... of the pair representation.
    pub pair_bits: i32,
    /// Largest offset of a key, and largest difference of residue numbers, with a value of its own.
    pub position_bins: usize,
    /// The structure module, which reads pairs of the trunk's width.
    pub structure: StructureShape,
}

/// A small one.
pub const TINY_OMEGAFOLD: OmegaFoldShape = OmegaFoldShape {
    layers: 2,
    width: 24,
    query_width: 8,
    slices: 2,
    blocks: 1,
    node_heads: 3,
    pair_heads: 2,
    head_width: 8,
    geometric_layers: 2,
    outer_width: 4,
    confidence_width: 12,
    outliers: 2,
    stream_bits: 16,
    node_bits: 16,
    pair_bits: 16,
    position_bins: 4,
    structure: StructureShape { pair_width: 16, ..TINY_FOLD.structure },
};

/// As wide as release 1, with one layer and one block: its working memory is the same.
pub const RELEASE_1_WIDTHS: OmegaFoldShape = OmegaFoldShape {
    layers: 1,
    width: 1280,
    query_width: 256,
    slices: 10,
    blocks: 1,
    node_heads: 8,
    pair_heads: 4,
    head_width: 32,
    geometric_layers: 2,
    outer_width: 32,
    confidence_width: 128,
    outliers: 8,
    stream_bits: 16,
    node_bits: 16,
    pair_bits: 16,
    position_bins: 32,
    structure: StructureShape {
        iterations: 8,
        width: 384,
        pair_width: 128,
        heads: 12,
        head_width: 16,
        points: 4,
        resnet_width: 128,
    },
};

impl OmegaFoldShape {
    /// Channels of the node representation.
    pub const fn node_width(&self) -> usize {
        self.node_heads * self.head_width
    }

    /// Channels of the pair representation.
    pub const fn pair_width(&self) -> usize {
        self.pair_heads * self.head_width
    }

    const fn value_width(&self) -> usize {
        self.slices * self.query_width
    }

    fn config(&self) -> Config {
        let score = temperature(self.head_width).scaled(-16);
        let query = self.query_width;
        let per_log2 = libm::log(512.0) * f64::from(key_scale_max(query)) * libm::sqrt(query as f64);
        let mut config = Config::default();
        // One token more than there are masks, as in the releases.
        config.vocab = usize::from(MASK) + 2;
        config.layers = self.layers;
        config.width = self.width;
        config.value_width = self.value_width();
        config.query_width = query;
        config.offset_bins = self.position_bins;
        config.blocks = self.blocks;
        config.node_width = self.node_width();
        config.node_heads = self.node_heads;
        config.pair_width = self.pair_width();
        config.pair_heads = self.pair_heads;
        config.geometric_layers = self.geometric_layers;
        config.outer_width = self.outer_width;
        config.position_bins = self.position_bins;
        config.confidence_width = self.confidence_width;
        config.stream_frac = STREAM_FRAC;
        config.node_frac = STREAM_FRAC;
        config.pair_frac = STREAM_FRAC;
        config.epsilon_stream = 168;
        config.epsilon_features = 42_916;
        config.epsilon_maps = 10_828_539;
        config.epsilon_node = 168;
        config.epsilon_pair = 168;
        config.epsilon_activation = 42_950;
        config.epsilon_product = 184_467_440_737_096;
        config.stream_temperature = multiplier(1.0 / per_log2).scaled(-16);
        config.node_temperature = score;
        config.pair_temperature = score;
        config.structure = self.structure();
        config
    }

    fn structure(&self) -> StructureConfig {
        let mut structure = self.structure.config();
        structure.own_weights = true;
        structure.pair_input = false;
        structure.point_epsilon = 0;
        structure.torsion_epsilon = 7;
        structure
    }

    /// The model file of this shape whose weights are drawn from `seed`.
    ///
    /// # Errors
    /// Those of [`ModelWriter`], which a shape that [`Config::check`] accepts never meets.
    pub fn model(&self, seed: u64) -> Result<Vec<u8>, WriteError> {
        let tensors =
            Tensors { writer: ModelWriter::new(), random: Random::new(seed), outliers: self.outliers };
        let mut adding = Adding { shape: self, config: self.config(), tensors };
        adding.language_model()?;
        adding.ends()?;
        (0..self.blocks).try_for_each(|block| adding.block(block))?;
        adding.sites()?;
        let structure = adding.config.structure;
        adding.tensors.structure(&structure, self.node_width(), self.pair_width())?;
        adding.tensors.writer.to_bytes()
    }
}

struct Adding<'s> {
    shape: &'s OmegaFoldShape,
    config: Config,
    tensors: Tensors,
}

impl Adding<'_> {
    /// Values of about this size.
    fn table(&mut self, name: &str, shape: &[usize], size: i32) -> Result<(), WriteError> {
        let values = self.tensors.random.values(shape.iter().product(), size);
        self.tensors.writer.add_i32(name, shape, values)
    }

    fn language_model(&mut self) -> Result<(), WriteError> {
        let (width, values) = (self.shape.width, self.shape.value_width());
        let query = self.shape.query_width;
        let record = self.config.to_record().to_vec();
        self.tensors.writer.add_u32(CONFIG, &[CONFIG_LEN], record)?;
        self.table("lm.embedding", &[self.config.vocab, width], 1 << STREAM_FRAC)?;
        self.tensors.writer.add_u32("lm.rotary", &[query / 2], phases(query))?;
        for layer in 0..self.shape.layers {
            let name = |part: &str| format!("lm.layers.{layer}.{part}");
            self.tensors.norm(&name("norm"), width)?;
            self.tensors.pair([(name("projections"), values + query), (name("gate"), values)], width)?;
            // A scale and an offset of queries, and of keys; unit 2^-20, then activations.
            let scales = self.tensors.random.values(2 * query, 2 << 20);
            let offsets = self.tensors.random.values(2 * query, 1 << 14);
            self.tensors.writer.add_i32(&name("query_key"), &[4, query], [scales, offsets].concat())?;
            self.table(&name("positions"), &[self.config.offsets()], 1 << ACT)?;
            self.tensors.linear(&name("output"), values, width, STREAM_FRAC)?;
        }
        self.tensors.norm("lm.norm", width)?;
        (0..=self.shape.layers)
            .try_for_each(|index| self.site(&format!("lm.residual.{index}"), width, self.shape.stream_bits))
    }

    fn site(&mut self, name: &str, width: usize, bits: i32) -> Result<(), WriteError> {
        add_site(&mut self.tensors.writer, &mut self.tensors.random, name, width, bits)
    }

    /// What comes before the first block and after the structure module.
    fn ends(&mut self) -> Result<(), WriteError> {
        let (node, pair) = (self.shape.node_width(), self.shape.pair_width());
        let (width, layers) = (self.shape.width, self.shape.layers);
        self.tensors.norm("fold.embedding.node_norm", width)?;
        self.tensors.linear("fold.embedding.node", width, node, STREAM_FRAC)?;
        self.tensors.norm("fold.embedding.pair_norm", layers)?;
        self.tensors.precise("fold.embedding.pair", layers, pair, STREAM_FRAC)?;
        let one = 1 << STREAM_FRAC;
        self.table("fold.embedding.row_types", &[RESIDUES, pair], one)?;
        self.table("fold.embedding.column_types", &[RESIDUES, pair], one)?;
        self.table("fold.embedding.positions", &[self.config.positions(), pair], one)?;
        self.tensors.norm("fold.recycling.node_norm", node)?;
        self.tensors.norm("fold.recycling.pair_norm", pair)?;
        self.table("fold.recycling.distances", &[DISTANCE_BINS, pair], one)?;
        let (state, inner) = (self.shape.structure.width, self.shape.confidence_width);
        self.tensors.norm("fold.confidence.norm", state)?;
        self.tensors.precise("fold.confidence.first", state, inner, ACT)?;
        self.tensors.precise("fold.confidence.second", inner, inner, ACT)?;
        self.tensors.precise("fold.confidence.third", inner, CONFIDENCE_BINS, ACT)
    }

    fn block(&mut self, block: usize) -> Result<(), WriteError> {
        let (node, pair, outer) = (self.shape.node_width(), self.shape.pair_width(), self.shape.outer_width);
        let name = |part: &str| format!("fold.trunk.{block}.{part}");
        let tensors = &mut self.tensors;
        tensors.norm(&name("pair_bias.norm"), pair)?;
        tensors.linear(&name("pair_bias.linear"), pair, self.shape.node_heads, ACT)?;
        for part in ["row_attention", "column_attention"] {
            tensors.norm(&name(&format!("{part}.norm")), node)?;
            tensors.linear(&name(&format!("{part}.projections")), node, 4 * node, ACT)?;
            tensors.linear(&name(&format!("{part}.output")), node, node, STREAM_FRAC)?;
        }
        for (part, width) in [("node_transition", node), ("pair_transition", pair)] {
            let inner = TRANSITION_FACTOR * width;
            tensors.norm(&name(&format!("{part}.norm")), width)?;
            tensors.linear(&name(&format!("{part}.up")), width, inner, ACT)?;
            tensors.linear(&name(&format!("{part}.down")), inner, width, STREAM_FRAC)?;
        }
        tensors.norm(&name("outer_product.norm"), node)?;
        tensors.linear(&name("outer_product.projection"), node, 2 * outer, ACT)?;
        tensors.precise(&name("outer_product.weights"), outer, outer * pair, ACT)?;
        self.table(&name("outer_product.bias"), &[pair], 1 << (STREAM_FRAC - 3))?;
        (0..self.shape.geometric_layers)
            .try_for_each(|layer| self.geometric(&name(&format!("geometric.{layer}"))))
    }

    /// A layer of geometric attention.
    fn geometric(&mut self, name: &str) -> Result<(), WriteError> {
        let (pair, heads, tensors) = (self.shape.pair_width(), self.shape.pair_heads, &mut self.tensors);
        for part in ["attention_start", "attention_end"] {
            let name = format!("{name}.{part}");
            tensors.norm(&format!("{name}.norm"), pair)?;
            tensors
                .pair([(format!("{name}.projections"), 4 * pair), (format!("{name}.bias"), heads)], pair)?;
            tensors.linear(&format!("{name}.output"), pair, pair, STREAM_FRAC)?;
        }
        for part in ["product", "product_turned"] {
            let name = format!("{name}.{part}");
            tensors.norm(&format!("{name}.norm_in"), pair)?;
            tensors.norm(&format!("{name}.norm_out"), pair)?;
            tensors
                .pair([(format!("{name}.projections"), 4 * pair), (format!("{name}.gate"), pair)], pair)?;
            tensors.linear(&format!("{name}.output"), pair, pair, STREAM_FRAC)?;
        }
        Ok(())
    }

    /// How the trunk stores both representations.
    fn sites(&mut self) -> Result<(), WriteError> {
        let (blocks, node, pair) = (self.shape.blocks, self.shape.node_width(), self.shape.pair_width());
        let kinds = [
            ("node", NODE_SITES * blocks + 1, node, self.shape.node_bits),
            ("pair", pair_sites(&self.config) * blocks + 1, pair, self.shape.pair_bits),
            ("middle", self.shape.geometric_layers * blocks, pair, 16),
        ];
        for (kind, count, width, bits) in kinds {
            (0..count)
                .try_for_each(|index| self.site(&format!("fold.residual.{kind}.{index}"), width, bits))?;
        }
        Ok(())
    }
}

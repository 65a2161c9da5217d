//! What a fold by OmegaFold is, by the same units.

use foldpoint_core::omegafold::{Config, TRANSITION_FACTOR};

use super::{ATTENDED, NARROW, SCORE, VALUE, Work, attended, part, structure};

/// A fold of some residues by OmegaFold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OmegaFoldWork {
    /// A layer of the language model over the sequence itself, once for all cycles.
    sequence_layer: Work,
    /// One over the rows below it; nothing if there are none.
    layer: Work,
    /// From maps of attention to the pairs that the trunk begins with.
    embedding: Work,
    /// One block of the trunk.
    block: Work,
    /// The structure module and the confidences.
    end: Work,
    layers: usize,
    blocks: usize,
}

impl OmegaFoldWork {
    /// Counts it, with so many rows of the pseudo-MSA below the sequence.
    pub fn new(config: &Config, residues: usize, rows: usize) -> Self {
        let length = residues as f64;
        let pairs = length * length;
        let (node, pair) = (config.node_width as f64, config.pair_width as f64);
        let maps = config.layers as f64;
        let confidence = config.confidence_width as f64;
        let head = confidence * (config.structure.width as f64 + confidence);
        Self {
            sequence_layer: layer(config, length, 1.0),
            layer: layer(config, length, rows as f64),
            embedding: part(3, length * (rows as f64 + 1.0) * config.width as f64 * node)
                + part(4, pairs * (NARROW * maps * pair + VALUE * (maps + 4.0 * pair))),
            block: block(config, length, rows as f64 + 1.0),
            end: structure(&config.structure, length) + part(3, length * head),
            layers: config.layers,
            blocks: config.blocks,
        }
    }

    /// So many layers over the sequence itself, which come before all else.
    pub fn sequence_layers(&self, count: usize) -> Work {
        self.sequence_layer * count as f64
    }

    /// What is done after so many whole cycles, and so many layers and blocks of another one.
    pub fn done(&self, cycles: usize, layers: usize, blocks: usize) -> Work {
        let cycle =
            self.layer * self.layers as f64 + self.embedding + self.block * self.blocks as f64 + self.end;
        let begun = if blocks > 0 { self.embedding } else { Work::default() };
        self.sequence_layers(self.layers)
            + cycle * cycles as f64
            + self.layer * layers as f64
            + begun
            + self.block * blocks as f64
    }

    /// All of it, in so many cycles.
    pub fn all(&self, cycles: usize) -> Work {
        self.done(cycles, 0, 0)
    }
}

/// A layer of the language model. Its one head is attended to in slices of the values, each with scores of
/// its own.
fn layer(config: &Config, length: f64, rows: f64) -> Work {
    let (width, value, query) = (config.width as f64, config.value_width as f64, config.query_width as f64);
    let slices = value / query;
    let token =
        width * (2.0 * value + query) + value * width + VALUE * (2.0 * width + 5.0 * value + 4.0 * query);
    part(0, rows * length * token) + part(1, rows * length * length * slices * (ATTENDED * query + SCORE))
}

/// A block of the trunk, over so many rows.
fn block(config: &Config, length: f64, rows: f64) -> Work {
    let pairs = length * length;
    let (node, pair) = (config.node_width as f64, config.pair_width as f64);
    let (node_heads, pair_heads) = (config.node_heads as f64, config.pair_heads as f64);
    let (outer, factor) = (config.outer_width as f64, TRANSITION_FACTOR as f64);
    let geometric = config.geometric_layers as f64;

    // Attention over rows and over columns, then the transition: each normalises, stores and adds.
    let token = node * ((5.0 + 5.0 + 2.0 * factor) * node + 2.0 * outer)
        + VALUE * 30.0 * node
        + rows * attended(node_heads, node);
    // As triangle attention and multiplication of ESMFold, twice each.
    let layer = NARROW * pair * (22.0 * pair + 2.0 * pair_heads) + VALUE * 65.0 * pair;
    let transition = NARROW * 2.0 * factor * pair * pair + VALUE * 15.0 * pair;
    let from_node = NARROW * (rows * outer + node_heads) * pair + rows * attended(node_heads, node);
    part(3, rows * length * token)
        + part(4, pairs * (geometric * layer + transition + from_node))
        + part(5, 2.0 * geometric * pairs * length * (pair + attended(pair_heads, pair)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::FoldWork;
    use foldpoint_core::{esm, esmfold};

    /// The shape of release 1, as far as it is counted.
    fn release_1() -> Config {
        let mut config = Config::default();
        config.layers = 66;
        config.width = 1280;
        config.value_width = 2560;
        config.query_width = 256;
        config.blocks = 50;
        config.node_width = 256;
        config.node_heads = 8;
        config.pair_width = 128;
        config.pair_heads = 4;
        config.geometric_layers = 2;
        config.outer_width = 32;
        config.confidence_width = 128;
        config.structure.iterations = 8;
        config.structure.width = 384;
        config.structure.pair_width = 128;
        config.structure.heads = 12;
        config.structure.head_width = 16;
        config.structure.query_points = 4;
        config.structure.value_points = 8;
        config
    }

    #[test]
    fn parts_grow_with_their_power_of_the_length() {
        let work = |residues| OmegaFoldWork::new(&release_1(), residues, 15).all(10);
        let (short, long) = (work(100), work(200));
        for (part, times) in [(0, 2.0), (1, 4.0), (3, 2.0), (4, 4.0), (5, 8.0)] {
            assert!((long.0[part] / short.0[part] / times - 1.0).abs() < 1e-9, "{part}");
        }
        assert!(short.0[2] == 0.0 && short.folds());
    }

    #[test]
    fn steps_add_up_to_the_whole_and_the_sequence_is_read_once() {
        let work = OmegaFoldWork::new(&release_1(), 50, 15);
        let close = |a: Work, b: Work| (a - b).total().abs() < 1e-9 * a.total();
        assert!(close(work.sequence_layers(66), work.done(0, 0, 0)));
        assert!(close(work.done(1, 66, 50) + work.end, work.done(2, 0, 0)));
        assert!(!work.done(0, 66, 0).folds() && work.done(0, 66, 1).folds());
        let alone = OmegaFoldWork::new(&release_1(), 50, 0);
        assert!(close(work.sequence_layers(66), alone.sequence_layers(66)));
        assert_eq!(alone.layer, Work::default());
    }

    /// With the releases' shapes, ten cycles of the one and four passes of the other: in products alone 9.6 and
    /// 7.3 times.
    #[test]
    fn a_fold_is_several_times_as_much_as_by_esmfold() {
        let mut language_model = esm::Config::default();
        (language_model.layers, language_model.width, language_model.heads) = (36, 2560, 40);
        (language_model.ffn, language_model.vocab) = (10_240, 33);
        let mut esmfold = esmfold::Config::default();
        (esmfold.blocks, esmfold.sequence_width, esmfold.sequence_heads) = (48, 1024, 32);
        (esmfold.pair_width, esmfold.pair_heads) = (128, 4);
        esmfold.structure = release_1().structure;
        for residues in [128, 256] {
            let other = FoldWork::new(&language_model, &esmfold, residues).all(4).total();
            let times = OmegaFoldWork::new(&release_1(), residues, 15).all(10).total() / other;
            assert!((6.0..10.0).contains(&times), "{residues} residues: {times}");
        }
    }

    /// The products of a cycle as counted for the whole model by hand, in units of 10^9: 1373 and 2746 in the
    /// language model's Linears, of which a sixteenth is the sequence's.
    #[test]
    fn the_language_models_products_are_those_of_its_linears() {
        for (residues, products) in [(128, 1373e9), (256, 2746e9)] {
            let work = OmegaFoldWork::new(&release_1(), residues, 15);
            let found = (work.layer + work.sequence_layer).0[0] * 66.0;
            // Values beside the products weigh some per cent.
            assert!(found > products && found < 1.1 * products, "{found}");
        }
    }
}

//! How much work a run is, counted from the model's shape before anything runs.
//!
//! The unit is one product of a wide linear layer. All else is weighed by about how many of them take as long
//! (measured with AVX-512 on the shapes of ESM-2 8M, the built-in model and `esmfold_v1`'s trunk): close
//! enough that one measured run says something about all others. What a unit takes on a machine is measured,
//! for each [part](Work) by itself where there are runs of several lengths.

mod omegafold;

use std::ops::{Add, Mul, Sub};

use foldpoint_core::esm;
use foldpoint_core::esmfold;
use foldpoint_core::esmfold::StructureConfig;
use serde::{Deserialize, Serialize};

pub use omegafold::OmegaFoldWork;

/// A value of a row that is normalised, quantized, gated or stored.
const VALUE: f64 = 40.0;
/// A product of a linear layer over pairs, whose few channels leave more of each instruction unused.
const NARROW: f64 = 1.3;
/// A product of attention: its weights have 15 bits.
const ATTENDED: f64 = 3.0;
/// The exponential of a score, and all that is done with it once.
const SCORE: f64 = 40.0;

/// A row of an attention map that is kept for contacts, and each of its values.
const MAP_ROW: f64 = 15_000.0;
const MAP_VALUE: f64 = 10.0;

/// How many [parts](Work) there are.
pub const PARTS: usize = 6;

/// Work in parts that grow with the length in different ways:
///
/// | index | part | grows with |
/// |---:|---|---|
/// | 0 | the language model's linear layers | tokens |
/// | 1 | its attention | tokens² |
/// | 2 | attention maps, for contacts | tokens, and tokens² |
/// | 3 | a folding model's layers over the sequence | residues |
/// | 4 | its layers over pairs, structure module and heads | residues² |
/// | 5 | triangle multiplication and attention | residues³ |
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Work(pub [f64; PARTS]);

impl Work {
    /// All of it, in products of a linear layer.
    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    /// Whether some of it is a folding model's, after the language model.
    pub fn folds(&self) -> bool {
        self.0[3..].iter().any(|&part| part > 0.0)
    }
}

impl Add for Work {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|part| self.0[part] + other.0[part]))
    }
}

impl Sub for Work {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|part| self.0[part] - other.0[part]))
    }
}

impl Mul<f64> for Work {
    type Output = Self;
    fn mul(self, times: f64) -> Self {
        Self(self.0.map(|part| part * times))
    }
}

/// A language model over `tokens` tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LanguageModelWork {
    /// One layer.
    pub layer: Work,
    /// What comes after the last one.
    pub end: Work,
    layers: usize,
}

impl LanguageModelWork {
    /// Counts it.
    pub fn new(config: &esm::Config, tokens: usize, request: &esm::Request) -> Self {
        let (width, ffn, heads) = (config.width as f64, config.ffn as f64, config.heads as f64);
        let (head, vocab, tokens) = (config.head_width() as f64, config.vocab as f64, tokens as f64);
        let mut row = width * (4.0 * width + 2.0 * ffn) + VALUE * (9.0 * width + 3.0 * ffn);
        if request.hidden == esm::HiddenLayers::All {
            row += VALUE * width;
        }
        let scores = tokens * tokens * heads;
        let rows = tokens * heads;
        let maps = if request.contacts { rows * (MAP_ROW + MAP_VALUE * tokens) } else { 0.0 };
        let layer = Work([tokens * row, scores * (ATTENDED * head + SCORE), maps, 0.0, 0.0, 0.0]);
        let logits = width * (width + vocab) + VALUE * (4.0 * width + vocab);
        let row = if request.logits { logits } else { 0.0 };
        let end = Work([tokens * (row + VALUE * width), 0.0, 0.0, 0.0, 0.0, 0.0]);
        Self { layer, end, layers: config.layers }
    }

    /// So many layers.
    pub fn layers(&self, count: usize) -> Work {
        self.layer * count as f64
    }

    /// All of it.
    pub fn all(&self) -> Work {
        self.layers(self.layers) + self.end
    }
}

/// A fold of some residues by ESMFold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoldWork {
    /// The language model, and what is made of its hidden states.
    pub language_model: LanguageModelWork,
    /// What a pass begins with.
    recycling: Work,
    /// One block of the trunk.
    block: Work,
    /// The structure module, once.
    structure: Work,
    /// The confidence heads.
    heads: Work,
    blocks: usize,
}

impl FoldWork {
    /// Counts it.
    pub fn new(language_model: &esm::Config, config: &esmfold::Config, residues: usize) -> Self {
        let request = esm::Request::default().hidden(esm::HiddenLayers::All);
        let mut language_model = LanguageModelWork::new(language_model, residues + 2, &request);
        let length = residues as f64;
        let (rows, pairs) = (length, length * length);
        let (sequence, pair) = (config.sequence_width as f64, config.pair_width as f64);
        let (sequence_heads, pair_heads) = (config.sequence_heads as f64, config.pair_heads as f64);
        language_model.end = language_model.end + part(3, rows * 3.0 * sequence * sequence);

        let biases = pair * (sequence_heads + 2.0 * pair_heads);
        let pair_row = NARROW * (31.0 * pair * pair + biases) + VALUE * 80.0 * pair;
        let block =
            part(3, rows * (13.0 * sequence * sequence + 2.0 * sequence * pair + VALUE * 20.0 * sequence))
                + part(4, pairs * (pair_row + attended(sequence_heads, sequence)))
                + part(5, 2.0 * pairs * length * (pair + attended(pair_heads, pair)));

        let structure = structure(&config.structure, length)
            // The Linear before it.
            + part(4, pairs * pair * config.structure.pair_width as f64);
        Self {
            language_model,
            recycling: part(4, pairs * VALUE * 4.0 * pair),
            block,
            structure,
            heads: part(4, pairs * (64.0 * pair + VALUE * (64.0 + 2.0 * pair))),
            blocks: config.blocks,
        }
    }

    /// What is done after so many whole passes, and so many blocks of another one.
    pub fn done(&self, passes: usize, blocks: usize) -> Work {
        let pass = self.recycling + self.block * self.blocks as f64 + self.structure;
        let begun = if blocks > 0 { self.recycling } else { Work::default() };
        self.language_model.all() + pass * passes as f64 + begun + self.block * blocks as f64
    }

    /// All of it, in so many passes.
    pub fn all(&self, passes: usize) -> Work {
        self.done(passes, 0) + self.heads
    }
}

/// Attention of one query over one key, in all heads.
fn attended(heads: f64, width: f64) -> f64 {
    heads * (ATTENDED * width / heads + SCORE)
}

/// A structure module over so many residues, without a Linear before it.
fn structure(s: &StructureConfig, length: f64) -> Work {
    let (heads, width, pair) = (s.heads as f64, s.width as f64, s.pair_width as f64);
    let points = (s.query_points + s.value_points) as f64;
    let score = heads * (3.0 * s.head_width as f64 + 9.0 * points + 2.0 * pair + SCORE);
    let projections = s.projections() as f64 + 6.0 * width;
    let iterations = s.iterations as f64;
    part(3, iterations * length * width * projections)
        + part(4, length * length * (iterations * score + 2.0 * VALUE * pair))
}

fn part(index: usize, count: f64) -> Work {
    let mut work = Work::default();
    work.0[index] = count;
    work
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    #[test]
    fn parts_grow_with_their_power_of_the_length() {
        let model = Model::from_bytes("tiny", include_bytes!("../../../examples/bare-metal/tiny.fpm"));
        let model = model.expect("a model");
        let folding = model.folding_model().expect("a folding model");
        let (config, fold) = (folding.language_model().config(), folding.config());
        let work = |residues| FoldWork::new(config, fold, residues).all(2);
        let (short, long) = (work(98), work(198));
        // 100 tokens and 200, 98 residues and 198. Folding needs no maps.
        let grows = |power: i32, tokens: bool| if tokens { 2f64 } else { 198.0 / 98.0 }.powi(power);
        for (part, times) in
            [(0, grows(1, true)), (1, grows(2, true)), (4, grows(2, false)), (5, grows(3, false))]
        {
            assert!((long.0[part] / short.0[part] / times - 1.0).abs() < 1e-9, "{part}");
        }
        assert_eq!(short.0[2], 0.0);
        let contacts = LanguageModelWork::new(config, 100, &esm::Request::default().contacts(true)).all();
        assert!(contacts.0[2] > 0.0 && !contacts.folds() && short.folds());
    }

    #[test]
    fn steps_add_up_to_the_whole() {
        let model = Model::from_bytes("tiny", include_bytes!("../../../examples/bare-metal/tiny.fpm"));
        let model = model.expect("a model");
        let folding = model.folding_model().expect("a folding model");
        let work = FoldWork::new(folding.language_model().config(), folding.config(), 50);
        let blocks = folding.config().blocks;
        let close = |a: Work, b: Work| (a - b).total().abs() < 1e-6 * a.total();
        assert!(close(work.done(1, blocks) + work.structure, work.done(2, 0)));
        assert!(close(work.done(0, 0), work.language_model.all()));
        assert!(close(work.done(3, 0) + work.heads, work.all(3)));
        assert!(work.done(0, 1).total() > work.done(0, 0).total());
    }
}

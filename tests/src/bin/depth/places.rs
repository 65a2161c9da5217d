//! Where the states of both models are compared, and what the float reference calls these places.

use std::fmt;

use foldpoint_core::esm;
use foldpoint_core::esmfold;
use quantizer::reference::Site;

/// A state of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Hidden state of the language model: 0 is the embedding, k the stream after layer k - 1, the last one after
    /// the final LayerNorm.
    Hidden(usize),
    /// The sequence representation after a block of the trunk.
    Sequence {
        /// From 0.
        pass: usize,
        /// From 0.
        block: usize,
    },
    /// The pair representation after a block of the trunk.
    Pair {
        /// From 0.
        pass: usize,
        /// From 0.
        block: usize,
    },
}

impl Place {
    /// What is compared there.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Hidden(_) => "hidden",
            Self::Sequence { .. } => "sequence",
            Self::Pair { .. } => "pair",
        }
    }

    /// Pass, 0 for the language model's, and number of the hidden state or block.
    pub fn numbers(self) -> [usize; 2] {
        match self {
            Self::Hidden(layer) => [0, layer],
            Self::Sequence { pass, block } | Self::Pair { pass, block } => [pass, block],
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden(layer) => write!(f, "hidden state {layer}"),
            Self::Sequence { pass, block } | Self::Pair { pass, block } => {
                write!(f, "{} representation after block {block} of pass {pass}", self.kind())
            }
        }
    }
}

/// The trunk's part of a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// Blocks.
    pub blocks: usize,
    /// Passes that are run.
    pub passes: usize,
    /// Channels of the sequence representation.
    pub sequence: usize,
    /// Channels of the pair representation.
    pub pair: usize,
}

/// What decides which places a model has and how large the states there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Layers of the language model.
    pub layers: usize,
    /// Channels of the language model.
    pub width: usize,
    /// Of a folding model.
    pub trunk: Option<Trunk>,
}

impl Shape {
    /// Of an integer model that is run in `passes` passes.
    pub fn of_model(language_model: &esm::Config, fold: Option<&esmfold::Config>, passes: usize) -> Self {
        let trunk = fold.map(|fold| Trunk {
            blocks: fold.blocks,
            passes,
            sequence: fold.sequence_width,
            pair: fold.pair_width,
        });
        Self { layers: language_model.layers, width: language_model.width, trunk }
    }

    /// All places in the order in which a run gets to them.
    pub fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = (0..=self.layers).map(Place::Hidden).collect();
        let trunk = self.trunk.iter();
        let steps = trunk.flat_map(|t| (0..t.passes).flat_map(|pass| (0..t.blocks).map(move |b| (pass, b))));
        places.extend(
            steps.flat_map(|(pass, block)| [Place::Sequence { pass, block }, Place::Pair { pass, block }]),
        );
        places
    }

    /// The place whose state the float reference shows at `site`, if it is one.
    pub fn place(&self, site: &Site) -> Option<Place> {
        let name = site.name.as_str();
        let between = |before, after| name.strip_prefix(before)?.strip_suffix(after)?.parse::<usize>().ok();
        if name == "lm.norm" {
            return Some(Place::Hidden(self.layers));
        }
        if let Some(layer) = between("lm.layers.", ".attention.norm") {
            return Some(Place::Hidden(layer));
        }
        let (pass, last) = (site.pass, self.trunk?.blocks.checked_sub(1)?);
        // A block's result is what the next one reads, or after the last one the structure module.
        if let Some(next) = between("fold.trunk.", ".sequence_attention.norm") {
            return next.checked_sub(1).map(|block| Place::Sequence { pass, block });
        }
        if let Some(next) = between("fold.trunk.", ".pair_bias.norm") {
            return next.checked_sub(1).map(|block| Place::Pair { pass, block });
        }
        match name {
            "fold.structure.sequence_input" => Some(Place::Sequence { pass, block: last }),
            "fold.structure.pair_input" => Some(Place::Pair { pass, block: last }),
            _ => None,
        }
    }

    /// Rows (tokens, residues or pairs) and channels of the state at `place` of a sequence of `residues`.
    pub fn size(&self, place: Place, residues: usize) -> [usize; 2] {
        let [sequence, pair] = self.trunk.map_or([0; 2], |trunk| [trunk.sequence, trunk.pair]);
        match place {
            Place::Hidden(_) => [residues + 2, self.width],
            Place::Sequence { .. } => [residues, sequence],
            Place::Pair { .. } => [residues * residues, pair],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_shown_at_one_site() {
        let trunk = Trunk { blocks: 2, passes: 3, sequence: 5, pair: 7 };
        let shape = Shape { layers: 2, width: 11, trunk: Some(trunk) };
        let site = |name: &str, pass| shape.place(&Site { name: name.into(), pass, iteration: 0 });
        let mut found = vec![
            site("lm.layers.0.attention.norm", 0),
            site("lm.layers.1.attention.norm", 0),
            site("lm.norm", 0),
        ];
        for pass in 0..3 {
            assert_eq!(site("fold.trunk.0.sequence_attention.norm", pass), None, "what a pass starts from");
            assert_eq!(site("fold.trunk.0.pair_bias.norm", pass), None, "what a pass starts from");
            found.push(site("fold.trunk.1.sequence_attention.norm", pass));
            found.push(site("fold.trunk.1.pair_bias.norm", pass));
            found.push(site("fold.structure.sequence_input", pass));
            found.push(site("fold.structure.pair_input", pass));
        }
        assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), shape.places());
        assert_eq!(site("lm.layers.0.ffn.norm", 0), None);
        assert_eq!(shape.size(Place::Hidden(2), 4), [6, 11]);
        assert_eq!(shape.size(Place::Sequence { pass: 0, block: 0 }, 4), [4, 5]);
        assert_eq!(shape.size(Place::Pair { pass: 0, block: 0 }, 4), [16, 7]);
    }
}

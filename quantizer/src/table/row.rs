//! A group of tensors.

use std::fmt;

use super::pattern;
use super::source::Source;

/// A group of tensors that are written together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What a model file calls it: the tensor, or what the names of its tensors begin with.
    pub name: &'static str,
    /// How often it occurs, and so what its placeholder counts.
    pub repeat: Repeat,
    /// What it is.
    pub kind: Kind,
    /// The unit of what it gives.
    pub unit: Unit,
    /// Where calibration sees what it reads, or what it stores.
    pub site: Site,
    /// What of a checkpoint it is made of.
    pub sources: &'static [Source],
}

/// How often a group occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Once.
    Once,
    /// For each layer of the language model.
    Layers,
    /// For each place where the language model's stream is stored: after the embedding, and after each layer.
    LayerStates,
    /// For each trunk block.
    Blocks,
    /// For each place where the sequence representation is stored: at the start of a pass, and after each
    /// block.
    SequenceStates,
    /// For each place where the pair representation is stored: at the start of a pass, and after each
    /// operation of each block.
    PairStates,
    /// For each part into which the output of invariant point attention is cut.
    OutputParts,
    /// For each layer of the structure module's transition.
    TransitionLayers,
    /// For each block of the angle resnet.
    ResnetBlocks,
}

/// What a group of tensors is, and so how it is made from its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Where the model comes from: text, which inference doesn't read.
    Metadata,
    /// A record of sizes and constants.
    Config,
    /// Rotary frequencies.
    Rotary,
    /// A table of values.
    Table,
    /// The first 21 rows of a table: those of residues.
    Residues,
    /// Shares that sum to 1: softmax of the values.
    Shares,
    /// A LayerNorm.
    Norm,
    /// A Linear: its sources, one after another.
    Linear,
    /// A Linear: its three sources, which have nothing between them, multiplied.
    Chain,
    /// A Linear: a part of its source's inputs.
    Columns,
    /// The codec of a stored representation.
    Residual,
    /// The codec of a sum between two of them, which has 16 bits whatever is chosen.
    Middle,
    /// Factors of queries and of keys, and what is added to either.
    QueryKey,
    /// The contact head's regression.
    ContactHead,
    /// What distances between points count in each head.
    PointWeights,
}

/// A representation with a unit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The language model's residual stream.
    LanguageModel,
    /// ESMFold's sequence representation.
    Sequence,
    /// OmegaFold's node representation.
    Node,
    /// A folding model's pair representation.
    Pair,
}

/// The unit of what a group gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// None, or one of its own.
    Own,
    /// Activation units: 2^-16.
    Activation,
    /// That of a stored representation.
    Stream(Stream),
    /// 2^-16 of a power of two.
    Log2,
    /// As `Log2`, a third of the logit's variance: with the factor sqrt(1/3) too.
    Log2Third,
    /// Of translations: 2^-20.
    Translation,
    /// Of shares: 2^-30.
    Share,
}

/// Where calibration sees the values that a group is chosen by: a site of the float model goes by the name of
/// what reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// Nowhere.
    None,
    /// Where the group reads its inputs.
    Own,
    /// Where the group of this name reads its inputs, the same values.
    Of(&'static str),
    /// Where a group of this name reads the inputs of all numbers of this one, which has a part of the
    /// columns.
    ColumnsOf(&'static str),
    /// Where what is stored is read next.
    Stored {
        /// Who reads it in a layer or a block, one after another.
        readers: &'static [&'static str],
        /// Who reads the last.
        last: &'static str,
    },
}

impl Kind {
    /// What the names of a group's tensors in a model file have after the group's.
    pub fn tensors(self) -> &'static [&'static str] {
        match self {
            Self::Norm => &[".gain", ".bias"],
            Self::Linear | Self::Chain | Self::Columns => {
                &[".weight", ".bias", ".mantissa", ".shift", ".rowsum", ".outliers"]
            }
            Self::Residual | Self::Middle => &["", ".exponent"],
            Self::ContactHead => &[".weight", ".param"],
            _ => &[""],
        }
    }

    /// Whether it has int8 weights, which take time to round.
    pub fn is_linear(self) -> bool {
        matches!(self, Self::Linear | Self::Chain | Self::Columns)
    }
}

impl Row {
    pub(super) const fn new(name: &'static str, kind: Kind, unit: Unit, sources: &'static [Source]) -> Self {
        Self { name, repeat: Repeat::Once, kind, unit, site: Site::None, sources }
    }

    pub(super) const fn norm(name: &'static str, source: &'static [Source; 1]) -> Self {
        Self::new(name, Kind::Norm, Unit::Activation, source)
    }

    pub(super) const fn linear(name: &'static str, unit: Unit, sources: &'static [Source]) -> Self {
        Self::new(name, Kind::Linear, unit, sources).at(Site::Own)
    }

    pub(super) const fn residual(
        name: &'static str,
        stream: Stream,
        readers: &'static [&'static str],
        last: &'static str,
    ) -> Self {
        Self::new(name, Kind::Residual, Unit::Stream(stream), &[]).at(Site::Stored { readers, last })
    }

    pub(super) const fn repeat(self, repeat: Repeat) -> Self {
        Self { repeat, ..self }
    }

    pub(super) const fn at(self, site: Site) -> Self {
        Self { site, ..self }
    }

    /// The name of number `index`.
    pub fn numbered(&self, index: usize) -> String {
        pattern::fill(self.name, index)
    }

    /// The name by which calibration keeps what it chose for number `index`: Linears that read the same
    /// values share a choice.
    pub fn choice(&self, index: usize) -> String {
        match self.site {
            Site::Of(name) => pattern::fill(name, index),
            _ => self.numbered(index),
        }
    }

    /// The site where calibration sees the values of number `index` of `count`; `None` if it needn't.
    pub fn seen_at(&self, index: usize, count: usize) -> Option<String> {
        match self.site {
            Site::None => None,
            Site::Own => Some(self.numbered(index)),
            Site::Of(name) | Site::ColumnsOf(name) => Some(pattern::fill(name, index)),
            Site::Stored { last, .. } if index + 1 == count => Some(last.to_owned()),
            Site::Stored { readers, .. } => {
                let reader = readers.get(index % readers.len().max(1))?;
                Some(pattern::fill(reader, index / readers.len()))
            }
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "",
            Self::Activation => "ACT",
            Self::Stream(Stream::LanguageModel) => "`stream`",
            Self::Stream(Stream::Sequence) => "`s`",
            Self::Stream(Stream::Node) => "`n`",
            Self::Stream(Stream::Pair) => "`z`",
            Self::Log2 | Self::Log2Third => "LOG2",
            Self::Translation => "2^-20",
            Self::Share => "2^-30",
        })
    }
}

//! Where a group's values are in checkpoints.

pub use foldpoint_core::esmfold::{ATOM_TYPES, DISTANCE_BINS};
pub use foldpoint_core::geometry::TORSIONS;
pub use foldpoint_core::heads::{PAIR_BINS, PLDDT_BINS};

/// Rows of the residue embedding: padding or the 20 amino acids, X, and two that are not used in folding.
pub const RESIDUE_ROWS: usize = 23;

/// A module or a tensor of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// What `transformers` calls it, without the language model's prefix `esm.`; everything here goes by this
    /// name.
    pub name: &'static str,
    /// What fair-esm calls it, without its prefixes.
    pub fair_esm: &'static str,
    /// Which tensors it is, and their shapes.
    pub form: Form,
}

/// The tensors of a [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `.weight`, `[outputs, inputs]`, and `.bias`, `[outputs]`.
    Linear([Size; 2]),
    /// `.weight` alone, `[outputs, inputs]`: a Linear without bias.
    Matrix([Size; 2]),
    /// As `Matrix`; the outputs are, for each head of the attention over the sequence, its queries, keys and
    /// values.
    MatrixByHead([Size; 2]),
    /// `.weight`, the gain, and `.bias`, both `[channels]`.
    Norm(Size),
    /// A tensor by its own name.
    Tensor(&'static [Size]),
    /// A tensor by its own name that may be left out: then it is the embedding.
    Tied(&'static [Size]),
}

/// An extent of a tensor in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the fields of the checkpoint's configurations")]
pub enum Size {
    Fixed(usize),
    Vocab,
    Width,
    Ffn,
    /// Attention maps: layers times heads.
    Maps,
    /// Hidden states: layers and the embedding.
    States,
    /// Channels of the sequence representation, so many times.
    Sequence(usize),
    SequenceHeads,
    /// Channels of the pair representation, so many times.
    Pair(usize),
    PairHeads,
    /// Rows of the embedding of distances along the chain.
    Positions,
    PlddtWidth,
    StructureSequence,
    StructurePair,
    IpaHeads,
    IpaQueries,
    IpaKeysAndValues,
    IpaQueryPoints,
    IpaKeyAndValuePoints,
    IpaOutput,
    ResnetWidth,
}

impl Source {
    /// A module with a matrix and a bias.
    pub(super) const fn linear(name: &'static str, outputs: Size, inputs: Size) -> Self {
        Self { name, fair_esm: name, form: Form::Linear([outputs, inputs]) }
    }

    /// A module with a matrix alone.
    pub(super) const fn matrix(name: &'static str, outputs: Size, inputs: Size) -> Self {
        Self { name, fair_esm: name, form: Form::Matrix([outputs, inputs]) }
    }

    /// A LayerNorm.
    pub(super) const fn norm(name: &'static str, channels: Size) -> Self {
        Self { name, fair_esm: name, form: Form::Norm(channels) }
    }

    /// A tensor.
    pub(super) const fn tensor(name: &'static str, shape: &'static [Size]) -> Self {
        Self { name, fair_esm: name, form: Form::Tensor(shape) }
    }

    /// The same, which fair-esm calls otherwise.
    pub(super) const fn fair_esm(self, fair_esm: &'static str) -> Self {
        Self { fair_esm, ..self }
    }

    /// Its tensors: what their names have after the source's, and their shapes.
    pub fn tensors(&self) -> Vec<(&'static str, Vec<Size>)> {
        match self.form {
            Form::Linear([outputs, inputs]) => {
                vec![(".weight", vec![outputs, inputs]), (".bias", vec![outputs])]
            }
            Form::Matrix(shape) | Form::MatrixByHead(shape) => vec![(".weight", shape.to_vec())],
            Form::Norm(channels) => vec![(".weight", vec![channels]), (".bias", vec![channels])],
            Form::Tensor(shape) | Form::Tied(shape) => vec![("", shape.to_vec())],
        }
    }
}

//! The folding model but for trunk and structure module.

use super::row::{Kind, Repeat, Row, Site, Stream, Unit};
use super::source::{ATOM_TYPES, DISTANCE_BINS, PAIR_BINS, PLDDT_BINS, RESIDUE_ROWS, Size, Source};

const SEQUENCE: Unit = Unit::Stream(Stream::Sequence);
const PAIR: Unit = Unit::Stream(Stream::Pair);

/// Who reads the stored pair representation in a block, one after another.
pub const PAIR_READERS: [&str; 6] = [
    "fold.trunk.{b}.pair_bias.norm",
    "fold.trunk.{b}.triangle_multiplication_out.norm_in",
    "fold.trunk.{b}.triangle_multiplication_in.norm_in",
    "fold.trunk.{b}.triangle_attention_start.norm",
    "fold.trunk.{b}.triangle_attention_end.norm",
    "fold.trunk.{b}.pair_transition.norm",
];

/// What comes before the trunk, and how the trunk's representations are stored.
pub const ROWS: &[Row] = &[
    Row::new("fold.config", Kind::Config, Unit::Own, &[]),
    Row::new(
        "fold.embedding.mix",
        Kind::Shares,
        Unit::Share,
        &[Source::tensor("esm_s_combine", &[Size::States])],
    ),
    // The mix is held in the unit that its range allows.
    Row::norm("fold.embedding.norm", &[Source::norm("esm_s_mlp.0", Size::Width)]).at(Site::Own),
    Row::linear(
        "fold.embedding.up",
        Unit::Activation,
        &[Source::linear("esm_s_mlp.1", Size::Sequence(1), Size::Width)],
    ),
    Row::linear(
        "fold.embedding.down",
        SEQUENCE,
        &[Source::linear("esm_s_mlp.3", Size::Sequence(1), Size::Sequence(1))],
    ),
    Row::new(
        "fold.embedding.residue",
        Kind::Residues,
        SEQUENCE,
        &[Source::tensor("embedding.weight", &[Size::Fixed(RESIDUE_ROWS), Size::Sequence(1)])],
    ),
    Row::norm("fold.recycling.sequence_norm", &[Source::norm("trunk.recycle_s_norm", Size::Sequence(1))]),
    Row::norm("fold.recycling.pair_norm", &[Source::norm("trunk.recycle_z_norm", Size::Pair(1))]),
    Row::new(
        "fold.recycling.distance",
        Kind::Table,
        PAIR,
        &[Source::tensor("trunk.recycle_disto.weight", &[Size::Fixed(DISTANCE_BINS), Size::Pair(1)])],
    ),
    Row::new(
        "fold.recycling.position",
        Kind::Table,
        PAIR,
        &[Source::tensor(
            "trunk.pairwise_positional_embedding.embedding.weight",
            &[Size::Positions, Size::Pair(1)],
        )],
    ),
    Row::residual(
        "fold.residual.sequence.{k}",
        Stream::Sequence,
        &["fold.trunk.{b}.sequence_attention.norm"],
        "fold.structure.sequence_input",
    )
    .repeat(Repeat::SequenceStates),
    Row::residual("fold.residual.pair.{k}", Stream::Pair, &PAIR_READERS, "fold.structure.pair_input")
        .repeat(Repeat::PairStates),
];

/// What the model thinks of its structure.
pub const HEADS: &[Row] = &[
    Row::norm("fold.heads.plddt.norm", &[Source::norm("lddt_head.0", Size::StructureSequence)]),
    Row::new(
        "fold.heads.plddt.linear",
        Kind::Chain,
        Unit::Log2,
        &[
            Source::linear("lddt_head.1", Size::PlddtWidth, Size::StructureSequence),
            Source::linear("lddt_head.2", Size::PlddtWidth, Size::PlddtWidth),
            Source::linear("lddt_head.3", Size::Fixed(ATOM_TYPES * PLDDT_BINS), Size::PlddtWidth),
        ],
    )
    .at(Site::Own),
    Row::linear(
        "fold.heads.aligned_error",
        Unit::Log2,
        &[Source::linear("ptm_head", Size::Fixed(PAIR_BINS), Size::Pair(1))],
    )
    .at(Site::Of("fold.heads.pair")),
    Row::linear(
        "fold.heads.distogram",
        Unit::Activation,
        &[Source::linear("distogram_head", Size::Fixed(PAIR_BINS), Size::Pair(1))],
    )
    .at(Site::Of("fold.heads.pair")),
];

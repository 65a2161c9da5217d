//! The structure module.

use super::row::{Kind, Repeat, Row, Site, Unit};
use super::source::{Size, Source, TORSIONS};

/// Every group of the structure module, in the order in which they work.
pub const ROWS: &[Row] = &[
    Row::linear(
        "fold.structure.sequence_input",
        Unit::Activation,
        &[Source::linear("trunk.trunk2sm_s", Size::StructureSequence, Size::Sequence(1))],
    ),
    Row::linear(
        "fold.structure.pair_input",
        Unit::Activation,
        &[Source::linear("trunk.trunk2sm_z", Size::StructurePair, Size::Pair(1))],
    ),
    Row::norm(
        "fold.structure.sequence_norm",
        &[Source::norm("trunk.structure_module.layer_norm_s", Size::StructureSequence)],
    ),
    Row::norm(
        "fold.structure.pair_norm",
        &[Source::norm("trunk.structure_module.layer_norm_z", Size::StructurePair)],
    ),
    Row::linear(
        "fold.structure.initial",
        Unit::Activation,
        &[Source::linear(
            "trunk.structure_module.linear_in",
            Size::StructureSequence,
            Size::StructureSequence,
        )],
    ),
    Row::linear(
        "fold.structure.attention.projections",
        Unit::Activation,
        &[
            Source::linear("trunk.structure_module.ipa.linear_q", Size::IpaQueries, Size::StructureSequence),
            Source::linear(
                "trunk.structure_module.ipa.linear_kv",
                Size::IpaKeysAndValues,
                Size::StructureSequence,
            ),
            Source::linear(
                "trunk.structure_module.ipa.linear_q_points",
                Size::IpaQueryPoints,
                Size::StructureSequence,
            ),
            Source::linear(
                "trunk.structure_module.ipa.linear_kv_points",
                Size::IpaKeyAndValuePoints,
                Size::StructureSequence,
            ),
        ],
    ),
    Row::linear(
        "fold.structure.attention.pair_bias",
        Unit::Log2Third,
        &[Source::linear("trunk.structure_module.ipa.linear_b", Size::IpaHeads, Size::StructurePair)],
    ),
    Row::new(
        "fold.structure.attention.point_weights",
        Kind::PointWeights,
        Unit::Log2,
        &[Source::tensor("trunk.structure_module.ipa.head_weights", &[Size::IpaHeads])],
    ),
    Row::new(
        "fold.structure.attention.output.{i}",
        Kind::Columns,
        Unit::Activation,
        &[Source::linear("trunk.structure_module.ipa.linear_out", Size::StructureSequence, Size::IpaOutput)],
    )
    .repeat(Repeat::OutputParts)
    .at(Site::ColumnsOf("fold.structure.attention.output")),
    Row::norm(
        "fold.structure.attention_norm",
        &[Source::norm("trunk.structure_module.layer_norm_ipa", Size::StructureSequence)],
    ),
    Row::linear(
        "fold.structure.transition.{l}.first",
        Unit::Activation,
        &[Source::linear(
            "trunk.structure_module.transition.layers.{l}.linear_1",
            Size::StructureSequence,
            Size::StructureSequence,
        )],
    )
    .repeat(Repeat::TransitionLayers),
    Row::linear(
        "fold.structure.transition.{l}.second",
        Unit::Activation,
        &[Source::linear(
            "trunk.structure_module.transition.layers.{l}.linear_2",
            Size::StructureSequence,
            Size::StructureSequence,
        )],
    )
    .repeat(Repeat::TransitionLayers),
    Row::linear(
        "fold.structure.transition.{l}.third",
        Unit::Activation,
        &[Source::linear(
            "trunk.structure_module.transition.layers.{l}.linear_3",
            Size::StructureSequence,
            Size::StructureSequence,
        )],
    )
    .repeat(Repeat::TransitionLayers),
    Row::norm(
        "fold.structure.transition.norm",
        &[Source::norm("trunk.structure_module.transition.layer_norm", Size::StructureSequence)],
    ),
    Row::linear(
        "fold.structure.backbone_update.linear",
        Unit::Translation,
        &[Source::linear("trunk.structure_module.bb_update.linear", Size::Fixed(6), Size::StructureSequence)],
    ),
    Row::linear(
        "fold.structure.angle_resnet.input",
        Unit::Activation,
        &[Source::linear(
            "trunk.structure_module.angle_resnet.linear_in",
            Size::ResnetWidth,
            Size::StructureSequence,
        )],
    ),
    Row::linear(
        "fold.structure.angle_resnet.initial",
        Unit::Activation,
        &[Source::linear(
            "trunk.structure_module.angle_resnet.linear_initial",
            Size::ResnetWidth,
            Size::StructureSequence,
        )],
    ),
    Row::linear(
        "fold.structure.angle_resnet.{l}.first",
        Unit::Activation,
        &[Source::linear(
            "trunk.structure_module.angle_resnet.layers.{l}.linear_1",
            Size::ResnetWidth,
            Size::ResnetWidth,
        )],
    )
    .repeat(Repeat::ResnetBlocks),
    Row::linear(
        "fold.structure.angle_resnet.{l}.second",
        Unit::Activation,
        &[Source::linear(
            "trunk.structure_module.angle_resnet.layers.{l}.linear_2",
            Size::ResnetWidth,
            Size::ResnetWidth,
        )],
    )
    .repeat(Repeat::ResnetBlocks),
    Row::linear(
        "fold.structure.angle_resnet.output",
        Unit::Activation,
        &[Source::linear(
            "trunk.structure_module.angle_resnet.linear_out",
            Size::Fixed(2 * TORSIONS),
            Size::ResnetWidth,
        )],
    ),
];

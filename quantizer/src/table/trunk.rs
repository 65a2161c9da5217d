//! The blocks of the folding trunk.

use super::row::{Repeat, Row, Site, Stream, Unit};
use super::source::{Form, Size, Source};

const SEQUENCE: Unit = Unit::Stream(Stream::Sequence);
const PAIR: Unit = Unit::Stream(Stream::Pair);

/// Every group of a block, in the order in which they work.
pub const ROWS: &[Row] = &[
    norm(
        "fold.trunk.{b}.pair_bias.norm",
        &[Source::norm("trunk.blocks.{b}.pair_to_sequence.layernorm", Size::Pair(1))],
    ),
    linear(
        "fold.trunk.{b}.pair_bias.linear",
        Unit::Log2,
        &[Source::matrix("trunk.blocks.{b}.pair_to_sequence.linear", Size::SequenceHeads, Size::Pair(1))],
    ),
    norm(
        "fold.trunk.{b}.sequence_attention.norm",
        &[Source::norm("trunk.blocks.{b}.layernorm_1", Size::Sequence(1))],
    ),
    linear(
        "fold.trunk.{b}.sequence_attention.projections",
        Unit::Activation,
        &[
            Source {
                name: "trunk.blocks.{b}.seq_attention.proj",
                fair_esm: "trunk.blocks.{b}.seq_attention.proj",
                form: Form::MatrixByHead([Size::Sequence(3), Size::Sequence(1)]),
            },
            Source::linear("trunk.blocks.{b}.seq_attention.g_proj", Size::Sequence(1), Size::Sequence(1)),
        ],
    ),
    linear(
        "fold.trunk.{b}.sequence_attention.output",
        SEQUENCE,
        &[Source::linear("trunk.blocks.{b}.seq_attention.o_proj", Size::Sequence(1), Size::Sequence(1))],
    ),
    // The sequence between attention and transition is held, in the unit that its range allows.
    norm(
        "fold.trunk.{b}.sequence_transition.norm",
        &[Source::norm("trunk.blocks.{b}.mlp_seq.mlp.0", Size::Sequence(1))],
    )
    .at(Site::Own),
    linear(
        "fold.trunk.{b}.sequence_transition.up",
        Unit::Activation,
        &[Source::linear("trunk.blocks.{b}.mlp_seq.mlp.1", Size::Sequence(4), Size::Sequence(1))],
    ),
    linear(
        "fold.trunk.{b}.sequence_transition.down",
        SEQUENCE,
        &[Source::linear("trunk.blocks.{b}.mlp_seq.mlp.3", Size::Sequence(1), Size::Sequence(4))],
    ),
    norm(
        "fold.trunk.{b}.sequence_to_pair.norm",
        &[Source::norm("trunk.blocks.{b}.sequence_to_pair.layernorm", Size::Sequence(1))],
    ),
    linear(
        "fold.trunk.{b}.sequence_to_pair.projection",
        Unit::Activation,
        &[Source::linear("trunk.blocks.{b}.sequence_to_pair.proj", Size::Pair(1), Size::Sequence(1))],
    ),
    linear(
        "fold.trunk.{b}.sequence_to_pair.output",
        PAIR,
        &[Source::linear("trunk.blocks.{b}.sequence_to_pair.o_proj", Size::Pair(1), Size::Pair(1))],
    ),
    norm(
        "fold.trunk.{b}.triangle_multiplication_out.norm_in",
        &[Source::norm("trunk.blocks.{b}.tri_mul_out.layer_norm_in", Size::Pair(1))],
    ),
    linear(
        "fold.trunk.{b}.triangle_multiplication_out.projections",
        Unit::Activation,
        &[
            Source::linear("trunk.blocks.{b}.tri_mul_out.linear_a_p", Size::Pair(1), Size::Pair(1)),
            Source::linear("trunk.blocks.{b}.tri_mul_out.linear_a_g", Size::Pair(1), Size::Pair(1)),
            Source::linear("trunk.blocks.{b}.tri_mul_out.linear_b_p", Size::Pair(1), Size::Pair(1)),
            Source::linear("trunk.blocks.{b}.tri_mul_out.linear_b_g", Size::Pair(1), Size::Pair(1)),
        ],
    ),
    linear(
        "fold.trunk.{b}.triangle_multiplication_out.gate",
        Unit::Activation,
        &[Source::linear("trunk.blocks.{b}.tri_mul_out.linear_g", Size::Pair(1), Size::Pair(1))],
    )
    .at(Site::Of("fold.trunk.{b}.triangle_multiplication_out.projections")),
    norm(
        "fold.trunk.{b}.triangle_multiplication_out.norm_out",
        &[Source::norm("trunk.blocks.{b}.tri_mul_out.layer_norm_out", Size::Pair(1))],
    ),
    linear(
        "fold.trunk.{b}.triangle_multiplication_out.output",
        PAIR,
        &[Source::linear("trunk.blocks.{b}.tri_mul_out.linear_z", Size::Pair(1), Size::Pair(1))],
    ),
    norm(
        "fold.trunk.{b}.triangle_multiplication_in.norm_in",
        &[Source::norm("trunk.blocks.{b}.tri_mul_in.layer_norm_in", Size::Pair(1))],
    ),
    linear(
        "fold.trunk.{b}.triangle_multiplication_in.projections",
        Unit::Activation,
        &[
            Source::linear("trunk.blocks.{b}.tri_mul_in.linear_a_p", Size::Pair(1), Size::Pair(1)),
            Source::linear("trunk.blocks.{b}.tri_mul_in.linear_a_g", Size::Pair(1), Size::Pair(1)),
            Source::linear("trunk.blocks.{b}.tri_mul_in.linear_b_p", Size::Pair(1), Size::Pair(1)),
            Source::linear("trunk.blocks.{b}.tri_mul_in.linear_b_g", Size::Pair(1), Size::Pair(1)),
        ],
    ),
    linear(
        "fold.trunk.{b}.triangle_multiplication_in.gate",
        Unit::Activation,
        &[Source::linear("trunk.blocks.{b}.tri_mul_in.linear_g", Size::Pair(1), Size::Pair(1))],
    )
    .at(Site::Of("fold.trunk.{b}.triangle_multiplication_in.projections")),
    norm(
        "fold.trunk.{b}.triangle_multiplication_in.norm_out",
        &[Source::norm("trunk.blocks.{b}.tri_mul_in.layer_norm_out", Size::Pair(1))],
    ),
    linear(
        "fold.trunk.{b}.triangle_multiplication_in.output",
        PAIR,
        &[Source::linear("trunk.blocks.{b}.tri_mul_in.linear_z", Size::Pair(1), Size::Pair(1))],
    ),
    norm(
        "fold.trunk.{b}.triangle_attention_start.norm",
        &[Source::norm("trunk.blocks.{b}.tri_att_start.layer_norm", Size::Pair(1))],
    ),
    linear(
        "fold.trunk.{b}.triangle_attention_start.projections",
        Unit::Activation,
        &[
            Source::matrix("trunk.blocks.{b}.tri_att_start.mha.linear_q", Size::Pair(1), Size::Pair(1)),
            Source::matrix("trunk.blocks.{b}.tri_att_start.mha.linear_k", Size::Pair(1), Size::Pair(1)),
            Source::matrix("trunk.blocks.{b}.tri_att_start.mha.linear_v", Size::Pair(1), Size::Pair(1)),
            Source::linear("trunk.blocks.{b}.tri_att_start.mha.linear_g", Size::Pair(1), Size::Pair(1)),
        ],
    ),
    linear(
        "fold.trunk.{b}.triangle_attention_start.bias",
        Unit::Log2,
        &[Source::matrix("trunk.blocks.{b}.tri_att_start.linear", Size::PairHeads, Size::Pair(1))],
    )
    .at(Site::Of("fold.trunk.{b}.triangle_attention_start.projections")),
    linear(
        "fold.trunk.{b}.triangle_attention_start.output",
        PAIR,
        &[Source::linear("trunk.blocks.{b}.tri_att_start.mha.linear_o", Size::Pair(1), Size::Pair(1))],
    ),
    norm(
        "fold.trunk.{b}.triangle_attention_end.norm",
        &[Source::norm("trunk.blocks.{b}.tri_att_end.layer_norm", Size::Pair(1))],
    ),
    linear(
        "fold.trunk.{b}.triangle_attention_end.projections",
        Unit::Activation,
        &[
            Source::matrix("trunk.blocks.{b}.tri_att_end.mha.linear_q", Size::Pair(1), Size::Pair(1)),
            Source::matrix("trunk.blocks.{b}.tri_att_end.mha.linear_k", Size::Pair(1), Size::Pair(1)),
            Source::matrix("trunk.blocks.{b}.tri_att_end.mha.linear_v", Size::Pair(1), Size::Pair(1)),
            Source::linear("trunk.blocks.{b}.tri_att_end.mha.linear_g", Size::Pair(1), Size::Pair(1)),
        ],
    ),
    linear(
        "fold.trunk.{b}.triangle_attention_end.bias",
        Unit::Log2,
        &[Source::matrix("trunk.blocks.{b}.tri_att_end.linear", Size::PairHeads, Size::Pair(1))],
    )
    .at(Site::Of("fold.trunk.{b}.triangle_attention_end.projections")),
    linear(
        "fold.trunk.{b}.triangle_attention_end.output",
        PAIR,
        &[Source::linear("trunk.blocks.{b}.tri_att_end.mha.linear_o", Size::Pair(1), Size::Pair(1))],
    ),
    norm(
        "fold.trunk.{b}.pair_transition.norm",
        &[Source::norm("trunk.blocks.{b}.mlp_pair.mlp.0", Size::Pair(1))],
    ),
    linear(
        "fold.trunk.{b}.pair_transition.up",
        Unit::Activation,
        &[Source::linear("trunk.blocks.{b}.mlp_pair.mlp.1", Size::Pair(4), Size::Pair(1))],
    ),
    linear(
        "fold.trunk.{b}.pair_transition.down",
        PAIR,
        &[Source::linear("trunk.blocks.{b}.mlp_pair.mlp.3", Size::Pair(1), Size::Pair(4))],
    ),
];

const fn norm(name: &'static str, source: &'static [Source; 1]) -> Row {
    Row::norm(name, source).repeat(Repeat::Blocks)
}

const fn linear(name: &'static str, unit: Unit, sources: &'static [Source]) -> Row {
    Row::linear(name, unit, sources).repeat(Repeat::Blocks)
}

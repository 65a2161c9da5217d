//! The language model.

use super::row::{Kind, Repeat, Row, Stream, Unit};
use super::source::{Form, Size, Source};

const STREAM: Unit = Unit::Stream(Stream::LanguageModel);

/// What every language model has.
pub const BODY: &[Row] = &[
    Row::new("meta.json", Kind::Metadata, Unit::Own, &[]),
    Row::new("lm.config", Kind::Config, Unit::Own, &[]),
    Row::new(
        "lm.embedding",
        Kind::Table,
        STREAM,
        &[Source::tensor("embeddings.word_embeddings.weight", &[Size::Vocab, Size::Width])
            .fair_esm("embed_tokens.weight")],
    ),
    Row::new("lm.rotary", Kind::Rotary, Unit::Own, &[]),
    Row::residual("lm.residual.{k}", Stream::LanguageModel, &["lm.layers.{i}.attention.norm"], "lm.norm")
        .repeat(Repeat::LayerStates),
    Row::norm(
        "lm.layers.{i}.attention.norm",
        &[Source::norm("encoder.layer.{i}.attention.LayerNorm", Size::Width)
            .fair_esm("layers.{i}.self_attn_layer_norm")],
    )
    .repeat(Repeat::Layers),
    Row::linear(
        "lm.layers.{i}.attention.qkv",
        Unit::Activation,
        &[
            Source::linear("encoder.layer.{i}.attention.self.query", Size::Width, Size::Width)
                .fair_esm("layers.{i}.self_attn.q_proj"),
            Source::linear("encoder.layer.{i}.attention.self.key", Size::Width, Size::Width)
                .fair_esm("layers.{i}.self_attn.k_proj"),
            Source::linear("encoder.layer.{i}.attention.self.value", Size::Width, Size::Width)
                .fair_esm("layers.{i}.self_attn.v_proj"),
        ],
    )
    .repeat(Repeat::Layers),
    Row::linear(
        "lm.layers.{i}.attention.output",
        STREAM,
        &[Source::linear("encoder.layer.{i}.attention.output.dense", Size::Width, Size::Width)
            .fair_esm("layers.{i}.self_attn.out_proj")],
    )
    .repeat(Repeat::Layers),
    Row::norm(
        "lm.layers.{i}.ffn.norm",
        &[Source::norm("encoder.layer.{i}.LayerNorm", Size::Width).fair_esm("layers.{i}.final_layer_norm")],
    )
    .repeat(Repeat::Layers),
    Row::linear(
        "lm.layers.{i}.ffn.up",
        Unit::Activation,
        &[Source::linear("encoder.layer.{i}.intermediate.dense", Size::Ffn, Size::Width)
            .fair_esm("layers.{i}.fc1")],
    )
    .repeat(Repeat::Layers),
    Row::linear(
        "lm.layers.{i}.ffn.down",
        STREAM,
        &[Source::linear("encoder.layer.{i}.output.dense", Size::Width, Size::Ffn)
            .fair_esm("layers.{i}.fc2")],
    )
    .repeat(Repeat::Layers),
    Row::norm(
        "lm.norm",
        &[Source::norm("encoder.emb_layer_norm_after", Size::Width).fair_esm("emb_layer_norm_after")],
    ),
];

/// The head that predicts contacts: a logistic regression over the maps of all heads, layer by layer.
pub const CONTACT_HEAD: &[Row] = &[Row::new(
    "lm.contact",
    Kind::ContactHead,
    Unit::Own,
    &[Source::linear("contact_head.regression", Size::Fixed(1), Size::Maps)],
)];

/// The head that predicts tokens.
pub const LM_HEAD: &[Row] = &[
    Row::linear(
        "lm.head.dense",
        Unit::Activation,
        &[Source::linear("lm_head.dense", Size::Width, Size::Width)],
    ),
    Row::norm("lm.head.norm", &[Source::norm("lm_head.layer_norm", Size::Width)]),
    Row::linear(
        "lm.head.decoder",
        Unit::Activation,
        &[
            Source {
                name: "lm_head.decoder.weight",
                fair_esm: "lm_head.weight",
                form: Form::Tied(&[Size::Vocab, Size::Width]),
            },
            Source::tensor("lm_head.bias", &[Size::Vocab]),
        ],
    ),
];

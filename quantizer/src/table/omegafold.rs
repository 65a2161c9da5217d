//! What an OmegaFold is made of: its groups follow from its shape, one after another.
//!
//! The float reference has the same groups under the same names
//! ([`modules`](crate::reference::omegafold::modules)), and its sites are called as what reads them.

use std::fmt::Display;

use super::group::Group;
use super::row::{Kind, Stream, Unit};
use crate::checkpoint::{OmegaFoldConfig, structure_shape};

const LANGUAGE_MODEL: Unit = Unit::Stream(Stream::LanguageModel);
const NODE: Unit = Unit::Stream(Stream::Node);
const PAIR: Unit = Unit::Stream(Stream::Pair);

/// Every group of the model, in the order in which they work.
pub fn groups(shape: &OmegaFoldConfig) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut model = Module { groups: &mut groups, prefix: String::new() };
    model.add("meta.json", Kind::Metadata, Unit::Own);
    model.add("omegafold.config", Kind::Config, Unit::Own);
    language_model(&mut model.at("lm"), shape);
    let mut fold = model.at("fold");
    embedding(&mut fold.at("embedding"));
    recycling(&mut fold.at("recycling"));
    residuals(&mut fold.at("residual"), shape);
    for block in 0..shape.blocks {
        geoformer_block(&mut fold.at(format_args!("trunk.{block}")), shape);
    }
    structure(&mut fold.at("structure"), shape);
    confidence(&mut fold.at("confidence"));
    groups
}

/// Adds groups below a prefix.
struct Module<'g> {
    groups: &'g mut Vec<Group>,
    /// With the dot.
    prefix: String,
}

impl Module<'_> {
    fn at(&mut self, part: impl Display) -> Module<'_> {
        Module { prefix: format!("{}{part}.", self.prefix), groups: self.groups }
    }

    fn name(&self, name: impl Display) -> String {
        format!("{}{name}", self.prefix)
    }

    fn group(&self, name: impl Display, kind: Kind, unit: Unit) -> Group {
        let name = self.name(name);
        Group { choice: name.clone(), name, kind, unit, site: None, columns: None }
    }

    /// A group that calibration doesn't look at.
    fn add(&mut self, name: &str, kind: Kind, unit: Unit) {
        self.groups.push(self.group(name, kind, unit));
    }

    fn norm(&mut self, name: &str) {
        self.add(name, Kind::Norm, Unit::Activation);
    }

    /// A normalization of what is held until then, in the unit that its range allows.
    fn norm_of_held(&mut self, name: &str) {
        let group = self.group(name, Kind::Norm, Unit::Activation);
        self.groups.push(Group { site: Some(group.name.clone()), ..group });
    }

    fn linear(&mut self, name: &str, unit: Unit) {
        self.linear_at(name, unit, &self.name(name));
    }

    /// A Linear that reads what another one reads.
    fn linear_at(&mut self, name: &str, unit: Unit, site: &str) {
        let group = self.group(name, Kind::Linear, unit);
        self.groups.push(Group { site: Some(site.into()), choice: site.into(), ..group });
    }

    /// The codec of what `reader` reads next.
    fn stored(&mut self, name: impl Display, kind: Kind, unit: Unit, reader: String) {
        let group = self.group(name, kind, unit);
        self.groups.push(Group { site: Some(reader), ..group });
    }

    /// Normalization and gated attention.
    fn attention(&mut self, unit: Unit) {
        self.norm("norm");
        self.linear("projections", Unit::Activation);
        self.linear("output", unit);
    }

    /// A transition but for its normalization.
    fn transition(&mut self, unit: Unit) {
        self.linear("up", Unit::Activation);
        self.linear("down", unit);
    }
}

fn language_model(lm: &mut Module<'_>, shape: &OmegaFoldConfig) {
    lm.add("embedding", Kind::Table, LANGUAGE_MODEL);
    lm.add("rotary", Kind::Rotary, Unit::Own);
    for layer in 0..=shape.layers {
        let last = layer == shape.layers;
        let reader = if last { "lm.norm".to_owned() } else { format!("lm.layers.{layer}.norm") };
        lm.stored(format_args!("residual.{layer}"), Kind::Residual, LANGUAGE_MODEL, reader);
    }
    for layer in 0..shape.layers {
        let mut layer = lm.at(format_args!("layers.{layer}"));
        layer.norm("norm");
        layer.linear("projections", Unit::Activation);
        layer.linear_at("gate", Unit::Activation, &layer.name("projections"));
        layer.add("query_key", Kind::QueryKey, Unit::Own);
        layer.add("positions", Kind::Table, Unit::Log2);
        layer.linear("output", LANGUAGE_MODEL);
    }
    lm.norm("norm");
}

fn embedding(embedding: &mut Module<'_>) {
    embedding.norm("node_norm");
    embedding.linear("node", NODE);
    embedding.norm("pair_norm");
    embedding.linear("pair", PAIR);
    for table in ["row_types", "column_types", "positions"] {
        embedding.add(table, Kind::Table, PAIR);
    }
}

fn recycling(recycling: &mut Module<'_>) {
    recycling.norm("node_norm");
    recycling.norm("pair_norm");
    recycling.add("distances", Kind::Table, PAIR);
}

/// Codecs of both representations, and of the pairs' sums within geometric attention.
fn residuals(residual: &mut Module<'_>, shape: &OmegaFoldConfig) {
    let mut node = vec!["fold.trunk.0.row_attention.norm".to_owned()];
    let mut pair = vec!["fold.trunk.0.pair_bias.norm".to_owned()];
    let mut middle = Vec::new();
    for b in 0..shape.blocks {
        let block = format!("fold.trunk.{b}");
        node.extend([format!("{block}.column_attention.norm"), format!("{block}.outer_product.norm")]);
        for layer in 0..shape.geometric_layers {
            pair.push(format!("{block}.geometric.{layer}.attention_start.norm"));
            middle.push(format!("{block}.geometric.{layer}.sum"));
        }
        let next = match b + 1 < shape.blocks {
            true => format!("fold.trunk.{}.pair_bias.norm", b + 1),
            false => "fold.structure.pair_norm".to_owned(),
        };
        pair.extend([format!("{block}.pair_transition.norm"), next]);
    }
    let mut all = |name: &str, kind: Kind, unit: Unit, readers: Vec<String>| {
        for (k, reader) in readers.into_iter().enumerate() {
            residual.stored(format_args!("{name}.{k}"), kind, unit, reader);
        }
    };
    all("node", Kind::Residual, NODE, node);
    all("pair", Kind::Residual, PAIR, pair);
    all("middle", Kind::Middle, PAIR, middle);
}

fn geoformer_block(block: &mut Module<'_>, shape: &OmegaFoldConfig) {
    let mut bias = block.at("pair_bias");
    bias.norm("norm");
    bias.linear("linear", Unit::Log2);
    block.at("row_attention").attention(NODE);
    block.at("column_attention").attention(NODE);
    let mut transition = block.at("node_transition");
    // The node between column attention and transition is held.
    transition.norm_of_held("norm");
    transition.transition(NODE);
    let mut outer = block.at("outer_product");
    outer.norm("norm");
    outer.linear("projection", Unit::Activation);
    // Multiplied by left sides first: to a matrix from right sides to pairs.
    outer.linear("weights", Unit::Activation);
    outer.add("bias", Kind::Table, PAIR);
    for layer in 0..shape.geometric_layers {
        let mut layer = block.at(format_args!("geometric.{layer}"));
        for attention in ["attention_start", "attention_end"] {
            let mut attention = layer.at(attention);
            attention.attention(PAIR);
            attention.linear_at("bias", Unit::Log2, &attention.name("projections"));
        }
        for product in ["product", "product_turned"] {
            let mut product = layer.at(product);
            product.norm("norm_in");
            product.linear("projections", Unit::Activation);
            product.linear_at("gate", Unit::Activation, &product.name("projections"));
            product.norm("norm_out");
            product.linear("output", PAIR);
        }
    }
    let mut transition = block.at("pair_transition");
    transition.norm("norm");
    transition.transition(PAIR);
}

fn structure(module: &mut Module<'_>, shape: &OmegaFoldConfig) {
    let structure = structure_shape(&shape.structure);
    module.linear("sequence_input", Unit::Activation);
    module.norm("sequence_norm");
    module.norm("pair_norm");
    module.linear("initial", Unit::Activation);
    let pair_bias = module.name("0.attention.pair_bias");
    for iteration in 0..structure.iterations {
        let mut iteration = module.at(iteration);
        let mut attention = iteration.at("attention");
        attention.linear("projections", Unit::Activation);
        // All iterations read the same pairs.
        attention.linear_at("pair_bias", Unit::Log2Third, &pair_bias);
        attention.add("point_weights", Kind::PointWeights, Unit::Log2);
        let mut first = 0;
        for part in 0..=structure.pair_parts() {
            let count = structure.output_part(part);
            let group = attention.group(format_args!("output.{part}"), Kind::Columns, Unit::Activation);
            let site = Some(attention.name("output"));
            attention.groups.push(Group { site, columns: Some((first, count)), ..group });
            first += count;
        }
        iteration.norm("attention_norm");
        for layer in 0..structure.transition_layers {
            let mut layer = iteration.at(format_args!("transition.{layer}"));
            for linear in ["first", "second", "third"] {
                layer.linear(linear, Unit::Activation);
            }
        }
        iteration.norm("transition.norm");
        iteration.linear("backbone_update.linear", Unit::Translation);
    }
    let mut resnet = module.at("angle_resnet");
    resnet.linear("input", Unit::Activation);
    resnet.linear("initial", Unit::Activation);
    for block in 0..structure.resnet_blocks {
        let mut block = resnet.at(block);
        block.linear("first", Unit::Activation);
        block.linear("second", Unit::Activation);
    }
    resnet.linear("output", Unit::Activation);
}

fn confidence(confidence: &mut Module<'_>) {
    confidence.norm("norm");
    confidence.linear("first", Unit::Activation);
    confidence.linear("second", Unit::Activation);
    confidence.linear("third", Unit::Log2);
}

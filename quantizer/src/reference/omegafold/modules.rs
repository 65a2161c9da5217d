//! The weights by the names that they have in a model file: the groups of
//! [`table::omegafold`](crate::table::omegafold).

use std::collections::BTreeMap;
use std::fmt::Display;

use candle_core::{Device, Tensor};

use super::block::Block;
use super::language_model::Layer;
use super::node_attention::NodeAttention;
use super::run::OmegaFoldReference;
use super::structure_module::Iteration;
use crate::reference::ReferenceError;
use crate::reference::esmfold::invariant_point_attention::InvariantPointAttention;
use crate::reference::esmfold::transition::Transition;
use crate::reference::esmfold::triangle_attention::TriangleAttention;
use crate::reference::esmfold::triangle_multiplication::TriangleMultiplication;
use crate::reference::ops::{LayerNorm, Linear};

/// The weights of a group.
#[derive(Clone)]
pub enum Module {
    /// Matrix and bias.
    Linear(Linear),
    /// Gain and bias.
    Norm(LayerNorm),
    /// Values.
    Table(Tensor),
}

/// Groups of weights by their names in a model file.
pub type Modules = BTreeMap<String, Module>;

/// Names groups below a prefix.
struct Names<'m> {
    modules: &'m mut Modules,
    /// With the dot.
    prefix: String,
}

type Result<T> = std::result::Result<T, ReferenceError>;

impl Names<'_> {
    fn at(&mut self, part: impl Display) -> Names<'_> {
        Names { prefix: format!("{}{part}.", self.prefix), modules: self.modules }
    }

    fn add(&mut self, name: &str, module: Module) {
        self.modules.insert(format!("{}{name}", self.prefix), module);
    }

    fn norm(&mut self, name: &str, norm: &LayerNorm) {
        self.add(name, Module::Norm(norm.clone()));
    }

    fn linear(&mut self, name: &str, linear: &Linear) {
        self.add(name, Module::Linear(linear.clone()));
    }

    /// Linears that read the same values, one after another.
    fn joined(&mut self, name: &str, linears: &[&Linear]) -> Result<()> {
        self.add(name, Module::Linear(Linear::join(linears)?));
        Ok(())
    }

    fn table(&mut self, name: &str, table: &Tensor) {
        self.add(name, Module::Table(table.clone()));
    }

    fn transition(&mut self, transition: &Transition) {
        self.norm("norm", &transition.norm);
        self.linear("up", &transition.up);
        self.linear("down", &transition.down);
    }

    fn node_attention(&mut self, attention: &NodeAttention) -> Result<()> {
        let NodeAttention { norm, q, k, v, gate, output, .. } = attention;
        self.norm("norm", norm);
        self.linear("output", output);
        self.joined("projections", &[q, k, v, gate])
    }

    fn triangle_attention(&mut self, attention: &TriangleAttention) -> Result<()> {
        let TriangleAttention { norm, bias, q, k, v, gate, output, .. } = attention;
        self.norm("norm", norm);
        self.linear("bias", bias);
        self.linear("output", output);
        self.joined("projections", &[q, k, v, gate])
    }

    fn product(&mut self, product: &TriangleMultiplication) -> Result<()> {
        let TriangleMultiplication { norm_in, a, a_gate, b, b_gate, gate, norm_out, output, .. } = product;
        self.norm("norm_in", norm_in);
        self.norm("norm_out", norm_out);
        self.linear("gate", gate);
        self.linear("output", output);
        self.joined("projections", &[a, a_gate, b, b_gate])
    }

    fn point_attention(&mut self, attention: &InvariantPointAttention) -> Result<()> {
        let InvariantPointAttention { q, kv, q_points, kv_points, pair_bias, output, .. } = attention;
        let weights = &attention.point_weights;
        self.linear("pair_bias", pair_bias);
        // Whole: a model file has it in parts.
        self.linear("output", output);
        self.table("point_weights", &Tensor::from_slice(weights, weights.len(), &Device::Cpu)?);
        self.joined("projections", &[q, kv, q_points, kv_points])
    }

    fn iteration(&mut self, iteration: &Iteration) -> Result<()> {
        self.norm("attention_norm", &iteration.attention_norm);
        for (index, layer) in iteration.transition.layers.iter().enumerate() {
            let mut names = self.at(format_args!("transition.{index}"));
            ["first", "second", "third"].iter().zip(layer).for_each(|(name, part)| names.linear(name, part));
        }
        self.norm("transition.norm", &iteration.transition.norm);
        self.linear("backbone_update.linear", &iteration.backbone_update.linear);
        self.at("attention").point_attention(&iteration.attention)
    }
}

impl Layer {
    /// The groups of layer `index`.
    fn name(&self, names: &mut Names<'_>) {
        names.norm("norm", &self.norm);
        names.linear("projections", &self.projections);
        names.linear("gate", &self.gate);
        names.table("query_key", &self.query_key);
        names.table("positions", &self.positions);
        names.linear("output", &self.output);
    }
}

impl Block {
    fn name(&self, names: &mut Names<'_>) -> Result<()> {
        let mut bias = names.at("pair_bias");
        bias.norm("norm", &self.pair_bias.norm);
        bias.linear("linear", &self.pair_bias.linear);
        names.at("row_attention").node_attention(&self.row_attention)?;
        names.at("column_attention").node_attention(&self.column_attention)?;
        names.at("node_transition").transition(&self.node_transition);
        let mut outer = names.at("outer_product");
        outer.norm("norm", &self.outer_product.norm);
        outer.linear("projection", &self.outer_product.projection);
        outer.linear("weights", &self.outer_product.matrices()?);
        outer.table("bias", &self.outer_product.output.bias);
        for (index, layer) in self.geometric.iter().enumerate() {
            let mut names = names.at(format_args!("geometric.{index}"));
            let [start, end] = &layer.attention;
            names.at("attention_start").triangle_attention(start)?;
            names.at("attention_end").triangle_attention(end)?;
            let [product, turned] = &layer.product;
            names.at("product").product(product)?;
            names.at("product_turned").product(turned)?;
        }
        names.at("pair_transition").transition(&self.pair_transition);
        Ok(())
    }
}

impl OmegaFoldReference<'_> {
    /// The groups of layer `index` of the language model.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn layer_modules(&self, index: usize) -> Result<Modules> {
        let mut modules = Modules::new();
        let layer = self.language_model.layer(index)?;
        layer.name(&mut Names { modules: &mut modules, prefix: format!("lm.layers.{index}.") });
        Ok(modules)
    }

    /// Factors of queries and of keys in layer `index`, then what is added to either: `[4, head width]`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn query_key(&self, index: usize) -> Result<Tensor> {
        self.language_model.query_key(index)
    }

    /// The groups of block `index`.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn block_modules(&self, index: usize) -> Result<Modules> {
        let mut modules = Modules::new();
        let block = Block::load(self.checkpoint, index)?;
        block.name(&mut Names { modules: &mut modules, prefix: format!("fold.trunk.{index}.") })?;
        Ok(modules)
    }

    /// All other groups.
    ///
    /// # Errors
    /// Linears can't be joined.
    pub fn other_modules(&self) -> Result<Modules> {
        let mut modules = Modules::new();
        let mut names = Names { modules: &mut modules, prefix: String::new() };
        names.table("lm.embedding", &self.language_model.embedding);
        names.norm("lm.norm", &self.language_model.norm);
        let mut fold = names.at("fold");
        let mut names = fold.at("embedding");
        names.norm("node_norm", &self.embedding.node_norm);
        names.linear("node", &self.embedding.node);
        names.norm("pair_norm", &self.embedding.pair_norm);
        names.linear("pair", &self.embedding.pair);
        names.table("row_types", &self.embedding.first);
        names.table("column_types", &self.embedding.second);
        names.table("positions", &self.embedding.offsets);
        let mut names = fold.at("recycling");
        names.norm("node_norm", &self.recycling.node_norm);
        names.norm("pair_norm", &self.recycling.pair_norm);
        names.table("distances", &self.recycling.distances);
        let (mut names, structure) = (fold.at("structure"), &self.structure_module);
        names.linear("sequence_input", &structure.sequence_input);
        names.norm("sequence_norm", &structure.sequence_norm);
        names.norm("pair_norm", &structure.pair_norm);
        names.linear("initial", &structure.initial);
        for (index, iteration) in structure.iterations.iter().enumerate() {
            names.at(index).iteration(iteration)?;
        }
        let (mut names, resnet) = (names.at("angle_resnet"), &structure.angle_resnet);
        names.linear("input", &resnet.input);
        names.linear("initial", &resnet.initial);
        for (index, [first, second]) in resnet.blocks.iter().enumerate() {
            let mut names = names.at(index);
            names.linear("first", first);
            names.linear("second", second);
        }
        names.linear("output", &resnet.output);
        let (mut names, head) = (fold.at("confidence"), &self.confidence);
        names.norm("norm", &head.norm);
        ["first", "second", "third"]
            .iter()
            .zip(&head.layers)
            .for_each(|(name, part)| names.linear(name, part));
        Ok(modules)
    }
}

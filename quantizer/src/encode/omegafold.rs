//! Checkpoints of OmegaFold.

use foldpoint_core::fixed::{ACT_FRAC, Multiplier};
use foldpoint_core::kernels::attention::key_scale_max;
use foldpoint_core::omegafold::{Config, MAP_FRAC};
use foldpoint_core::quant::STREAM_MAX;

use super::encoder::{Encoder, GAIN_FRAC, norm_codes};
use super::fold::{structure_pair_frac, temperature};
use super::units::Units;
use super::{EncodeError, Provenance, all_fixed, finest};
use crate::calibrate::Calibration;
use crate::checkpoint::{OmegaFoldConfig, structure_shape};
use crate::fixed::{multiplier, per_one, squares};
use crate::reference::omegafold::language_model::{TUNED_AT, frequencies};
use crate::reference::omegafold::modules::{Module, Modules};
use crate::reference::omegafold::{EPSILON, OmegaFoldReference};
use crate::reference::{ReferenceError, to_vec};
use crate::table::omegafold::groups;
use crate::table::{Group, Kind};
use crate::work::Work;
use crate::writer::ModelWriter;

/// Checks what of the checkpoint no calibration changes, so that it fails before hours of it rather than after.
///
/// # Errors
/// As [`encode_omegafold`].
pub fn check_omegafold(reference: &OmegaFoldReference) -> Result<(), EncodeError> {
    refuse_embedder(reference.checkpoint().config())?;
    for (name, module) in reference.other_modules()? {
        if let Module::Norm(norm) = module {
            norm_codes(&name, norm)?;
        }
    }
    for layer in 0..reference.checkpoint().config().layers {
        query_key_codes(&format!("lm.layers.{layer}.query_key"), &to_vec(&reference.query_key(layer)?)?)?;
    }
    Ok(())
}

fn refuse_embedder(shape: &OmegaFoldConfig) -> Result<(), EncodeError> {
    match shape.embedder_width {
        None => Ok(()),
        Some(_) => Err(EncodeError::Shape(
            "it is release2.pt of OmegaFold, with a structure embedder (recycle_embedder.embed_struct); expected \
             release1.pt",
        )),
    }
}

/// Writes every tensor of the model; those that an earlier run has left in `work` are taken from there.
/// `progress` is called after each of its [groups](crate::table::omegafold::groups).
///
/// # Errors
/// The checkpoint can't be read, or holds a value that no integer format fits.
pub fn encode_omegafold(
    reference: &OmegaFoldReference,
    calibration: &Calibration,
    provenance: &Provenance,
    work: &Work,
    progress: &mut dyn FnMut(),
) -> Result<ModelWriter, EncodeError> {
    let shape = reference.checkpoint().config();
    let others = reference.other_modules()?;
    let config = config(shape, calibration, &others)?;
    let units = Units {
        language_model: config.stream_frac,
        node: config.node_frac,
        pair: config.pair_frac,
        ..Units::default()
    };
    let mut model = Model {
        shape,
        config,
        metadata: provenance.to_json(calibration),
        weights: Weights { reference, others, part: None, modules: Modules::new() },
        encoder: Encoder::new(calibration, work, provenance.compensated, units)?,
    };
    for group in groups(shape) {
        if !model.encoder.restore(&group)? {
            model.write(&group)?;
            model.encoder.keep(&group)?;
        }
        progress();
    }
    Ok(model.encoder.writer)
}

/// Shape, constants and units: as fine as lets every level of every site, and what is held between, stay
/// below 2^23.
fn config(
    shape: &OmegaFoldConfig,
    calibration: &Calibration,
    others: &Modules,
) -> Result<Config, EncodeError> {
    refuse_embedder(shape)?;
    let held = |name: String| calibration.largest.get(&name).copied().unwrap_or(0.0);
    let range = |name: &str| calibration.residual_range(name);
    let between = (0..shape.blocks).map(|b| held(format!("fold.trunk.{b}.node_transition.norm")));
    let node = between.fold(range("fold.residual.node."), f64::max);
    let pair = range("fold.residual.pair.").max(range("fold.residual.middle."));
    let pair_norm = "fold.structure.pair_norm";
    let not_there = || ReferenceError::NotInTable(pair_norm.to_owned());
    let Some(Module::Norm(structure_pairs)) = others.get(pair_norm) else { return Err(not_there().into()) };
    let mut config = Config::default();
    config.vocab = shape.vocab;
    config.layers = shape.layers;
    config.width = shape.width;
    config.value_width = shape.value_width;
    config.query_width = shape.head_width;
    config.offset_bins = shape.offsets / 2;
    config.blocks = shape.blocks;
    config.node_width = shape.node_width;
    config.node_heads = shape.node_heads;
    config.pair_width = shape.pair_width;
    config.pair_heads = shape.pair_heads;
    config.geometric_layers = shape.geometric_layers;
    config.outer_width = shape.outer_product;
    config.position_bins = shape.pair_offsets / 2;
    config.confidence_width = shape.confidence_width;
    config.stream_frac = finest("lm.residual", range("lm.residual."), STREAM_MAX)?;
    config.node_frac = finest("fold.residual.node", node, STREAM_MAX)?;
    config.pair_frac = finest("fold.residual.pair", pair, STREAM_MAX)?;
    config.epsilon_stream = squares(EPSILON, config.stream_frac);
    config.epsilon_features = squares(unbiased(shape.width), ACT_FRAC);
    config.epsilon_maps = squares(unbiased(shape.layers), MAP_FRAC);
    config.epsilon_node = squares(EPSILON, config.node_frac);
    config.epsilon_pair = squares(EPSILON, config.pair_frac);
    config.epsilon_activation = squares(EPSILON, ACT_FRAC);
    config.epsilon_product = squares(EPSILON, 2 * ACT_FRAC);
    config.stream_temperature = stream_temperature(shape.head_width);
    config.node_temperature = temperature(shape.node_width / shape.node_heads);
    config.pair_temperature = temperature(shape.pair_width / shape.pair_heads);
    config.structure = structure_shape(&shape.structure);
    config.structure.own_weights = true;
    config.structure.pair_input = false;
    config.structure.point_epsilon = 0;
    config.structure.pair_frac = structure_pair_frac(structure_pairs)?;
    config.check().map_err(EncodeError::Shape)?;
    Ok(config)
}

/// Epsilon beside a variance that divides by one less than there are `channels`, for one that doesn't.
fn unbiased(channels: usize) -> f64 {
    EPSILON * (channels as f64 - 1.0) / channels as f64
}

/// See [`Config::stream_temperature`].
fn stream_temperature(head_width: usize) -> Multiplier {
    let products = f64::from(key_scale_max(head_width)) * (head_width as f64).sqrt();
    multiplier(1.0 / per_one(ACT_FRAC) / products / TUNED_AT.ln())
}

struct Model<'a> {
    shape: &'a OmegaFoldConfig,
    config: Config,
    metadata: String,
    weights: Weights<'a>,
    encoder: Encoder<'a>,
}

impl Model<'_> {
    fn write(&mut self, group: &Group) -> Result<(), EncodeError> {
        let (name, encoder) = (&group.name, &mut self.encoder);
        match group.kind {
            Kind::Metadata => encoder.text(name, std::mem::take(&mut self.metadata)),
            Kind::Config => encoder.record(name, self.config.to_record().to_vec()),
            Kind::Rotary => encoder.rotary(name, frequencies(self.shape.head_width / 2)),
            Kind::Residual | Kind::Middle => encoder.residual(group),
            _ => match (group.kind, self.weights.module(name)?) {
                (Kind::Norm, Module::Norm(norm)) => encoder.norm(name, norm),
                (Kind::Linear, Module::Linear(linear)) => encoder.linear(group, &linear),
                (Kind::Columns, Module::Linear(linear)) => encoder.columns(group, &linear),
                (Kind::Table, Module::Table(table)) => encoder.rows(group, &table, usize::MAX),
                (Kind::QueryKey, Module::Table(table)) => query_key(encoder, name, &to_vec(&table)?),
                (Kind::PointWeights, Module::Table(weights)) => {
                    encoder.point_weights(name, &to_vec(&weights)?, self.shape.structure.query_points)
                }
                _ => Err(ReferenceError::NotInTable(name.clone()).into()),
            },
        }
    }
}

/// Writes factors of queries and of keys, and what is added to either, given one after another.
fn query_key(encoder: &mut Encoder<'_>, name: &str, values: &[f32]) -> Result<(), EncodeError> {
    let codes = query_key_codes(name, values)?;
    Ok(encoder.writer.add_i32(name, &[4, codes.len() / 4], codes)?)
}

fn query_key_codes(name: &str, values: &[f32]) -> Result<Vec<i32>, EncodeError> {
    let (factors, shifts) = values.split_at(values.len() / 2);
    let fixed = |values: &[f32], frac| all_fixed(name, values.iter().map(|&v| v.into()), per_one(frac));
    Ok([fixed(factors, GAIN_FRAC)?, fixed(shifts, ACT_FRAC)?].concat())
}

/// The weights of groups: those of one layer or block at a time, and all others.
struct Weights<'a> {
    reference: &'a OmegaFoldReference<'a>,
    others: Modules,
    /// The layer or block of `modules`.
    part: Option<Part>,
    modules: Modules,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Layer(usize),
    Block(usize),
}

impl Part {
    /// The one that group `name` is in.
    fn of(name: &str) -> Option<Self> {
        let number = |before: &str| name.strip_prefix(before)?.split('.').next()?.parse().ok();
        number("lm.layers.").map(Self::Layer).or_else(|| number("fold.trunk.").map(Self::Block))
    }
}

impl Weights<'_> {
    fn module(&mut self, name: &str) -> Result<Module, ReferenceError> {
        let part = Part::of(name);
        if part.is_some() && part != self.part {
            self.modules = match part {
                Some(Part::Layer(index)) => self.reference.layer_modules(index)?,
                Some(Part::Block(index)) => self.reference.block_modules(index)?,
                None => Modules::new(),
            };
            self.part = part;
        }
        let modules = if part.is_some() { &self.modules } else { &self.others };
        // A model file has the output of point attention in parts.
        let whole = name.rsplit_once('.').filter(|(before, _)| before.ends_with(".attention.output"));
        let name = whole.map_or(name, |(before, _)| before);
        modules.get(name).cloned().ok_or_else(|| ReferenceError::NotInTable(name.to_owned()))
    }
}

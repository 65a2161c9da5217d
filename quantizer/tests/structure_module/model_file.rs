//! Model files of a structure module alone.

use std::f64::consts::LOG2_E;

use candle_core::{Device, Tensor};
use foldpoint_core::esmfold::StructureConfig;
use foldpoint_core::kernels::linear::panel_groups;
use foldpoint_core::kernels::packing::{packed, row_sums};
use quantizer::encode::{multiplier, quantize_weights, split, to_fixed};
use quantizer::reference::esmfold::angle_resnet::AngleResnet;
use quantizer::reference::esmfold::invariant_point_attention::InvariantPointAttention;
use quantizer::reference::esmfold::structure_module::StructureModule as Reference;
use quantizer::reference::esmfold::structure_transition::StructureTransition;
use quantizer::reference::omegafold::confidence::ConfidenceHead;
use quantizer::reference::omegafold::structure_module::StructureModule as OmegaFold;
use quantizer::reference::{LayerNorm, Linear};
use quantizer::writer::ModelWriter;

/// `linear` with weights of 8 bits, as a model file holds them.
pub fn rounded(linear: &Linear) -> Linear {
    let inputs = linear.weight.dims2().unwrap().1;
    rounded_in_parts(linear, &[inputs])
}

/// Attention's output with weights of 8 bits, each part's with a scale of its own, as a model file holds
/// them.
pub fn rounded_by_part(output: &Linear, config: &StructureConfig) -> Linear {
    let parts: Vec<usize> = (0..=config.pair_parts()).map(|part| config.output_part(part)).collect();
    rounded_in_parts(output, &parts)
}

fn rounded_in_parts(linear: &Linear, parts: &[usize]) -> Linear {
    let (mut weight, bias) = linear.values().unwrap();
    let inputs = weight.len() / bias.len();
    for row in weight.chunks_exact_mut(inputs) {
        let mut rest = row;
        for &part in parts {
            let (columns, after) = rest.split_at_mut(part);
            let rounded = quantize_weights(columns, columns.len(), None);
            for (weight, code) in columns.iter_mut().zip(rounded.codes) {
                *weight = (f64::from(code) * rounded.scales[0]) as f32;
            }
            rest = after;
        }
    }
    let weight = Tensor::from_vec(weight, (bias.len(), inputs), &Device::Cpu).unwrap();
    Linear { weight, bias: linear.bias.clone() }
}

/// A model file of ESMFold's structure module alone, every channel of every Linear in two limbs.
pub fn model_file(reference: &Reference, config: &StructureConfig) -> Vec<u8> {
    let mut adding = Adding { writer: ModelWriter::new(), prefix: "fold.structure.".into(), config };
    adding.whole("sequence_input", &reference.sequence_input, ACT);
    adding.whole("pair_input", &reference.pair_input, ACT);
    adding.whole("initial", &reference.initial, ACT);
    adding.norm("sequence_norm", &reference.sequence_norm);
    adding.norm("pair_norm", &reference.pair_norm);
    adding.attention(&reference.attention);
    adding.norm("attention_norm", &reference.attention_norm);
    adding.transition(&reference.transition);
    adding.whole("backbone_update.linear", &reference.backbone_update.linear, TRANSLATION);
    adding.angle_resnet(&reference.angle_resnet);
    adding.writer.to_bytes().unwrap()
}

/// The same of OmegaFold's, and of the confidence head.
pub fn omegafold_file(reference: &OmegaFold, head: &ConfidenceHead, config: &StructureConfig) -> Vec<u8> {
    let mut adding = Adding { writer: ModelWriter::new(), prefix: "fold.structure.".into(), config };
    adding.whole("sequence_input", &reference.sequence_input, ACT);
    adding.whole("initial", &reference.initial, ACT);
    adding.norm("sequence_norm", &reference.sequence_norm);
    adding.norm("pair_norm", &reference.pair_norm);
    adding.angle_resnet(&reference.angle_resnet);
    for (index, iteration) in reference.iterations.iter().enumerate() {
        adding.prefix = format!("fold.structure.{index}.");
        adding.attention(&iteration.attention);
        adding.norm("attention_norm", &iteration.attention_norm);
        adding.transition(&iteration.transition);
        adding.whole("backbone_update.linear", &iteration.backbone_update.linear, TRANSLATION);
    }
    adding.prefix = "fold.confidence.".into();
    adding.norm("norm", &head.norm);
    let [first, second, third] = &head.layers;
    adding.whole("first", first, ACT);
    adding.whole("second", second, ACT);
    adding.whole("third", third, ACT * LOG2_E);
    adding.writer.to_bytes().unwrap()
}

/// Units for 1: activations, and updates of translations.
const ACT: f64 = 65_536.0;
const TRANSLATION: f64 = 1_048_576.0;

struct Adding<'c> {
    writer: ModelWriter,
    /// What names begin with, with the dot.
    prefix: String,
    config: &'c StructureConfig,
}

impl Adding<'_> {
    fn linear(&mut self, name: &str, weight: &[f32], bias: &[f32], unit: f64) {
        let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
        let quantized = quantize_weights(weight, inputs, None);
        let name = format!("{}{name}", self.prefix);
        let outliers: Vec<u16> = (0..inputs as u16).collect();
        let parts = quantized.scales.iter().map(|scale| split(scale * unit / ACT, 16));
        let (mantissa, shift): (Vec<u16>, Vec<i8>) = parts.map(|(m, s)| (m as u16, s as i8)).unzip();
        let bias: Vec<i32> = bias.iter().map(|&b| (f64::from(b) * unit).round() as i32).collect();
        let shape = [outputs.div_ceil(16), panel_groups(inputs, inputs), 16, 4];
        let size = [outputs, inputs];
        let sums = row_sums(&quantized.codes, size, &outliers).collect();
        let weight = packed(&quantized.codes, size, &outliers).collect();
        let writer = &mut self.writer;
        writer.add_i8(&format!("{name}.weight"), &shape, weight).unwrap();
        writer.add_i32(&format!("{name}.bias"), &[outputs], bias).unwrap();
        writer.add_u16(&format!("{name}.mantissa"), &[outputs], mantissa).unwrap();
        writer.add_i8(&format!("{name}.shift"), &[outputs], shift).unwrap();
        writer.add_i32(&format!("{name}.rowsum"), &[outputs], sums).unwrap();
        writer.add_u16(&format!("{name}.outliers"), &[inputs], outliers).unwrap();
    }

    fn whole(&mut self, name: &str, from: &Linear, unit: f64) {
        let (weight, bias) = from.values().unwrap();
        self.linear(name, &weight, &bias, unit);
    }

    fn norm(&mut self, name: &str, from: &LayerNorm) {
        let fixed = |values: &[f32], frac| values.iter().map(|&v| to_fixed(v.into(), frac)).collect();
        let (name, count) = (format!("{}{name}", self.prefix), [from.gain.len()]);
        self.writer.add_i32(&format!("{name}.gain"), &count, fixed(&from.gain, 20)).unwrap();
        self.writer.add_i32(&format!("{name}.bias"), &count, fixed(&from.bias, 16)).unwrap();
    }

    fn attention(&mut self, attention: &InvariantPointAttention) {
        let config = self.config;
        let InvariantPointAttention { q, kv, q_points, kv_points, .. } = attention;
        self.whole("attention.projections", &Linear::join(&[q, kv, q_points, kv_points]).unwrap(), ACT);
        self.whole("attention.pair_bias", &attention.pair_bias, ACT * LOG2_E * (1.0f64 / 3.0).sqrt());
        let (weight, bias) = attention.output.values().unwrap();
        let inputs = weight.len() / bias.len();
        let mut first = 0;
        for part in 0..=config.pair_parts() {
            let count = config.output_part(part);
            let columns: Vec<f32> =
                weight.chunks_exact(inputs).flat_map(|row| row[first..first + count].to_vec()).collect();
            let bias = if part == 0 { bias.clone() } else { vec![0.0; bias.len()] };
            self.linear(&format!("attention.output.{part}"), &columns, &bias, ACT);
            first += count;
        }
        assert_eq!(first, inputs);
        let scale = (1.0 / (3.0 * (config.query_points as f64 * 4.5))).sqrt();
        let point_weight = |&w: &f32| {
            let m = multiplier(0.5 * f64::from(w).exp().ln_1p() * scale * LOG2_E / ACT);
            [m.mantissa, m.shift]
        };
        let weights: Vec<i32> = attention.point_weights.iter().flat_map(point_weight).collect();
        let name = format!("{}attention.point_weights", self.prefix);
        self.writer.add_i32(&name, &[config.heads, 2], weights).unwrap();
    }

    fn transition(&mut self, transition: &StructureTransition) {
        for (layer, parts) in transition.layers.iter().enumerate() {
            for (from, part) in parts.iter().zip(["first", "second", "third"]) {
                self.whole(&format!("transition.{layer}.{part}"), from, ACT);
            }
        }
        self.norm("transition.norm", &transition.norm);
    }

    fn angle_resnet(&mut self, resnet: &AngleResnet) {
        self.whole("angle_resnet.input", &resnet.input, ACT);
        self.whole("angle_resnet.initial", &resnet.initial, ACT);
        for (block, parts) in resnet.blocks.iter().enumerate() {
            for (from, part) in parts.iter().zip(["first", "second"]) {
                self.whole(&format!("angle_resnet.{block}.{part}"), from, ACT);
            }
        }
        self.whole("angle_resnet.output", &resnet.output, ACT);
    }
}

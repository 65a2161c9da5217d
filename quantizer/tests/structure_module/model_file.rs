//! Model files of a structure module alone.

use std::f64::consts::LOG2_E;

use candle_core::{Device, Tensor};
use foldpoint_core::esmfold::StructureConfig;
use foldpoint_core::kernels::linear::panel_groups;
use foldpoint_core::kernels::packing::{packed, row_sums};
use quantizer::encode::{multiplier, quantize_weights, split, to_fixed};
use quantizer::reference::esmfold::structure_module::StructureModule as Reference;
use quantizer::reference::{LayerNorm, Linear};
use quantizer::writer::ModelWriter;

/// Attention's output with weights of 8 bits, each part's with a scale of its own, as a model file holds
/// them.
pub fn rounded_by_part(output: &Linear, config: &StructureConfig) -> Linear {
    let (mut weight, bias) = output.values().unwrap();
    let inputs = weight.len() / bias.len();
    for row in weight.chunks_exact_mut(inputs) {
        let mut rest = row;
        for part in 0..=config.pair_parts() {
            let (columns, after) = rest.split_at_mut(config.output_part(part));
            let rounded = quantize_weights(columns, columns.len(), None);
            for (weight, code) in columns.iter_mut().zip(rounded.codes) {
                *weight = (f64::from(code) * rounded.scales[0]) as f32;
            }
            rest = after;
        }
    }
    let weight = Tensor::from_vec(weight, (bias.len(), inputs), &Device::Cpu).unwrap();
    Linear { weight, bias: output.bias.clone() }
}

/// A model file of the structure module alone, every channel of every Linear in two limbs.
pub fn model_file(reference: &Reference, config: &StructureConfig) -> Vec<u8> {
    let mut writer = ModelWriter::new();
    let act = 65536.0;
    let mut linear = |name: &str, weight: &[f32], bias: &[f32], unit: f64| {
        let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
        let quantized = quantize_weights(weight, inputs, None);
        let name = format!("fold.structure.{name}");
        let outliers: Vec<u16> = (0..inputs as u16).collect();
        let parts = quantized.scales.iter().map(|scale| split(scale * unit / act, 16));
        let (mantissa, shift): (Vec<u16>, Vec<i8>) = parts.map(|(m, s)| (m as u16, s as i8)).unzip();
        let bias: Vec<i32> = bias.iter().map(|&b| (f64::from(b) * unit).round() as i32).collect();
        let shape = [outputs.div_ceil(16), panel_groups(inputs, inputs), 16, 4];
        let size = [outputs, inputs];
        let sums = row_sums(&quantized.codes, size, &outliers).collect();
        let weight = packed(&quantized.codes, size, &outliers).collect();
        writer.add_i8(&format!("{name}.weight"), &shape, weight).unwrap();
        writer.add_i32(&format!("{name}.bias"), &[outputs], bias).unwrap();
        writer.add_u16(&format!("{name}.mantissa"), &[outputs], mantissa).unwrap();
        writer.add_i8(&format!("{name}.shift"), &[outputs], shift).unwrap();
        writer.add_i32(&format!("{name}.rowsum"), &[outputs], sums).unwrap();
        writer.add_u16(&format!("{name}.outliers"), &[inputs], outliers).unwrap();
    };
    let mut whole = |name: &str, from: &Linear, unit: f64| {
        let (weight, bias) = from.values().unwrap();
        linear(name, &weight, &bias, unit);
    };
    whole("sequence_input", &reference.sequence_input, act);
    whole("pair_input", &reference.pair_input, act);
    whole("initial", &reference.initial, act);
    let ipa = &reference.attention;
    let joined = Linear::join(&[&ipa.q, &ipa.kv, &ipa.q_points, &ipa.kv_points]).unwrap();
    whole("attention.projections", &joined, act);
    whole("attention.pair_bias", &ipa.pair_bias, act * LOG2_E * (1.0f64 / 3.0).sqrt());
    for (layer, parts) in reference.transition.layers.iter().enumerate() {
        for (from, part) in parts.iter().zip(["first", "second", "third"]) {
            whole(&format!("transition.{layer}.{part}"), from, act);
        }
    }
    whole("backbone_update.linear", &reference.backbone_update.linear, 1_048_576.0);
    let resnet = &reference.angle_resnet;
    whole("angle_resnet.input", &resnet.input, act);
    whole("angle_resnet.initial", &resnet.initial, act);
    for (block, parts) in resnet.blocks.iter().enumerate() {
        for (from, part) in parts.iter().zip(["first", "second"]) {
            whole(&format!("angle_resnet.{block}.{part}"), from, act);
        }
    }
    whole("angle_resnet.output", &resnet.output, act);
    let (weight, bias) = ipa.output.values().unwrap();
    let inputs = weight.len() / bias.len();
    let mut first = 0;
    for part in 0..=config.pair_parts() {
        let count = config.output_part(part);
        let columns: Vec<f32> =
            weight.chunks_exact(inputs).flat_map(|row| row[first..first + count].to_vec()).collect();
        let bias = if part == 0 { bias.clone() } else { vec![0.0; bias.len()] };
        linear(&format!("attention.output.{part}"), &columns, &bias, act);
        first += count;
    }
    assert_eq!(first, inputs);
    let mut norm = |name: &str, from: &LayerNorm| {
        let fixed = |values: &[f32], frac| values.iter().map(|&v| to_fixed(v.into(), frac)).collect();
        let count = [from.gain.len()];
        writer.add_i32(&format!("fold.structure.{name}.gain"), &count, fixed(&from.gain, 20)).unwrap();
        writer.add_i32(&format!("fold.structure.{name}.bias"), &count, fixed(&from.bias, 16)).unwrap();
    };
    norm("sequence_norm", &reference.sequence_norm);
    norm("pair_norm", &reference.pair_norm);
    norm("attention_norm", &reference.attention_norm);
    norm("transition.norm", &reference.transition.norm);
    let scale = (1.0 / (3.0 * (config.query_points as f64 * 4.5))).sqrt();
    let point_weight = |&w: &f32| {
        let m = multiplier(0.5 * f64::from(w).exp().ln_1p() * scale * LOG2_E / act);
        [m.mantissa, m.shift]
    };
    let weights: Vec<i32> = ipa.point_weights.iter().flat_map(point_weight).collect();
    writer.add_i32("fold.structure.attention.point_weights", &[config.heads, 2], weights).unwrap();
    writer.to_bytes().unwrap()
}

//! OmegaFold checkpoints as model files: tensors against what their float values say.

mod fixture;

use std::f64::consts::LOG2_E;
use std::fs;

use fixture::folding::{model, quantize};
use fixture::golden;
use fixture::model_file::{assert_linear, assert_near, assert_table, scaled, value};
use foldpoint_core::AlignedBytes;
use foldpoint_core::fixed::Multiplier;
use foldpoint_core::format::ModelFile;
use foldpoint_core::kernels::attention::key_scale_max;
use foldpoint_core::omegafold::Config;
use foldpoint_core::quant::Codec;
use quantizer::checkpoint::OmegaFold;

const SEQUENCES: &str = ">a\nMKTAYIA\n>b\nRQISFVKDHCNEPGLV\n>c\nWX\n";
/// Rounds a Linear's every weight to nearest, so that it can be told from the float one.
const NEAREST: &str = "--round-to-nearest";

fn tiny(options: &[&str]) -> AlignedBytes {
    model(&golden("omegafold-tiny"), SEQUENCES, options)
}

/// A tensor of the checkpoint.
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Tensor {
    fn read(name: &str) -> Self {
        let checkpoint = OmegaFold::open(&golden("omegafold-tiny")).unwrap();
        let values = checkpoint.read(name).unwrap().into_iter().map(f64::from).collect();
        Self { shape: checkpoint.shape(name).unwrap().to_vec(), values }
    }

    fn at(&self, place: &[usize]) -> f64 {
        assert_eq!(place.len(), self.shape.len());
        let index = place.iter().zip(&self.shape).fold(0, |index, (&place, &extent)| {
            assert!(place < extent);
            index * extent + place
        });
        self.values[index]
    }
}

fn float(name: &str) -> Vec<f64> {
    Tensor::read(name).values
}

fn config(model: &AlignedBytes) -> Config {
    Config::load(&ModelFile::parse(model.bytes()).unwrap()).unwrap()
}

fn unit(frac: u32) -> f64 {
    f64::from(frac).exp2()
}

/// Some rows of a matrix.
fn rows(matrix: &Tensor, rows: impl IntoIterator<Item = usize>) -> Vec<f64> {
    let width = matrix.shape[1];
    rows.into_iter().flat_map(|row| matrix.values[row * width..(row + 1) * width].to_vec()).collect()
}

/// The matrix `[outputs, inputs]` of what `weight` says of an output and an input.
fn matrix(outputs: usize, inputs: usize, weight: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    (0..outputs).flat_map(|n| (0..inputs).map(move |k| (n, k))).map(|(n, k)| weight(n, k)).collect()
}

#[test]
fn core_finds_the_checkpoints_shape_and_constants() {
    let model = tiny(&[]);
    let file = ModelFile::parse(model.bytes()).unwrap();
    file.verify().unwrap();
    let c = config(&model);
    assert_eq!((c.vocab, c.layers, c.width, c.value_width, c.query_width), (23, 3, 32, 48, 16));
    assert_eq!((c.offset_bins, c.position_bins, c.blocks, c.outer_width), (4, 3, 2, 4));
    assert_eq!((c.node_width, c.node_heads, c.pair_width, c.pair_heads), (16, 2, 16, 2));
    assert_eq!((c.geometric_layers, c.confidence_width), (2, 12));
    let s = c.structure;
    assert_eq!((s.iterations, s.width, s.pair_width, s.heads, s.head_width), (3, 24, 16, 3, 5));
    assert_eq!((s.query_points, s.value_points, s.transition_layers), (2, 3, 1));
    assert_eq!((s.resnet_blocks, s.resnet_width, s.torsion_epsilon), (2, 10, 7));
    let epsilon = |channels: f64, frac: u32| (1e-5 * (channels - 1.0) / channels * unit(2 * frac)).round();
    assert_eq!((c.epsilon_features as f64, c.epsilon_maps as f64), (epsilon(32.0, 16), epsilon(3.0, 20)));
    for (epsilon, frac) in [
        (c.epsilon_stream, c.stream_frac),
        (c.epsilon_node, c.node_frac),
        (c.epsilon_pair, c.pair_frac),
        (c.epsilon_activation, 16),
        (c.epsilon_product, 32),
    ] {
        assert_eq!(epsilon, (1e-5 * unit(2 * frac)).round() as u64);
    }
    // A product of codes, times the keys' number's logarithm to the base 2.
    let scores = f64::from(key_scale_max(16)) * 4.0 * 512f64.ln();
    assert_near(value(c.stream_temperature), 1.0 / 65536.0 / scores);
    let scores = f64::from(key_scale_max(8)) * 8f64.sqrt();
    assert_near(value(c.node_temperature), LOG2_E / 65536.0 / scores);
    assert_eq!(c.node_temperature, c.pair_temperature);
}

#[test]
fn tables_have_the_units_of_their_streams() {
    let model = tiny(&[]);
    let (file, c) = (ModelFile::parse(model.bytes()).unwrap(), config(&model));
    let (stream, pair) = (unit(c.stream_frac), unit(c.pair_frac));
    let table = |name: &str, tensor: &str, per_one: f64| assert_table(&file, name, &float(tensor), per_one);
    table("lm.embedding", "omega_plm.input_embedding.weight", stream);
    table("lm.norm.bias", "omega_plm.output_norm.bias", unit(16));
    table("lm.layers.1.positions", "omega_plm.layers.1.gau.relpos.weight", unit(16) * LOG2_E);
    table("fold.embedding.row_types", "input_embedder.proj_i.weight", pair);
    table("fold.embedding.column_types", "input_embedder.proj_j.weight", pair);
    table("fold.embedding.positions", "input_embedder.relpos.weight", pair);
    table("fold.recycling.distances", "recycle_embedder.prev_pos_embed.weight", pair);
    table("fold.recycling.node_norm.gain", "recycle_embedder.layernorm_node.weight", unit(20));
    table("fold.recycling.pair_norm.bias", "recycle_embedder.layernorm_edge.bias", unit(16));
    let block = "omega_fold_cycle.geoformer.blocks.1";
    table("fold.trunk.1.outer_product.bias", &format!("{block}.out_product.out_bias"), pair);
    let structure = "omega_fold_cycle.structure_module.cycles.2";
    table("fold.structure.2.transition.norm.gain", &format!("{structure}.update_norm.weight"), unit(20));
    table("fold.structure.2.attention_norm.bias", &format!("{structure}.input_norm.bias"), unit(16));
    // Normalizations without gain and bias; two of them by a variance that divides by one less.
    for (name, channels, gain) in [
        ("lm.layers.2.norm", 32, 1.0),
        ("fold.trunk.0.geometric.1.product_turned.norm_out", 16, 1.0),
        ("fold.embedding.node_norm", 32, (31.0f64 / 32.0).sqrt()),
        ("fold.embedding.pair_norm", 3, (2.0f64 / 3.0).sqrt()),
    ] {
        assert_table(&file, &format!("{name}.gain"), &vec![gain; channels], unit(20));
        assert_table(&file, &format!("{name}.bias"), &vec![0.0; channels], 1.0);
    }
    let scaling = "omega_plm.layers.0.gau.multi_headed_scaling";
    let [factors, shifts] = ["weight", "bias"].map(|part| float(&format!("{scaling}.{part}")));
    let all = [scaled(&factors, unit(20)), scaled(&shifts, unit(16))].concat();
    assert_table(&file, "lm.layers.0.query_key", &all, 1.0);
    // 10000^(-c / 8) radians of a turn of 2^32.
    let rotary: &[u32] = file.u32s("lm.rotary", &[8]).unwrap();
    for (c, &phase) in rotary.iter().enumerate() {
        let turn = 10_000f64.powf(-(c as f64) / 8.0) / std::f64::consts::TAU * unit(32);
        assert!((f64::from(phase) - turn).abs() <= 0.51, "{c}: {phase} {turn}");
    }
    let points: &[i32] = file.i32s("fold.structure.1.attention.point_weights", &[3, 2]).unwrap();
    let weights = float("omega_fold_cycle.structure_module.cycles.1.ipa.trainable_point_weights");
    for (&[mantissa, shift], weight) in points.as_chunks().0.iter().zip(weights) {
        let expected = 0.5 * weight.exp().ln_1p() * (1.0f64 / 27.0).sqrt() * LOG2_E / 65536.0;
        assert_near(value(Multiplier { mantissa, shift }), expected);
    }
}

#[test]
fn gated_attention_units_are_two_linears_of_the_same_rows() {
    let model = tiny(&[NEAREST]);
    let (file, c) = (ModelFile::parse(model.bytes()).unwrap(), config(&model));
    let gau = "omega_plm.layers.1.gau";
    let all = Tensor::read(&format!("{gau}.gva_proj.0.weight"));
    let bias = scaled(&float(&format!("{gau}.gva_proj.0.bias")), 65536.0);
    // Gates, values, base of queries and keys.
    assert_linear(&file, "lm.layers.1.gate", &rows(&all, 0..48), &bias[..48]);
    assert_linear(&file, "lm.layers.1.projections", &rows(&all, 48..112), &bias[48..]);
    let outliers = |name: &str| file.tensor(&format!("{name}.outliers")).unwrap().bytes;
    assert_eq!(outliers("lm.layers.1.gate"), outliers("lm.layers.1.projections"));
    let stream = unit(c.stream_frac);
    let output = scaled(&float(&format!("{gau}.output_proj.weight")), stream / 65536.0);
    let bias = scaled(&float(&format!("{gau}.output_proj.bias")), stream);
    assert_linear(&file, "lm.layers.1.output", &output, &bias);
    let node = unit(c.node_frac);
    let embedder = scaled(&float("plm_node_embedder.weight"), node / 65536.0);
    let bias = scaled(&float("plm_node_embedder.bias"), node);
    assert_linear(&file, "fold.embedding.node", &embedder, &bias);
    // All maps have two limbs.
    assert_eq!(outliers("fold.embedding.pair").len(), 2 * 3);
}

#[test]
fn attention_has_queries_keys_values_and_gates_one_after_another() {
    let model = tiny(&[NEAREST]);
    let (file, c) = (ModelFile::parse(model.bytes()).unwrap(), config(&model));
    let block = "omega_fold_cycle.geoformer.blocks.1";
    let assert_attention = |name: &str, at: &str, axis: usize, frac: u32| {
        let tensor = |part: &str| Tensor::read(&format!("{at}.{part}"));
        let [qg, kv, qg_bias, kv_bias] = ["qg_weights", "kv_weights", "qg_bias", "kv_bias"].map(tensor);
        // Which of the two, and whether its first or its second half.
        let parts = [(&qg, &qg_bias, 0), (&kv, &kv_bias, 0), (&kv, &kv_bias, 8), (&qg, &qg_bias, 8)];
        let weights = parts
            .map(|(weights, _, half)| matrix(16, 16, |n, k| weights.at(&[k, axis, n / 8, half + n % 8])));
        let biases = parts.map(|(_, bias, half)| {
            (0..16).map(|n| 65536.0 * bias.at(&[axis, n / 8, 0, half + n % 8])).collect::<Vec<f64>>()
        });
        assert_linear(&file, &format!("{name}.projections"), &weights.concat(), &biases.concat());
        let (output, bias) = (tensor("o_weights"), tensor("o_bias"));
        let weights = matrix(16, 16, |n, k| output.at(&[axis, k / 8, k % 8, n]) * unit(frac) / 65536.0);
        let bias: Vec<f64> = (0..16).map(|n| bias.at(&[n, axis]) * unit(frac)).collect();
        assert_linear(&file, &format!("{name}.output"), &weights, &bias);
    };
    let rows = format!("{block}.attention_w_edge_bias.attention");
    assert_attention("fold.trunk.1.row_attention", &rows, 0, c.node_frac);
    assert_attention("fold.trunk.1.column_attention", &format!("{block}.column_attention"), 0, c.node_frac);
    let geometric = format!("{block}.geometric_attention.1");
    let attention = format!("{geometric}.attention");
    assert_attention("fold.trunk.1.geometric.1.attention_start", &attention, 0, c.pair_frac);
    assert_attention("fold.trunk.1.geometric.1.attention_end", &attention, 1, c.pair_frac);

    let (weights, bias) = (
        Tensor::read(&format!("{geometric}.linear_b_weights")),
        Tensor::read(&format!("{geometric}.linear_b_bias")),
    );
    for (axis, name) in ["attention_start", "attention_end"].into_iter().enumerate() {
        let weights = matrix(2, 16, |n, k| LOG2_E * weights.at(&[k, axis, n]));
        let bias: Vec<f64> = (0..2).map(|n| LOG2_E * 65536.0 * bias.at(&[axis, n, 0, 0])).collect();
        assert_linear(&file, &format!("fold.trunk.1.geometric.1.{name}.bias"), &weights, &bias);
    }
    let bias = format!("{block}.attention_w_edge_bias.proj_edge_bias");
    let weights = scaled(&float(&format!("{bias}.weight")), LOG2_E);
    let bias = scaled(&float(&format!("{bias}.bias")), LOG2_E * 65536.0);
    assert_linear(&file, "fold.trunk.1.pair_bias.linear", &weights, &bias);
}

#[test]
fn products_are_cut_out_of_what_has_all_axes() {
    let model = tiny(&[NEAREST]);
    let (file, c) = (ModelFile::parse(model.bytes()).unwrap(), config(&model));
    let layer = "omega_fold_cycle.geoformer.blocks.0.geometric_attention.1";
    let tensor = |part: &str| Tensor::read(&format!("{layer}.{part}"));
    let (act, act_bias) = (tensor("act_w"), tensor("act_b"));
    let (out, out_bias) = (tensor("out_proj_w"), tensor("out_proj_b"));
    for (axis, name) in ["product", "product_turned"].into_iter().enumerate() {
        let name = format!("fold.trunk.0.geometric.1.{name}");
        // a, b, gate of a, gate of b, gate of the output.
        let part = |block: usize| matrix(16, 16, |n, k| act.at(&[k, axis, 16 * block + n]));
        let bias = |block: usize| -> Vec<f64> {
            (0..16).map(|n| 65536.0 * act_bias.at(&[axis, 16 * block + n])).collect()
        };
        let weights = [0, 2, 1, 3].map(part).concat();
        assert_linear(&file, &format!("{name}.projections"), &weights, &[0, 2, 1, 3].map(bias).concat());
        assert_linear(&file, &format!("{name}.gate"), &part(4), &bias(4));
        let weights = matrix(16, 16, |n, k| out.at(&[axis, k, n]) * unit(c.pair_frac) / 65536.0);
        let bias: Vec<f64> = (0..16).map(|n| out_bias.at(&[axis, n]) * unit(c.pair_frac)).collect();
        assert_linear(&file, &format!("{name}.output"), &weights, &bias);
    }
    let outer = Tensor::read("omega_fold_cycle.geoformer.blocks.0.out_product.out_weights");
    // From a left side to a matrix: right side, then channel of the pair.
    let weights = matrix(4 * 16, 4, |n, k| outer.at(&[k, n / 16, n % 16]));
    assert_linear(&file, "fold.trunk.0.outer_product.weights", &weights, &[0.0; 64]);
}

#[test]
fn point_attention_has_its_channels_in_the_order_of_inference() {
    let model = tiny(&[NEAREST]);
    let file = ModelFile::parse(model.bytes()).unwrap();
    let ipa = "omega_fold_cycle.structure_module.cycles.2.ipa";
    let tensor = |part: &str| Tensor::read(&format!("{ipa}.{part}"));
    // Names of Linears and their outputs, one after another; 3 heads, 5 scalars, 2 and 3 points.
    let mut outputs: Vec<(&str, usize)> = (0..15).map(|n| ("q_scalar", n)).collect();
    for head in 0..3 {
        outputs.extend((0..5).map(|c| ("k_scalar", 5 * head + c)));
        outputs.extend((0..5).map(|c| ("v_scalar", 5 * head + c)));
    }
    for axis in 0..3 {
        outputs.extend((0..6).map(|point| ("q_point", 3 * point + axis)));
    }
    for axis in 0..3 {
        for head in 0..3 {
            outputs.extend((0..2).map(|p| ("k_point", 3 * (2 * head + p) + axis)));
            outputs.extend((0..3).map(|p| ("v_point", 3 * (3 * head + p) + axis)));
        }
    }
    let row = |&(name, n): &(&str, usize)| rows(&tensor(&format!("{name}.weight")), [n]);
    let bias = |&(name, n): &(&str, usize)| 65536.0 * tensor(&format!("{name}.bias")).values[n];
    let weights: Vec<f64> = outputs.iter().flat_map(row).collect();
    let biases: Vec<f64> = outputs.iter().map(bias).collect();
    assert_linear(&file, "fold.structure.2.attention.projections", &weights, &biases);

    let (output, bias) = (tensor("output_projection.weight"), tensor("output_projection.bias"));
    // Scalars, then x of all points, y and z, then norms; pairs in the second part.
    let points = (0..3).flat_map(|axis| (0..9).map(move |point| 15 + 3 * point + axis));
    let columns: Vec<usize> = (0..15).chain(points).chain(42..51).collect();
    let weights = matrix(24, 51, |n, k| output.at(&[n, columns[k]]));
    let name = "fold.structure.2.attention.output";
    assert_linear(&file, &format!("{name}.0"), &weights, &scaled(&bias.values, 65536.0));
    let weights = matrix(24, 48, |n, k| output.at(&[n, 51 + k]));
    assert_linear(&file, &format!("{name}.1"), &weights, &[0.0; 24]);

    let factor = LOG2_E / 3f64.sqrt();
    let pair = scaled(&tensor("bias_2d.weight").values, factor);
    let bias = scaled(&tensor("bias_2d.bias").values, factor * 65536.0);
    assert_linear(&file, "fold.structure.2.attention.pair_bias", &pair, &bias);
    let linears = [
        ("fold.structure.sequence_input", "geoformer.node_final_proj", 1.0),
        ("fold.structure.0.transition.0.second", "structure_module.cycles.0.transition.1", 1.0),
        ("fold.structure.1.backbone_update.linear", "structure_module.cycles.1.affine_update", 16.0),
        ("fold.structure.angle_resnet.1.first", "structure_module.torsion_angle_pred.resblock1.1", 1.0),
        ("fold.structure.angle_resnet.0.second", "structure_module.torsion_angle_pred.resblock2.0", 1.0),
        (
            "fold.structure.angle_resnet.initial",
            "structure_module.torsion_angle_pred.input_projection.1",
            1.0,
        ),
        ("fold.confidence.second", "confidence_head.network.2", 1.0),
        ("fold.confidence.third", "confidence_head.network.4", LOG2_E),
    ];
    for (name, tensor, factor) in linears {
        let part = |part: &str| float(&format!("omega_fold_cycle.{tensor}.{part}"));
        let (weights, bias) = (scaled(&part("weight"), factor), scaled(&part("bias"), factor * 65536.0));
        assert_linear(&file, name, &weights, &bias);
    }
}

/// Bits of some sites' codes, and outlier channels of some Linears.
fn choices(options: &[&str]) -> ([i32; 4], [usize; 4]) {
    let model = tiny(options);
    let file = ModelFile::parse(model.bytes()).unwrap();
    let bits = |name: &str| file.i32s(name, &[Codec::RECORD_LEN]).unwrap()[0];
    let outliers = |name: &str| file.tensor(&format!("{name}.outliers")).unwrap().bytes.len() / 2;
    (
        ["lm.residual.3", "fold.residual.node.4", "fold.residual.pair.8", "fold.residual.middle.3"].map(bits),
        [
            "lm.layers.0.output",
            "fold.trunk.1.pair_transition.down",
            "fold.embedding.pair",
            "fold.confidence.first",
        ]
        .map(outliers),
    )
}

#[test]
fn every_part_has_choices_of_its_own() {
    // What sums up in geometric attention, and maps, have 16 bits whatever is chosen.
    let parts = ["--part=lm:activations=0%", "--part=trunk:residual=8", "--part=trunk:activations=25%"];
    assert_eq!(choices(&parts), ([16, 8, 8, 16], [0, 16, 3, 24]));
    let parts = ["--residual-bits=6", "--part=lm:activations=16", "--part=trunk:activations=-300dB"];
    assert_eq!(choices(&parts), ([6, 6, 6, 16], [48, 3, 3, 24]));
    // Where 8 bits aren't enough there are 15.
    let parts = ["--part=lm:activations=300dB", "--part=trunk:activations=300dB"];
    assert_eq!(choices(&parts), ([16, 16, 16, 16], [48, 64, 3, 24]));
}

#[test]
fn mistakes_are_named_and_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model.fpm");
    let refused = |checkpoint: &str, options: &[&str]| {
        let done = quantize(&golden(checkpoint), SEQUENCES, &out, options);
        assert!(!done.status.success() && !out.exists());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        String::from_utf8(done.stderr).unwrap()
    };
    let said = refused("omegafold-tiny2", &[]);
    assert!(said.contains("release2.pt") && said.contains("omegafold-tiny2"), "{said}");
    let said = refused("omegafold-tiny", &["--fold-max-len", "1"]);
    assert!(said.contains("no sequence of at most 1 residues to fold"), "{said}");
    let said = refused("omegafold-tiny", &["--base", "x"]);
    assert!(said.contains("--base is for adapters"), "{said}");
    let said = refused("omegafold-tiny", &["--part", "trunk:activations=xdB"]);
    assert!(said.contains("a number before dB"), "{said}");
}

#[test]
fn a_model_says_where_it_comes_from_and_how_good_its_codes_are() {
    let model = tiny(&["--name", "Omega, tiny"]);
    let file = ModelFile::parse(model.bytes()).unwrap();
    let meta: serde_json::Value = serde_json::from_slice(file.tensor("meta.json").unwrap().bytes).unwrap();
    assert_eq!(
        (meta["name"].as_str(), meta["checkpoint"].as_str()),
        (Some("Omega, tiny"), Some("omegafold-tiny"))
    );
    assert_eq!(
        (meta["calibration_folds"].as_u64(), meta["calibration_residues"].as_u64()),
        (Some(3), Some(25))
    );
    let snr = meta["snr_db"].as_object().unwrap();
    // Linears with inputs of their own, and every codec.
    for site in ["lm.layers.2.output", "fold.trunk.0.outer_product.weights", "fold.residual.middle.0"] {
        assert!(snr[site].as_f64().unwrap() > 30.0, "{site}: {}", snr[site]);
    }
    assert_eq!(snr.keys().filter(|site| site.contains("residual.")).count(), 4 + 5 + 9 + 4);
}

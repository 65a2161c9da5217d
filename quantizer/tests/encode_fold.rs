//! Folding checkpoints as model files: tensors against what their float values say.

mod fixture;

use std::collections::HashMap;
use std::f64::consts::LOG2_E;
use std::fs;

use fixture::folding::{model, quantize};
use fixture::golden;
use fixture::model_file::{assert_linear, assert_near, assert_table, scaled, value};
use foldpoint_core::AlignedBytes;
use foldpoint_core::esmfold::{Config, FoldingModel};
use foldpoint_core::fixed::Multiplier;
use foldpoint_core::format::ModelFile;
use foldpoint_core::quant::Codec;
use quantizer::checkpoint::Checkpoint;
use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize_to_file};

const SEQUENCES: &str = ">a\nMKTAYIA\n>b\nRQISFVKDHCNEPGLV\n>c\nWX\n";
/// Rounds a Linear's every weight to nearest, so that it can be told from the float one.
const NEAREST: &str = "--round-to-nearest";

fn tiny(options: &[&str]) -> AlignedBytes {
    model(&golden("esmfold-tiny"), SEQUENCES, options)
}

fn float(name: &str) -> Vec<f64> {
    let checkpoint = Checkpoint::open(&golden("esmfold-tiny")).unwrap();
    checkpoint.read(name).unwrap().into_iter().map(f64::from).collect()
}

/// `[outputs, inputs]` times `[inputs, columns]`.
fn product(a: &[f64], b: &[f64], inputs: usize) -> Vec<f64> {
    let columns = b.len() / inputs;
    let cell = |row: &[f64], column: usize| (0..inputs).map(|k| row[k] * b[k * columns + column]).sum();
    a.chunks_exact(inputs).flat_map(|row| (0..columns).map(move |c| cell(row, c))).collect()
}

fn config(model: &AlignedBytes) -> Config {
    Config::load(&ModelFile::parse(model.bytes()).unwrap()).unwrap()
}

#[test]
fn core_loads_it_and_finds_the_checkpoints_shape_and_constants() {
    let model = tiny(&[]);
    let file = ModelFile::parse(model.bytes()).unwrap();
    file.verify().unwrap();
    let c = *FoldingModel::load(&file).unwrap().config();
    assert_eq!((c.blocks, c.passes, c.position_bins), (2, 4, 6));
    assert_eq!((c.sequence_width, c.sequence_heads, c.pair_width, c.pair_heads), (32, 4, 16, 2));
    let s = c.structure;
    assert_eq!((s.iterations, s.width, s.pair_width, s.heads, s.head_width), (8, 24, 12, 3, 5));
    assert_eq!((s.query_points, s.value_points, s.transition_layers), (2, 3, 2));
    assert_eq!((s.resnet_blocks, s.resnet_width, s.point_epsilon, s.torsion_epsilon), (2, 10, 43, 43));
    // 2^31 - 1 = 127^2 * 8 * 16643.07...; scores of the head width 8 fit relative scales up to that.
    assert_near(value(c.sequence_temperature), LOG2_E / 65536.0 / (16643.0 * 8f64.sqrt()));
    assert_eq!(c.sequence_temperature, c.pair_temperature);
    assert_near(value(s.scalar_weight), LOG2_E / 65536.0 / 15f64.sqrt());
    assert_eq!(value(s.translation_scale), 10.0 / 16.0);
    assert_eq!((c.epsilon_activation, c.epsilon_product), (42_950, 184_467_440_737_096));
    for (epsilon, frac) in
        [(c.epsilon_mix, c.mix_frac), (c.epsilon_sequence, c.sequence_frac), (c.epsilon_pair, c.pair_frac)]
    {
        assert_eq!(epsilon, (1e-5 * f64::from(2 * frac).exp2()).round() as u64);
    }
    let (gain, bias) = (
        float("trunk.structure_module.layer_norm_z.weight"),
        float("trunk.structure_module.layer_norm_z.bias"),
    );
    let root = 12f64.sqrt();
    let largest = gain.iter().zip(&bias).map(|(g, b)| root * g.abs() + b.abs()).fold(0.0, f64::max);
    let codes = largest * f64::from(s.pair_frac).exp2();
    assert!((15_000.0..32_766.0).contains(&codes), "{codes}");
}

#[test]
fn tables_have_the_units_of_their_streams() {
    let model = tiny(&[]);
    let (file, c) = (ModelFile::parse(model.bytes()).unwrap(), config(&model));
    let (sequence, pair) = (f64::from(c.sequence_frac).exp2(), f64::from(c.pair_frac).exp2());
    let rows = |name: &str, count: usize| float(name)[..count].to_vec();
    let combine = float("esm_s_combine");
    let total: f64 = combine.iter().map(|v| v.exp()).sum();
    let positions = "trunk.pairwise_positional_embedding.embedding.weight";
    let tables = [
        ("fold.embedding.mix", combine.iter().map(|v| v.exp() / total).collect(), 30f64.exp2()),
        ("fold.embedding.residue", rows("embedding.weight", 21 * 32), sequence),
        ("fold.recycling.distance", float("trunk.recycle_disto.weight"), pair),
        ("fold.recycling.position", float(positions), pair),
        (
            "fold.trunk.1.pair_transition.norm.gain",
            float("trunk.blocks.1.mlp_pair.mlp.0.weight"),
            20f64.exp2(),
        ),
        ("fold.recycling.pair_norm.bias", float("trunk.recycle_z_norm.bias"), 16f64.exp2()),
    ];
    for (name, expected, per_one) in tables {
        let expected: Vec<f64> = expected;
        assert_table(&file, name, &expected, per_one);
    }
    let mix: &[i32] = file.i32s("fold.embedding.mix", &[3]).unwrap();
    assert!((mix.iter().sum::<i32>() - (1 << 30)).abs() <= 2);
}

#[test]
fn linears_that_make_logits_carry_the_base_of_the_logarithm() {
    let model = tiny(&[NEAREST]);
    let (file, c) = (ModelFile::parse(model.bytes()).unwrap(), config(&model));
    let zeros = |count: usize| vec![0.0; count];
    let weight = |name: &str, factor: f64| scaled(&float(&format!("{name}.weight")), factor);
    let bias = |name: &str, factor: f64| scaled(&float(&format!("{name}.bias")), factor * 65536.0);
    let block = "trunk.blocks.1";
    let triangle = weight(&format!("{block}.tri_att_end.linear"), LOG2_E);
    assert_linear(&file, "fold.trunk.1.triangle_attention_end.bias", &triangle, &zeros(2));
    let pair = weight(&format!("{block}.pair_to_sequence.linear"), LOG2_E);
    assert_linear(&file, "fold.trunk.1.pair_bias.linear", &pair, &zeros(4));
    let ipa = "trunk.structure_module.ipa.linear_b";
    let factor = LOG2_E / 3f64.sqrt();
    assert_linear(&file, "fold.structure.attention.pair_bias", &weight(ipa, factor), &bias(ipa, factor));
    let error = ("ptm_head", LOG2_E);
    assert_linear(&file, "fold.heads.aligned_error", &weight(error.0, error.1), &bias(error.0, error.1));
    let distogram = "distogram_head";
    assert_linear(&file, "fold.heads.distogram", &weight(distogram, 1.0), &bias(distogram, 1.0));
    // Back into a stream: stream units per activation unit.
    let down = format!("{block}.mlp_seq.mlp.3");
    let stream = f64::from(c.sequence_frac).exp2();
    let stream_bias = scaled(&float(&format!("{down}.bias")), stream);
    assert_linear(
        &file,
        "fold.trunk.1.sequence_transition.down",
        &weight(&down, stream / 65536.0),
        &stream_bias,
    );
    let update = "trunk.structure_module.bb_update.linear";
    assert_linear(&file, "fold.structure.backbone_update.linear", &weight(update, 16.0), &bias(update, 16.0));
    let points: &[i32] = file.i32s("fold.structure.attention.point_weights", &[3, 2]).unwrap();
    for (&[mantissa, shift], weight) in
        points.as_chunks().0.iter().zip(float("trunk.structure_module.ipa.head_weights"))
    {
        let expected = 0.5 * weight.exp().ln_1p() * (1.0f64 / 27.0).sqrt() * LOG2_E / 65536.0;
        assert_near(value(Multiplier { mantissa, shift }), expected);
    }
}

#[test]
fn plddt_is_one_linear() {
    let model = tiny(&[NEAREST]);
    let file = ModelFile::parse(model.bytes()).unwrap();
    let weight = |index: usize| float(&format!("lddt_head.{index}.weight"));
    let bias = |index: usize| float(&format!("lddt_head.{index}.bias"));
    let weights = product(&weight(3), &product(&weight(2), &weight(1), 12), 12);
    let add = |a: Vec<f64>, b: Vec<f64>| -> Vec<f64> { a.iter().zip(&b).map(|(a, b)| a + b).collect() };
    let second = add(product(&weight(2), &bias(1), 12), bias(2));
    let third = add(product(&weight(3), &second, 12), bias(3));
    let (weights, third) = (scaled(&weights, LOG2_E), scaled(&third, LOG2_E * 65536.0));
    assert_eq!((weights.len(), third.len()), (37 * 50 * 24, 37 * 50));
    assert_linear(&file, "fold.heads.plddt.linear", &weights, &third);
}

#[test]
fn linears_of_the_same_rows_are_joined_and_wide_rows_are_cut() {
    let model = tiny(&[NEAREST]);
    let file = ModelFile::parse(model.bytes()).unwrap();
    let join = |names: [&str; 4], prefix: &str, what: &str, factor: f64| -> Vec<f64> {
        let parts = names.map(|name| scaled(&float(&format!("{prefix}{name}.{what}")), factor));
        parts.concat()
    };
    let names = ["a_p", "a_g", "b_p", "b_g"];
    let prefix = "trunk.blocks.0.tri_mul_in.linear_";
    let (weights, bias) = (join(names, prefix, "weight", 1.0), join(names, prefix, "bias", 65536.0));
    assert_linear(&file, "fold.trunk.0.triangle_multiplication_in.projections", &weights, &bias);
    let names = ["q", "kv", "q_points", "kv_points"];
    let prefix = "trunk.structure_module.ipa.linear_";
    let (weights, bias) = (join(names, prefix, "weight", 1.0), join(names, prefix, "bias", 65536.0));
    assert_linear(&file, "fold.structure.attention.projections", &weights, &bias);
    let (projections, gate) = (
        file.tensor("fold.trunk.0.triangle_multiplication_in.projections.outliers").unwrap(),
        file.tensor("fold.trunk.0.triangle_multiplication_in.gate.outliers").unwrap(),
    );
    assert_eq!(projections.bytes, gate.bytes);
    // Heads times (values, then x, y, z and norm of points), then heads times pairs.
    let output = float("trunk.structure_module.ipa.linear_out.weight");
    let columns = |first: usize, count: usize| -> Vec<f64> {
        output.chunks_exact(87).flat_map(|row| row[first..first + count].to_vec()).collect()
    };
    let bias = scaled(&float("trunk.structure_module.ipa.linear_out.bias"), 65536.0);
    assert_linear(&file, "fold.structure.attention.output.0", &columns(0, 51), &bias);
    assert_linear(&file, "fold.structure.attention.output.1", &columns(51, 36), &[0.0; 24]);
}

/// (bits of a residual site's codes, outlier channels of a Linear) in language model, trunk and structure
/// module.
fn choices(options: &[&str]) -> ([i32; 2], [usize; 3]) {
    let model = tiny(options);
    let file = ModelFile::parse(model.bytes()).unwrap();
    FoldingModel::load(&file).unwrap();
    let bits = |name: &str| file.i32s(name, &[Codec::RECORD_LEN]).unwrap()[0];
    let outliers = |name: &str| file.tensor(&format!("{name}.outliers")).unwrap().bytes.len() / 2;
    (
        [bits("lm.residual.1"), bits("fold.residual.pair.7")],
        [
            outliers("lm.layers.0.ffn.up"),
            outliers("fold.trunk.1.sequence_transition.up"),
            outliers("fold.structure.initial"),
        ],
    )
}

#[test]
fn every_part_has_choices_of_its_own() {
    assert_eq!(choices(&[]), ([16, 16], [32, 2, 24]));
    assert_eq!(choices(&["--residual-bits", "8", "--outliers", "25"]), ([8, 8], [8, 8, 24]));
    let parts = [
        "--part=trunk:residual=6-uniform",
        "--part=lm:activations=16",
        "--part=structure:activations=50%",
        "--part=trunk:activations=0%",
    ];
    assert_eq!(choices(&parts), ([16, 6], [32, 0, 12]));
}

#[test]
fn mistakes_are_named_and_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model.fpm");
    let refused = |options: &[&str]| {
        let done = quantize(&golden("esmfold-tiny"), SEQUENCES, &out, options);
        assert!(!done.status.success() && !out.exists());
        String::from_utf8(done.stderr).unwrap()
    };
    for (part, message) in [
        ("trunk", "PART:CHOICE was expected"),
        ("head:residual=8", "lm, trunk or structure"),
        ("trunk:residual=9", "16, 2 to 8"),
        ("trunk:activations=5", "a percentage from 0% to 100%"),
        ("trunk:speed=5", "residual=... or activations=..."),
    ] {
        let text = refused(&["--part", part]);
        assert!(text.contains(message), "{part}: {text}");
    }
    assert!(refused(&["--fold-max-len", "1"]).contains("no sequence of at most 1 residues to fold"));
}

type Tensors = HashMap<String, (Vec<usize>, Vec<u8>)>;

/// What `quantizer` says of the fixture after `change` to the bytes and shapes of its tensors.
fn changed(change: impl FnOnce(&mut Tensors)) -> Result<(), String> {
    let bytes = fs::read(golden("esmfold-tiny").join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let dtypes: HashMap<String, _> = file.tensors().into_iter().map(|(n, v)| (n, v.dtype())).collect();
    let mut tensors: Tensors =
        file.tensors().into_iter().map(|(n, v)| (n, (v.shape().to_vec(), v.data().to_vec()))).collect();
    change(&mut tensors);
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden("esmfold-tiny").join("config.json"), folder.path().join("config.json")).unwrap();
    let views = tensors
        .iter()
        .map(|(name, (shape, bytes))| (name, TensorView::new(dtypes[name], shape.clone(), bytes).unwrap()));
    serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    let out = folder.path().join("model.fpm");
    let done = quantize(folder.path(), SEQUENCES, &out, &[]);
    assert_eq!(done.status.success(), out.exists());
    if done.status.success() { Ok(()) } else { Err(String::from_utf8(done.stderr).unwrap()) }
}

#[test]
fn bad_checkpoints_are_refused_by_the_tensors_name() {
    let set = |name: &'static str, value: u16| {
        move |tensors: &mut Tensors| {
            tensors.get_mut(name).unwrap().1[2..4].copy_from_slice(&value.to_le_bytes());
        }
    };
    let head = "lddt_head.2.weight";
    let nan = changed(set(head, 0x7e00)).unwrap_err();
    assert!(nan.contains(&format!("tensor {head} is NaN at index 1")), "{nan}");
    let infinite = changed(set("trunk.blocks.0.tri_mul_out.linear_z.weight", 0x7c00)).unwrap_err();
    assert!(infinite.contains("tri_mul_out.linear_z.weight is inf at index 1"), "{infinite}");
    let shape = changed(|tensors| tensors.get_mut("trunk.recycle_disto.weight").unwrap().0 = vec![16, 15]);
    assert!(shape.unwrap_err().contains("trunk.recycle_disto.weight has shape [16, 15], expected [15, 16]"));
    // A gain of 32768 is finite, and more than the integer format holds.
    let large = changed(set("trunk.recycle_z_norm.weight", 0x7800)).unwrap_err();
    assert!(large.contains("fold.recycling.pair_norm.gain: the value 32768"), "{large}");
    assert_eq!(changed(|_| ()), Ok(()));
}

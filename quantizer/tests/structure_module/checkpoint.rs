//! Checkpoints with a random structure module.

use std::collections::HashMap;
use std::path::Path;

use quantizer::checkpoint::Checkpoint;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use super::fixture::golden;

/// A repeatable source of numbers.
pub struct Random(pub u64);

impl Random {
    /// In -1 to 1.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// `count` numbers, at most `most` in magnitude.
    pub fn many(&mut self, count: usize, most: f64) -> Vec<f32> {
        (0..count).map(|_| (self.next() * most) as f32).collect()
    }
}

/// The fixture with a structure module of these sizes and random weights in it, in `folder`.
pub fn random_checkpoint(folder: &Path, sizes: &[(&str, usize)], seed: u64) -> Checkpoint {
    let source = golden("esmfold-tiny");
    let text = std::fs::read_to_string(source.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    for &(key, value) in sizes {
        config["esmfold_config"]["trunk"]["structure_module"][key] = value.into();
    }
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let size =
        |key: &str| config["esmfold_config"]["trunk"]["structure_module"][key].as_u64().unwrap() as usize;
    let bytes = std::fs::read(source.join("model.safetensors")).unwrap();
    let fixture = SafeTensors::deserialize(&bytes).unwrap();
    let mut random = Random(seed);
    let (c_s, c_z, width, pair) = (32, 16, size("sequence_dim"), size("pairwise_dim"));
    let (heads, hidden, resnet) = (size("num_heads_ipa"), size("ipa_dim"), size("resnet_dim"));
    let (q, v) = (size("num_qk_points"), size("num_v_points"));
    let mut tensors: HashMap<String, (Vec<usize>, Vec<f32>)> = HashMap::new();
    let mut linear = |name: &str, outputs: usize, inputs: usize, gain: f64| {
        let most = gain * (3.0 / inputs as f64).sqrt();
        let name = format!("trunk.{name}");
        tensors
            .insert(format!("{name}.weight"), (vec![outputs, inputs], random.many(outputs * inputs, most)));
        tensors.insert(format!("{name}.bias"), (vec![outputs], random.many(outputs, 0.1)));
    };
    linear("trunk2sm_s", width, c_s, 1.0);
    linear("trunk2sm_z", pair, c_z, 1.0);
    let module = "structure_module";
    linear(&format!("{module}.linear_in"), width, width, 1.0);
    let all = heads * (hidden + 4 * v + pair);
    for (part, outputs, inputs, gain) in [
        ("q", heads * hidden, width, 1.0),
        ("kv", 2 * heads * hidden, width, 1.0),
        ("q_points", 3 * heads * q, width, 1.0),
        ("kv_points", 3 * heads * (q + v), width, 1.0),
        ("b", heads, pair, 1.0),
        ("out", width, all, 0.7),
    ] {
        linear(&format!("{module}.ipa.linear_{part}"), outputs, inputs, gain);
    }
    for layer in 0..size("num_transition_layers") {
        for part in 1..4 {
            linear(&format!("{module}.transition.layers.{layer}.linear_{part}"), width, width, 1.0);
        }
    }
    linear(&format!("{module}.bb_update.linear"), 6, width, 0.4);
    let angles = format!("{module}.angle_resnet");
    linear(&format!("{angles}.linear_in"), resnet, width, 1.0);
    linear(&format!("{angles}.linear_initial"), resnet, width, 1.0);
    for block in 0..size("num_resnet_blocks") {
        for part in 1..3 {
            linear(&format!("{angles}.layers.{block}.linear_{part}"), resnet, resnet, 1.0);
        }
    }
    linear(&format!("{angles}.linear_out"), 14, resnet, 2.0);
    let norms = [("layer_norm_s", width), ("layer_norm_z", pair), ("layer_norm_ipa", width)];
    for (name, channels) in norms.into_iter().chain([("transition.layer_norm", width)]) {
        let gain = random.many(channels, 0.3).iter().map(|v| 1.0 + v).collect();
        tensors.insert(format!("trunk.{module}.{name}.weight"), (vec![channels], gain));
        tensors.insert(format!("trunk.{module}.{name}.bias"), (vec![channels], random.many(channels, 0.2)));
    }
    tensors.insert(format!("trunk.{module}.ipa.head_weights"), (vec![heads], random.many(heads, 1.0)));
    tensors.insert("lddt_head.0.weight".into(), (vec![width], vec![1.0; width]));
    tensors.insert("lddt_head.0.bias".into(), (vec![width], vec![0.0; width]));
    tensors.insert("lddt_head.1.weight".into(), (vec![12, width], vec![0.1; 12 * width]));
    let bytes: HashMap<String, (Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, (shape, values))| (name, (shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())))
        .collect();
    let own = bytes.iter().map(|(name, (shape, data))| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    // The fixture's structure module may have more layers.
    let is_other = |name: &str| name.starts_with("trunk.structure_module.") || bytes.contains_key(name);
    let kept = fixture.tensors().into_iter().filter(|(name, _)| !is_other(name));
    let views: Vec<(String, TensorView)> = kept.chain(own).collect();
    serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
    Checkpoint::open(folder).unwrap()
}

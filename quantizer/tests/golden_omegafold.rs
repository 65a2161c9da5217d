//! The float reference of OmegaFold against the original, on `tests/golden/omegafold-*`, which hold what it
//! computed with random weights.

mod fixture;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use fixture::omegafold::Fixture;
use fixture::{golden, wide};
use quantizer::checkpoint::{CheckpointError, OmegaFold};
use quantizer::reference::omegafold::{Cycle, OmegaFoldReference, Options};
use quantizer::reference::{Observer, Site};
use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize_to_file};

/// Runs the checkpoint at `path` and asserts that every array of the fixture is what comes out.
fn assert_matches(fixture: &Fixture, path: &Path) {
    let checkpoint = OmegaFold::open(path).unwrap();
    let blocks = checkpoint.config().blocks;
    let reference = OmegaFoldReference::new(&checkpoint).unwrap();
    let masked_up_to = fixture.run.masked_up_to();
    let mut compared = HashSet::new();
    for (number, (residues, &cycles)) in fixture.sequences.iter().zip(&fixture.run.cycles).enumerate() {
        let options = Options { cycles, rows: fixture.run.pseudo_msa_rows, masked_up_to };
        let mut seen = Recorder::default();
        let outputs = reference.run(number, residues, &options, &mut seen).unwrap();
        assert_eq!(outputs.cycles.len(), cycles);
        for (cycle, output) in outputs.cycles.iter().enumerate() {
            let mut arrays = arrays(output);
            arrays.extend(seen.arrays(number, cycle, residues.len(), blocks));
            for (kind, values) in arrays {
                let name = format!("{number}.{cycle}.{kind}");
                if let Some(expected) = fixture.expected.get(&name) {
                    assert_close(&name, &kind, &values, expected);
                    compared.insert(name);
                }
            }
        }
        let chosen = format!("{number}.chosen");
        assert_eq!(outputs.chosen as f32, fixture.expected[&chosen][0], "{chosen}");
        compared.insert(chosen);
    }
    let left: Vec<&String> = fixture.expected.keys().filter(|name| !compared.contains(*name)).collect();
    assert!(left.is_empty(), "not compared: {left:?}");
}

/// Largest differences: what another order of sums in single precision may do.
fn tolerance(kind: &str) -> f32 {
    match kind.split('.').next().unwrap() {
        "mask" => 0.0,
        "maps" | "confidence" | "overall" => 1e-5,
        "plm_node" | "rotations" | "translations" | "torsions" | "rotation8" | "node" => 1e-4,
        // Pairs of model 2 hang on steep bins; positions are in angstroms.
        "edge" | "translation8" | "atoms14" => 1e-3,
        _ => panic!("{kind}"),
    }
}

fn assert_close(name: &str, kind: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest <= tolerance(kind), "{name} differs by {largest}");
    assert!(found.iter().all(|value| value.is_finite()), "{name}");
}

/// What a cycle returns, under the fixture's names.
fn arrays(cycle: &Cycle) -> Vec<(String, Vec<f32>)> {
    let structure = &cycle.structure;
    let residues = cycle.confidence.len();
    let floats = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
    let frames = || structure.frames.iter().flatten().map(|frame| frame.rigid(1.0));
    let groups = || structure.groups.iter().flatten();
    [
        ("mask", cycle.kept[residues..].iter().map(|&kept| f32::from(u8::from(kept))).collect()),
        ("rotations", floats(frames().flat_map(|frame| frame.rotation.as_flattened().to_vec()).collect())),
        ("translations", floats(frames().flat_map(|frame| frame.translation).collect())),
        ("torsions", floats(structure.torsions.as_flattened().as_flattened().to_vec())),
        ("rotation8", floats(groups().flat_map(|group| group.rotation.as_flattened().to_vec()).collect())),
        ("translation8", floats(groups().flat_map(|group| group.translation).collect())),
        ("atoms14", floats(structure.atoms.as_flattened().as_flattened().to_vec())),
        ("confidence", floats(cycle.confidence.clone())),
        ("overall", floats(vec![cycle.overall])),
    ]
    .map(|(kind, values)| (kind.to_owned(), values))
    .into()
}

/// Keeps what it is shown of the representations.
#[derive(Default)]
struct Recorder(HashMap<(usize, Site), Vec<f32>>);

impl Recorder {
    /// What was seen in a cycle, under the fixture's names.
    fn arrays(
        &self,
        sequence: usize,
        cycle: usize,
        residues: usize,
        blocks: usize,
    ) -> Vec<(String, Vec<f32>)> {
        let at = |name: String| self.0[&(sequence, Site { name, pass: cycle, iteration: 0 })].clone();
        let mut arrays = vec![
            ("plm_node".to_owned(), at("fold.embedding.node_norm".into())),
            ("maps".to_owned(), at("fold.embedding.pair_norm".into())),
        ];
        let width = at("fold.structure.sequence_input".into()).len() / residues;
        for block in 0..=blocks {
            let (node, pair) = if block == blocks {
                (at("fold.structure.sequence_input".into()), at("fold.structure.pair_norm".into()))
            } else {
                let mut node = at(format!("fold.trunk.{block}.row_attention.norm"));
                // The sequence itself is the first of the rows.
                assert!(node.len() > residues * width);
                node.truncate(residues * width);
                (node, at(format!("fold.trunk.{block}.pair_bias.norm")))
            };
            let name = block.checked_sub(1).map_or_else(|| "input".to_owned(), |block| block.to_string());
            arrays.push((format!("node.{name}"), node));
            arrays.push((format!("edge.{name}"), pair));
        }
        arrays
    }
}

impl Observer for Recorder {
    fn wants(&self, site: &Site) -> bool {
        let of_blocks = site.name.ends_with(".row_attention.norm") || site.name.ends_with(".pair_bias.norm");
        let others =
            ["embedding.node_norm", "embedding.pair_norm", "structure.sequence_input", "structure.pair_norm"];
        of_blocks || site.name.strip_prefix("fold.").is_some_and(|name| others.contains(&name))
    }

    fn values(&mut self, sequence: usize, site: &Site, values: &[f32], _channels: usize) {
        let before = self.0.insert((sequence, site.clone()), values.to_vec());
        assert!(before.is_none(), "{site} is shown twice");
    }
}

#[test]
fn model_1_is_the_original() {
    let fixture = Fixture::read("omegafold-tiny");
    assert_matches(&fixture, &fixture.folder);
}

#[test]
fn model_2_is_the_original() {
    let fixture = Fixture::read("omegafold-tiny2");
    assert_matches(&fixture, &fixture.folder);
}

#[test]
fn published_widths_are_the_original() {
    let fixture = Fixture::read("omegafold-wide");
    let folder = tempfile::tempdir().unwrap();
    wide::write_weights(&fixture.folder, folder.path());
    assert_matches(&fixture, folder.path());
}

/// The tensors of the small model, each as what `change` makes of it.
fn changed(change: impl Fn(&str) -> Option<(String, Vec<usize>)>) -> CheckpointError {
    let bytes = fs::read(golden("omegafold-tiny").join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tensors = file.tensors();
    let views = tensors.iter().filter_map(|(name, view)| {
        let (name, shape) = change(name)?;
        let shape = if shape.is_empty() { view.shape().to_vec() } else { shape };
        Some((name, TensorView::new(view.dtype(), shape, view.data()).unwrap()))
    });
    serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    OmegaFold::open(folder.path()).map(drop).unwrap_err()
}

#[test]
fn other_tensors_are_refused_by_name() {
    let kept = |name: &str| Some((name.to_owned(), vec![]));
    let lost = "omega_fold_cycle.geoformer.blocks.1.out_product.out_bias";
    let missing = changed(|name| if name == lost { None } else { kept(name) });
    assert!(
        matches!(&missing, CheckpointError::MissingTensors { names, .. } if names == &[lost]),
        "{missing}"
    );
    let renamed = changed(|name| kept(&name.replace("plm_node_embedder.bias", "plm_node_embedder.shift")));
    assert!(matches!(&renamed, CheckpointError::MissingTensors { .. }), "{renamed}");
    let table = "omega_plm.layers.1.gau.relpos.weight";
    let misshapen =
        changed(|name| if name == table { Some((name.to_owned(), vec![1, 9])) } else { kept(name) });
    assert!(matches!(&misshapen, CheckpointError::Shape { tensor, .. } if tensor == table), "{misshapen}");
    let other = changed(|name| kept(&format!("model.{name}")));
    assert!(matches!(&other, CheckpointError::NotACheckpoint { .. }), "{other}");
}

#[test]
fn nothing_to_fold_is_an_error() {
    let checkpoint = OmegaFold::open(&golden("omegafold-tiny")).unwrap();
    let reference = OmegaFoldReference::new(&checkpoint).unwrap();
    assert!(reference.run(3, &[], &Options::default(), &mut ()).is_err());
}

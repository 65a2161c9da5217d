//! The float reference of folding against PyTorch, on the fixtures of `tests/golden/make_esmfold.py`.

mod fixture;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use fixture::golden;
use quantizer::checkpoint::{Checkpoint, CheckpointError};
use quantizer::reference::esmfold::{Fold, FoldOutputs, FoldReference, FoldWant};
use quantizer::reference::{Observer, Site, Want};
use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize_to_file};

/// Largest difference allowed between the reference and PyTorch, relative to the larger of 1 and PyTorch's
/// value.
const TOLERANCE: f32 = 1e-4;
/// The same for positions, in angstroms.
const POSITIONS: f32 = 1e-3;
const ALL: FoldWant =
    FoldWant { language_model: Want { contacts: false, logits: false, hidden: false }, logits: true };
const BLOCKS: usize = 2;

/// What PyTorch computed.
struct Expectation(HashMap<String, Vec<f32>>, Vec<Vec<u8>>);

impl Expectation {
    fn read() -> Self {
        let bytes = fs::read(golden("esmfold-tiny").join("expected.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let floats = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        let values = file.tensors().into_iter().map(|(name, view)| (name, floats(view.data()))).collect();
        let tokens = (0..4).map(|i| file.tensor(&format!("{i}.tokens")).unwrap().data().to_vec()).collect();
        Self(values, tokens)
    }

    fn folds(&self) -> Vec<Fold> {
        self.1.iter().map(|tokens| Fold::chain(tokens)).collect()
    }

    fn assert_close(&self, name: &str, found: &[f32], tolerance: f32) {
        let expected = &self.0[name];
        assert_eq!(found.len(), expected.len(), "{name}");
        let difference = |(a, b): (&f32, &f32)| (a - b).abs() / b.abs().max(1.0);
        let largest = found.iter().zip(expected).map(difference).fold(0.0, f32::max);
        assert!(largest <= tolerance, "{name} differs by {largest}");
    }

    fn assert_matches(&self, sequence: usize, recycles: usize, outputs: &FoldOutputs) {
        let close = |name: &str, found: &[f32], tolerance| {
            self.assert_close(&format!("{sequence}.{recycles}.{name}"), found, tolerance);
        };
        let frames = outputs
            .frames
            .as_flattened_values(|frame| [frame.quaternion.to_vec(), frame.translation.to_vec()].concat());
        close("frames", &frames, TOLERANCE);
        let torsions = outputs.torsions.as_flattened_values(|torsions| torsions.as_flattened().to_vec());
        close("torsions", &torsions, TOLERANCE);
        let positions = &self.0[&format!("{sequence}.{recycles}.atom37")];
        let largest = outputs.atom37.iter().zip(positions).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest <= POSITIONS, "{sequence}.{recycles}.atom37 differs by {largest}");
        close("atom37_mask", &outputs.atom37_mask, 0.0);
        close("plddt", &outputs.plddt, TOLERANCE);
        close("pae", &outputs.pae, TOLERANCE);
        let ptm = self.0[&format!("{sequence}.{recycles}.ptm")][0];
        assert!((outputs.ptm / ptm - 1.0).abs() <= TOLERANCE, "{} instead of {ptm}", outputs.ptm);
        if recycles > 0 {
            close("pae_logits", &outputs.pae_logits, TOLERANCE);
            close("distogram", &outputs.distogram, TOLERANCE);
        }
    }
}

/// Values of all residues after all iterations, one after the other.
trait Flatten<T> {
    fn as_flattened_values(&self, values: impl Fn(&T) -> Vec<f64>) -> Vec<f32>;
}

impl<T> Flatten<T> for Vec<Vec<T>> {
    fn as_flattened_values(&self, values: impl Fn(&T) -> Vec<f64>) -> Vec<f32> {
        self.iter().flatten().flat_map(values).map(|value| value as f32).collect()
    }
}

/// A site of the language model, of which one is enough.
const LANGUAGE_MODEL: &str = "lm.layers.0.attention.qkv";

/// Keeps all it is shown of folding.
#[derive(Default)]
struct Recorder {
    seen: HashMap<(usize, Site), (Vec<f32>, usize)>,
    language_model: usize,
    blocks: Vec<(usize, usize, usize)>,
}

impl Observer for Recorder {
    fn wants(&self, site: &Site) -> bool {
        site.name.starts_with("fold.") || site.name == LANGUAGE_MODEL
    }

    fn values(&mut self, sequence: usize, site: &Site, values: &[f32], channels: usize) {
        if site.name == LANGUAGE_MODEL {
            assert_eq!(channels, 32);
            self.language_model += 1;
            return;
        }
        let before = self.seen.insert((sequence, site.clone()), (values.to_vec(), channels));
        assert!(before.is_none(), "{site} is shown twice");
    }

    fn block_done(&mut self, pass: usize, block: usize, sequence: usize) {
        self.blocks.push((pass, block, sequence));
    }
}

fn assert_checkpoint_matches(path: &Path) {
    let expected = Expectation::read();
    let checkpoint = Checkpoint::open(path).unwrap();
    let reference = FoldReference::new(&checkpoint).unwrap();
    for recycles in [0, 2] {
        let mut recorder = Recorder::default();
        let outputs = reference.run_batch(&expected.folds(), recycles, ALL, &mut recorder).unwrap();
        for (sequence, outputs) in outputs.iter().enumerate() {
            for block in 0..BLOCKS {
                let (s, z) = match block + 1 {
                    BLOCKS => ("fold.structure.sequence_input".into(), "fold.structure.pair_input".into()),
                    next => (
                        format!("fold.trunk.{next}.sequence_attention.norm"),
                        format!("fold.trunk.{next}.pair_bias.norm"),
                    ),
                };
                for (site, kind) in [(s, "sequence"), (z, "pair")] {
                    let site = Site { name: site, pass: recycles, iteration: 0 };
                    let name = format!("{sequence}.{recycles}.{kind}.{block}");
                    expected.assert_close(&name, &recorder.seen[&(sequence, site)].0, TOLERANCE);
                }
            }
            expected.assert_matches(sequence, recycles, outputs);
        }
    }
}

#[test]
fn folder_agrees_with_transformers() {
    assert_checkpoint_matches(&golden("esmfold-tiny"));
}

#[test]
fn fair_esm_names_give_the_same_model() {
    assert_checkpoint_matches(&golden("esmfold-fair").join("fold.pt"));
}

#[test]
fn a_batch_gives_what_each_sequence_gives_alone() {
    let checkpoint = Checkpoint::open(&golden("esmfold-tiny")).unwrap();
    let reference = FoldReference::new(&checkpoint).unwrap();
    let folds = Expectation::read().folds();
    let want = FoldWant { language_model: Want { hidden: true, ..Want::default() }, logits: false };
    let batch = reference.run_batch(&folds, 1, want, &mut ()).unwrap();
    for (fold, together) in folds.iter().zip(&batch) {
        let alone = reference.run_batch(std::slice::from_ref(fold), 1, want, &mut ()).unwrap();
        let [alone] = alone.as_slice() else { panic!("{} folds", alone.len()) };
        // Products of other numbers of rows are summed in other orders.
        assert_near(&alone.atom37, &together.atom37);
        assert_near(&alone.plddt, &together.plddt);
        assert_near(&alone.pae, &together.pae);
        assert_near(&[alone.ptm], &[together.ptm]);
        assert_near(&alone.language_model.hidden.concat(), &together.language_model.hidden.concat());
        assert_eq!(together.language_model.hidden.len(), 3);
        assert!(together.pae_logits.is_empty() && together.distogram.is_empty());
    }
    assert!(reference.run_batch(&[], 1, want, &mut ()).unwrap().is_empty());
}

fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let apart = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-3, "{apart}");
}

#[test]
fn only_differences_of_residue_numbers_count_up_to_the_largest_bin() {
    let checkpoint = Checkpoint::open(&golden("esmfold-tiny")).unwrap();
    let reference = FoldReference::new(&checkpoint).unwrap();
    let chain = Expectation::read().folds().remove(2);
    let numbered = |index: Vec<i64>| Fold { residue_index: index, ..chain.clone() };
    let run = |fold: Fold| reference.run_batch(&[fold], 0, ALL, &mut ()).unwrap().remove(0);
    let plain = run(chain.clone());
    assert_eq!(run(numbered((1000..1007).collect())), plain);
    assert_ne!(run(numbered(vec![0, 1, 2, 515, 516, 517, 518])), plain);
    let far = run(numbered(vec![0, 1, 2, 515, 516, 517, 518]));
    assert_eq!(run(numbered(vec![0, 1, 2, 60_515, 60_516, 60_517, 60_518])), far);
}

#[test]
fn an_observer_sees_every_site_with_the_channels_that_its_weights_read() {
    let checkpoint = Checkpoint::open(&golden("esmfold-tiny")).unwrap();
    let folds = &Expectation::read().folds()[2..];
    let mut recorder = Recorder::default();
    FoldReference::new(&checkpoint).unwrap().run_batch(folds, 1, ALL, &mut recorder).unwrap();
    let block: &[(&str, bool, usize)] = &[
        ("pair_bias.norm", true, 16),
        ("pair_bias.linear", true, 16),
        ("sequence_attention.norm", false, 32),
        ("sequence_attention.projections", false, 32),
        ("sequence_attention.output", false, 32),
        ("sequence_transition.norm", false, 32),
        ("sequence_transition.up", false, 32),
        ("sequence_transition.down", false, 128),
        ("sequence_to_pair.norm", false, 32),
        ("sequence_to_pair.projection", false, 32),
        ("sequence_to_pair.output", true, 16),
        ("pair_transition.norm", true, 16),
        ("pair_transition.up", true, 16),
        ("pair_transition.down", true, 64),
    ];
    let structure: &[(&str, bool, usize)] = &[
        ("attention.projections", false, 24),
        ("attention.pair_bias", true, 12),
        ("attention.output", false, 3 * (12 + 5 + 4 * 3)),
        ("attention_norm", false, 24),
        ("transition.0.first", false, 24),
        ("transition.0.second", false, 24),
        ("transition.0.third", false, 24),
        ("transition.1.first", false, 24),
        ("transition.1.second", false, 24),
        ("transition.1.third", false, 24),
        ("transition.norm", false, 24),
        ("backbone_update.linear", false, 24),
        ("angle_resnet.input", false, 24),
        ("angle_resnet.initial", false, 24),
        ("angle_resnet.0.first", false, 10),
        ("angle_resnet.0.second", false, 10),
        ("angle_resnet.1.first", false, 10),
        ("angle_resnet.1.second", false, 10),
        ("angle_resnet.output", false, 10),
    ];
    let mut sites = Vec::new();
    for (name, pairs, channels) in
        [("embedding.norm", false, 32), ("embedding.up", false, 32), ("embedding.down", false, 32)]
    {
        sites.push((name.to_string(), 0, 0, pairs, channels));
    }
    let heads = [("norm", 24), ("linear", 24)];
    sites.extend(heads.map(|(name, channels)| (format!("heads.plddt.{name}"), 1, 0, false, channels)));
    sites.push(("heads.pair".into(), 1, 0, true, 16));
    for pass in 0..2 {
        sites.push(("recycling.sequence_norm".into(), pass, 0, false, 32));
        sites.push(("recycling.pair_norm".into(), pass, 0, true, 16));
        for index in 0..BLOCKS {
            let below = |name: &str| format!("trunk.{index}.{name}");
            sites.extend(block.iter().map(|&(name, pairs, c)| (below(name), pass, 0, pairs, c)));
            for direction in ["out", "in"] {
                for part in ["norm_in", "projections", "a", "b", "norm_out", "output"] {
                    let name = below(&format!("triangle_multiplication_{direction}.{part}"));
                    sites.push((name, pass, 0, true, 16));
                }
            }
            for node in ["start", "end"] {
                for part in ["norm", "projections", "output"] {
                    sites.push((below(&format!("triangle_attention_{node}.{part}")), pass, 0, true, 16));
                }
            }
        }
        let inputs = [
            ("sequence_input", false, 32),
            ("sequence_norm", false, 24),
            ("pair_input", true, 16),
            ("pair_norm", true, 12),
            ("initial", false, 24),
        ];
        sites.extend(inputs.map(|(name, pairs, c)| (format!("structure.{name}"), pass, 0, pairs, c)));
        for iteration in 0..8 {
            let below = |name: &str| format!("structure.{name}");
            sites.extend(structure.iter().map(|&(name, pairs, c)| (below(name), pass, iteration, pairs, c)));
        }
    }
    for (sequence, fold) in folds.iter().enumerate() {
        let residues = fold.residue_index.len();
        for (name, pass, iteration, pairs, channels) in &sites {
            let name = format!("fold.{name}");
            let site = Site { name, pass: *pass, iteration: *iteration };
            let (values, found) =
                recorder.seen.get(&(sequence, site.clone())).unwrap_or_else(|| panic!("{site:?}"));
            let rows = if *pairs { residues * residues } else { residues };
            assert_eq!((*found, values.len()), (*channels, rows * channels), "{site}");
        }
    }
    assert_eq!(recorder.seen.len(), sites.len() * folds.len());
    assert_eq!(recorder.language_model, folds.len());
    let blocks: Vec<(usize, usize, usize)> = (0..8).map(|i| (i / 4, i / 2 % 2, i % 2)).collect();
    assert_eq!(recorder.blocks, blocks);
}

#[test]
fn what_can_not_be_folded_is_said() {
    let checkpoint = Checkpoint::open(&golden("esmfold-tiny")).unwrap();
    let reference = FoldReference::new(&checkpoint).unwrap();
    let error = |fold: Fold| {
        let good = Fold::chain(&[0, 5, 2]);
        reference.run_batch(&[good, fold], 0, ALL, &mut ()).unwrap_err().to_string()
    };
    assert_eq!(error(Fold::chain(&[0, 2])), "sequence 1 has no residues");
    assert_eq!(error(Fold::chain(&[])), "sequence 1 has no residues");
    assert_eq!(error(Fold::chain(&[0, 5, 32, 2])), "sequence 1: token 32 at 2 is no residue");
    let short = Fold { tokens: vec![0, 5, 5, 2], residue_index: vec![0] };
    assert_eq!(error(short), "sequence 1 has 2 residues, but 1 residue numbers");
    let language_model = Checkpoint::open(&golden("esm2-head16")).unwrap();
    let error = FoldReference::new(&language_model).err().unwrap().to_string();
    assert!(error.ends_with("esm2-head16: not a folding model"), "{error}");
}

/// Opens the fixture's folder after `change` to the bytes and shapes of its tensors.
fn changed(change: impl FnOnce(&mut HashMap<String, (Vec<usize>, Vec<u8>)>)) -> Result<(), String> {
    let bytes = fs::read(golden("esmfold-tiny").join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let dtypes: HashMap<String, _> = file.tensors().into_iter().map(|(n, v)| (n, v.dtype())).collect();
    let mut tensors: HashMap<String, (Vec<usize>, Vec<u8>)> =
        file.tensors().into_iter().map(|(n, v)| (n, (v.shape().to_vec(), v.data().to_vec()))).collect();
    change(&mut tensors);
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden("esmfold-tiny").join("config.json"), folder.path().join("config.json")).unwrap();
    let views = tensors
        .iter()
        .map(|(name, (shape, bytes))| (name, TensorView::new(dtypes[name], shape.clone(), bytes).unwrap()));
    serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).map_err(|e| e.to_string())?;
    let reference = FoldReference::new(&checkpoint).map_err(|e| e.to_string())?;
    let fold = Fold::chain(&[0, 5, 2]);
    reference.run_batch(&[fold], 0, ALL, &mut ()).map(|_| ()).map_err(|e| e.to_string())
}

#[test]
fn missing_misshapen_and_broken_tensors_are_named() {
    const GATE: &str = "trunk.blocks.1.tri_mul_in.linear_a_g.weight";
    assert_eq!(changed(|_| ()), Ok(()));
    let missing = changed(|tensors| drop(tensors.remove(GATE).unwrap())).unwrap_err();
    assert!(missing.ends_with(&format!("1 tensor missing: {GATE}")), "{missing}");
    let shape = changed(|tensors| tensors.get_mut(GATE).unwrap().0 = vec![8, 32]).unwrap_err();
    assert!(shape.ends_with(&format!("tensor {GATE} has shape [8, 32], expected [16, 16]")), "{shape}");
    let nan = |tensors: &mut HashMap<String, (Vec<usize>, Vec<u8>)>| {
        tensors.get_mut(GATE).unwrap().1[6..8].copy_from_slice(&0x7e00u16.to_le_bytes());
    };
    let broken = changed(nan).unwrap_err();
    assert!(broken.contains(&format!("tensor {GATE} is NaN at index 3")), "{broken}");
}

#[test]
fn a_fair_esm_folding_model_needs_its_language_model_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fold.pt");
    fs::copy(golden("esmfold-fair").join("fold.pt"), &path).unwrap();
    let error = |path: &Path| Checkpoint::open(path).err().unwrap();
    assert!(matches!(error(&path), CheckpointError::NotACheckpoint { .. }));
    assert!(error(&path).to_string().contains("0 files esm2_t2_*.pt are beside it"), "{}", error(&path));
    for copy in ["esm2_t2_a.pt", "esm2_t2_b.pt"] {
        fs::copy(golden("esmfold-fair").join("esm2_t2_tiny.pt"), folder.path().join(copy)).unwrap();
    }
    assert!(error(&path).to_string().contains("2 files esm2_t2_*.pt are beside it"), "{}", error(&path));
}

//! OmegaFold's structure module and confidence in integers, on what the original's trunk gave
//! (`tests/golden/omegafold-*`): against the original, and against the float reference with the same weights.

use std::path::Path;

use candle_core::{Device, Tensor};
use foldpoint_core::executor::{Executor, PairWork, chunks};
use foldpoint_core::format::{FormatError, ModelFile};
use foldpoint_core::geometry::Residue;
use foldpoint_core::nn::Context;
use foldpoint_core::omegafold::{Best, Confidence, Config, Overall};
use foldpoint_core::structure::{Inputs, Outputs, Representations, StructureModule};
use foldpoint_core::{AlignedBytes, Isa, Serial};
use quantizer::checkpoint::{OmegaFold, structure_shape};
use quantizer::reference::Tap;
use quantizer::reference::omegafold::confidence::{ConfidenceHead, overall};
use quantizer::reference::omegafold::structure_module::{Iteration, StructureModule as Reference};
use quantizer::writer::ModelWriter;

use super::fixture::omegafold::Fixture;
use super::fixture::{golden, wide};
use super::model_file::{omegafold_file, rounded, rounded_by_part};
use super::{STREAM_FRAC, angstroms, distance};

/// Place of CA.
const CA: usize = 1;

/// The model in floats, and as a file.
struct Model {
    reference: Reference,
    head: ConfidenceHead,
    /// Blocks of the trunk.
    blocks: usize,
    config: Config,
    trunk: Representations,
    file: AlignedBytes,
}

impl Model {
    fn read(path: &Path) -> Self {
        let checkpoint = OmegaFold::open(path).unwrap();
        let (reference, head) =
            (Reference::load(&checkpoint).unwrap(), ConfidenceHead::load(&checkpoint).unwrap());
        let shape = checkpoint.config();
        let squares = |frac: u32| (1e-5 * f64::from(2 * frac).exp2()).round() as u64;
        let mut config = Config::default();
        config.epsilon_activation = squares(16);
        config.confidence_width = shape.confidence_width;
        let structure = &mut config.structure;
        *structure = structure_shape(&shape.structure);
        structure.own_weights = true;
        structure.pair_input = false;
        structure.point_epsilon = 0;
        let norm = &reference.pair_norm;
        let largest = norm.gain.iter().zip(&norm.bias).map(|(gain, bias)| {
            f64::from(gain.abs()) * (shape.pair_width as f64).sqrt() + f64::from(bias.abs())
        });
        structure.pair_frac = (32_767.0 / largest.fold(0.0, f64::max)).log2() as u32;
        config.structure.check().unwrap();
        let trunk = Representations {
            sequence_width: shape.node_width,
            sequence_frac: STREAM_FRAC,
            pair_width: shape.pair_width,
            pair_frac: STREAM_FRAC,
            pair_epsilon: squares(STREAM_FRAC),
        };
        let file = AlignedBytes::copy_of(&omegafold_file(&reference, &head, &config.structure));
        Self { reference, head, blocks: shape.blocks, config, trunk, file }
    }

    /// The float model with weights of 8 bits.
    fn round(&mut self) {
        let reference = &mut self.reference;
        let whole = |linear: &mut quantizer::reference::Linear| *linear = rounded(linear);
        whole(&mut reference.sequence_input);
        whole(&mut reference.initial);
        let resnet = &mut reference.angle_resnet;
        [&mut resnet.input, &mut resnet.initial, &mut resnet.output].into_iter().for_each(whole);
        resnet.blocks.as_flattened_mut().iter_mut().for_each(whole);
        for Iteration { attention, transition, backbone_update, .. } in &mut reference.iterations {
            attention.output = rounded_by_part(&attention.output, &self.config.structure);
            let others =
                [&mut attention.q, &mut attention.kv, &mut attention.q_points, &mut attention.kv_points];
            others.into_iter().for_each(whole);
            whole(&mut attention.pair_bias);
            transition.layers.as_flattened_mut().iter_mut().for_each(whole);
            whole(&mut backbone_update.linear);
        }
        self.head.layers.iter_mut().for_each(whole);
    }
}

/// Three workers that take the chunks from the last to the first.
struct Backwards;

impl Executor for Backwards {
    fn workers(&self) -> usize {
        3
    }

    fn for_each_pair(&self, data: [&mut [u8]; 2], sizes: [usize; 2], scratch: &mut [u8], work: &PairWork) {
        let part = scratch.len() / 3;
        for (index, chunk) in chunks(data, sizes).collect::<Vec<_>>().into_iter().rev() {
            work(index, chunk, &mut scratch[index % 3 * part..][..part]);
        }
    }
}

/// What a cycle ends with.
struct Ended {
    /// Angstroms; all 14 places of X are at its origin.
    atoms: Vec<[[f64; 3]; 14]>,
    confidence: Vec<f64>,
    overall: f64,
}

/// Numbers of atoms that a residue has, and of X its CA.
fn places(residue: Residue) -> usize {
    residue.atoms().len().max(CA + 1)
}

impl Ended {
    /// Of the original.
    fn original(fixture: &Fixture, at: &str) -> Self {
        let array = |kind: &str| fixture.expected[&format!("{at}.{kind}")].iter().map(|&v| f64::from(v));
        let flat: Vec<f64> = array("atoms14").collect();
        Self {
            atoms: flat.as_chunks::<3>().0.as_chunks::<14>().0.to_vec(),
            confidence: array("confidence").collect(),
            overall: array("overall").next().unwrap(),
        }
    }

    /// Of the float reference.
    fn float(model: &Model, residues: &[Residue], node: &[i32], pair: &[i32]) -> Self {
        let tensor = |codes: &[i32], width: usize| {
            let unit = f64::from(STREAM_FRAC).exp2();
            let values: Vec<f32> = codes.iter().map(|&v| (f64::from(v) / unit) as f32).collect();
            Tensor::from_vec(values, (codes.len() / width, width), &Device::Cpu).unwrap()
        };
        let mut nobody = ();
        let mut tap = Tap::fold(&mut nobody, 0, 0);
        let (node, pair) = (tensor(node, model.trunk.sequence_width), tensor(pair, model.trunk.pair_width));
        let structure = model.reference.forward(&node, &pair, residues, &mut tap).unwrap();
        let confidence = model.head.forward(&structure.state, &mut tap).unwrap();
        let cas: Vec<[f64; 3]> = structure.atoms.iter().map(|atoms| atoms[CA]).collect();
        Self { overall: overall(&confidence, &cas), atoms: structure.atoms, confidence }
    }

    /// Of the integers, and the exact confidence in the cycle.
    fn integers(model: &Model, residues: &[Residue], node: &[i32], pair: &[i32]) -> (Self, Overall) {
        let file = ModelFile::parse(model.file.bytes()).unwrap();
        let Model { config, trunk, .. } = model;
        let epsilon = config.epsilon_activation;
        let module = StructureModule::load(&file, &config.structure, trunk, epsilon).unwrap();
        let head = Confidence::load(&file, config).unwrap();
        let (count, c_n, c_z) = (residues.len(), trunk.sequence_width, trunk.pair_width);
        let inputs = Inputs {
            residues: count,
            residue: &|index| residues[index],
            sequence: &|row, x| x.copy_from_slice(&node[row * c_n..][..c_n]),
            pair: &|row, x| x.copy_from_slice(&pair[row * count * c_z..][..count * c_z]),
        };
        let run = |isa: Isa, executor: &dyn Executor| {
            let (context, workers) = (Context { backend: isa.backend(), executor }, executor.workers());
            let (mut atoms, mut origins) = (vec![[[0; 3]; 14]; count], vec![[0; 3]; count]);
            let (mut state, mut confidence) = (vec![0; count * config.structure.width], vec![0; count]);
            let outputs = Outputs { atoms: &mut atoms, origins: &mut origins, state: &mut state };
            let mut memory = AlignedBytes::zeroed(module.bytes(count, workers).unwrap());
            module.run(&inputs, outputs, memory.bytes_mut(), &context).unwrap();
            let mut memory = AlignedBytes::zeroed(head.bytes(workers).unwrap());
            head.run(&state, &mut confidence, memory.bytes_mut(), &context).unwrap();
            (atoms, origins, confidence)
        };
        let found = run(Isa::best(), &Serial);
        assert!(found == run(Isa::scalar(), &Backwards));
        let (mut atoms, origins, confidence) = found;
        for ((atoms, &origin), &residue) in atoms.iter_mut().zip(&origins).zip(residues) {
            match residue {
                Residue::X => atoms.fill(origin),
                _ => assert_eq!(atoms[CA], origin),
            }
        }
        let overall = Overall::new(&confidence, &origins);
        let ended = Self {
            atoms: atoms.iter().map(|atoms| atoms.map(angstroms)).collect(),
            confidence: confidence.iter().map(|&c| f64::from(c) / 65536.0).collect(),
            overall: f64::from(overall.rounded()) / 65536.0,
        };
        (ended, overall)
    }

    /// Mean and largest distance of atoms, largest difference of confidences in residues, and of that in all.
    fn differences(&self, other: &Self, residues: &[Residue]) -> [f64; 4] {
        let pairs = self.atoms.iter().zip(&other.atoms).zip(residues);
        let atoms = pairs.flat_map(|((a, b), &residue)| a.iter().zip(b).take(places(residue)));
        let distances: Vec<f64> = atoms.map(|(&a, &b)| distance(a, b)).collect();
        let confidence = self.confidence.iter().zip(&other.confidence).map(|(a, b)| (a - b).abs());
        [
            distances.iter().sum::<f64>() / distances.len() as f64,
            distances.into_iter().fold(0.0, f64::max),
            confidence.fold(0.0, f64::max),
            (self.overall - other.overall).abs(),
        ]
    }
}

/// Compares every cycle whose trunk the fixture has. Returns the largest differences to the original and to
/// the float reference with rounded weights, and how many cycles there were.
fn compare(fixture: &Fixture, weights: &Path) -> ([f64; 4], [f64; 4], usize) {
    let mut model = Model::read(weights);
    model.round();
    let (mut whole, mut arithmetic, mut cycles) = ([0.0; 4], [0.0; 4], 0);
    for (number, residues) in fixture.sequences.iter().enumerate() {
        let (mut best, mut all) = (Best::NONE, Vec::new());
        for cycle in 0.. {
            let at = format!("{number}.{cycle}");
            if !fixture.expected.contains_key(&format!("{at}.atoms14")) {
                break;
            }
            let codes = |kind: &str| -> Option<Vec<i32>> {
                let values = fixture.expected.get(&format!("{at}.{kind}.{}", model.blocks - 1))?.iter();
                let unit = f64::from(STREAM_FRAC).exp2();
                Some(values.map(|&v| (f64::from(v) * unit).round() as i32).collect())
            };
            let (Some(node), Some(pair)) = (codes("node"), codes("edge")) else { continue };
            let (found, exact) = Ended::integers(&model, residues, &node, &pair);
            best.offer(cycle, exact);
            let original = Ended::original(fixture, &at);
            let of_original = found.differences(&original, residues);
            let of_float = found.differences(&Ended::float(&model, residues, &node, &pair), residues);
            println!("{at}: to the original {of_original:?}, to the float reference {of_float:?}");
            let larger = |all: &mut [f64; 4], new: [f64; 4]| {
                all.iter_mut().zip(new).for_each(|(all, new)| *all = all.max(new));
            };
            larger(&mut whole, of_original);
            larger(&mut arithmetic, of_float);
            all.push(original.overall);
            cycles += 1;
        }
        if let Some(chosen) = fixture.expected.get(&format!("{number}.chosen")).filter(|_| all.len() > 1) {
            let mut sorted = all.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            println!(
                "{number}: chosen {}, original's {}, margin {}",
                best.cycle,
                chosen[0],
                sorted[0] - sorted[1]
            );
            assert_eq!(best.cycle as f32, chosen[0]);
        }
    }
    (whole, arithmetic, cycles)
}

fn assert_within(found: [f64; 4], most: [f64; 4]) {
    assert!(found.iter().zip(most).all(|(&found, most)| found <= most), "{found:?}, expected {most:?}");
}

#[test]
fn every_cycle_of_the_small_model_ends_as_the_originals() {
    let fixture = Fixture::read("omegafold-tiny");
    let (whole, arithmetic, cycles) = compare(&fixture, &fixture.folder);
    println!(
        "{cycles} cycles: [mean, worst, residues, overall] {whole:?}, of which arithmetic {arithmetic:?}"
    );
    assert_eq!(cycles, 14);
    // Measured: [0.0061, 0.0143, 2.3e-4, 1.9e-3], the last where two residues are 15 angstroms apart; with
    // weights of 8 bits, which cost this narrow model most, [0.50, 0.83, 0.021, 0.0075].
    assert_within(arithmetic, [0.012, 0.03, 5e-4, 4e-3]);
    assert_within(whole, [0.8, 1.3, 0.035, 0.012]);
}

#[test]
fn published_widths_end_as_the_originals() {
    let fixture = Fixture::read("omegafold-wide");
    let folder = tempfile::tempdir().unwrap();
    wide::write_weights(&fixture.folder, folder.path());
    let (whole, arithmetic, cycles) = compare(&fixture, folder.path());
    println!(
        "{cycles} cycles: [mean, worst, residues, overall] {whole:?}, of which arithmetic {arithmetic:?}"
    );
    assert_eq!(cycles, 1);
    // Measured: [0.0068, 0.0191, 8.1e-5, 1.0e-5]; with weights of 8 bits [0.44, 0.94, 0.0054, 0.0041]. Atoms are
    // not aligned.
    assert_within(arithmetic, [0.012, 0.035, 2e-4, 5e-5]);
    assert_within(whole, [0.8, 1.6, 0.01, 0.008]);
}

/// The file without a tensor is refused by that tensor's name, whichever it is.
#[test]
fn every_tensor_of_every_iteration_is_needed_and_no_other() {
    let model = Model::read(&golden("omegafold-tiny"));
    let file = ModelFile::parse(model.file.bytes()).unwrap();
    let load = |bytes: &[u8]| -> Result<(), FormatError> {
        let bytes = AlignedBytes::copy_of(bytes);
        let file = ModelFile::parse(bytes.bytes()).unwrap();
        StructureModule::load(&file, &model.config.structure, &model.trunk, model.config.epsilon_activation)?;
        Confidence::load(&file, &model.config).map(drop)
    };
    let mut count = 0;
    for left_out in file.tensors() {
        let mut writer = ModelWriter::new();
        for tensor in file.tensors().filter(|tensor| tensor.name != left_out.name) {
            let shape: Vec<usize> = tensor.shape().iter().map(|&extent| extent as usize).collect();
            writer.add(tensor.name, tensor.dtype, &shape, tensor.bytes.to_vec()).unwrap();
        }
        let missing = load(&writer.to_bytes().unwrap()).unwrap_err();
        assert_eq!(missing, FormatError::missing_tensor(left_out.name));
        count += 1;
    }
    assert!(count > 3 * 40, "{count}");
    let wider = Representations { pair_width: model.trunk.pair_width + 2, ..model.trunk };
    let refused = StructureModule::load(&file, &model.config.structure, &wider, 42_950).unwrap_err();
    assert!(refused.to_string().contains("fold.structure.pair_norm"), "{refused}");
}

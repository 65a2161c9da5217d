//! The structure module and its geometry in integers against the float reference.

mod checkpoint;
#[path = "../fixture/mod.rs"]
mod fixture;
mod model_file;
mod omegafold;

use candle_core::{Device, Tensor};
use checkpoint::{Random, random_checkpoint};
use foldpoint_core::esmfold::Config;
use foldpoint_core::fixed::Multiplier;
use foldpoint_core::format::ModelFile;
use foldpoint_core::geometry::{self, Residue, Rigid};
use foldpoint_core::nn::Context;
use foldpoint_core::structure::{Inputs, Outputs, Representations, StructureModule};
use foldpoint_core::{AlignedBytes, Isa, Serial};
use model_file::{model_file, rounded_by_part};
use quantizer::checkpoint::{Checkpoint, FoldConfig, structure_shape};
use quantizer::encode::to_fixed;
use quantizer::reference::Tap;
use quantizer::reference::esmfold::atoms::{atom14_positions, torsion_frames};
use quantizer::reference::esmfold::rigid::Frame;
use quantizer::reference::esmfold::structure_module::StructureModule as Reference;

/// Units of the trunk's representations.
const STREAM_FRAC: u32 = 14;

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

fn angstroms(atom: [i32; 3]) -> [f64; 3] {
    atom.map(|v| f64::from(v) / 65536.0)
}

/// Mean and largest distance between two structures' atoms, without alignment.
fn deviation(found: &[[[i32; 3]; 14]], expected: &[[[f64; 3]; 14]]) -> (f64, f64) {
    let pairs = found.as_flattened().iter().zip(expected.as_flattened());
    let distances: Vec<f64> = pairs.map(|(&a, &b)| distance(angstroms(a), b)).collect();
    (distances.iter().sum::<f64>() / distances.len() as f64, distances.iter().copied().fold(0.0, f64::max))
}

/// Eight updates and the atoms, from float updates rounded once.
#[test]
fn geometry_alone_stays_within_a_hundredth_of_an_angstrom() {
    let mut random = Random(3);
    let scale = Multiplier { mantissa: 10, shift: 4 };
    let mut worst: f64 = 0.0;
    for round in 0..2000u32 {
        let residue = Residue::from_token(4 + (round % 21) as u8).unwrap();
        let (mut found, mut expected) = (geometry::Frame::IDENTITY, Frame::IDENTITY);
        for _ in 0..8 {
            let (turn, step) = ([0; 3].map(|_| random.next() * 1.5), [0; 3].map(|_| random.next() * 3.0));
            expected = expected.update(turn, step);
            found = found.update(turn.map(|v| to_fixed(v, 20)), step.map(|v| to_fixed(v, 20)));
        }
        let angles = [0; 7].map(|_| (random.next() * 4.0).sin_cos()).map(|(sin, cos)| [sin, cos]);
        let fixed = angles.map(|pair| pair.map(|v| to_fixed(v, 30)));
        let backbone: Rigid = found.rigid(scale);
        let found =
            geometry::atom14_positions(&geometry::torsion_frames(&backbone, &fixed, residue), residue);
        let frames = torsion_frames(&expected.rigid(10.0), &angles, residue);
        worst = worst.max(deviation(&[found], &[atom14_positions(&frames, residue)]).1);
    }
    println!("geometry alone: {worst:.6} angstroms");
    assert!(worst < 0.01 && worst > 0.0, "{worst}");
}

fn fold_config(fold: &FoldConfig) -> Config {
    let one = Multiplier { mantissa: 1 << 30, shift: 30 };
    let squares = |frac: u32| (1e-5 * f64::from(2 * frac).exp2()).round() as u64;
    let mut config = Config::default();
    config.blocks = fold.blocks;
    config.sequence_width = fold.sequence_width;
    config.sequence_heads = fold.sequence_heads;
    config.pair_width = fold.pair_width;
    config.pair_heads = fold.pair_heads;
    config.position_bins = fold.position_bins;
    config.passes = 1;
    config.sequence_frac = STREAM_FRAC;
    config.pair_frac = STREAM_FRAC;
    config.mix_frac = 12;
    config.structure = structure_shape(&fold.structure);
    // LayerNorm's outputs are below sqrt(channels) times the gain, at most 1.3, plus the bias, at most 0.2.
    config.structure.pair_frac =
        (32_767.0 / (1.3 * (fold.structure.pair_width as f64).sqrt() + 0.2)).log2() as u32;
    config.epsilon_mix = 1;
    config.epsilon_sequence = squares(STREAM_FRAC);
    config.epsilon_pair = squares(STREAM_FRAC);
    config.epsilon_activation = squares(16);
    config.epsilon_product = 1;
    config.sequence_temperature = one;
    config.pair_temperature = one;
    config
}

/// Mean and largest deviation of the atoms, in angstroms, and the reference's mean distance of a CA from the
/// origin.
fn compare(checkpoint: &Checkpoint, residues: usize, seed: u64, rounded: bool) -> [f64; 3] {
    let fold = checkpoint.fold_config().unwrap();
    let (c_s, c_z) = (fold.sequence_width, fold.pair_width);
    let config = fold_config(fold);
    config.check().unwrap();
    let mut reference = Reference::load(checkpoint, fold).unwrap();
    if rounded {
        reference.attention.output = rounded_by_part(&reference.attention.output, &config.structure);
    }
    let mut random = Random(seed);
    let unit = f64::from(STREAM_FRAC).exp2();
    let mut codes = |count: usize| -> Vec<i32> {
        random.many(count, 3.0).iter().map(|&v| (f64::from(v) * unit) as i32).collect()
    };
    let (sequence, pair) = (codes(residues * c_s), codes(residues * residues * c_z));
    let tensor = |codes: &[i32], width: usize| {
        let values: Vec<f32> = codes.iter().map(|&v| (f64::from(v) / unit) as f32).collect();
        Tensor::from_vec(values, (codes.len() / width, width), &Device::Cpu).unwrap()
    };
    let token = |index: usize| 4 + (index * 7 % 20) as u8;
    let known: Vec<Residue> = (0..residues).map(|i| Residue::from_token(token(i)).unwrap()).collect();
    let mut nobody = ();
    let mut tap = Tap::fold(&mut nobody, 0, 0);
    let expected = reference.forward(&tensor(&sequence, c_s), &tensor(&pair, c_z), &known, &mut tap).unwrap();

    let bytes = model_file(&reference, &config.structure);
    let file = AlignedBytes::copy_of(&bytes);
    let file = ModelFile::parse(file.bytes()).unwrap();
    let representations = Representations {
        sequence_width: config.sequence_width,
        sequence_frac: config.sequence_frac,
        pair_width: config.pair_width,
        pair_frac: config.pair_frac,
        pair_epsilon: config.epsilon_pair,
    };
    let module =
        StructureModule::load(&file, &config.structure, &representations, config.epsilon_activation).unwrap();
    let inputs = Inputs {
        residues,
        residue: &|index| Residue::from_token(token(index)).unwrap(),
        sequence: &|row, x| x.copy_from_slice(&sequence[row * c_s..][..c_s]),
        pair: &|row, x| x.copy_from_slice(&pair[row * residues * c_z..][..residues * c_z]),
    };
    let run = |isa: Isa| {
        let mut memory = AlignedBytes::zeroed(module.bytes(residues, 1).unwrap());
        let (mut atoms, mut state) =
            (vec![[[0; 3]; 14]; residues], vec![0; residues * config.structure.width]);
        let outputs = Outputs { atoms: &mut atoms, origins: &mut [], state: &mut state };
        let context = Context { backend: isa.backend(), executor: &Serial };
        module.run(&inputs, outputs, memory.bytes_mut(), &context).unwrap();
        (atoms, state)
    };
    let (atoms, state) = run(Isa::best());
    assert_eq!((&atoms, &state), (&run(Isa::scalar()).0, &run(Isa::scalar()).1));
    let (mean, worst) = deviation(&atoms, &expected.atoms);
    let far = expected.atoms.iter().map(|atoms| distance(atoms[1], [0.0; 3])).sum::<f64>();
    [mean, worst, far / residues as f64]
}

const REAL_SIZES: [(&str, usize); 10] = [
    ("sequence_dim", 384),
    ("pairwise_dim", 128),
    ("ipa_dim", 16),
    ("resnet_dim", 128),
    ("num_heads_ipa", 12),
    ("num_qk_points", 4),
    ("num_v_points", 8),
    ("num_blocks", 8),
    ("num_transition_layers", 1),
    ("num_resnet_blocks", 2),
];

/// With weights that have 8 bits in the reference too, the rest of the arithmetic is what differs.
#[test]
fn the_whole_module_is_close() {
    for (sizes, residues) in [(&[][..], 17), (&REAL_SIZES[..], 24)] {
        let folder = tempfile::tempdir().unwrap();
        let mut checkpoint = random_checkpoint(folder.path(), sizes, 11);
        let whole = compare(&checkpoint, residues, 5, false);
        checkpoint.round_weights();
        let arithmetic = compare(&checkpoint, residues, 5, true);
        println!("{residues} residues: [mean, worst, extent] {whole:?}, of which arithmetic {arithmetic:?}");
        // Measured: 0.0023 and 0.0103 angstroms of arithmetic, 0.18 and 0.67 in all.
        assert!(arithmetic[0] < 0.005 && arithmetic[1] < 0.03, "{arithmetic:?}");
        assert!(whole[0] < 0.4 && whole[2] > 5.0, "{whole:?}");
    }
}

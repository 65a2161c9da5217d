//! The study of depth (`src/bin/depth`) as it is used, on the smallest checkpoints there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use quantizer::calibrate::{calibrate, calibrate_fold};
use quantizer::checkpoint::Checkpoint;
use quantizer::encode::{Provenance, encode};
use quantizer::reference::Reference;
use quantizer::reference::esmfold::{Fold, FoldReference};
use quantizer::scheme::{Activations, Residual, Scheme};
use quantizer::work::{Identity, Work};

const SEQUENCES: [&[u8]; 3] = [b"MKTAYIAHH", b"RQISFVKDHCNEPGLV", b"WY"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// Quantizes a golden checkpoint with all inputs of Linears in 15 bits, so that the residual's codes decide.
fn quantize(checkpoint: &str, residual: Residual, out: &Path) {
    let checkpoint = Checkpoint::open(&golden(checkpoint)).unwrap();
    let mut scheme = Scheme::default();
    for part in [&mut scheme.language_model, &mut scheme.trunk, &mut scheme.structure] {
        (part.activations, part.residual) = (Activations::TwoLimbs, residual);
    }
    let sequences = SEQUENCES.map(|residues| foldpoint_core::alphabet::tokens(residues).collect::<Vec<u8>>());
    let folder = tempfile::tempdir().unwrap();
    let work = Work::open(folder.path(), &Identity::new()).unwrap();
    let reference = Reference::new(&checkpoint).unwrap();
    let mut calibration = calibrate(&reference, &sequences, &scheme, &work, &mut |_| {}).unwrap();
    if checkpoint.fold_config().is_some() {
        let reference = FoldReference::new(&checkpoint).unwrap();
        let folds = sequences.each_ref().map(|tokens| Fold::chain(tokens));
        calibration =
            calibrate_fold(&reference, &folds, 1, &scheme, calibration, &work, &mut |_| {}).unwrap();
    }
    let provenance = Provenance {
        name: None,
        checkpoint: checkpoint.name().to_owned(),
        sha256: checkpoint.hashes().unwrap(),
        language_model: String::new(),
        trunk: None,
        structure: None,
        compensated: true,
        percentile: 1.0,
        headroom: 1.25,
        calibration: String::new(),
        calibration_sequences: SEQUENCES.len(),
        calibration_residues: 0,
        calibration_folds: None,
    };
    encode(&checkpoint, &calibration, &provenance, &work, &mut || {}).unwrap().write_to(out).unwrap();
}

fn depth(folder: &Path, checkpoint: &str, arguments: &[&str]) -> Output {
    let fasta = folder.join("sequences.fasta");
    fs::write(&fasta, ">a\nMKTAYIAKQR\n>b\nGAVLI\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_depth"));
    command.current_dir(folder).arg(golden(checkpoint)).arg(fasta).args(arguments);
    command.output().unwrap()
}

/// (state, pass, number, model) and the signal-to-noise ratio of every line.
fn ratios(path: &Path) -> Vec<([String; 4], f64)> {
    let text = fs::read_to_string(path).unwrap();
    let fields = text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    fields
        .map(|f| ([f[0].clone(), f[1].clone(), f[2].clone(), f[3].clone()], f[5].parse().unwrap()))
        .collect()
}

#[test]
fn states_of_a_fold_are_near_the_float_reference_at_every_place() {
    let folder = tempfile::tempdir().unwrap();
    quantize("esmfold-tiny", Residual::Wide, &folder.path().join("wide.fpm"));
    quantize("esmfold-tiny", Residual::Uniform(6), &folder.path().join("six.fpm"));
    let arguments = ["wide.fpm", "six.fpm", "--passes", "2", "--tsv", "all.tsv", "--every", "2"];
    let done = depth(folder.path(), "esmfold-tiny", &arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let found = ratios(&folder.path().join("all.tsv"));
    let mut expected = Vec::new();
    let mut expect = |kind: &str, pass: usize, number: usize| {
        expected
            .extend(["wide", "six"].map(|m| [kind.into(), pass.to_string(), number.to_string(), m.into()]));
    };
    (0..=2).for_each(|layer| expect("hidden", 0, layer));
    for kind in ["sequence", "pair"] {
        (0..2).for_each(|pass| (0..2).for_each(|block| expect(kind, pass, block)));
    }
    assert_eq!(found.iter().map(|(what, _)| what.clone()).collect::<Vec<_>>(), expected);
    for pair in found.chunks_exact(2) {
        let [(what, wide), (_, six)] = pair else { unreachable!("models come in pairs") };
        // Measured: 44 dB and more with 16 bits, 15 to 30 with 6; but the pairs of the second pass 26 and 28, for
        // distances of the first structure go back into the model as bins, and some fall to the other side of an edge.
        let least = if what[0] == "pair" && what[1] == "1" { 22.0 } else { 40.0 };
        assert!(*wide > least, "{what:?}: {wide} dB");
        assert!((10.0..wide - 8.0).contains(six), "{what:?}: {wide} and {six} dB");
    }

    let table = String::from_utf8(done.stdout).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows[0], "| hidden state | reference, rms | wide | six |");
    assert!(rows[1].starts_with("| 0 | ") && rows[2].starts_with("| 2 | "), "every second one: {table}");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    quantize("esm2-head16", Residual::Wide, &folder.path().join("model.fpm"));
    let refused = |checkpoint: &str, arguments: &[&str]| {
        let done = depth(folder.path(), checkpoint, arguments);
        assert!(!done.status.success() && done.stdout.is_empty());
        String::from_utf8(done.stderr).unwrap()
    };
    let error = refused("esm2-head24", &["model.fpm"]);
    assert!(error.contains("model.fpm: it was not made of the checkpoint"), "{error}");
    let error = refused("esm2-head16", &["model.fpm", "--passes", "2"]);
    assert!(error.contains("--passes is for folding models"), "{error}");
    let error = refused("esm2-head16", &["model.fpm", "--max-len", "4"]);
    assert!(error.contains("no sequence left to run"), "{error}");
    let done = depth(folder.path(), "esm2-head16", &["model.fpm"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

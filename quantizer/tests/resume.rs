//! Runs that are killed go on where they were, and write what an undisturbed run writes.

mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use fixture::golden;
use foldpoint_core::alphabet;
use foldpoint_core::geometry::Residue;
use foldpoint_core::omegafold::residue;
use half::f16;
use quantizer::calibrate::{calibrate, calibrate_cycles, calibrate_fold, calibrate_pseudo_msa};
use quantizer::checkpoint::{Checkpoint, OmegaFold};
use quantizer::encode::{Provenance, RECORDS, encode, encode_omegafold};
use quantizer::reference::Reference;
use quantizer::reference::esmfold::{Fold, FoldReference};
use quantizer::reference::omegafold::{OmegaFoldReference, Options};
use quantizer::scheme::Scheme;
use quantizer::work::{Identity, Work, WorkError};
use safetensors::SafeTensors;

const SEQUENCES: [&str; 2] = ["RQISFVKDHC", "WX"];

/// Two passes: samples of the first are kept through the second.
const RECYCLES: usize = 1;

/// Thrown instead of the signal that kills a run.
struct Killed;

/// The work in `folder`. Other tests start programs, each of which has this one's open files, and so its locks,
/// until it begins.
fn open(folder: &Path) -> Work {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match Work::open(folder, &Identity::new()) {
            Err(WorkError::Busy { .. }) if Instant::now() < deadline => sleep(Duration::from_millis(10)),
            work => return work.unwrap(),
        }
    }
}

/// Makes a model file in `work`, telling its progress.
type Make = fn(work: &Work, progress: &mut (dyn FnMut(usize) + Sync)) -> Vec<u8>;

/// Quantizes in `folder`, but is killed after so many steps of progress. `None` if it was; else the model
/// file and how many steps there were.
fn quantize(folder: &Path, steps: usize, make: Make) -> Option<(Vec<u8>, usize)> {
    let mut done = 0;
    let mut step = |count: usize| {
        done += count;
        if done > steps {
            panic_any(Killed);
        }
    };
    let run = || {
        let work = open(folder);
        let bytes = make(&work, &mut step);
        work.remove(&RECORDS).unwrap();
        bytes
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(bytes) => Some((bytes, done)),
        Err(thrown) => {
            assert!(thrown.is::<Killed>());
            None
        }
    }
}

fn provenance(scheme: &Scheme) -> Provenance {
    Provenance {
        name: None,
        checkpoint: "tiny".into(),
        sha256: BTreeMap::new(),
        language_model: String::new(),
        trunk: None,
        structure: None,
        compensated: scheme.compensate,
        percentile: scheme.percentile,
        headroom: scheme.headroom,
        calibration: "typed".into(),
        calibration_sequences: SEQUENCES.len(),
        calibration_residues: 12,
        calibration_folds: None,
    }
}

fn esmfold(work: &Work, step: &mut (dyn FnMut(usize) + Sync)) -> Vec<u8> {
    let checkpoint = Checkpoint::open(&golden("esmfold-tiny")).unwrap();
    let sequences = SEQUENCES.map(|residues| alphabet::tokens(residues.as_bytes()).collect::<Vec<u8>>());
    let folds = sequences.each_ref().map(|tokens| Fold::chain(tokens));
    let scheme = Scheme::folding();
    let reference = Reference::new(&checkpoint).unwrap();
    let calibration = calibrate(&reference, &sequences, &scheme, work, step).unwrap();
    let fold = FoldReference::new(&checkpoint).unwrap();
    let calibration = calibrate_fold(&fold, &folds, RECYCLES, &scheme, calibration, work, step).unwrap();
    let writer = encode(&checkpoint, &calibration, &provenance(&scheme), work, &mut || step(1)).unwrap();
    writer.to_bytes().unwrap()
}

fn omegafold(work: &Work, step: &mut (dyn FnMut(usize) + Sync)) -> Vec<u8> {
    let checkpoint = OmegaFold::open(&golden("omegafold-tiny")).unwrap();
    let residues = |text: &str| text.bytes().map(|letter| residue(letter).unwrap()).collect();
    let sequences: [Vec<Residue>; 2] = SEQUENCES.map(residues);
    let scheme = Scheme::omegafold();
    let options = Options { cycles: RECYCLES + 1, rows: 3, ..Options::default() };
    let reference = OmegaFoldReference::new(&checkpoint).unwrap();
    let start = calibrate_pseudo_msa(&reference, &sequences, &options, &scheme, work, step).unwrap();
    let start = (&start.1, start.0);
    let calibration = calibrate_cycles(&reference, &sequences, &options, start, &scheme, work, step).unwrap();
    let provenance = provenance(&scheme);
    let writer = encode_omegafold(&reference, &calibration, &provenance, work, &mut || step(1)).unwrap();
    writer.to_bytes().unwrap()
}

/// Holds for kills after the steps that `wanted` says.
fn assert_goes_on(make: Make, wanted: fn(usize) -> bool) {
    // A kill prints nothing.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Killed>() {
            hook(info);
        }
    }));
    let folder = tempfile::tempdir().unwrap();
    let (undisturbed, steps) = quantize(&folder.path().join("undisturbed"), usize::MAX, make).unwrap();
    assert!(steps > 50, "{steps}");
    for killed_after in (0..steps).filter(|&step| wanted(step)) {
        let work = folder.path().join(killed_after.to_string());
        assert!(quantize(&work, killed_after, make).is_none());
        let (resumed, _) = quantize(&work, usize::MAX, make).unwrap();
        assert!(resumed == undisturbed, "killed after {killed_after} of {steps} steps");
        assert!(!work.exists());
    }
    // Killed again and again, it still gets on: what was finished counts as progress at once.
    let work = folder.path().join("often");
    let often = (0..=steps).find_map(|steps| quantize(&work, steps + 8, make)).unwrap();
    assert!(often.0 == undisturbed);
}

#[test]
fn wherever_a_run_is_killed_the_next_one_ends_it() {
    assert_goes_on(esmfold, |_| true);
}

#[test]
fn wherever_a_run_of_omegafold_is_killed_the_next_one_ends_it() {
    // Layers and blocks, and of the groups that are rounded after them some.
    assert_goes_on(omegafold, |step| step < 20 || step.is_multiple_of(7));
}

fn quantizer(out: &Path, fasta: &Path, options: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantizer"));
    command.arg(golden("esmfold-tiny")).arg("-o").arg(out).arg("--calibration").arg(fasta).args(options);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_killed_command_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let fasta = folder.path().join("in.fasta");
    fs::write(&fasta, SEQUENCES.map(|residues| format!(">x\n{residues}\n")).concat()).unwrap();
    let [undisturbed, out] = ["undisturbed.fpm", "out.fpm"].map(|name| folder.path().join(name));
    assert!(quantizer(&undisturbed, &fasta, &[]).wait().unwrap().success());
    let (mut time, mut kills) = (Duration::from_millis(10), 0);
    while !out.exists() {
        let mut child = quantizer(&out, &fasta, &[]);
        sleep(time);
        child.kill().unwrap();
        kills += usize::from(!child.wait().unwrap().success());
        time += time / 5;
    }
    assert!(kills > 0);
    // The last kill may have come between the file and the folder's end.
    let last = quantizer(&out, &fasta, &[]).wait().unwrap();
    assert!(last.success());
    assert!(fs::read(&out).unwrap() == fs::read(&undisturbed).unwrap());
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["in.fasta", "out.fpm", "undisturbed.fpm"]);
}

#[test]
fn another_command_does_not_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let [fasta, out] = ["in.fasta", "out.fpm"].map(|name| folder.path().join(name));
    fs::write(&fasta, ">x\nMKTAYIA\n").unwrap();
    let work = folder.path().join("out.fpm.work");
    let refused = |options: &[&str]| {
        let output = quantizer(&out, &fasta, options).wait_with_output().unwrap();
        assert!(!output.status.success() && !out.exists());
        String::from_utf8(output.stderr).unwrap()
    };
    let other = Identity::from([("version".to_owned(), "0.0.0".to_owned())]);
    let busy = Work::open(&work, &other).unwrap();
    let said = refused(&[]);
    assert!(said.contains("out.fpm.work: another run is working in this folder"), "{said}");
    drop(busy);
    let said = refused(&[]);
    assert!(said.contains("out.fpm.work: an unfinished run with another version is kept here"), "{said}");
    assert!(work.exists());
    fs::remove_dir_all(&work).unwrap();
    // A dry run begins nothing.
    let mut dry = Command::new(env!("CARGO_BIN_EXE_quantizer"));
    dry.arg(golden("esmfold-tiny")).arg("-o").arg(&out).arg("--calibration").arg(&fasta).arg("--dry-run");
    let said = String::from_utf8(dry.output().unwrap().stdout).unwrap();
    let [memory, model, meanwhile, time] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(
        memory.starts_with("memory: about 0.0 GB") && time.starts_with("time: about 0.0 minutes"),
        "{said}"
    );
    assert!(model.ends_with("out.fpm") && meanwhile.ends_with("out.fpm.work"), "{said}");
    assert!(!out.exists() && !work.exists());
}

#[test]
fn a_checkpoint_that_can_not_be_encoded_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    fs::create_dir(&checkpoint).unwrap();
    for entry in fs::read_dir(golden("esmfold-tiny")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), checkpoint.join(entry.file_name())).unwrap();
    }
    let weights = checkpoint.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let bias = file.tensor("esm.encoder.layer.1.LayerNorm.bias").unwrap().data();
    let offset = bias.as_ptr() as usize - bytes.as_ptr() as usize;
    // In half precision; a LayerNorm's bias is held below 2^15.
    bytes[offset..offset + 2].copy_from_slice(&f16::from_f32(60_000.0).to_le_bytes());
    fs::write(&weights, bytes).unwrap();
    let [fasta, out] = ["in.fasta", "out.fpm"].map(|name| folder.path().join(name));
    fs::write(&fasta, ">x\nMKTAYIA\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantizer"));
    let done =
        command.arg(&checkpoint).arg("-o").arg(&out).arg("--calibration").arg(&fasta).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(!done.status.success() && said.contains("is outside what the integer format holds"), "{said}");
    // It is said before anything is calibrated.
    assert!(!said.contains("calibrating on"), "{said}");
    assert!(!out.exists() && !folder.path().join("out.fpm.work").exists());
}

//! What a model file says about where it comes from, and what the command says meanwhile.

use std::fs;
use std::path::Path;
use std::process::Command;

use foldpoint_core::AlignedBytes;
use foldpoint_core::format::ModelFile;
use quantizer::checkpoint::Checkpoint;
use serde_json::Value;

use crate::fixture::golden;
use crate::fixture::handmade::*;

/// Runs `quantizer ARGUMENTS -o OUT --calibration ...`; the model's `meta.json` and what was said.
fn quantize(arguments: &[&Path]) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let (fasta, out) = (folder.path().join("in.fasta"), folder.path().join("out.fpm"));
    fs::write(&fasta, ">a\nMKTAYIAKQRQISFVKSHGAVLMKWC\n>b\nACDEFGHNPVW\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantizer"));
    let done = command.args(arguments).arg("-o").arg(&out).arg("--calibration").arg(fasta).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{said}");
    let bytes = AlignedBytes::copy_of(&fs::read(out).unwrap());
    let file = ModelFile::parse(bytes.bytes()).unwrap();
    (serde_json::from_slice(file.tensor("meta.json").unwrap().bytes).unwrap(), said)
}

#[cfg(unix)]
#[test]
fn a_model_out_of_the_hubs_cache_is_called_by_its_name_and_revision() {
    let root = tempfile::tempdir().unwrap();
    let repository = crate::hub::cache(root.path(), "models--facebook--esm2_tiny", crate::hub::REVISION);
    let (meta, said) = quantize(&[&repository]);
    assert_eq!(meta["checkpoint"], "facebook/esm2_tiny@c731040");
    let hashes = meta["sha256"].as_object().unwrap();
    assert_eq!(hashes.keys().collect::<Vec<_>>(), ["model.safetensors"]);
    assert_eq!(hashes["model.safetensors"].as_str().unwrap().len(), 64);
    // The fixture's frequencies are changed on purpose.
    assert!(said.contains("warning: facebook/esm2_tiny@c731040: 8 of 8 stored rotary frequencies"), "{said}");
    // An adapter that was trained on another checkpoint than the cache has: said as a warning.
    let adapter = tempfile::tempdir().unwrap();
    let factor = |shape: &[usize]| stored(shape, |i| i as f32 * 0.01);
    let name = |part: &str| format!("base_model.model.esm.encoder.layer.0.output.dense.lora_{part}.weight");
    let tensors = [(name("A"), factor(&[2, 72])), (name("B"), factor(&[64, 2]))];
    write(&adapter.path().join("adapter_model.safetensors"), &tensors.into_iter().collect());
    for (trained_on, kind) in [("facebook/esm2_t6_8M_UR50D", "warning"), ("facebook/esm2_tiny", "note")] {
        let config = serde_json::json!({
            "peft_type": "LORA", "r": 2, "lora_alpha": 2, "base_model_name_or_path": trained_on
        });
        fs::write(adapter.path().join("adapter_config.json"), config.to_string()).unwrap();
        let checkpoint = Checkpoint::open_with_base(adapter.path(), Some(&repository)).unwrap();
        let said = format!("{}", checkpoint.remarks()[0]);
        assert!(
            said.starts_with(kind) && said.contains(&format!("trained on {trained_on}, is merged")),
            "{said}"
        );
    }
}

#[test]
fn without_other_sequences_those_that_are_built_in_are_calibrated_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.fpm");
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantizer"));
    command.arg(golden("esmfold-tiny")).arg("-o").arg(&out).args(["--limit", "8", "--max-len", "128"]);
    let done = command.output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{said}");
    let bytes = AlignedBytes::copy_of(&fs::read(out).unwrap());
    let file = ModelFile::parse(bytes.bytes()).unwrap();
    let meta: Value = serde_json::from_slice(file.tensor("meta.json").unwrap().bytes).unwrap();
    assert_eq!(meta["calibration"], "built in");
    assert_eq!((&meta["calibration_sequences"], &meta["calibration_folds"]), (&8.into(), &8.into()));
    // Sequences that are longer are none that anybody gave.
    assert!(!said.contains("left out"), "{said}");
}

#[test]
fn an_adapter_is_named_beside_its_base() {
    let (adapter, base) = (golden("esm2-lora/all-linear"), golden("esm2-lora/base"));
    let (meta, said) = quantize(&[&adapter, Path::new("--base"), &base]);
    assert_eq!(meta["checkpoint"], "base + all-linear");
    let hashes = meta["sha256"].as_object().unwrap();
    assert_eq!(hashes.keys().collect::<Vec<_>>(), ["adapter_model.safetensors", "model.safetensors"]);
    assert!(said.contains("note: base + all-linear: all-linear (LoRA on 14 modules)"), "{said}");
}

#[test]
fn errors_are_said_once_and_leave_no_file() {
    let other =
        changed(|tensors| drop(tensors.insert("esm.encoder.layer.0.extra".into(), stored(&[1], |_| 0.0))));
    let out = other.path().join("out.fpm");
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantizer"));
    let done = command.arg(other.path()).arg("-o").arg(&out).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(!done.status.success() && !out.exists());
    assert_eq!(said.matches("encoder.layer.0.extra").count(), 1, "{said}");
}

/// What `quantizer CHECKPOINT -o OUT --calibration CALIBRATION` says when it fails.
fn refused(checkpoint: &Path, out: &Path, calibration: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantizer"));
    let done =
        command.arg(checkpoint).arg("-o").arg(out).arg("--calibration").arg(calibration).output().unwrap();
    assert!(!done.status.success());
    String::from_utf8(done.stderr).unwrap()
}

#[test]
fn what_would_fail_after_calibration_fails_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let fasta = folder.path().join("in.fasta");
    fs::write(&fasta, format!(">a\n{}\n>b\nMK_V\n", "MKTAYIAKQR".repeat(13))).unwrap();
    let cases = [
        (golden("esm2-head16"), folder.path().join("absent/out.fpm"), "its folder isn't there"),
        (golden("esm2-head16"), folder.path().to_path_buf(), "it is a folder"),
        (
            golden("esmfold-tiny"),
            folder.path().join("out.fpm"),
            "no sequence of at most 128 residues to fold",
        ),
    ];
    for (checkpoint, out, expected) in cases {
        let said = refused(&checkpoint, &out, &fasta);
        assert!(said.contains(expected) && !said.contains("calibrating on"), "{said}");
    }
    assert!(
        refused(&golden("esmfold-tiny"), &folder.path().join("o"), &fasta)
            .contains("ranges are measured on whole")
    );
}

#[test]
fn a_cause_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let (absent, fasta) = (folder.path().join("absent"), folder.path().join("in.fasta"));
    fs::write(&fasta, ">a\nMKTAYIA\n").unwrap();
    for (checkpoint, calibration) in [(&absent, &fasta), (&golden("esm2-head16"), &absent)] {
        let said = refused(checkpoint, &folder.path().join("o"), calibration);
        assert_eq!(said.matches("os error").count(), 1, "{said}");
    }
}

//! `quantizer reference` as a user runs it, and how the quantizer reads sequences.

mod fixture;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use fixture::golden;
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Sequence 0 of every golden fixture.
const FIRST: &str = "MKTAYIAKQRQISFVKSH";

fn reference(checkpoint: &Path, fasta: &str, out: &Path, options: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.fasta");
    fs::write(&path, fasta).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantizer"));
    command.arg("reference").arg(checkpoint).arg("--fasta").arg(path).arg("-o").arg(out).args(options);
    command.output().unwrap()
}

fn error(output: &Output) -> String {
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(text.starts_with("error: ") || text.contains("\nerror: "), "{text}");
    text
}

fn files(out: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(out.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn writes_what_pytorch_computes() {
    let out = tempfile::tempdir().unwrap();
    let fasta = format!(">a|1 first\n{}\n>b\nW\n", FIRST.to_lowercase());
    let done = reference(&golden("esm2-head16"), &fasta, out.path(), &["--hidden"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(files(&out), ["a_1.safetensors", "b.safetensors"]);

    let bytes = fs::read(out.path().join("a_1.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let expected = &fixture::expected("esm2-head16")[0];
    assert_eq!(expected.tokens.len(), FIRST.len() + 2);
    let kinds = [
        ("a|1.contacts", vec![18, 18], &expected.contacts),
        ("a|1.logits", vec![20, 33], &expected.logits),
        ("a|1.hidden", vec![4, 20, 64], &expected.hidden),
    ];
    for (name, shape, expected) in kinds {
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.shape(), shape, "{name}");
        let (values, _) = tensor.data().as_chunks::<4>();
        let differences = values.iter().zip(expected).map(|(&b, e)| (f32::from_le_bytes(b) - e).abs());
        assert!(differences.fold(0.0, f32::max) < 1e-4, "{name}");
    }
    assert_eq!(file.len(), 3);
}

/// What the metadata of a reference file say.
fn metadata(path: &Path) -> std::collections::HashMap<String, String> {
    let bytes = fs::read(path).unwrap();
    SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap()
}

#[test]
fn files_say_how_they_were_made() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fasta = ">a\nMKTAYIA\n";
    let options = ["--recycles", "2", "--weights", "8"];
    for out in [&first, &second] {
        assert!(reference(&golden("esmfold-tiny"), fasta, out.path(), &options).status.success());
    }
    let file = |out: &TempDir| out.path().join("a.safetensors");
    assert_eq!(fs::read(file(&first)).unwrap(), fs::read(file(&second)).unwrap());
    let made = metadata(&file(&first));
    let weights = fs::read(golden("esmfold-tiny").join("model.safetensors")).unwrap();
    let hash = serde_json::json!({ "model.safetensors": format!("{:x}", Sha256::digest(weights)) });
    for (key, value) in [
        ("sequence", "MKTAYIA"),
        ("checkpoint", "esmfold-tiny"),
        ("sha256", &*hash.to_string()),
        ("recycles", "2"),
        ("weights", "8 bits"),
        ("quantizer", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(made.get(key).map(String::as_str), Some(value), "{key}");
    }
    // What a language model computes has no passes.
    assert!(reference(&golden("esm2-head16"), fasta, first.path(), &[]).status.success());
    let made = metadata(&file(&first));
    assert_eq!((made.get("recycles"), &*made["weights"]), (None, "float"));
}

#[test]
fn a_folding_model_writes_structures() {
    let expected = fs::read(golden("esmfold-tiny").join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let floats = |bytes: &[u8]| -> Vec<f32> {
        bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    };
    let out = tempfile::tempdir().unwrap();
    let fasta = ">a\nMKTAYIA\n>b\nRQISFVKDHCNEPGLV\n";
    for recycles in ["0", "2"] {
        let options = ["--recycles", recycles, "--hidden"];
        let done = reference(&golden("esmfold-tiny"), fasta, out.path(), &options);
        assert!(done.status.success(), "{done:?}");
        for (id, number, residues) in [("a", 2, 7), ("b", 3, 16)] {
            let bytes = fs::read(out.path().join(format!("{id}.safetensors"))).unwrap();
            let file = SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(file.len(), 7);
            assert_eq!(file.tensor(&format!("{id}.hidden")).unwrap().shape(), [3, residues + 2, 32]);
            let shapes: [(&str, &[usize]); 5] = [
                ("atom37", &[residues, 37, 3]),
                ("atom37_mask", &[residues, 37]),
                ("plddt", &[residues, 37]),
                ("pae", &[residues, residues]),
                ("ptm", &[1]),
            ];
            for (kind, shape) in shapes {
                let tensor = file.tensor(&format!("{id}.{kind}")).unwrap();
                assert_eq!(tensor.shape(), shape, "{kind}");
                let expected = expected.tensor(&format!("{number}.{recycles}.{kind}")).unwrap();
                let (found, expected) = (floats(tensor.data()), floats(expected.data()));
                let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
                assert!(differences.fold(0.0, f32::max) < 1e-3, "{kind}");
            }
        }
    }
    // Without the option, as many passes as the checkpoint says.
    let default = tempfile::tempdir().unwrap();
    let same = tempfile::tempdir().unwrap();
    assert!(reference(&golden("esmfold-tiny"), fasta, default.path(), &[]).status.success());
    assert!(reference(&golden("esmfold-tiny"), fasta, same.path(), &["--recycles", "3"]).status.success());
    let written = |folder: &TempDir| fs::read(folder.path().join("b.safetensors")).unwrap();
    assert_eq!(written(&default), written(&same));
    let message = error(&reference(&golden("esm2-head16"), fasta, out.path(), &["--recycles", "1"]));
    assert!(message.contains("--recycles is for folding models"), "{message}");
}

#[test]
fn eight_bit_weights_are_near_but_not_the_same() {
    let fasta = ">a\nMKTAYIA\n";
    let hidden = |options: &[&str]| -> Vec<f32> {
        let out = tempfile::tempdir().unwrap();
        let options = [&["--recycles", "0", "--hidden"], options].concat();
        let done = reference(&golden("esmfold-tiny"), fasta, out.path(), &options);
        assert!(done.status.success(), "{done:?}");
        let bytes = fs::read(out.path().join("a.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let values = |kind: &str| file.tensor(&format!("a.{kind}")).unwrap().data().to_vec();
        let bytes = [values("hidden"), values("plddt")].concat();
        bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    };
    let (float, eight) = (hidden(&[]), hidden(&["--weights", "8"]));
    let differences = float.iter().zip(&eight).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!(largest > 1e-4 && largest < 0.2, "{largest}");
    let out = tempfile::tempdir().unwrap();
    let refused = reference(&golden("esmfold-tiny"), fasta, out.path(), &["--weights", "4"]);
    assert!(error(&refused).contains("possible values: 8"));
}

#[test]
fn limit_and_longest_length_choose_sequences() {
    let out = tempfile::tempdir().unwrap();
    let fasta = ">long\nMKLVMKLV\n>a\nMK\n>b\nMK\n>c\nMK\n";
    let done = reference(
        &golden("esm2-fair").join("tiny.pt"),
        fasta,
        out.path(),
        &["--max-len", "4", "--limit", "2"],
    );
    assert!(done.status.success(), "{done:?}");
    assert_eq!(files(&out), ["a.safetensors", "b.safetensors"]);
    let warning = String::from_utf8(done.stderr).unwrap();
    assert!(warning.contains("1 of 4 sequences have more than 4 residues"), "{warning}");
    let bytes = fs::read(out.path().join("a.safetensors")).unwrap();
    assert!(SafeTensors::deserialize(&bytes).unwrap().tensor("a.hidden").is_err());
}

#[test]
fn errors_name_the_file_and_leave_a_status() {
    let out = tempfile::tempdir().unwrap();
    let run = |checkpoint: &Path, fasta: &str, options: &[&str]| {
        error(&reference(checkpoint, fasta, out.path(), options))
    };
    let good = golden("esm2-head24");
    assert!(run(&good, "", &[]).contains("in.fasta: is empty"));
    assert!(run(&good, ">a\nM\n>b\n", &[]).contains("line 3: record 2 (`b`): the sequence is empty"));
    assert_eq!(files(&out), ["a.safetensors"]);
    assert!(run(&good, ">a\nMKL\n", &["--max-len", "2"]).contains("no sequences left"));
    assert!(run(&golden("absent"), ">a\nM\n", &[]).contains("absent: "));
    assert!(run(&golden(""), ">a\nM\n", &[]).contains("no config.json"));
    let occupied = out.path().join("file");
    fs::write(&occupied, "").unwrap();
    let message = error(&reference(&good, ">a\nM\n", &occupied, &[]));
    assert!(message.contains("file: "), "{message}");
}

/// Quantizes the smallest checkpoint with these calibration sequences; returns what was said, and the model
/// file.
fn quantize(name: &str, fasta: &[u8]) -> (bool, String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join(name), folder.path().join("out.fpm"));
    fs::write(&path, fasta).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantizer"));
    command.arg(golden("esm2-head16")).arg("-o").arg(&out).arg("--calibration").arg(&path);
    let done = command.output().unwrap();
    (done.status.success(), String::from_utf8(done.stderr).unwrap(), fs::read(&out).unwrap_or_default())
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn calibration_sequences_are_read_as_the_runner_reads_them() {
    let good = format!(">a\n{FIRST}\n>b\n{}\n", FIRST.repeat(2));
    let (done, said, plain) = quantize("cal.fa", good.as_bytes());
    assert!(done, "{said}");
    let (done, said, compressed) = quantize("cal.gz", &gzip(&good));
    assert!(done, "{said}");
    // The file says what it was calibrated with, and a checksum follows from that.
    let differ = plain.iter().zip(&compressed).filter(|(a, b)| a != b).count();
    assert!(plain.len() == compressed.len() && (2..20).contains(&differ), "{differ}");
    let (done, said, _) = quantize("cal.fa", format!(">empty\n{good}>two\nMK:V\n").as_bytes());
    assert!(done, "{said}");
    assert!(said.contains("calibrating on 2 sequences, 54 residues"), "{said}");
    assert_eq!(said.matches("line 1: record 1 (`empty`): the sequence is empty").count(), 1, "{said}");
    assert!(
        said.contains("warning: left out: ") && said.contains("record 4 (`two`): the sequence has 2 chains")
    );
    let (done, said, file) = quantize("cal.gz", &gzip(&good)[..40]);
    assert!(!done && file.is_empty());
    assert_eq!(said.matches("cal.gz: ").count(), 1, "{said}");
    assert!(said.contains("error: ") && said.contains("cal.gz: breaks off: "), "{said}");
}

#[test]
fn reference_takes_repeated_identifiers_and_what_else_the_runner_takes() {
    let out = tempfile::tempdir().unwrap();
    let fasta = "; comment\r>a\rMK\r>a\rMKV\r> A x\rMK\r";
    let done = reference(&golden("esm2-head16"), fasta, out.path(), &[]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(files(&out), ["A_3.safetensors", "a.safetensors", "a_2.safetensors"]);
    let bytes = fs::read(out.path().join("a_2.safetensors")).unwrap();
    let shape = SafeTensors::deserialize(&bytes).unwrap().tensor("a_2.contacts").unwrap().shape().to_vec();
    assert_eq!(shape, [3, 3]);
}

#[test]
fn every_file_says_whose_it_is_and_is_the_same_with_any_number_of_threads() {
    let fasta = ">a\nMKTAYIA\n>b\nRQISFVKDHCNEPGLV\n";
    let mut written = Vec::new();
    for threads in ["1", "3"] {
        let out = tempfile::tempdir().unwrap();
        let done = reference(&golden("esmfold-tiny"), fasta, out.path(), &["--threads", threads]);
        assert!(done.status.success(), "{done:?}");
        let said = String::from_utf8(done.stdout).unwrap();
        assert!(said.contains("a: 7 residues: ") && said.contains("b: 16 residues: "), "{said}");
        written.push(["a", "b"].map(|id| fs::read(out.path().join(format!("{id}.safetensors"))).unwrap()));
    }
    assert_eq!(written[0], written[1]);
    let (_, header) = SafeTensors::read_metadata(&written[0][1]).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["sequence"], "RQISFVKDHCNEPGLV");
    let out = tempfile::tempdir().unwrap();
    let none = reference(&golden("esmfold-tiny"), fasta, out.path(), &["--threads", "0"]);
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn what_is_done_is_written_before_the_next_sequence_runs() {
    // The third file can't be written: a folder is in its way.
    let out = tempfile::tempdir().unwrap();
    fs::create_dir(out.path().join("c.safetensors")).unwrap();
    let long = "MKTAYIARQISFVKDH".repeat(16);
    let fasta = format!(">a\n{long}\n>b\n{long}\n>c\n{long}\n");
    let done = reference(&golden("esm2-head16"), &fasta, out.path(), &[]);
    assert!(error(&done).contains("c.safetensors"));
    assert_eq!(files(&out), ["a.safetensors", "b.safetensors", "c.safetensors"]);
    assert!(String::from_utf8_lossy(&done.stdout).contains("b: 256 residues: "));
}

#[test]
fn a_language_model_runs_masks_and_a_folding_model_refuses_them() {
    let out = tempfile::tempdir().unwrap();
    let done = reference(&golden("esm2-head16"), ">a\nMK<mask>_V\n", out.path(), &[]);
    assert!(done.status.success(), "{done:?}");
    let bytes = fs::read(out.path().join("a.safetensors")).unwrap();
    let found = SafeTensors::deserialize(&bytes).unwrap().tensor("a.logits").unwrap().data().to_vec();
    let checkpoint = quantizer::checkpoint::Checkpoint::open(&golden("esm2-head16")).unwrap();
    let want = quantizer::reference::Want { logits: true, ..Default::default() };
    let model = quantizer::reference::Reference::new(&checkpoint).unwrap();
    let logits = model.run(&[0, 20, 15, 32, 32, 7, 2], want).unwrap().logits;
    let expected: Vec<u8> = logits.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(found, expected);
    let fold = reference(&golden("esmfold-tiny"), ">a\nMK_V\n", out.path(), &[]);
    assert!(error(&fold).contains("a masked sequence cannot be folded"));
}

#[test]
fn weights_that_overflow_are_an_error_and_write_nothing() {
    use fixture::handmade::{changed, stored};
    let checkpoint = changed(|tensors| {
        for layer in 0..3 {
            let name = format!("esm.encoder.layer.{layer}.intermediate.dense.weight");
            let shape = tensors[&name].shape.clone();
            tensors.insert(name, stored(&shape, |i| if i % 2 == 0 { 1e38 } else { 3e38 }));
        }
    });
    let out = tempfile::tempdir().unwrap();
    let done = reference(checkpoint.path(), ">first\nMKTAYIAKQR\n", out.path(), &[]);
    let text = error(&done);
    assert!(text.contains("first: ") && text.contains("expected finite values"), "{text}");
    assert!(files(&out).is_empty());
}

#[test]
fn omegafold_is_the_original() {
    let out = tempfile::tempdir().unwrap();
    // U is C to OmegaFold, and O nothing that it reads.
    let fasta = ">known\nMKWDXGHYC\n>bad\nMO\n>other\nmkwdxghyu\n";
    let done = reference(&golden("omegafold-tiny"), fasta, out.path(), &["--recycles", "2"]);
    assert!(!done.status.success(), "{done:?}");
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("warning") && said.contains("other"), "{said}");
    assert!(said.contains("(`bad`): it has O or J, which OmegaFold doesn't read"), "{said}");
    assert_eq!(files(&out), ["known.safetensors", "other.safetensors"]);

    let bytes = fs::read(golden("omegafold-tiny").join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |file: &SafeTensors<'_>, name: &str| -> Vec<f32> {
        let bytes = file.tensor(name).unwrap().data().as_chunks::<4>().0.to_vec();
        bytes.into_iter().map(f32::from_le_bytes).collect()
    };
    // Sequence 2 of the fixture, whose last cycle is chosen.
    let overall = floats(&expected, "2.2.overall")[0];
    let confidence = floats(&expected, "2.2.confidence");
    for id in ["known", "other"] {
        let bytes = fs::read(out.path().join(format!("{id}.safetensors"))).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor(&format!("{id}.atom37")).unwrap().shape(), [9, 37, 3]);
        assert_eq!(floats(&file, &format!("{id}.cycle")), [2.0]);
        assert!((floats(&file, &format!("{id}.overall"))[0] - overall).abs() < 1e-5);
        let plddt = floats(&file, &format!("{id}.plddt"));
        assert!(plddt.iter().step_by(37).zip(&confidence).all(|(a, b)| (a - b).abs() < 1e-5));
    }
    let said = error(&reference(&golden("omegafold-tiny"), fasta, out.path(), &["--hidden"]));
    assert!(said.contains("are not for OmegaFold"), "{said}");
}

//! `embed`: which hidden states, which vectors, in which files.

use crate::common::{Folder, foldpoint, npy};
use predicates::prelude::*;
use predicates::str::contains;
use safetensors::{Dtype, SafeTensors};

/// Of the embedded model.
const LAYERS: usize = 10;

fn embed(folder: &Folder, out: &str, arguments: &[&str]) {
    let run = foldpoint(folder).args(["embed", "in.fasta", "-o", out]).args(arguments).assert();
    run.success().stdout(contains("residues"));
}

/// The type of an array's elements, as NumPy writes it.
fn element(folder: &Folder, name: &str) -> String {
    let bytes = std::fs::read(folder.path(name)).expect("the file is there");
    npyz::NpyFile::new(&bytes[..]).expect("an npy file").dtype().descr()
}

#[test]
fn residues_and_means() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGI\n");
    embed(&folder, "out", &["--mean", "--layers", "0,last"]);
    let names = ["a.layer0.mean.npy", "a.layer0.npy", "a.layer10.mean.npy", "a.layer10.npy"];
    assert_eq!(folder.list("out"), names);
    let (shape, rows) = npy(&folder, "out/a.layer0.npy");
    let (mean_shape, mean) = npy(&folder, "out/a.layer0.mean.npy");
    let width = mean_shape[0] as usize;
    assert_eq!(shape, [8, width as u64]);
    for (channel, mean) in mean.into_iter().enumerate() {
        let sum: f32 = rows.iter().skip(channel).step_by(width).sum();
        assert!((sum / 8.0 - mean).abs() < 1e-4);
    }
}

#[test]
fn negative_layers_count_from_the_last() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGI\n");
    let file = |layer: usize| format!("a.layer{layer}.npy");
    for (arguments, layers) in [
        (&["--layers", "-1"][..], &[LAYERS][..]),
        (&["--layers=-1"], &[LAYERS]),
        (&["--layers", "-1,-2"], &[LAYERS - 1, LAYERS]),
        (&["--layers", "-2,last,0"], &[0, LAYERS - 1, LAYERS]),
        (&["--layers", &format!("-{}", LAYERS + 1)], &[0]),
    ] {
        let out = format!("out{}", arguments.join(""));
        embed(&folder, &out, arguments);
        let mut expected: Vec<String> = layers.iter().map(|&layer| file(layer)).collect();
        expected.sort();
        assert_eq!(folder.list(&out), expected);
    }
    let last = npy(&folder, &format!("out--layers-1/{}", file(LAYERS)));
    assert_eq!(npy(&folder, &format!("out--layers-1,-2/{}", file(LAYERS))), last);
    for wrong in [format!("-{}", LAYERS + 2), (LAYERS + 1).to_string(), "-0".into(), "-x".into()] {
        foldpoint(&folder)
            .args(["embed", "in.fasta", "-o", "wrong", "--layers", &wrong])
            .assert()
            .code(2)
            .stdout("")
            .stderr(
                contains(format!("--layers: layer `{wrong}`: expected `last`, `all`, a number from 0"))
                    .and(contains(format!("to {LAYERS} (the last), or one counted from the last, from -11"))),
            );
    }
}

#[test]
fn the_vector_of_cls() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGI\n");
    embed(&folder, "out", &["--cls", "--mean", "--no-residues", "--layers", "0,-1"]);
    let names = folder.list("out");
    let expected = ["layer0.cls", "layer0.mean", "layer10.cls", "layer10.mean"].map(|n| format!("a.{n}.npy"));
    assert_eq!(names, expected);
    let (shape, cls) = npy(&folder, "out/a.layer0.cls.npy");
    assert_eq!(shape, [cls.len() as u64]);
    // In layer 0 a token's vector depends on nothing but the token, and no residue is <cls>.
    folder.write("in.fasta", ">a\nWWHC\n");
    embed(&folder, "other", &["--cls", "--layers", "0,-1"]);
    assert_eq!(npy(&folder, "other/a.layer0.cls.npy").1, cls);
    let residues = npy(&folder, "other/a.layer0.npy").1;
    assert!(residues.chunks(cls.len()).all(|row| row != cls));
    assert_ne!(npy(&folder, "other/a.layer10.cls.npy").1, npy(&folder, "out/a.layer10.cls.npy").1);

    embed(&folder, "st", &["--cls", "--layers", "-1", "--format", "safetensors"]);
    let bytes = std::fs::read(folder.path("st/a.embeddings.safetensors")).expect("the file is there");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut names = tensors.names();
    names.sort_unstable();
    assert_eq!(names, ["layer.10", "layer.10.cls"]);
    let stored: Vec<f32> =
        bytemuck::pod_collect_to_vec(tensors.tensor("layer.10.cls").expect("there").data());
    assert_eq!(stored, npy(&folder, "other/a.layer10.cls.npy").1);
}

#[test]
fn half_precision_everywhere() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGI\n");
    let arguments = ["--cls", "--mean", "--f16"];
    embed(&folder, "out", &arguments);
    embed(&folder, "out", &[&arguments[..], &["--matrix"]].concat());
    let names = folder.list("out");
    let arrays: Vec<&String> = names.iter().filter(|name| name.ends_with(".npy")).collect();
    assert_eq!(arrays.len(), 5, "{names:?}");
    for name in arrays {
        assert_eq!(element(&folder, &format!("out/{name}")), "'<f2'", "{name}");
    }
    embed(&folder, "st", &[&arguments[..], &["--format", "safetensors", "--layers", "all"]].concat());
    embed(&folder, "st", &[&arguments[..], &["--format", "safetensors", "--matrix"]].concat());
    for (file, count) in [("a.embeddings.safetensors", 3 * (LAYERS + 1)), ("embeddings.safetensors", 2)] {
        let bytes = std::fs::read(folder.path(&format!("st/{file}"))).expect("the file is there");
        let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        assert_eq!(tensors.len(), count);
        assert!(tensors.tensors().iter().all(|(_, tensor)| tensor.dtype() == Dtype::F16), "{file}");
    }
}

#[test]
fn residues_can_be_left_out_only_for_something_else() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGI\n");
    foldpoint(&folder)
        .args(["embed", "in.fasta", "-o", "out", "--no-residues"])
        .assert()
        .code(2)
        .stderr(contains("--mean").and(contains("--cls")));
    for (vector, file) in [("--mean", "a.layer10.mean.npy"), ("--cls", "a.layer10.cls.npy")] {
        let out = &vector[2..];
        embed(&folder, out, &["--no-residues", vector]);
        assert_eq!(folder.list(out), [file]);
    }
}

/// Sequences of which the third fails, with identifiers that no file could have.
const SEVERAL: &str = ">sp|P1|A_B first\nMKVLAAGI\n>b/c\nWWHC\n>long\nMKVLAAGIMKVLAAGI\n>d:e\nMK:VLAAG\n";

#[test]
fn one_matrix_of_all_sequences() {
    let folder = Folder::new();
    folder.write("in.fasta", SEVERAL);
    let matrix = |out: &str, arguments: &[&str]| {
        let all = [&["embed", "in.fasta", "-o", out, "--matrix", "--max-len", "10"], arguments].concat();
        foldpoint(&folder).args(all).assert().code(1).stderr(contains("record 3 (`long`)"));
        let ids = std::fs::read_to_string(folder.path(&format!("{out}/embeddings.ids.txt"))).expect("text");
        assert_eq!(ids, "sp|P1|A_B\nb/c\nd:e\n", "as they were typed, and rows match");
    };
    matrix("out", &["--threads", "2"]);
    assert_eq!(folder.list("out"), ["embeddings.ids.txt", "embeddings.npy"]);
    let (shape, values) = npy(&folder, "out/embeddings.npy");
    let width = shape[1] as usize;
    assert_eq!(shape, [3, width as u64]);
    // Row by row what is written for each sequence.
    foldpoint(&folder)
        .args(["embed", "in.fasta", "-o", "each", "--mean", "--cls", "--layers", "0,-1", "--max-len", "10"])
        .assert()
        .code(1);
    let stems = ["sp_P1_A_B", "b_c", "d_e"];
    let rows = |layer: usize, vector: &str| -> Vec<f32> {
        stems.iter().flat_map(|s| npy(&folder, &format!("each/{s}.layer{layer}.{vector}.npy")).1).collect()
    };
    assert_eq!(values, rows(LAYERS, "mean"));

    matrix("cls", &["--cls"]);
    assert_eq!(npy(&folder, "cls/embeddings.npy").1, rows(LAYERS, "cls"));
    matrix("more", &["--cls", "--mean", "--layers", "0,-1"]);
    let names = ["0.cls", "0.mean", "10.cls", "10.mean"].map(|name| format!("embeddings.layer{name}.npy"));
    assert_eq!(folder.list("more"), [&["embeddings.ids.txt".to_owned()][..], &names].concat());
    for (layer, vector) in [(0, "cls"), (0, "mean"), (LAYERS, "cls"), (LAYERS, "mean")] {
        let name = format!("more/embeddings.layer{layer}.{vector}.npy");
        assert_eq!(npy(&folder, &name).1, rows(layer, vector), "{name}");
    }
    matrix("st", &["--cls", "--layers", "0,-1", "--format", "safetensors"]);
    assert_eq!(folder.list("st"), ["embeddings.ids.txt", "embeddings.safetensors"]);
    let bytes = std::fs::read(folder.path("st/embeddings.safetensors")).expect("the file is there");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    assert_eq!(tensors.len(), 2);
    for layer in [0, LAYERS] {
        let tensor = tensors.tensor(&format!("layer.{layer}.cls")).expect("there");
        assert_eq!(tensor.shape(), [3, width]);
        let stored: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
        assert_eq!(stored, rows(layer, "cls"));
    }
}

#[test]
fn a_matrix_without_rows() {
    let folder = Folder::new();
    folder.write("in.fasta", ">long\nMKVLAAGI\n");
    for format in ["npy", "safetensors"] {
        let arguments = ["embed", "in.fasta", "-o", format, "--matrix", "--max-len", "3", "--format", format];
        foldpoint(&folder).args(arguments).assert().code(1).stderr(contains("1 of 1 sequences failed"));
        let ids = folder.path(&format!("{format}/embeddings.ids.txt"));
        assert_eq!(std::fs::read(ids).expect("a file"), b"");
    }
    assert_eq!(npy(&folder, "npy/embeddings.npy").0[0], 0);
}

#[test]
fn arrays_of_an_earlier_run_do_not_stay_beside_new_ones() {
    let folder = Folder::new();
    folder.write("in.fasta", ">a\nMKVLAAGI\n>b\nGSHME\n");
    embed(&folder, "out", &["--layers", "1,last", "--mean", "--cls"]);
    embed(&folder, "out", &["--matrix", "--mean", "--cls"]);
    folder.write("in.fasta", ">a\nMKVLAAGIV\n");
    embed(&folder, "out", &[]);
    embed(&folder, "out", &["--matrix"]);
    let of_a: Vec<String> = folder.list("out").into_iter().filter(|name| name.starts_with("a.")).collect();
    assert_eq!(of_a, [format!("a.layer{LAYERS}.npy")]);
    let of_all: Vec<String> = folder.list("out").into_iter().filter(|name| name.starts_with("emb")).collect();
    assert_eq!(of_all, ["embeddings.ids.txt", "embeddings.npy"]);
    assert!(folder.list("out").contains(&"b.layer1.npy".to_owned()), "b was not run again");
}

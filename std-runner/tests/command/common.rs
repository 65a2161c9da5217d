//! What the tests of the command share.

use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A folder for one test's files.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for the test"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("the folder can be written to");
        path
    }

    /// Names of the records' files in a subfolder, sorted: all but the two that tell of the run.
    pub fn list(&self, name: &str) -> Vec<String> {
        let mut names = self.list_all(name);
        names.retain(|name| !["results.jsonl", "summary.tsv"].contains(&name.as_str()));
        names
    }

    /// Names of the structures in a subfolder, sorted.
    pub fn structures(&self, name: &str) -> Vec<String> {
        let mut names = self.list(name);
        names.retain(|name| name.ends_with(".pdb") || name.ends_with(".cif"));
        names
    }

    /// The lines of `results.jsonl` in a subfolder.
    pub fn results(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name).join("results.jsonl")).expect("results.jsonl");
        json_lines(&text)
    }

    /// The cells of a table in a subfolder.
    pub fn tsv(&self, name: &str) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.path(name)).expect("a table");
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// Names of all files in a subfolder, sorted.
    pub fn list_all(&self, name: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(name)).expect("the folder exists");
        let name = |e: std::io::Result<std::fs::DirEntry>| e.expect("readable").file_name().into_string();
        let mut names: Vec<String> = entries.map(|e| name(e).expect("UTF-8")).collect();
        names.sort();
        names
    }
}

/// What the command's options and the limits of its memory are read from.
const VARIABLES: [&str; 5] =
    ["FOLDPOINT_MODEL", "FOLDPOINT_ISA", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_MEM_PER_GPU"];

/// The bare-metal example's model, which `foldpoint-tests` makes: random weights that fold.
pub const FOLDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/bare-metal/tiny.fpm");

/// A small OmegaFold of random weights, which `foldpoint-tests` makes, too.
pub const OMEGAFOLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/omegafold.fpm");

/// JSON, one value a line.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The command, free of the caller's environment, in the folder; its subfolders `models` and `rates` are the
/// user's.
pub fn foldpoint(folder: &Folder) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("foldpoint"));
    command.current_dir(folder.0.path());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.env("FOLDPOINT_MODELS", folder.path("models"));
    command.env("FOLDPOINT_RATES", folder.path("rates"));
    command
}

/// Shape and values of an array of 32-bit floats.
pub fn npy(folder: &Folder, name: &str) -> (Vec<u64>, Vec<f32>) {
    let bytes = std::fs::read(folder.path(name)).expect("the file is there");
    let file = npyz::NpyFile::new(&bytes[..]).expect("an npy file");
    (file.shape().to_vec(), file.into_vec::<f32>().expect("f32"))
}

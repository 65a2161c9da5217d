//! What the tests of the command share.

use std::path::PathBuf;

use assert_cmd::Command;
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

    /// Names of the files in a subfolder, sorted.
    pub fn list(&self, name: &str) -> Vec<String> {
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

/// The command, free of the caller's environment, in the folder.
pub fn foldpoint(folder: &Folder) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("foldpoint"));
    command.current_dir(folder.0.path());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Shape and values of an array of 32-bit floats.
pub fn npy(folder: &Folder, name: &str) -> (Vec<u64>, Vec<f32>) {
    let bytes = std::fs::read(folder.path(name)).expect("the file is there");
    let file = npyz::NpyFile::new(&bytes[..]).expect("an npy file");
    (file.shape().to_vec(), file.into_vec::<f32>().expect("f32"))
}

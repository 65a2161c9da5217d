//! Writes the bare-metal example's model to the given file.

use std::path::PathBuf;
use std::process::ExitCode;

use foldpoint_tests::random_model::TINY;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: tiny-model FILE");
        return ExitCode::from(2);
    };
    let written = TINY.model(0).map_err(|e| e.to_string());
    match written.and_then(|bytes| std::fs::write(&path, bytes).map_err(|e| e.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{}: {reason}", path.display());
            ExitCode::FAILURE
        }
    }
}

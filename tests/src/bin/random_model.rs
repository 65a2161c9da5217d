//! Writes a model of random weights to a file: the bare-metal example's, that of the command's tests, or
//! one of a published shape. Speed
//! and memory depend on the shape alone.

use std::path::PathBuf;
use std::process::ExitCode;

use foldpoint_tests::random_fold::{ESMFOLD_V1_TRUNK, ESMFOLD_V1_WIDTHS, TINY_FOLD};
use foldpoint_tests::random_model::{ESM2_8M, ESM2_35M, ESM2_150M, ESM2_650M};
use foldpoint_tests::random_omegafold::{RELEASE_1_WIDTHS, TINY_OMEGAFOLD};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [name, path] = arguments.as_slice() else { return usage() };
    let model = match name.to_str() {
        Some("tiny") => TINY_FOLD.model(0),
        Some("esmfold-v1-widths") => ESMFOLD_V1_WIDTHS.model(0),
        Some("esmfold-v1-trunk") => ESMFOLD_V1_TRUNK.model(0),
        Some("tiny-omegafold") => TINY_OMEGAFOLD.model(0),
        Some("omegafold-1-widths") => RELEASE_1_WIDTHS.model(0),
        Some("esm2-8m") => ESM2_8M.model(0),
        Some("esm2-35m") => ESM2_35M.model(0),
        Some("esm2-150m") => ESM2_150M.model(0),
        Some("esm2-650m") => ESM2_650M.model(0),
        _ => return usage(),
    };
    let path = PathBuf::from(path);
    let written = model.map_err(|e| e.to_string());
    match written.and_then(|bytes| std::fs::write(&path, bytes).map_err(|e| e.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{}: {reason}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: random-model (tiny | tiny-omegafold | esmfold-v1-widths | esmfold-v1-trunk | omegafold-1-widths | esm2-(8m | 35m | 150m | 650m)) FILE"
    );
    ExitCode::from(2)
}

//! What is said of a model file that is written.

use std::path::Path;

use anyhow::Context;
use quantizer::calibrate::Calibration;
use quantizer::encode::Provenance;

use crate::cli::destination;

/// Says what the file `out` is.
///
/// # Errors
/// It can't be looked at.
pub(super) fn print(calibration: &Calibration, provenance: &Provenance, out: &Path) -> anyhow::Result<()> {
    sites(calibration);
    let bytes = std::fs::metadata(out).with_context(|| out.display().to_string())?.len();
    eprintln!("{}: {:.1} MiB", out.display(), bytes as f64 / 1048576.0);
    if let Some(name) = destination::name_in_store(out) {
        eprintln!("  to run it: foldpoint predict FASTA -o DIR --model {name}");
    }
    let parts = [
        ("language model", Some(&provenance.language_model)),
        ("trunk", provenance.trunk.as_ref()),
        ("structure module and heads", provenance.structure.as_ref()),
    ];
    for (part, choice) in parts {
        if let Some(choice) = choice {
            eprintln!("  {part}: {choice}");
        }
    }
    Ok(())
}

/// The sites by signal-to-noise ratio, the worst first.
fn sites(calibration: &Calibration) {
    let mut sites: Vec<_> = calibration.snr.iter().collect();
    sites.sort_by(|a, b| a.1.total_cmp(b.1));
    println!("{:<56} {:>8}", "site", "SNR, dB");
    for (site, snr) in sites {
        println!("{site:<56} {snr:>8.1}");
    }
}

/// The name of the file at `path`.
pub(super) fn file_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

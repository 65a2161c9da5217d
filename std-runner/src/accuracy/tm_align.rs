//! TM-scores by TM-align, the field's program (Zhang and Skolnick 2005).

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use foldpoint_core::alphabet;
use foldpoint_core::geometry::Residue;

use super::structure::Point;

/// TM-align as it is installed.
#[derive(Clone, Debug)]
pub struct TmAlign {
    /// The program: a name to be found or a path.
    pub program: PathBuf,
}

/// TM-align could not be run, or said something else than expected.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", program.display())]
pub struct TmAlignError {
    program: PathBuf,
    reason: String,
}

impl TmAlign {
    /// Does the program work? Aligns a helix with itself.
    ///
    /// # Errors
    /// [`TmAlignError`] if it cannot be run or gives no TM-score.
    pub fn probe(&self) -> Result<(), TmAlignError> {
        // CA atoms of an ideal helix: 100 degrees and 1.5 ångström a residue, 2.3 from the axis.
        let ca = |i: u32| {
            let (sine, cosine) = (f64::from(i) * 100.0).to_radians().sin_cos();
            (b'A', [2.3 * cosine, 2.3 * sine, 1.5 * f64::from(i)])
        };
        let helix: Vec<_> = (0..20).map(ca).collect();
        self.score(&helix, &helix).map(drop)
    }

    /// TM-score of a model to a target, normalised by the target's length, 0 to 1. Both are letters and CA
    /// atoms, which is what the program reads.
    ///
    /// # Errors
    /// [`TmAlignError`] with what the program said.
    pub fn score(&self, model: &[(u8, Point)], target: &[(u8, Point)]) -> Result<f64, TmAlignError> {
        let error = |reason: String| TmAlignError { program: self.program.clone(), reason };
        let folder = tempfile::tempdir().map_err(|e| error(e.to_string()))?;
        let write = |name: &str, trace| {
            let path = folder.path().join(name);
            fs::write(&path, pdb(trace)).map(|()| path).map_err(|e| error(e.to_string()))
        };
        let (model, target) = (write("model.pdb", model)?, write("target.pdb", target)?);
        let output = Command::new(&self.program).arg(model).arg(target).output();
        let output = output.map_err(|e| error(format!("cannot be run: {e}")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let said =
            || text.lines().chain(String::from_utf8_lossy(&output.stderr).lines()).last().map(str::to_owned);
        let score = output.status.success().then(|| target_score(&text)).flatten();
        score.ok_or_else(|| {
            error(format!("no TM-score in its output; its last line: {}", said().unwrap_or_default()))
        })
    }
}

/// The score normalised by the length of the second structure: `TM-score= 0.5 (if normalized by length of
/// Chain_2, ...)`.
fn target_score(output: &str) -> Option<f64> {
    let line = output.lines().find(|line| line.starts_with("TM-score=") && line.contains("Chain_2"))?;
    line.strip_prefix("TM-score=")?.split_whitespace().next()?.parse().ok()
}

/// A PDB file of CA atoms.
fn pdb(trace: &[(u8, Point)]) -> String {
    let mut text = String::new();
    for (number, (letter, [x, y, z])) in (1..).zip(trace) {
        let residue = alphabet::token(*letter).and_then(Residue::from_token).unwrap_or(Residue::X);
        let name = residue.name();
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "ATOM  {number:5}  CA  {name} A{number:4}    {x:8.3}{y:8.3}{z:8.3}  1.00  0.00           C"
        );
    }
    text + "TER\nEND\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
Name of Chain_1: model.pdb
Alignment length=   76, RMSD=   1.30, Seq_ID=n_identical/n_aligned= 1.000
TM-score= 0.61234 (if normalized by length of Chain_1, i.e., LN=120, d0=4.20)
TM-score= 0.87654 (if normalized by length of Chain_2, i.e., LN=76, d0=3.40)
(You should use TM-score normalized by length of the reference structure)
";

    #[test]
    fn the_score_is_that_of_the_target() {
        assert_eq!(target_score(OUTPUT), Some(0.87654));
        assert_eq!(target_score("Chain_2\n"), None);
    }

    #[test]
    fn atoms_are_in_their_columns() {
        let text = pdb(&[(b'G', [1.0, -22.5, 333.25]), (b'X', [0.0; 3])]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "ATOM      1  CA  GLY A   1       1.000 -22.500 333.250  1.00  0.00           C"
        );
        assert!(lines[1].contains("UNK A   2"));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let program = TmAlign { program: "no/such/program".into() };
        let error = program.score(&[], &[]).expect_err("it isn't there").to_string();
        assert!(error.starts_with("no/such/program: cannot be run"), "{error}");
    }
}

//! Predicted aligned errors for files: of the residues that are in the structure, no more and no fewer.

use std::io::{self, Write};

use super::array::npy;
use super::structure::{Model, chain_name};

/// The largest predicted aligned error that there can be, the centre of its last bin, in ångström.
const MAX_ALIGNED_ERROR: &str = "31.75";

/// Predicted aligned errors of the residues of a structure that have atoms.
///
/// A structure file has no coordinates of the others (X), and programs that read both files count: ChimeraX
/// takes a matrix whose rows are as many as the structure's residues.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlignedErrors {
    /// `[N, N]` in ångström, aligned residue first.
    values: Vec<f32>,
    /// Chain and number of each of the N residues, in the structure's order.
    residues: Vec<(String, usize)>,
}

impl AlignedErrors {
    /// Cuts the errors `[L, L]` of all residues of `model` to those that have atoms. There are `count`, and
    /// `value` gives one in ångström by its place, aligned residue first; `None` if that many are no such
    /// matrix.
    pub fn new(model: &Model, count: usize, value: impl Fn(usize) -> f32) -> Option<Self> {
        let length = model.residues().count();
        if length * length != count {
            return None;
        }
        let has_atoms: Vec<bool> = model.residues().map(|placed| !placed.residue.atoms.is_empty()).collect();
        let kept = || has_atoms.iter().enumerate().filter(|&(_, &kept)| kept).map(|(index, _)| index);
        let places = kept().flat_map(|i| kept().map(move |j| i * length + j));
        let residues = model.modelled().map(|placed| (chain_name(placed.chain), placed.number));
        Some(Self { values: places.map(value).collect(), residues: residues.collect() })
    }

    /// The number of residues.
    pub fn len(&self) -> usize {
        self.residues.len()
    }

    /// Whether there are no residues.
    pub fn is_empty(&self) -> bool {
        self.residues.is_empty()
    }

    /// The errors of all residues where one is aligned, one row for each that is.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.len().max(1))
    }

    /// Writes them as the AlphaFold database does, `[{"predicted_aligned_error": [[...]],
    /// "max_predicted_aligned_error": 31.75}]`, and which residue each row is, under AlphaFold 3's names:
    /// `token_chain_ids` and `token_res_ids`.
    ///
    /// Written by hand, since two decimals are what a reader needs, and a matrix of 1,000 residues would be
    /// 20 MB of digits.
    ///
    /// # Errors
    /// The writer's.
    pub fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "[{{\"predicted_aligned_error\":[")?;
        for (i, row) in self.rows().enumerate() {
            write!(out, "{}[", if i == 0 { "" } else { "," })?;
            for (j, value) in row.iter().enumerate() {
                write!(out, "{}{value:.2}", if j == 0 { "" } else { "," })?;
            }
            write!(out, "]")?;
        }
        let chains: Vec<&str> = self.residues.iter().map(|(chain, _)| chain.as_str()).collect();
        let numbers: Vec<usize> = self.residues.iter().map(|&(_, number)| number).collect();
        let (chains, numbers) = (serde_json::to_string(&chains)?, serde_json::to_string(&numbers)?);
        write!(out, "],\"max_predicted_aligned_error\":{MAX_ALIGNED_ERROR}")?;
        write!(out, ",\"token_chain_ids\":{chains},\"token_res_ids\":{numbers}}}]")
    }

    /// Writes them as an npy file, f32 `[N, N]`.
    ///
    /// # Errors
    /// The writer's.
    pub fn npy(&self, out: &mut dyn Write) -> io::Result<()> {
        npy(out, &[self.len(), self.len()], &self.values, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::kind;
    use crate::output::structure::{Atom, Chain, Residue};

    /// Chains of these letters; every residue but X has one atom.
    fn model(chains: &[&str]) -> Model {
        let residue = |letter: u8| {
            let atom = Atom { name: "CA", position: [0.0; 3], plddt: 0.0 };
            Residue { kind: kind(letter), atoms: if letter == b'X' { vec![] } else { vec![atom] } }
        };
        let chains = chains.iter().map(|letters| Chain { residues: letters.bytes().map(residue).collect() });
        Model { chains: chains.collect(), ..Model::default() }
    }

    #[test]
    fn the_layout_is_that_of_the_alphafold_database() {
        let values = [0.25, 31.746, 4.0, 0.2501];
        let errors = AlignedErrors::new(&model(&["G", "A"]), 4, |i| values[i]).expect("2 x 2");
        let mut text = Vec::new();
        errors.json(&mut text).expect("in memory");
        let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!([{
                "predicted_aligned_error": [[0.25, 31.75], [4.0, 0.25]],
                "max_predicted_aligned_error": 31.75,
                "token_chain_ids": ["A", "B"],
                "token_res_ids": [1, 1],
            }])
        );
    }

    #[test]
    fn residues_without_atoms_have_no_rows_and_no_columns() {
        let value = |place| place as f32;
        let errors = AlignedErrors::new(&model(&["XGXA", "X"]), 25, value).expect("5 x 5");
        let rows: Vec<&[f32]> = errors.rows().collect();
        assert_eq!(rows, [[6.0, 8.0], [16.0, 18.0]]);
        assert_eq!(errors.residues, [("A".to_owned(), 2), ("A".to_owned(), 4)]);
        let mut bytes = Vec::new();
        errors.npy(&mut bytes).expect("in memory");
        assert_eq!(npyz::NpyFile::new(&bytes[..]).expect("npy").shape(), [2, 2]);
        assert_eq!(AlignedErrors::new(&model(&["XGXA"]), 25, value), None, "a matrix of other residues");
    }
}

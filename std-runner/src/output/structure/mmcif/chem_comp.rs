//! The amino acids as the wwPDB's chemical component dictionary has them.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::cif::{NONE, UNKNOWN, row, table};
use crate::output::structure::model::Model;

/// Name of three letters, name, formula, formula weight.
const COMPONENTS: [[&str; 4]; 21] = [
    ["ALA", "ALANINE", "C3 H7 N O2", "89.093"],
    ["ARG", "ARGININE", "C6 H15 N4 O2", "175.209"],
    ["ASN", "ASPARAGINE", "C4 H8 N2 O3", "132.118"],
    ["ASP", "ASPARTIC ACID", "C4 H7 N O4", "133.103"],
    ["CYS", "CYSTEINE", "C3 H7 N O2 S", "121.158"],
    ["GLN", "GLUTAMINE", "C5 H10 N2 O3", "146.144"],
    ["GLU", "GLUTAMIC ACID", "C5 H9 N O4", "147.129"],
    ["GLY", "GLYCINE", "C2 H5 N O2", "75.067"],
    ["HIS", "HISTIDINE", "C6 H10 N3 O2", "156.162"],
    ["ILE", "ISOLEUCINE", "C6 H13 N O2", "131.173"],
    ["LEU", "LEUCINE", "C6 H13 N O2", "131.173"],
    ["LYS", "LYSINE", "C6 H15 N2 O2", "147.195"],
    ["MET", "METHIONINE", "C5 H11 N O2 S", "149.211"],
    ["PHE", "PHENYLALANINE", "C9 H11 N O2", "165.189"],
    ["PRO", "PROLINE", "C5 H9 N O2", "115.130"],
    ["SER", "SERINE", "C3 H7 N O3", "105.093"],
    ["THR", "THREONINE", "C4 H9 N O3", "119.119"],
    ["TRP", "TRYPTOPHAN", "C11 H12 N2 O2", "204.225"],
    ["TYR", "TYROSINE", "C9 H11 N O3", "181.189"],
    ["UNK", "UNKNOWN", "C4 H9 N O2", "103.120"],
    ["VAL", "VALINE", "C5 H11 N O2", "117.146"],
];

/// The residue types of a model.
pub fn chem_comp(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    table(
        out,
        "chem_comp",
        &["id", "type", "mon_nstd_flag", "name", "pdbx_synonyms", "formula", "formula_weight"],
    )?;
    let used: BTreeSet<&str> = model.residues().map(|placed| placed.residue.kind.name()).collect();
    for [id, name, formula, weight] in COMPONENTS.into_iter().filter(|[id, ..]| used.contains(id)) {
        // Glycine has no mirror image.
        let linking = if id == "GLY" { "peptide linking" } else { "L-peptide linking" };
        let standard = if id == "UNK" { NONE } else { "y" };
        row(out, &[id, linking, standard, name, UNKNOWN, formula, weight])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldpoint_core::geometry::Residue;

    /// How many atoms of an element a formula has.
    fn count(formula: &str, element: &str) -> u32 {
        let part = formula.split(' ').find_map(|part| {
            let number = part.strip_prefix(element)?;
            if number.is_empty() { Some(1) } else { number.parse().ok() }
        });
        part.unwrap_or(0)
    }

    #[test]
    fn formulas_agree_with_the_atoms_and_weights_with_the_formulas() {
        for index in 0..21 {
            let residue = Residue::from_index(index).expect("21 residues");
            let [_, _, formula, weight] =
                COMPONENTS.into_iter().find(|[id, ..]| *id == residue.name()).expect("all are there");
            let masses = [("C", 12.011), ("H", 1.008), ("N", 14.007), ("O", 15.999), ("S", 32.06)];
            let expected: f64 = masses.iter().map(|(e, mass)| f64::from(count(formula, e)) * mass).sum();
            assert!((weight.parse::<f64>().expect("a number") - expected).abs() < 0.02, "{formula} {weight}");
            if residue == Residue::X {
                continue;
            }
            for element in ["C", "N", "O", "S"] {
                let atoms = residue.atoms().iter().filter(|atom| atom.name.starts_with(element)).count();
                let oxt = usize::from(element == "O");
                assert_eq!(count(formula, element) as usize, atoms + oxt, "{} {element}", residue.name());
            }
        }
        assert!(COMPONENTS.is_sorted());
    }
}

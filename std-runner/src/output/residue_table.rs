//! The pLDDT of each residue as a table.

use std::io::{self, Write};

use super::structure::{Model, chain_name};

/// What the AlphaFold database calls a pLDDT.
fn level(plddt: f64) -> &'static str {
    match plddt {
        90.0.. => "very high",
        70.0.. => "high",
        50.0.. => "low",
        _ => "very low",
    }
}

/// Writes one row a residue: chain and number as in the structure file, the residue's name and letter, the
/// pLDDT of its CA atom (0 to 100), and what that is called. Residues without atoms (X) have neither.
///
/// # Errors
/// The writer's.
pub fn residue_table(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    writeln!(out, "chain\tnumber\tresidue\tletter\tplddt\tconfidence")?;
    for (index, chain) in model.chains.iter().enumerate() {
        let name = chain_name(index);
        for (number, residue) in (1..).zip(&chain.residues) {
            let (kind, letter) = (residue.kind.name(), residue.kind.letter());
            let plddt =
                residue.plddt().map_or_else(|| "\t".into(), |plddt| format!("{plddt:.2}\t{}", level(plddt)));
            writeln!(out, "{name}\t{number}\t{kind}\t{letter}\t{plddt}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::kind;
    use crate::output::structure::{Atom, Chain, Residue};

    #[test]
    fn every_residue_has_a_row() {
        let residue = |letter, plddt: Option<f64>| Residue {
            kind: kind(letter),
            atoms: plddt.map(|plddt| Atom { name: "CA", position: [0.0; 3], plddt }).into_iter().collect(),
        };
        let chains = vec![
            Chain {
                residues: vec![residue(b'S', Some(90.0)), residue(b'X', None), residue(b'G', Some(89.994))],
            },
            Chain { residues: vec![residue(b'W', Some(50.0)), residue(b'C', Some(49.99))] },
        ];
        let mut text = Vec::new();
        residue_table(&mut text, &Model { chains, ..Model::default() }).expect("in memory");
        assert_eq!(
            String::from_utf8(text).expect("text"),
            "chain\tnumber\tresidue\tletter\tplddt\tconfidence\n\
             A\t1\tSER\tS\t90.00\tvery high\n\
             A\t2\tUNK\tX\t\t\n\
             A\t3\tGLY\tG\t89.99\thigh\n\
             B\t1\tTRP\tW\t50.00\tlow\n\
             B\t2\tCYS\tC\t49.99\tvery low\n"
        );
    }
}

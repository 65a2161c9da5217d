//! Folds by place in the sequence: what predictions, float references and experiments are compared as.

use foldpoint_core::alphabet;
use foldpoint_core::geometry::{self, ATOM_NAMES};

use super::bootstrap::mean;
use super::lddt::{AtomPair, lddt};
use super::reference::{Reference, ReferenceError};
use super::rmsd::rmsd;
use super::structure::{Point, Residue};
use std_runner::output::{self, structure::Model};

/// Atoms in the `atom37` layout.
pub type Atoms = [Option<Point>; ATOM_NAMES.len()];

/// Place of CA.
const CA: usize = 1;

/// A residue of a fold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoldResidue {
    /// Where its atoms are.
    pub atoms: Atoms,
    /// pLDDT of its CA, 0 to 100; anything in experiments.
    pub plddt: f64,
}

/// A fold of a sequence: one entry for each residue, `None` where it isn't resolved or predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold(pub Vec<Option<FoldResidue>>);

/// Which atoms are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// CA atoms.
    Backbone,
    /// All heavy atoms that an amino acid of the sequence has (without the C terminus' OXT).
    AllAtoms,
}

impl Fold {
    /// The fold of a sequence of `length` residues, of which these are there, each with its position.
    pub fn of(length: usize, aligned: &[(usize, &Residue)]) -> Self {
        let mut residues = vec![None; length];
        for &(position, residue) in aligned {
            let (mut atoms, mut plddt) = ([None; ATOM_NAMES.len()], 0.0);
            for atom in &residue.atoms {
                if let Some(place) = ATOM_NAMES.iter().position(|&name| name == atom.name) {
                    atoms[place] = Some(atom.position);
                }
                if atom.name == ATOM_NAMES[CA] {
                    plddt = atom.b_factor;
                }
            }
            if let Some(entry) = residues.get_mut(position) {
                *entry = Some(FoldResidue { atoms, plddt });
            }
        }
        Self(residues)
    }

    /// A prediction of one chain.
    pub fn predicted(model: &Model) -> Self {
        let residue = |residue: &output::structure::Residue| {
            let mut atoms = [None; ATOM_NAMES.len()];
            for atom in &residue.atoms {
                if let Some(place) = ATOM_NAMES.iter().position(|&name| name == atom.name) {
                    atoms[place] = Some(atom.position);
                }
            }
            Some(FoldResidue { atoms, plddt: residue.plddt()? })
        };
        Self(model.chains.iter().flat_map(|chain| &chain.residues).map(residue).collect())
    }

    /// The float reference's fold of a sequence of `length` residues.
    ///
    /// # Errors
    /// [`ReferenceError`] if the file has no such fold.
    pub fn from_reference(reference: &Reference, length: usize) -> Result<Self, ReferenceError> {
        const TYPES: usize = ATOM_NAMES.len();
        let atoms = reference.required("atom37", &[length, TYPES, 3])?;
        let mask = reference.required("atom37_mask", &[length, TYPES])?;
        let plddt = reference.required("plddt", &[length, TYPES])?;
        let residue = |i: usize| {
            let atom = |place: usize| {
                let at = i * TYPES + place;
                (mask[at] > 0.5).then(|| std::array::from_fn(|axis| f64::from(atoms[3 * at + axis])))
            };
            let plddt = 100.0 * f64::from(plddt[i * TYPES + CA]);
            Some(FoldResidue { atoms: std::array::from_fn(atom), plddt })
        };
        Ok(Self((0..length).map(residue).collect()))
    }

    /// Residues that are there.
    pub fn resolved(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Letters and positions of the CA atoms.
    pub fn trace(&self, sequence: &[u8]) -> Vec<(u8, Point)> {
        let residues = self.0.iter().zip(sequence);
        residues.filter_map(|(residue, &letter)| Some((letter, residue.as_ref()?.atoms[CA]?))).collect()
    }

    /// Mean pLDDT of the residues that have a CA, 0 to 100.
    pub fn mean_plddt(&self) -> Option<f64> {
        mean(self.plddt().flatten())
    }

    fn plddt(&self) -> impl Iterator<Item = Option<f64>> {
        self.0.iter().map(|residue| residue.filter(|r| r.atoms[CA].is_some()).map(|r| r.plddt))
    }

    /// Mean absolute difference of the residues' pLDDT to those of `other`, 0 to 100.
    pub fn plddt_difference(&self, other: &Self) -> Option<f64> {
        mean(self.plddt().zip(other.plddt()).filter_map(|(a, b)| Some((a? - b?).abs())))
    }

    /// RMSD of the CA atoms that both have, superposed, in ångström.
    pub fn rmsd(&self, other: &Self) -> Option<f64> {
        let both = self.0.iter().zip(&other.0);
        let pairs: Vec<_> =
            both.filter_map(|(a, b)| a.as_ref()?.atoms[CA].zip(b.as_ref()?.atoms[CA])).collect();
        rmsd(&pairs)
    }

    /// lDDT to `reference`, a fold of the same sequence, 0 to 1: the mean over its residues.
    pub fn lddt(&self, reference: &Self, sequence: &[u8], compare: Compare) -> Option<f64> {
        let mut pairs = Vec::new();
        for (residue, ((model, reference), &letter)) in
            self.0.iter().zip(&reference.0).zip(sequence).enumerate()
        {
            let Some(reference) = reference else { continue };
            for place in places(letter, compare) {
                if let Some(exact) = reference.atoms[place] {
                    let model = model.as_ref().and_then(|m| m.atoms[place]);
                    pairs.push(AtomPair { residue, reference: exact, model });
                }
            }
        }
        mean(lddt(&pairs).into_iter().map(|(_, score)| score))
    }
}

/// The places of a residue's atoms.
fn places(letter: u8, compare: Compare) -> Vec<usize> {
    if compare == Compare::Backbone {
        return vec![CA];
    }
    let residue = alphabet::token(letter).and_then(geometry::Residue::from_token);
    let names = residue.map_or(&[][..], geometry::Residue::atoms).iter().map(|atom| atom.name);
    names.filter_map(|name| ATOM_NAMES.iter().position(|&n| n == name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::structure::{Atom, Residue};
    use std::collections::BTreeMap;
    use std_runner::output::structure;

    const SEQUENCE: &[u8] = b"GAGAGAGAGAGA";

    /// A line of N, CA and CB without residue `gone`.
    fn fold(gone: usize, shift_of_cb: f64) -> Fold {
        let residue = |(i, &letter): (usize, &u8)| {
            let atom = |(name, y): (&str, f64)| Atom {
                name: name.into(),
                position: [3.8 * i as f64, y, 0.0],
                b_factor: 50.0 + i as f64,
            };
            let atoms = [("N", -1.4), ("CA", 0.0), ("CB", 1.5 + shift_of_cb), ("OXT", 9.0 + shift_of_cb)];
            let (name, place) = (String::new(), i.to_string());
            let atoms = atoms.into_iter().map(atom).collect();
            Residue { number: 0, place, name, letter, hetero: false, several: false, atoms }
        };
        let chain: Vec<Residue> = SEQUENCE.iter().enumerate().map(residue).collect();
        let there: Vec<(usize, &Residue)> = chain.iter().enumerate().filter(|&(i, _)| i != gone).collect();
        Fold::of(SEQUENCE.len(), &there)
    }

    #[test]
    fn a_fold_equals_itself_and_side_chains_count_when_asked() {
        let (exact, shifted) = (fold(99, 0.0), fold(99, 100.0));
        for compare in [Compare::Backbone, Compare::AllAtoms] {
            assert_eq!(exact.lddt(&exact, SEQUENCE, compare), Some(1.0));
        }
        assert_eq!(shifted.lddt(&exact, SEQUENCE, Compare::Backbone), Some(1.0));
        let all = shifted.lddt(&exact, SEQUENCE, Compare::AllAtoms).expect("a score");
        // Glycine's CB and the OXT are no atoms of the sequence; the pairs of alanine's CB with N and CA are
        // lost.
        assert!((0.4..0.9).contains(&all), "{all}");
    }

    #[test]
    fn missing_residues() {
        let (all, some) = (fold(99, 0.0), fold(6, 0.0));
        assert_eq!((some.resolved(), some.0[6], some.trace(SEQUENCE).len()), (11, None, 11));
        assert_eq!(all.lddt(&some, SEQUENCE, Compare::Backbone), Some(1.0));
        assert!(some.lddt(&all, SEQUENCE, Compare::Backbone).is_some_and(|score| score < 0.95));
        assert_eq!(all.plddt_difference(&some), Some(0.0));
        assert!(all.rmsd(&some).is_some_and(|rmsd| rmsd < 1e-6));
        assert_eq!(all.mean_plddt(), Some(55.5));
    }

    #[test]
    fn a_prediction() {
        let atom = |name, x| structure::Atom { name, position: [x, 0.0, 0.0], plddt: 80.0 + x };
        let residue = |index, atoms| structure::Residue {
            kind: geometry::Residue::from_index(index).expect("a residue"),
            atoms,
        };
        let residues = vec![residue(7, vec![atom("N", 1.0), atom("CA", 2.0)]), residue(20, vec![])];
        let chains = vec![structure::Chain { residues }];
        let fold = Fold::predicted(&Model { chains, ..Model::default() });
        let first = fold.0[0].expect("a residue");
        assert_eq!((first.atoms[CA], first.plddt, fold.0[1]), (Some([2.0, 0.0, 0.0]), 82.0, None));
    }

    #[test]
    fn the_float_reference() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut tensors = BTreeMap::new();
        let mut put = |kind: &str, shape: Vec<usize>, value: &dyn Fn(usize) -> f32| {
            let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
            tensors.insert(format!("a.{kind}"), (shape, values));
        };
        put("atom37", vec![2, 37, 3], &|k| k as f32);
        put("atom37_mask", vec![2, 37], &|k| if k == 37 { 0.0 } else { 1.0 });
        put("plddt", vec![2, 37], &|k| k as f32 / 100.0);
        let mut bytes = Vec::new();
        std_runner::output::safetensors(&mut bytes, &tensors, false).expect("in memory");
        std::fs::write(dir.path().join("a.safetensors"), bytes).expect("written");
        let reference = Reference::open(dir.path(), &fasta::Sequence::from_residues("a", b"GA".to_vec()))
            .expect("a file");
        let fold = Fold::from_reference(&reference, 2).expect("a fold");
        let second = fold.0[1].expect("a residue");
        assert_eq!((second.atoms[0], second.atoms[1]), (None, Some([114.0, 115.0, 116.0])));
        assert!((second.plddt - 38.0).abs() < 1e-4);
        assert!(Fold::from_reference(&reference, 3).is_err());
    }
}

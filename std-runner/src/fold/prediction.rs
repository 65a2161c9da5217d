//! What a folding model predicts, as integers, and its way to names and floats.

use foldpoint_core::esmfold::ATOM_TYPES;
use foldpoint_core::geometry::{ATOM_NAMES, Residue, terminal_oxygen};

use crate::engine::{decode, decode_probability};
use crate::output::{AlignedErrors, structure};
use fasta::Sequence;

/// Ångström per unit of the predicted aligned error.
const ALIGNED_ERROR_UNIT: f32 = 1.0 / 2048.0;

/// A predicted structure of L residues, all chains one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoldPrediction {
    /// What the model took each letter for.
    pub residues: Vec<Residue>,
    /// Atoms of each residue in the `atom14` layout, unit 2^-16 ångström.
    pub atoms: Vec<[[i32; 3]; 14]>,
    /// pLDDT of each residue's atoms in the `atom37` layout, unit 2^-16; of OmegaFold its confidence in the
    /// residue, the same for all atoms.
    pub plddt: Vec<[u16; ATOM_TYPES]>,
    /// Predicted aligned error `[L, L]`, aligned residue first, unit 2^-11 ångström, if it was
    /// asked for; never of OmegaFold.
    pub aligned_error: Option<Vec<u16>>,
    /// Predicted TM-score, unit 2^-16; none of OmegaFold.
    pub ptm: Option<u16>,
    /// Predicted TM-score of the interfaces, if there are several chains; unit 2^-16.
    pub iptm: Option<u16>,
    /// Predicted TM-scores of pairs of chains `[chains, chains]`, the chain at which structures are aligned
    /// first; unit 2^-16.
    pub chain_scores: Vec<u16>,
    /// The cycle that the structure comes from; of OmegaFold alone.
    pub best_cycle: Option<BestCycle>,
    /// Bytes of working memory.
    pub arena: usize,
}

/// The cycle of OmegaFold that is its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestCycle {
    /// Its number, from 1.
    pub number: usize,
    /// The confidence in it, unit 2^-16: the mean over residues, in which each counts as often as it has
    /// neighbours; the sum, which can be above 1, where none has any.
    pub confidence: u32,
}

impl BestCycle {
    /// The confidence in it, mostly 0 to 1; exact.
    pub fn confidence(&self) -> f64 {
        f64::from(self.confidence) / 65536.0
    }
}

impl FoldPrediction {
    /// The structure with names and floats, for files; what made it is left to the caller.
    pub fn model(&self, sequence: &Sequence) -> structure::Model {
        let mut all = self.residues.iter().zip(&self.atoms).zip(&self.plddt);
        let chains = sequence.chain_lengths.iter().map(|&length| {
            let residues =
                (1..).zip(all.by_ref().take(length)).map(|(number, ((&kind, positions), plddt))| {
                    residue(kind, positions, plddt, number == length)
                });
            structure::Chain { residues: residues.collect() }
        });
        structure::Model {
            id: sequence.id.clone(),
            header: sequence.header.clone(),
            provenance: structure::Provenance::default(),
            chains: chains.collect(),
            scores: structure::Scores { ptm: self.ptm(), iptm: self.iptm(), best_cycle: self.best_cycle },
        }
    }

    /// The predicted aligned errors of the residues of `model`, this prediction's structure, that have atoms;
    /// exact.
    pub fn aligned_errors(&self, model: &structure::Model) -> Option<AlignedErrors> {
        let errors = self.aligned_error.as_ref()?;
        AlignedErrors::new(model, errors.len(), |index| f32::from(errors[index]) * ALIGNED_ERROR_UNIT)
    }

    /// The predicted TM-score, 0 to 1.
    pub fn ptm(&self) -> Option<f32> {
        self.ptm.map(decode_probability)
    }

    /// The predicted TM-score of the interfaces, 0 to 1.
    pub fn iptm(&self) -> Option<f32> {
        self.iptm.map(|score| decode(i32::from(score)))
    }
}

/// A residue from its atoms in the `atom14` layout and their pLDDT in the `atom37` layout. The last one of a
/// chain ends in OXT, which the model knows nothing about: it has the pLDDT of O.
fn residue(
    kind: Residue,
    positions: &[[i32; 3]; 14],
    plddt: &[u16; ATOM_TYPES],
    ends_chain: bool,
) -> structure::Residue {
    let atom = |name, position: [i32; 3], like| structure::Atom {
        name,
        position: position.map(|x| f64::from(x) / 65536.0),
        plddt: place(like).map_or(0.0, |place| f64::from(plddt[place]) / 655.36),
    };
    let mut atoms: Vec<_> =
        kind.atoms().iter().zip(positions).map(|(a, &position)| atom(a.name, position, a.name)).collect();
    if ends_chain && !atoms.is_empty() {
        let [_, ca, c, o, ..] = *positions;
        atoms.push(atom("OXT", terminal_oxygen(ca, c, o), "O"));
    }
    structure::Residue { kind, atoms }
}

/// Place of an atom in the `atom37` layout.
fn place(name: &str) -> Option<usize> {
    ATOM_NAMES.iter().position(|&other| other == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::kind;

    #[test]
    fn integers_become_named_atoms_of_numbered_chains() {
        let batch = fasta::read(&b">a a protein\nGX:C\n"[..], "t", 10);
        let mut folded =
            FoldPrediction { ptm: Some(0x8000), iptm: Some(0x4000), ..FoldPrediction::default() };
        for (residue, letter) in (0..).zip(*b"GXC") {
            folded.residues.push(kind(letter));
            folded.atoms.push(std::array::from_fn(|atom| [residue << 16, (atom as i32) << 15, -1]));
            folded.plddt.push(std::array::from_fn(|atom| (residue as u16) << 14 | atom as u16));
        }
        folded.aligned_error = Some(vec![2048, 0, 1024, 0, 9, 0, 0, 0, 65024]);
        let model = folded.model(&batch.sequences[0]);
        let lengths: Vec<usize> = model.chains.iter().map(|chain| chain.residues.len()).collect();
        assert_eq!(lengths, [2, 1]);
        let names =
            |residue: &structure::Residue| -> Vec<&str> { residue.atoms.iter().map(|a| a.name).collect() };
        let [glycine, unknown] = &model.chains[0].residues[..] else { panic!("two residues") };
        assert_eq!((glycine.kind.name(), names(glycine)), ("GLY", vec!["N", "CA", "C", "O"]));
        assert!(unknown.atoms.is_empty());
        let cysteine = &model.chains[1].residues[0];
        assert_eq!(
            names(cysteine),
            ["N", "CA", "C", "O", "CB", "SG", "OXT"],
            "a chain ends in a carboxylate"
        );
        assert_eq!(cysteine.atoms[5].position, [2.0, 2.5, -1.0 / 65536.0]);
        // SG is the 11th name of atom37, and 32768 is one half.
        assert!((cysteine.atoms[5].plddt - (32768.0 + 10.0) / 655.36).abs() < 1e-9);
        assert_eq!(cysteine.atoms[6].plddt, cysteine.atoms[3].plddt, "OXT is as sure as O");
        let errors = folded.aligned_errors(&model).expect("wanted");
        assert_eq!(errors.rows().collect::<Vec<_>>(), [[1.0, 0.5], [0.0, 31.75]], "X has no row");
        assert_eq!((folded.ptm(), folded.iptm()), (Some(0.5), Some(0.25)));
        assert_eq!(model.scores, structure::Scores { ptm: Some(0.5), iptm: Some(0.25), best_cycle: None });
        assert_eq!((model.id.as_str(), model.header.as_str()), ("a", "a a protein"));
    }
}

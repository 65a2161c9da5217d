//! One sequence to a structure: letters in, integers out, linkers already cut.

use foldpoint_core::alphabet::{token, tokens};
use foldpoint_core::esmfold::{ATOM_TYPES, FoldingModel, Input, Step, Want};
use foldpoint_core::executor::Executor;
use foldpoint_core::geometry::{ATOM_NAMES, Residue};
use foldpoint_core::kernels::Isa;

use crate::arena::Arena;
use crate::engine::{decode, decode_probability};
use crate::joined::Joined;
use crate::output::structure;
use crate::task::{Task, TaskError};
use fasta::Sequence;

/// Ångström per unit of the predicted aligned error.
const ALIGNED_ERROR_UNIT: f32 = 1.0 / 2048.0;

/// A folding model and how it is to fold.
pub struct Folder<'a> {
    /// The model.
    pub model: FoldingModel<'a>,
    /// The instruction set.
    pub isa: Isa,
    /// Passes through the trunk: recycles + 1.
    pub passes: usize,
    /// Whether the matrix of predicted aligned errors is wanted.
    pub aligned_error: bool,
}

/// A predicted structure of L residues, all chains one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// Atoms of each residue in the `atom14` layout, unit 2^-16 ångström.
    pub atoms: Vec<[[i32; 3]; 14]>,
    /// pLDDT of each residue's atoms in the `atom37` layout, unit 2^-16.
    pub plddt: Vec<[u16; ATOM_TYPES]>,
    /// Predicted aligned error `[L, L]`, aligned residue first, unit 2^-11 ångström.
    pub aligned_error: Option<Vec<u16>>,
    /// Predicted TM-score, unit 2^-16.
    pub ptm: u16,
    /// Predicted TM-score of the interfaces, if there are several chains; unit 2^-16.
    pub iptm: Option<u16>,
    /// Bytes of working memory.
    pub arena: usize,
}

impl Folder<'_> {
    fn want(&self) -> Want {
        Want { aligned_error: self.aligned_error, distogram: false }
    }

    /// Bytes of core's working memory for `length` residues, linkers included.
    ///
    /// # Errors
    /// Too few or too many residues.
    pub fn arena(&self, length: usize, workers: usize) -> Result<usize, TaskError> {
        Ok(self.model.plan(length, workers, self.want())?)
    }
}

impl Task for Folder<'_> {
    type Output = Folded;
    // A row of pairs is work enough for a thread long before a row of tokens is.
    const SHORT: usize = 128;

    fn length(&self, sequence: &Sequence) -> usize {
        Joined::length(&sequence.chain_lengths)
    }

    fn trained_on(&self) -> usize {
        self.model.language_model().config().max_positions.saturating_sub(2)
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let arena = self.arena(length, workers)? as u64;
        let residue =
            size_of::<[[i32; 3]; 14]>() + size_of::<[u16; ATOM_TYPES]>() + 14 * size_of::<structure::Atom>();
        // The matrix is held as integers and once more as floats while it is written.
        let pair = if self.aligned_error { 6 } else { 0 };
        Ok(arena + length as u64 * (residue as u64 + length as u64 * pair))
    }

    fn run(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        status: &dyn Fn(&str),
    ) -> Result<Folded, TaskError> {
        let joined = Joined::new(sequence.chains());
        let tokens: Vec<u8> = tokens(&joined.residues).collect();
        let bytes = self.arena(joined.residues.len(), executor.workers())?;
        arena.reserve(bytes)?;
        let input = Input { tokens: &tokens, residue_index: &joined.residue_index, chains: &joined.chains };
        let (passes, blocks) = (self.passes, self.model.config().blocks);
        let mut progress = |step| match step {
            Step::LanguageModel => status("language model done"),
            Step::Block { pass, block } => {
                status(&format!("pass {} of {passes}, block {} of {blocks} done", pass + 1, block + 1));
            }
            Step::StructureModule { pass } => status(&format!("pass {} of {passes} done", pass + 1)),
        };
        let structure =
            self.model.run(&input, passes, self.want(), arena.bytes(), self.isa, executor, &mut progress)?;
        let kept = joined.kept();
        let length = joined.residues.len();
        let aligned_error = structure.aligned_error.map(|errors| {
            let row = |i: usize| kept.clone().map(move |j| errors[i * length + j]);
            kept.clone().flat_map(row).collect()
        });
        Ok(Folded {
            atoms: kept.clone().map(|i| structure.atoms[i]).collect(),
            plddt: kept.map(|i| structure.plddt[i]).collect(),
            aligned_error,
            ptm: structure.ptm,
            iptm: structure.iptm,
            arena: bytes,
        })
    }
}

impl Folded {
    /// The structure with names and floats, for files.
    pub fn model(&self, sequence: &Sequence) -> structure::Model {
        let mut residues = sequence.residues.iter().zip(&self.atoms).zip(&self.plddt).map(
            |((&letter, positions), plddt)| {
                let kind = kind(letter);
                let atoms = kind.atoms().iter().zip(positions).map(|(atom, position)| structure::Atom {
                    name: atom.name,
                    position: position.map(|x| f64::from(x) / 65536.0),
                    plddt: place(atom.name).map_or(0.0, |place| f64::from(plddt[place]) / 655.36),
                });
                structure::Residue { kind, atoms: atoms.collect() }
            },
        );
        let chains = sequence
            .chain_lengths
            .iter()
            .map(|&length| structure::Chain { residues: residues.by_ref().take(length).collect() });
        structure::Model { id: sequence.id.clone(), remarks: vec![], chains: chains.collect() }
    }

    /// The predicted aligned errors `[L, L]` in ångström; exact.
    pub fn aligned_errors(&self) -> Option<Vec<f32>> {
        let errors = self.aligned_error.as_ref()?;
        Some(errors.iter().map(|&error| f32::from(error) * ALIGNED_ERROR_UNIT).collect())
    }

    /// The predicted TM-score, 0 to 1.
    pub fn ptm(&self) -> f32 {
        decode_probability(self.ptm)
    }

    /// The predicted TM-score of the interfaces, 0 to 1.
    pub fn iptm(&self) -> Option<f32> {
        self.iptm.map(|score| decode(i32::from(score)))
    }
}

/// The amino acid of a letter; X if it is none.
pub fn kind(letter: u8) -> Residue {
    token(letter).and_then(Residue::from_token).unwrap_or(Residue::X)
}

/// Place of an atom in the `atom37` layout.
fn place(name: &str) -> Option<usize> {
    ATOM_NAMES.iter().position(|&other| other == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_become_named_atoms_of_numbered_chains() {
        let batch = fasta::read(&b">a\nGX:C\n"[..], "t", 10);
        let mut folded = Folded { ptm: 0x8000, iptm: Some(0x4000), ..Folded::default() };
        for residue in 0..3 {
            folded.atoms.push(std::array::from_fn(|atom| [residue << 16, (atom as i32) << 15, -1]));
            folded.plddt.push(std::array::from_fn(|atom| (residue as u16) << 14 | atom as u16));
        }
        folded.aligned_error = Some(vec![2048, 0, 1024, 0, 0, 0, 0, 0, 65024]);
        let model = folded.model(&batch.sequences[0]);
        let lengths: Vec<usize> = model.chains.iter().map(|chain| chain.residues.len()).collect();
        assert_eq!(lengths, [2, 1]);
        let names =
            |residue: &structure::Residue| -> Vec<&str> { residue.atoms.iter().map(|a| a.name).collect() };
        let [glycine, unknown] = &model.chains[0].residues[..] else { panic!("two residues") };
        assert_eq!((glycine.kind.name(), names(glycine)), ("GLY", vec!["N", "CA", "C", "O"]));
        assert!(unknown.atoms.is_empty());
        let cysteine = &model.chains[1].residues[0];
        assert_eq!(names(cysteine), ["N", "CA", "C", "O", "CB", "SG"]);
        assert_eq!(cysteine.atoms[5].position, [2.0, 2.5, -1.0 / 65536.0]);
        // SG is the 11th name of atom37, and 32768 is one half.
        assert!((cysteine.atoms[5].plddt - (32768.0 + 10.0) / 655.36).abs() < 1e-9);
        assert_eq!(folded.aligned_errors().expect("wanted")[8], 31.75);
        assert_eq!((folded.ptm(), folded.iptm()), (0.5, Some(0.25)));
    }
}

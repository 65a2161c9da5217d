//! One sequence to a structure: letters in, integers out, linkers already cut.

use foldpoint_core::alphabet::{token, tokens};
use foldpoint_core::chains::{joined_length, most_chains};
use foldpoint_core::esmfold::{ATOM_TYPES, FoldingModel, Input, Request, Step};
use foldpoint_core::geometry::{ATOM_NAMES, Residue, terminal_oxygen};
use foldpoint_core::{Executor, Isa, Runtime};
use std::ops::ControlFlow;

use crate::arena::Arena;
use crate::complex::Complex;
use crate::engine::{decode, decode_probability};
use crate::output::{AlignedErrors, structure};
use crate::task::{Hook, Progress, Task, TaskError};
use crate::work::{FoldWork, Work};
use crate::workers::Workers;
use fasta::Sequence;

/// Ångström per unit of the predicted aligned error.
const ALIGNED_ERROR_UNIT: f32 = 1.0 / 2048.0;

/// A folding model and how it is to fold.
pub struct FoldEngine<'a> {
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
pub struct FoldPrediction {
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
    /// Predicted TM-scores of pairs of chains `[chains, chains]`, the chain at which structures are aligned
    /// first; unit 2^-16.
    pub chain_scores: Vec<u16>,
    /// Bytes of working memory.
    pub arena: usize,
}

impl FoldEngine<'_> {
    fn request(&self, chains: usize) -> Request {
        Request::default().passes(self.passes).aligned_error(self.aligned_error).chain_scores(chains)
    }

    fn counted(&self, length: usize) -> FoldWork {
        FoldWork::new(self.model.language_model().config(), self.model.config(), length)
    }
}

impl Task for FoldEngine<'_> {
    type Output = FoldPrediction;
    // A row of pairs is work enough for a thread long before a row of tokens is.
    const SHORT: usize = 128;

    fn length(&self, sequence: &Sequence) -> usize {
        joined_length(&sequence.chain_lengths)
    }

    fn configured_for(&self) -> usize {
        self.model.language_model().config().max_positions.saturating_sub(2)
    }

    /// Of as many chains as so many residues can be.
    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let workers = Workers(workers);
        let runtime = Runtime::new(self.isa, &workers);
        Ok(self.model.arena_bytes(length, &self.request(most_chains(length)), &runtime)? as u64)
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        let arena = self.arena_bytes(length, workers)?;
        let residue =
            size_of::<[[i32; 3]; 14]>() + size_of::<[u16; ATOM_TYPES]>() + 15 * size_of::<structure::Atom>();
        // The matrix is held as integers and once more as floats while it is written.
        let pair = if self.aligned_error { 6 } else { 0 };
        Ok(arena + length as u64 * (residue as u64 + length as u64 * pair))
    }

    fn work(&self, length: usize) -> Work {
        self.counted(length).all(self.passes)
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<FoldPrediction, TaskError> {
        let complex = Complex::new(sequence.chains());
        let tokens: Vec<u8> = tokens(&complex.residues).collect();
        let request = self.request(sequence.chain_lengths.len());
        let runtime = Runtime::new(self.isa, executor);
        let bytes = self.model.arena_bytes(complex.residues.len(), &request, &runtime)?;
        arena.reserve(bytes)?;
        let input = Input { tokens: &tokens, residue_index: &complex.residue_index, chains: &complex.chains };
        let (passes, blocks) = (self.passes, self.model.config().blocks);
        let work = self.counted(complex.residues.len());
        let mut progress = |step| {
            let (text, done) = match step {
                Step::Layer { layer } => (String::new(), work.language_model.layers(layer + 1)),
                Step::LanguageModel => ("language model done".to_owned(), work.done(0, 0)),
                Step::Block { pass, block } => (
                    format!("pass {} of {passes}, block {} of {blocks} done", pass + 1, block + 1),
                    work.done(pass, block + 1),
                ),
                Step::StructureModule { pass } => {
                    (format!("pass {} of {passes} done", pass + 1), work.done(pass + 1, 0))
                }
                _ => return ControlFlow::Continue(()),
            };
            hook(&Progress { text: &text, done })
        };
        let structure = self.model.run_with(&input, &request, arena.bytes(), &runtime, &mut progress)?;
        let kept = complex.kept();
        let length = complex.residues.len();
        let aligned_error = structure.aligned_error.map(|errors| {
            let row = |i: usize| kept.clone().map(move |j| errors[i * length + j]);
            kept.clone().flat_map(row).collect()
        });
        Ok(FoldPrediction {
            atoms: kept.clone().map(|i| structure.atoms[i]).collect(),
            plddt: kept.map(|i| structure.plddt[i]).collect(),
            aligned_error,
            ptm: structure.ptm,
            iptm: structure.iptm,
            chain_scores: structure.chain_scores.unwrap_or_default().to_vec(),
            arena: bytes,
        })
    }
}

impl FoldPrediction {
    /// The structure with names and floats, for files; what made it is left to the caller.
    pub fn model(&self, sequence: &Sequence) -> structure::Model {
        let mut all = sequence.residues.iter().zip(&self.atoms).zip(&self.plddt);
        let chains = sequence.chain_lengths.iter().map(|&length| {
            let residues =
                (1..).zip(all.by_ref().take(length)).map(|(number, ((&letter, positions), plddt))| {
                    residue(kind(letter), positions, plddt, number == length)
                });
            structure::Chain { residues: residues.collect() }
        });
        structure::Model {
            id: sequence.id.clone(),
            header: sequence.header.clone(),
            provenance: structure::Provenance::default(),
            chains: chains.collect(),
            scores: structure::Scores { ptm: self.ptm(), iptm: self.iptm() },
        }
    }

    /// The predicted aligned errors of the residues of `model`, this prediction's structure, that have atoms;
    /// exact.
    pub fn aligned_errors(&self, model: &structure::Model) -> Option<AlignedErrors> {
        let errors = self.aligned_error.as_ref()?;
        AlignedErrors::new(model, errors.len(), |index| f32::from(errors[index]) * ALIGNED_ERROR_UNIT)
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

    #[test]
    fn integers_become_named_atoms_of_numbered_chains() {
        let batch = fasta::read(&b">a a protein\nGX:C\n"[..], "t", 10);
        let mut folded = FoldPrediction { ptm: 0x8000, iptm: Some(0x4000), ..FoldPrediction::default() };
        for residue in 0..3 {
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
        assert_eq!((folded.ptm(), folded.iptm()), (0.5, Some(0.25)));
        assert_eq!(model.scores, structure::Scores { ptm: 0.5, iptm: Some(0.25) });
        assert_eq!((model.id.as_str(), model.header.as_str()), ("a", "a a protein"));
    }
}

//! Folding one sequence: the language model, passes through trunk and structure module, the confidence heads.

use super::block::Block;
use super::config::ATOM_TYPES;
use super::heads::{Chains, Pairs, TmScores, Wanted};
use super::memory::{Dims, Kept, Trunk};
use super::model::FoldingModel;
use super::rows::Stored;
use super::structure;
use super::{LINKER, PAIR_SITES, distances};
use crate::arena::{Arena, ArenaError, Layout};
use crate::esm2::{self, HiddenLayers};
use crate::executor::Executor;
use crate::format::FormatError;
use crate::geometry::Residue;
use crate::kernels::linear::PANEL;
use crate::kernels::{Backend, Isa};
use crate::quant::Site;
use thiserror::Error;

/// What to fold.
#[derive(Clone, Copy, Debug)]
pub struct Input<'i> {
    /// ESM alphabet numbers: `<cls>`, the residues, `<eos>`.
    pub tokens: &'i [u8],
    /// Number of each residue along its chain; only differences count. A break is a jump of more than the position bins.
    pub residue_index: &'i [i32],
    /// The chain of each residue, or [`LINKER`](super::LINKER).
    pub chains: &'i [u16],
}

/// Which large results are to be computed besides the structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The predicted aligned error of all pairs. pTM is computed always.
    pub aligned_error: bool,
    /// The distogram's logits.
    pub distogram: bool,
    /// The TM-scores of so many chains, numbered from 0, among each other; 0 for none.
    pub chain_scores: usize,
}

/// A predicted structure of L residues, linkers included; lies in the arena.
#[derive(Debug)]
pub struct Structure<'m> {
    /// Atoms in the `atom14` layout, unit 2^-16 angstrom; those that a residue hasn't lie at the origin. See
    /// [`Residue::atoms`].
    pub atoms: &'m [[[i32; 3]; 14]],
    /// pLDDT of every atom in the `atom37` layout, unit 2^-16. A residue's value is that of its CA, at 1.
    pub plddt: &'m [[u16; ATOM_TYPES]],
    /// Predicted aligned error `[L, L]`, aligned residue first, unit 2^-11 angstrom.
    pub aligned_error: Option<&'m [u16]>,
    /// Logits `[L, L, 64]` of the distance between residues, unit 2^-16.
    pub distogram: Option<&'m [i32]>,
    /// Predicted TM-score, unit 2^-16.
    pub ptm: u16,
    /// Predicted TM-score over the interfaces, if there is more than one chain.
    pub iptm: Option<u16>,
    /// Predicted TM-scores of pairs of chains `[chains, chains]`, unit 2^-16: over the residues of the second one, when the structures are
    /// aligned at the best residue of the first one. A chain's own pTM is on the diagonal.
    pub chain_scores: Option<&'m [u16]>,
}

/// A step that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The language model.
    LanguageModel,
    /// A block of the trunk.
    Block {
        /// From 0.
        pass: usize,
        /// From 0.
        block: usize,
    },
    /// The structure module of a pass.
    StructureModule {
        /// From 0.
        pass: usize,
    },
}

/// Why a sequence can't be folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// There are no residues.
    #[error("the sequence has no residues")]
    EmptyInput,
    /// More residues than the arithmetic is proved for.
    #[error("{residues} residues, linkers included, exceed the limit of {limit}")]
    TooLong {
        /// Residues given.
        residues: usize,
        /// Most there may be.
        limit: usize,
    },
    /// Residue numbers or chains are not as many as residues.
    #[error("{residues} residues have {residue_index} residue numbers and {chains} chain numbers")]
    WrongLengths {
        /// Tokens less two.
        residues: usize,
        /// Length of `residue_index`.
        residue_index: usize,
        /// Length of `chains`.
        chains: usize,
    },
    /// A token is no residue: it can't be folded.
    #[error("token {token} at position {index} is not a residue")]
    NoResidue {
        /// Its position; `<cls>` is 0.
        index: usize,
        /// Its value.
        token: u8,
    },
    /// A chain has no room among the scores that are wanted.
    #[error("chain {chain}, counted from 0, and the scores of {chains} chains are wanted")]
    ChainWithoutScore {
        /// The chain's number.
        chain: u16,
        /// How many chains' scores are wanted.
        chains: usize,
    },
    /// No pass was asked for.
    #[error("at least one pass is needed")]
    NoPass,
    /// The arena is too small, misaligned, or would exceed the address width.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// The language model refuses.
    #[error(transparent)]
    LanguageModel(#[from] esm2::RunError),
    /// A tensor can't be used.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// What every step of a pass reads.
pub struct Pass<'r, 'a> {
    pub(super) model: &'r FoldingModel<'a>,
    pub(super) dims: Dims,
    pub(super) backend: &'static Backend,
}

impl Pass<'_, '_> {
    /// How the sequence representation is stored at `site`.
    pub(super) fn sequence<'s>(&self, site: &Site<'s>) -> Stored<'s> {
        Stored { site: *site, code_row: self.dims.sequence_row }
    }

    /// How the pair representation is stored at `site`.
    pub(super) fn pair<'s>(&self, site: &Site<'s>) -> Stored<'s> {
        Stored { site: *site, code_row: self.dims.pair_row }
    }
}

/// What the language model is asked for.
const HIDDEN: esm2::Want = esm2::Want { contacts: false, logits: false, hidden: HiddenLayers::All };

impl<'a> FoldingModel<'a> {
    /// Bytes of working memory for `residues` residues (linkers included) on `workers` workers.
    ///
    /// # Errors
    /// There are too few or too many residues.
    pub fn plan(&self, residues: usize, workers: usize, want: Want) -> Result<usize, RunError> {
        let dims = self.dims(residues, workers, want)?;
        Ok(dims.layout(self.shared(&dims)?).bytes()?)
    }

    fn dims(&self, residues: usize, workers: usize, want: Want) -> Result<Dims, RunError> {
        Dims::check(residues)?;
        let config = self.config;
        let [sequence_bytes, pair_bytes] = self.code_bytes;
        Ok(Dims {
            residues,
            panels: residues.div_ceil(PANEL),
            stride: residues.next_multiple_of(32),
            workers: workers.max(1),
            sequence_row: config.sequence_width * sequence_bytes,
            pair_row: config.pair_width * pair_bytes,
            saved_row: self.saved_row,
            mix_width: self.language_model.config().width,
            want,
            config,
        })
    }

    /// Bytes of the shared region.
    fn shared(&self, dims: &Dims) -> Result<usize, RunError> {
        let Dims { residues, workers, want, .. } = *dims;
        let language_model = self.language_model.plan(residues + 2, workers, HIDDEN)?;
        let embedding = Layout::new().repeat(self.embedding.scratch_layout(), workers).bytes()?;
        let mix = Layout::new().add::<i32>(residues * dims.mix_width);
        let distogram = if want.distogram { self.distogram.layout(residues, workers) } else { Layout::new() };
        let needs = [
            mix.add::<u8>(language_model.max(embedding)),
            dims.trunk_layout(),
            self.structure.layout(residues, workers),
            self.plddt.layout(workers),
            self.aligned_error.layout(residues, workers, want.aligned_error, want.chain_scores),
            distogram,
        ];
        let mut most = 0;
        for need in needs {
            most = most.max(need.bytes()?);
        }
        Ok(most)
    }

    /// Folds one sequence in `passes` passes through the trunk (`num_recycles` + 1).
    ///
    /// `arena` holds at least [`plan`](Self::plan)'s bytes for `executor.workers()` workers and starts at a multiple of 64; its contents
    /// don't matter. The result depends on the model, the input and the number of passes alone. `progress` is told of every finished
    /// step.
    ///
    /// # Errors
    /// Nothing is computed if the input or the arena can't be used.
    #[expect(clippy::too_many_arguments, reason = "the call's inputs are all independent")]
    pub fn run<'m>(
        &self,
        input: &Input,
        passes: usize,
        want: Want,
        arena: &'m mut [u8],
        isa: Isa,
        executor: &dyn Executor,
        progress: &mut dyn FnMut(Step),
    ) -> Result<Structure<'m>, RunError> {
        let residues = check(input, want)?;
        if passes == 0 {
            return Err(RunError::NoPass);
        }
        let dims = self.dims(residues, executor.workers(), want)?;
        let pass = Pass { model: self, dims, backend: isa.backend() };
        let mut kept = Kept::carve(&dims, self.shared(&dims)?, arena)?;
        pass.embed(input, &mut kept, isa, executor)?;
        progress(Step::LanguageModel);
        for index in 0..passes {
            pass.trunk(input, index, &mut kept, executor, progress)?;
            pass.structure(input, &mut kept, executor)?;
            progress(Step::StructureModule { pass: index });
        }
        let TmScores { ptm, iptm } = pass.heads(input, &mut kept, executor)?;
        Ok(Structure {
            atoms: kept.atoms,
            plddt: kept.plddt,
            aligned_error: want.aligned_error.then_some(&*kept.aligned_error),
            distogram: want.distogram.then_some(&*kept.distogram),
            ptm,
            iptm,
            chain_scores: (want.chain_scores > 0).then_some(&*kept.chain_scores),
        })
    }
}

/// The number of residues.
fn check(input: &Input, want: Want) -> Result<usize, RunError> {
    let tokens = input.tokens.get(1..input.tokens.len().saturating_sub(1)).unwrap_or_default();
    let residues = tokens.len();
    Dims::check(residues)?;
    let (residue_index, chains) = (input.residue_index.len(), input.chains.len());
    if residue_index != residues || chains != residues {
        return Err(RunError::WrongLengths { residues, residue_index, chains });
    }
    let scored = |chain: u16| chain == LINKER || usize::from(chain) < want.chain_scores;
    if let (1.., Some(&chain)) = (want.chain_scores, input.chains.iter().find(|&&chain| !scored(chain))) {
        return Err(RunError::ChainWithoutScore { chain, chains: want.chain_scores });
    }
    match tokens.iter().enumerate().find(|&(_, &token)| Residue::from_token(token).is_none()) {
        Some((index, &token)) => Err(RunError::NoResidue { index: index + 1, token }),
        None => Ok(residues),
    }
}

/// The residue at `index`. [`check`] has looked at every token.
fn residue(input: &Input, index: usize) -> Residue {
    let token = input.tokens.get(index + 1).copied().unwrap_or_default();
    Residue::from_token(token).unwrap_or(Residue::X)
}

impl Pass<'_, '_> {
    /// The language model, and what the sequence representation starts from.
    fn embed(
        &self,
        input: &Input,
        kept: &mut Kept,
        isa: Isa,
        executor: &dyn Executor,
    ) -> Result<(), RunError> {
        let (model, dims) = (self.model, &self.dims);
        let mut arena = Arena::new(kept.shared)?;
        let mix: &mut [i32] = arena.take(dims.residues * dims.mix_width)?;
        let language_model = &model.language_model;
        let memory = arena.take(language_model.plan(input.tokens.len(), dims.workers, HIDDEN)?)?;
        mix.fill(0);
        language_model.run(input.tokens, HIDDEN, memory, isa, executor, &mut |row| {
            model.embedding.add(&dims.config, &row, mix);
        })?;
        let mut arena = Arena::new(kept.shared)?;
        let mix: &mut [i32] = arena.take(dims.residues * dims.mix_width)?;
        let scratch = Layout::new().repeat(model.embedding.scratch_layout(), dims.workers).bytes()?;
        let scratch = arena.take(scratch)?;
        model.embedding.run(self, &|index| residue(input, index), mix, kept.embedded, scratch, executor);
        Ok(())
    }

    /// The trunk, from the embedded sequence and the pass before.
    fn trunk(
        &self,
        input: &Input,
        index: usize,
        kept: &mut Kept,
        executor: &dyn Executor,
        progress: &mut dyn FnMut(Step),
    ) -> Result<(), RunError> {
        let (model, config) = (self.model, &self.dims.config);
        let mut trunk = Trunk::carve(&self.dims, kept.shared)?;
        let last = self.last_block()?;
        let (last_s, last_z) = (self.sequence(&last.sequence), self.pair(&last.pair[PAIR_SITES - 1]));
        let previous = (index > 0).then_some((&last_s, &last_z));
        for (cb, atoms) in kept.cbs.iter_mut().zip(&*kept.atoms) {
            *cb = distances::virtual_cb([atoms[0], atoms[1], atoms[2]]);
        }
        let mut s = self.sequence(&model.sequence_start);
        let mut z = self.pair(&model.pair_start);
        let rows = bytemuck::try_cast_slice_mut(&mut *trunk.scratch).map_err(|_| ArenaError::Misaligned)?;
        let recycling = &model.recycling;
        recycling.sequence(self, previous.map(|p| p.0), &s, kept.embedded, kept.sequence, rows);
        recycling.pair(
            self,
            previous.map(|p| p.1),
            &z,
            kept.cbs,
            input.residue_index,
            kept.pair,
            trunk.scratch,
            executor,
        );
        for number in 0..config.blocks {
            let block = Block::load(&model.file, config, number)?;
            block.run(self, &s, &z, kept.sequence, kept.pair, &mut trunk, executor)?;
            (s, z) = (self.sequence(&block.sequence), self.pair(&block.pair[PAIR_SITES - 1]));
            progress(Step::Block { pass: index, block: number });
        }
        Ok(())
    }

    fn last_block(&self) -> Result<Block<'_>, FormatError> {
        Block::load(&self.model.file, &self.dims.config, self.dims.config.blocks - 1)
    }

    /// Atoms and the structure module's state from the trunk's representations.
    fn structure(&self, input: &Input, kept: &mut Kept, executor: &dyn Executor) -> Result<(), RunError> {
        let last = self.last_block()?;
        let (s, z) = (self.sequence(&last.sequence), self.pair(&last.pair[PAIR_SITES - 1]));
        let (sequence, pair) = (&*kept.sequence, &*kept.pair);
        let inputs = structure::Inputs {
            residues: self.dims.residues,
            residue: &|index| residue(input, index),
            sequence: &|row, x| s.decode(self.backend, row_of(sequence, row, s.code_row), x),
            pair: &|row, x| z.decode(self.backend, row_of(pair, row, self.dims.pair_rows()), x),
        };
        let outputs = structure::Outputs { atoms: kept.atoms, state: kept.state };
        self.model.structure.run(&inputs, outputs, kept.shared, self.backend, executor)?;
        Ok(())
    }

    /// The confidence heads.
    fn heads(&self, input: &Input, kept: &mut Kept, executor: &dyn Executor) -> Result<TmScores, RunError> {
        let (model, want) = (self.model, self.dims.want);
        model.plddt.run(kept.state, kept.plddt, kept.shared, self.backend, executor)?;
        let last = self.last_block()?;
        let (pair, z) = (&*kept.pair, self.pair(&last.pair[PAIR_SITES - 1]));
        let rows = |row: usize, x: &mut [i32]| {
            z.decode(self.backend, row_of(pair, row, self.dims.pair_rows()), x);
        };
        let pairs = Pairs { residues: self.dims.residues, rows: &rows };
        if want.distogram {
            model.distogram.run(&pairs, kept.distogram, kept.shared, self.backend, executor)?;
        }
        let errors = want.aligned_error.then_some(&mut *kept.aligned_error);
        let chains = Chains(input.chains);
        let wanted = Wanted { errors, chain_scores: &mut *kept.chain_scores };
        Ok(model.aligned_error.run(&pairs, chains, wanted, kept.shared, self.backend, executor)?)
    }
}

/// Row `row` of codes, `len` bytes each.
fn row_of(codes: &[u8], row: usize, len: usize) -> &[u8] {
    codes.get(row * len..(row + 1) * len).unwrap_or_default()
}

//! Predicted aligned error, and the TM-scores that follow from it.

use core::fmt;

use super::PAIR_BINS;
use super::pairs::{Pairs, RowScratch, ToLogits};
use super::shares::{mean, sums};
use crate::arena::{Arena, ArenaError, Reader, Source, bytes_of};
use crate::chains::LINKER;
use crate::fixed::icbrt;
use crate::format::{FormatError, ModelFile};
use crate::kernels::Backend;
use crate::kernels::linear::Linear;
use crate::nn::Context;

/// Rows of pairs between two times that their results are gathered.
const BATCH: usize = 64;

/// Fractional bits of a score.
const SCORE_FRAC: u32 = 30;

/// Which chain each residue belongs to: `[residues]`, [`LINKER`] for residues that belong to none and that no
/// mean counts.
#[derive(Clone, Copy, Debug)]
pub struct Chains<'c>(pub &'c [u16]);

impl Chains<'_> {
    fn count(self, mut wanted: impl FnMut(u16) -> bool) -> u64 {
        self.0.iter().filter(|&&chain| wanted(chain)).count() as u64
    }

    /// Whether there is more than one.
    fn several(self) -> bool {
        let mut chains = self.0.iter().filter(|&&chain| chain != LINKER);
        let first = chains.next();
        chains.any(|chain| Some(chain) != first)
    }
}

/// What a fold's TM-score to the true structure is expected to be, unit 2^-16; 65535 is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TmScores {
    /// pTM, over all pairs.
    pub ptm: u16,
    /// ipTM, over pairs of residues of different chains; none if there is one chain.
    pub iptm: Option<u16>,
}

/// What is to be filled besides the scores of the whole.
#[derive(Debug, Default)]
pub struct PairScores<'m> {
    /// `[residues, residues]`: the error expected at residue j when the structures are aligned at residue i,
    /// unit 2^-11 angstrom.
    pub errors: Option<&'m mut [u16]>,
    /// `[chains, chains]`: the TM-score that the residues of chain b are expected to have when the structures
    /// are aligned at the best residue of chain a, unit 2^-16; on the diagonal a chain's own pTM. Chains that
    /// it has no room for are in no score of it.
    pub chain_scores: &'m mut [u16],
}

/// The head of the predicted aligned error.
#[derive(Clone, Copy, Debug)]
pub struct AlignedError<'a> {
    /// Units of 2^-16 log2.
    pub(super) to_logits: ToLogits<'a>,
}

/// Every size that the memory depends on.
#[derive(Clone, Copy)]
struct Shape {
    residues: usize,
    /// Channels of a pair.
    width: usize,
    /// Errors of a row of pairs that are wanted: all, or none.
    errors: usize,
    /// Chains whose scores are wanted.
    chains: usize,
}

/// One row of pairs' results.
#[derive(Debug)]
struct RowResults<S: Source> {
    /// Mean score over all pairs, then over those of different chains; unit 2^-30.
    scores: S::Piece<u32>,
    /// `[residues]`, or empty.
    errors: S::Piece<u16>,
    /// Sum of scores over the pairs with each chain, `[chains]`; unit 2^-30. At most 2^44 each.
    chains: S::Piece<u64>,
}

impl<S: Source> RowResults<S> {
    fn take(source: &mut S, shape: &Shape) -> Result<Self, ArenaError> {
        Ok(Self {
            scores: source.take(2)?,
            errors: source.take(shape.errors)?,
            chains: source.take(shape.chains)?,
        })
    }
}

/// The working memory.
#[derive(Debug)]
struct Memory<S: Source> {
    /// The largest sums of scores that a residue of one chain has over the pairs with another, `[chains,
    /// chains]`; unit 2^-30.
    best_sums: S::Piece<u64>,
    /// [`RowResults`] of a batch.
    results: S::Piece<u8>,
    /// The workers' scratch.
    scratch: S::Piece<u8>,
}

impl<S: Source> Memory<S> {
    fn take(source: &mut S, shape: &Shape, workers: usize) -> Result<Self, ArenaError> {
        let Shape { residues, width, chains, .. } = *shape;
        let results = bytes_of(|counter| RowResults::take(counter, shape))?;
        let scratch = bytes_of(|counter| RowScratch::take(counter, residues, width))?;
        Ok(Self {
            best_sums: source.take(chains.saturating_mul(chains))?,
            results: source.take(results.saturating_mul(BATCH.min(residues)))?,
            scratch: source.take(scratch.saturating_mul(workers.max(1)))?,
        })
    }
}

impl<'a> AlignedError<'a> {
    /// Reads `fold.heads.aligned_error`, for pairs of `pair_width` channels in units of `2^-pair_frac`.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn load(file: &ModelFile<'a>, pair_width: usize, pair_frac: u32) -> Result<Self, FormatError> {
        let linear = Linear::load(file, "fold.heads.aligned_error", pair_width, PAIR_BINS)?;
        Ok(Self { to_logits: ToLogits { linear, pair_frac } })
    }

    fn shape(&self, residues: usize, errors: bool, chains: usize) -> Shape {
        let width = self.to_logits.linear.inputs();
        Shape { residues, width, errors: if errors { residues } else { 0 }, chains }
    }

    /// Bytes of working memory. `errors` says whether the matrix is wanted, `chains` how many chains' scores
    /// are.
    ///
    /// # Errors
    /// [`ArenaError::TooLarge`]
    pub fn bytes(
        &self,
        residues: usize,
        workers: usize,
        errors: bool,
        chains: usize,
    ) -> Result<usize, ArenaError> {
        bytes_of(|counter| Memory::take(counter, &self.shape(residues, errors, chains), workers))
    }

    /// Fills what is wanted and returns the TM-scores.
    ///
    /// From the same logits in f64, errors differ by at most 1 unit (0.0005 angstroms) and scores by 1.3
    /// units (2e-5).
    ///
    /// # Errors
    /// `memory` is misaligned or smaller than [`bytes`](Self::bytes) says.
    pub fn run(
        &self,
        pairs: &Pairs,
        chains: Chains,
        wanted: PairScores,
        memory: &mut [u8],
        context: &Context,
    ) -> Result<TmScores, ArenaError> {
        let (residues, workers) = (pairs.residues, context.workers());
        let PairScores { errors, chain_scores } = wanted;
        let shape = &self.shape(residues, errors.is_some(), chain_scores.len().isqrt());
        let needed = bytes_of(|counter| Memory::take(counter, shape, workers))?;
        let mut arena = Arena::of_size(needed, memory)?;
        let Memory { best_sums, results, scratch } = Memory::take(&mut arena, shape, workers)?;
        best_sums.fill(0);
        chain_scores.fill(0);
        let record = bytes_of(|counter| RowResults::take(counter, shape))?;
        let scores = Scores::new(chains.count(|c| c != LINKER));
        let row = Row { to_logits: &self.to_logits, pairs, chains, scores, backend: context.backend };
        let mut best = [0; 2];
        let mut rows_of_errors = errors.unwrap_or_default().chunks_exact_mut(residues.max(1));
        for first in (0..residues).step_by(BATCH) {
            let count = BATCH.min(residues - first);
            let results = &mut results[..record * count];
            context.for_each(results, record, scratch, |index, results, mut scratch| {
                let results = RowResults::take(&mut Arena::new(results)?, shape)?;
                let scratch = RowScratch::take(&mut scratch, residues, shape.width)?;
                row.fill(first + index, results, scratch);
                Ok(())
            })?;
            for (index, results) in results.chunks_exact(record).enumerate() {
                let RowResults { scores, errors, chains: sums } =
                    RowResults::take(&mut Reader::new(results), shape)?;
                best.iter_mut().zip(scores).for_each(|(best, &score)| *best = score.max(*best));
                if let Some(out) = rows_of_errors.next() {
                    out.copy_from_slice(errors);
                }
                let own = chains.0.get(first + index).map_or(usize::MAX, |&chain| chain.into());
                if let Some(best) = best_sums.chunks_exact_mut(shape.chains.max(1)).nth(own) {
                    best.iter_mut().zip(sums).for_each(|(best, &sum)| *best = sum.max(*best));
                }
            }
        }
        // The same number of pairs is below each of a chain's sums, so that the largest has the largest mean.
        for (to, chain) in (0..shape.chains).zip(0..LINKER) {
            let count = chains.count(|c| c == chain);
            let column = best_sums.iter().zip(&mut *chain_scores).skip(to).step_by(shape.chains);
            column.for_each(|(&sum, out)| *out = rounded(mean(sum, count)));
        }
        let [ptm, iptm] = best.map(|score| rounded(score.into()));
        Ok(TmScores { ptm, iptm: chains.several().then_some(iptm) })
    }
}

/// A score of unit 2^-30 in units of 2^-16, half up; 65535 is 1.
fn rounded(score: u64) -> u16 {
    let down = SCORE_FRAC - 16;
    (score.saturating_add(1 << (down - 1)) >> down).min(u16::MAX.into()) as u16
}

/// What the rows of pairs share.
struct Row<'r, 'a> {
    to_logits: &'r ToLogits<'a>,
    pairs: &'r Pairs<'r>,
    chains: Chains<'r>,
    scores: Scores,
    backend: &'r Backend,
}

impl Row<'_, '_> {
    /// The pairs of residue `i` with all others.
    fn fill(&self, i: usize, results: RowResults<Arena>, scratch: RowScratch<Arena>) {
        let RowResults { scores, errors, chains: sums } = results;
        sums.fill(0);
        let own = self.chains.0.get(i).copied().unwrap_or(LINKER);
        let counts = [self.chains.count(|c| c != LINKER), self.chains.count(|c| c != LINKER && c != own)];
        let (mut all, mut between) = (0u64, 0u64);
        let mut chains = self.chains.0.iter();
        let mut errors = errors.iter_mut();
        self.to_logits.row(self.backend, self.pairs, i, scratch, |logits| {
            let Expectation { error, score } = self.scores.expected(logits);
            if let Some(out) = errors.next() {
                *out = error;
            }
            let chain = chains.next().copied().unwrap_or(LINKER);
            if chain != LINKER {
                all = all.saturating_add(score);
                if chain != own {
                    between = between.saturating_add(score);
                }
                if let Some(sum) = sums.get_mut(usize::from(chain)) {
                    *sum = sum.saturating_add(score);
                }
            }
        });
        for ((out, sum), count) in scores.iter_mut().zip([all, between]).zip(counts) {
            // A linker is no residue to align at. A mean is at most 2^30.
            *out = if own == LINKER { 0 } else { mean(sum, count) as u32 };
        }
    }
}

/// An expectation over a pair's bins.
pub(super) struct Expectation {
    /// Unit 2^-11 angstrom.
    pub error: u16,
    /// Unit 2^-30.
    pub score: u64,
}

/// What an error of each bin adds to a TM-score: 1 / (1 + (error / d0)^2), unit 2^-30.
pub(super) struct Scores([u32; PAIR_BINS]);

impl Scores {
    /// For a protein of `residues`: d0 = 1.24 cbrt(max(residues, 19) - 15) - 1.8 angstroms (Zhang and
    /// Skolnick 2004), with the root cut to 20 fractional bits. Bins have a width of 0.5 angstroms; an error
    /// is the bin's centre.
    pub fn new(residues: u64) -> Self {
        let root = icbrt(u128::from(residues.clamp(19, u32::MAX.into()) - 15) << 60);
        // Both times 100, unit 2^-20: below 2^38.
        let d0 = (4 * 31 * u128::from(root)).saturating_sub((4 * 45) << 20);
        let mut scores = [0; PAIR_BINS];
        for (bin, score) in scores.iter_mut().enumerate() {
            let error = (25 * (2 * bin as u128 + 1)) << 20;
            let squares = d0 * d0 + error * error;
            // Below 2^106 before it is divided.
            *score = (((d0 * d0) << SCORE_FRAC) + squares / 2).checked_div(squares).unwrap_or(0) as u32;
        }
        Self(scores)
    }

    /// From a pair's logits, units of 2^-16 log2.
    pub fn expected(&self, logits: &[i32]) -> Expectation {
        // A centre is (2 k + 1) / 4 angstroms.
        let values = |bin: usize| [(2 * bin as u32 + 1) << 9, self.0.get(bin).copied().unwrap_or(0)];
        let ([error, score], total) = sums(logits, values);
        Expectation { error: mean(error, total).min(u16::MAX.into()) as u16, score: mean(score, total) }
    }
}

impl fmt::Debug for Scores {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_list().entries(self.0).finish()
    }
}

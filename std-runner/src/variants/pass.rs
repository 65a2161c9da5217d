//! Runs of a language model over one sequence again and again: with other masks, over other windows.

use std::ops::Range;

use foldpoint_core::alphabet::{MASK, tokens};
use foldpoint_core::esm::log_softmax;
use foldpoint_core::executor::Executor;

use crate::arena::Arena;
use crate::engine::{Engine, Request};
use crate::task::{Hook, Task, TaskError};
use crate::work::Work;
use fasta::Sequence;

/// What the model is asked for.
const LOGITS: Request = Request { contacts: false, logits: true, layers: vec![] };

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The tokens that it sees, of `<cls>`, the residues and `<eos>`.
    pub window: Range<usize>,
    /// The one that is masked.
    pub mask: Option<usize>,
}

/// Runs over one sequence. A batch's [`Sequence`] number i stands for run number i: see
/// [`sequences`](Self::sequences).
pub struct Passes<'e, 'a> {
    engine: &'e Engine<'a>,
    tokens: Vec<u8>,
    passes: Vec<Pass>,
}

impl<'e, 'a> Passes<'e, 'a> {
    /// Of `residues`, upper-case letters.
    pub fn new(engine: &'e Engine<'a>, residues: &[u8], passes: Vec<Pass>) -> Self {
        Self { engine, tokens: tokens(residues).collect(), passes }
    }

    /// What a batch is given to run them: named as `sequence`, and as long as their windows.
    pub fn sequences(&self, sequence: &Sequence) -> Vec<Sequence> {
        let one = |(index, pass): (usize, &Pass)| {
            let residues = sequence.residues.get(pass.window.clone()).unwrap_or(&sequence.residues).to_vec();
            Sequence { chain_lengths: vec![residues.len()], residues, index, ..sequence.clone() }
        };
        self.passes.iter().enumerate().map(one).collect()
    }

    /// All runs.
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }
}

impl Task for Passes<'_, '_> {
    /// Log probabilities, unit 2^-16, `[tokens, vocabulary]`: of the masked token, or of all of the window.
    type Output = Vec<i32>;
    const SHORT: usize = 400;

    fn length(&self, sequence: &Sequence) -> usize {
        self.passes.get(sequence.index).map_or(0, |pass| pass.window.len().saturating_sub(2))
    }

    fn configured_for(&self) -> usize {
        self.engine.model().config().max_positions.saturating_sub(2)
    }

    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        Ok(self.engine.arena_bytes(length, workers, &LOGITS)?)
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        Ok(self.engine.bytes_needed(length, workers, &LOGITS)?)
    }

    fn work(&self, length: usize) -> Work {
        self.engine.work(length, &LOGITS).all()
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<Vec<i32>, TaskError> {
        let Some(Pass { window, mask }) = self.passes.get(sequence.index) else { return Ok(vec![]) };
        let mut tokens = self.tokens.get(window.clone()).unwrap_or_default().to_vec();
        let masked = mask.and_then(|token| token.checked_sub(window.start));
        if let Some(token) = masked.and_then(|token| tokens.get_mut(token)) {
            *token = MASK;
        }
        let vocab = self.engine.model().config().vocab;
        let logits = self.engine.logits(&tokens, arena, executor, hook)?;
        let wanted = masked.map_or(0..tokens.len(), |token| token..token + 1);
        let mut probabilities = vec![0; wanted.len() * vocab];
        let rows = logits.chunks_exact(vocab).skip(wanted.start);
        rows.zip(probabilities.chunks_exact_mut(vocab)).for_each(|(logits, out)| log_softmax(logits, out));
        Ok(probabilities)
    }
}

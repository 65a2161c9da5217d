//! The passes that variants take.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, anyhow};
use fasta::Sequence;
use std_runner::batch::BatchError;
use std_runner::engine::Engine;
use std_runner::variants::{Marginals, Mutation, Pass, Passes, Skip, Strategy, pseudo_perplexity};

use super::{Question, Variant};
use crate::cli::console::Console;
use crate::cli::options::Options;

/// Who scores variants.
pub struct Scorer<'s, 'a> {
    pub options: &'s Options,
    pub engine: &'s Engine<'a>,
    pub question: &'s Question,
}

impl Scorer<'_, '_> {
    /// The scores of variants of `wild_type`, unit 2^-16, in their order.
    pub fn score(
        &self,
        wild_type: &Sequence,
        variants: &[Variant],
        console: &mut Console,
    ) -> anyhow::Result<Vec<Option<i64>>> {
        match *self.question {
            Question::Marginals(strategy) => {
                let mutations = variants.iter().flatten().flatten();
                let at: BTreeSet<usize> = mutations.map(|mutation| mutation.at).collect();
                let marginals = self.marginals(strategy, wild_type, &at, console)?;
                let score = |variant: &Variant| variant.as_ref().and_then(|all| marginals.score(all));
                Ok(variants.iter().map(score).collect())
            }
            Question::Perplexity(skip) => self.perplexities(skip, wild_type, variants, console),
        }
    }

    fn marginals(
        &self,
        strategy: Strategy,
        wild_type: &Sequence,
        at: &BTreeSet<usize>,
        console: &mut Console,
    ) -> anyhow::Result<Marginals> {
        let residues = wild_type.residues.len();
        let mut marginals = Marginals::new(residues, self.engine.model().config().vocab);
        if !at.is_empty() {
            let passes = Passes::new(self.engine, &wild_type.residues, strategy.passes(residues, at));
            let sequences = passes.sequences(wild_type);
            console.start(sequences.iter().map(|sequence| sequence.residues.len() as u64).sum());
            self.run(&passes, &sequences, console, |pass, said| marginals.add(pass, said))?;
        }
        Ok(marginals)
    }

    /// Of equal sequences one is run.
    fn perplexities(
        &self,
        skip: Skip,
        wild_type: &Sequence,
        variants: &[Variant],
        console: &mut Console,
    ) -> anyhow::Result<Vec<Option<i64>>> {
        let mutated = |mutations: &Vec<Mutation>| {
            let mut residues = wild_type.residues.clone();
            mutations.iter().for_each(|mutation| residues[mutation.at] = mutation.to);
            residues
        };
        let mutated: Vec<Option<Vec<u8>>> =
            variants.iter().map(|variant| variant.as_ref().map(mutated)).collect();
        let mut scores: BTreeMap<&[u8], i64> =
            mutated.iter().flatten().map(|residues| (&residues[..], 0)).collect();
        let length = wild_type.residues.len();
        let passes = skip.passes(length);
        let each: usize = passes.iter().map(|pass| pass.window.len().min(length)).sum();
        console.start(scores.len() as u64 * each as u64);
        for (residues, score) in &mut scores {
            let passes = Passes::new(self.engine, residues, passes.clone());
            let mut said = Vec::new();
            let sequences = passes.sequences(wild_type);
            self.run(&passes, &sequences, console, |_, row| said.push(row.to_vec()))?;
            *score = pseudo_perplexity(residues, said.iter().map(Vec::as_slice));
        }
        Ok(mutated.iter().map(|residues| Some(scores[residues.as_deref()?])).collect())
    }

    /// Runs all passes and hands what they say to `add`, in their order.
    fn run(
        &self,
        passes: &Passes,
        sequences: &[Sequence],
        console: &Console,
        mut add: impl FnMut(&Pass, &[i32]) + Send,
    ) -> anyhow::Result<()> {
        let (runner, bar) = (self.options.runner(console), console.bar());
        let mut error = None;
        let finish = |sequence: &Sequence, said: Vec<i32>, _| {
            bar.inc(sequence.residues.len() as u64);
            Ok::<_, anyhow::Error>(said)
        };
        let report = |sequence: &Sequence, result: Result<Vec<i32>, BatchError<anyhow::Error>>| match result {
            Ok(said) => add(&passes.passes()[sequence.index], &said),
            Err(failed) => _ = error.get_or_insert_with(|| anyhow!("{}: {failed}", sequence.place)),
        };
        runner
            .run(passes, sequences, |_, _| (), finish, report)
            .context("the threads could not be started")?;
        error.map_or(Ok(()), Err)
    }
}

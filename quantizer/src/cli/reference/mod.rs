//! `quantizer reference`: runs the float model and writes what it computes.

mod file;
mod omegafold;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use fasta::{Batch, RecordError, RecordProblem, Sequence};
use foldpoint_core::alphabet;
use indicatif::{ProgressBar, ProgressStyle};
use quantizer::checkpoint::{Checkpoint, Config, FoldConfig, OmegaFold};
use quantizer::reference::esmfold::{Fold, FoldOutputs, FoldReference, FoldWant};
use quantizer::reference::{Observer, Outputs, Reference, Want};
use quantizer::table::ATOM_TYPES;

use super::source;
use super::threads;
use file::{Tensors, require_finite, write};

/// Residues that run together. Each group of sequences reads every layer once, which with so many costs
/// little beside the layer's products; and a group's files are written before the next one runs.
const GROUP_RESIDUES: usize = 256;

#[derive(Args)]
pub struct Arguments {
    /// HuggingFace folder, a folder of the hub's cache, fair-esm .pt file, another file of PyTorch weights,
    /// the folder of a LoRA adapter, or OmegaFold's release1.pt. If there is no such path, ORG/NAME[@REVISION]
    /// is a model of the HuggingFace hub: it is taken from the hub's cache (HF_HUB_CACHE, HF_HOME), or
    /// downloaded into it.
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    /// The weights that an adapter is merged into, a path or a name, if they aren't beside it [default: the
    /// model of the hub that it was trained on].
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// Sequences to run: a file, plain or gzipped, a folder of files, or `-` for the standard input.
    #[arg(long, value_name = "FILE")]
    fasta: PathBuf,
    /// Folder for one ID.safetensors per sequence, with f32 tensors ID.contacts [L, L], ID.logits [L+2, 33]
    /// and ID.hidden [layers+1, L+2, width], as far as the checkpoint has the heads. A folding model also
    /// writes ID.atom37 [L, 37, 3] in angstroms, ID.atom37_mask [L, 37], ID.plddt [L, 37] from 0 to 1, ID.pae
    /// [L, L] in angstroms and ID.ptm [1]; OmegaFold, whose checkpoint is release1.pt or release2.pt, writes
    /// no others but ID.overall [1], the confidence of the cycle that is the result, and ID.cycle [1], its
    /// number.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Write the hidden states of every layer too: 0 is the embedding, the last is after the final LayerNorm.
    #[arg(long)]
    hidden: bool,
    /// Passes of a folding model after the first [default: one less than the checkpoint's max_recycles; 9 of
    /// OmegaFold].
    #[arg(long, value_name = "N")]
    recycles: Option<usize>,
    /// Round the weights of all Linears to this many bits, each output channel with a scale of its own; all
    /// else stays float.
    #[arg(long, value_name = "BITS", value_parser = ["8"])]
    weights: Option<String>,
    /// Run only the first N sequences (of those that are not too long).
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Leave out sequences of more than N residues.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_len: usize,
    /// Threads [default: RAYON_NUM_THREADS, or all processors]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

impl Arguments {
    pub fn run(self) -> anyhow::Result<()> {
        threads::start(self.threads)?;
        if OmegaFold::is_at(&self.checkpoint) {
            return omegafold::run(&self, &OmegaFold::open(&self.checkpoint)?);
        }
        let mut checkpoint = source::open(&self.checkpoint, self.base.as_deref())?;
        if self.weights.is_some() {
            checkpoint.round_weights();
        }
        let want = Want {
            contacts: checkpoint.has_contact_head(),
            logits: checkpoint.has_lm_head(),
            hidden: self.hidden,
        };
        let fold = checkpoint.fold_config();
        if fold.is_none() && self.recycles.is_some() {
            bail!("{}: --recycles is for folding models", self.checkpoint.display());
        }
        if fold.is_none() && want == Want::default() {
            bail!("{}: neither head is there; only --hidden can be written", self.checkpoint.display());
        }
        let prepare = |batch: Batch| if fold.is_some() { batch.without_masks() } else { batch };
        let (sequences, failed) = self.sequences(prepare)?;
        std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        let recycles = self.recycles.or(fold.map(|fold| fold.max_recycles - 1)).unwrap_or(0);
        let mut progress = Progress::new(steps(checkpoint.config(), fold, recycles) * sequences.len());
        let model = Model::new(&checkpoint, want, recycles)?;
        let origin = self.origin(&checkpoint, fold.map(|_| recycles))?;
        let mut done = 0;
        for group in groups(&sequences) {
            progress.begin(group, done, sequences.len());
            for (sequence, tensors) in group.iter().zip(model.run(group, &mut progress)?) {
                require_finite(&sequence.sequence.id, &tensors)?;
                let path = write(&self.out, &sequence.sequence, &tensors, &origin)?;
                done += 1;
                let (id, residues) = (&sequence.sequence.id, sequence.residues());
                progress.bar.suspend(|| println!("{id}: {residues} residues: {}", path.display()));
            }
        }
        progress.bar.finish_and_clear();
        println!("{} sequences written to {}", sequences.len(), self.out.display());
        ensure!(!failed, "{}: not all sequences could be run", self.fasta.display());
        Ok(())
    }

    /// What the metadata of every file say of how it was made.
    fn origin(
        &self,
        checkpoint: &Checkpoint,
        recycles: Option<usize>,
    ) -> anyhow::Result<HashMap<String, String>> {
        let weights = self.weights.as_ref().map_or_else(|| "float".to_owned(), |bits| format!("{bits} bits"));
        let mut origin = HashMap::from([
            ("quantizer".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("checkpoint".to_owned(), checkpoint.name().to_owned()),
            ("sha256".to_owned(), serde_json::to_string(&checkpoint.hashes()?)?),
            ("weights".to_owned(), weights),
        ]);
        origin.extend(recycles.map(|recycles| ("recycles".to_owned(), recycles.to_string())));
        Ok(origin)
    }

    /// The sequences to run, of what `prepare` makes of the records, and whether others can't be.
    fn sequences(&self, prepare: impl FnOnce(Batch) -> Batch) -> anyhow::Result<(Vec<Input>, bool)> {
        let batch = prepare(fasta::read_paths(&[&self.fasta], self.max_len).single_chains());
        let too_long = |error: &RecordError| matches!(error.problem, RecordProblem::TooLong { .. });
        let (long, wrong): (Vec<_>, Vec<_>) = batch.rejected.into_iter().partition(too_long);
        let total = batch.sequences.len() + long.len() + wrong.len();
        batch.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        if !long.is_empty() {
            let (left_out, max_len) = (long.len(), self.max_len);
            eprintln!("warning: {left_out} of {total} sequences have more than {max_len} residues");
        }
        batch.failures.iter().for_each(|error| eprintln!("error: {error}"));
        wrong.iter().for_each(|error| eprintln!("error: {error}"));
        let failed = !(batch.failures.is_empty() && wrong.is_empty());
        let sequences = batch.sequences.into_iter().take(self.limit.unwrap_or(usize::MAX)).map(Input::new);
        let sequences: Vec<Input> = sequences.collect();
        if sequences.is_empty() {
            bail!("{}: no sequences left to run", self.fasta.display());
        }
        Ok((sequences, failed))
    }
}

/// A sequence to run.
struct Input {
    sequence: Sequence,
    /// From `<cls>` to `<eos>`.
    tokens: Vec<u8>,
}

impl Input {
    fn new(sequence: Sequence) -> Self {
        let tokens = alphabet::tokens(&sequence.residues).collect();
        Self { sequence, tokens }
    }

    fn residues(&self) -> usize {
        self.sequence.residues.len()
    }
}

/// Steps of the progress bar for one sequence: its way through a layer or a block.
fn steps(config: &Config, fold: Option<&FoldConfig>, recycles: usize) -> usize {
    config.layers + fold.map_or(0, |fold| fold.blocks.saturating_mul(recycles.saturating_add(1)))
}

/// The model that runs, and what shall be written.
struct Model<'c> {
    config: &'c Config,
    want: Want,
    part: Part<'c>,
}

/// How much of the model runs.
enum Part<'c> {
    LanguageModel(Reference<'c>),
    Fold { reference: Box<FoldReference<'c>>, recycles: usize },
}

impl<'c> Model<'c> {
    fn new(checkpoint: &'c Checkpoint, want: Want, recycles: usize) -> anyhow::Result<Self> {
        let part = match checkpoint.fold_config() {
            Some(_) => Part::Fold { reference: Box::new(FoldReference::new(checkpoint)?), recycles },
            None => Part::LanguageModel(Reference::new(checkpoint)?),
        };
        Ok(Self { config: checkpoint.config(), want, part })
    }

    fn run(&self, group: &[Input], progress: &mut Progress) -> anyhow::Result<Vec<Tensors>> {
        match &self.part {
            Part::LanguageModel(reference) => {
                let tokens: Vec<&[u8]> = group.iter().map(|sequence| sequence.tokens.as_slice()).collect();
                let outputs = reference.run_batch(&tokens, self.want, progress)?;
                Ok(group.iter().zip(outputs).map(|(s, outputs)| self.tensors(s, outputs)).collect())
            }
            Part::Fold { reference, recycles } => {
                let folds: Vec<Fold> = group.iter().map(|sequence| Fold::chain(&sequence.tokens)).collect();
                let want = FoldWant { language_model: self.want, logits: false };
                let outputs = reference.run_batch(&folds, *recycles, want, progress)?;
                let tensors = |(sequence, mut outputs): (&Input, FoldOutputs)| {
                    let mut tensors = self.tensors(sequence, std::mem::take(&mut outputs.language_model));
                    tensors.extend(fold_tensors(sequence.residues(), outputs));
                    tensors
                };
                Ok(group.iter().zip(outputs).map(tensors).collect())
            }
        }
    }

    /// The language model's results that were wanted.
    fn tensors(&self, sequence: &Input, outputs: Outputs) -> Tensors {
        let (residues, tokens) = (sequence.residues(), sequence.tokens.len());
        let states = outputs.hidden.len();
        let mut tensors = vec![
            ("contacts", outputs.contacts, vec![residues, residues]),
            ("logits", outputs.logits, vec![tokens, self.config.vocab]),
            ("hidden", outputs.hidden.concat(), vec![states, tokens, self.config.width]),
        ];
        tensors.retain(|(_, values, _)| !values.is_empty());
        tensors
    }
}

/// The results of folding a sequence of `residues`.
fn fold_tensors(residues: usize, outputs: FoldOutputs) -> Tensors {
    vec![
        ("atom37", outputs.atom37, vec![residues, ATOM_TYPES, 3]),
        ("atom37_mask", outputs.atom37_mask, vec![residues, ATOM_TYPES]),
        ("plddt", outputs.plddt, vec![residues, ATOM_TYPES]),
        ("pae", outputs.pae, vec![residues, residues]),
        ("ptm", vec![outputs.ptm], vec![1]),
    ]
}

/// Splits `sequences` so that no group has more than [`GROUP_RESIDUES`], unless one sequence alone does.
fn groups(sequences: &[Input]) -> Vec<&[Input]> {
    let mut groups = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (i, sequence) in sequences.iter().enumerate() {
        let needed = sequence.residues();
        if i > start && used + needed > GROUP_RESIDUES {
            groups.push(&sequences[start..i]);
            (start, used) = (i, 0);
        }
        used += needed;
    }
    groups.push(&sequences[start..]);
    groups
}

/// Advances a bar by each sequence that has been through a layer or a block.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(steps: usize) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {percent}% {elapsed}, {eta} left  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(steps as u64).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar }
    }

    /// Says what runs now, `done` of `total` sequences being written.
    fn begin(&self, group: &[Input], done: usize, total: usize) {
        if let [first, others @ ..] = group {
            let and = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            self.bar.set_message(format!("{done} of {total} written; {}{and}", first.sequence.id));
        }
    }
}

impl Observer for Progress {
    fn layer_done(&mut self, _layer: usize, _sequence: usize) {
        self.bar.inc(1);
    }

    fn block_done(&mut self, _pass: usize, _block: usize, _sequence: usize) {
        self.bar.inc(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_small_and_lose_nothing() {
        let sizes = |lengths: &[usize]| -> Vec<usize> {
            let input = |&length: &usize| Input::new(Sequence::from_residues("a", vec![b'A'; length]));
            let all: Vec<Input> = lengths.iter().map(input).collect();
            groups(&all).iter().map(|group| group.len()).collect()
        };
        assert_eq!(sizes(&[1; 5]), [5]);
        assert_eq!(sizes(&[GROUP_RESIDUES / 2; 5]), [2, 2, 1]);
        assert_eq!(sizes(&[2 * GROUP_RESIDUES, 1, 1, GROUP_RESIDUES, 1]), [1, 2, 1, 1]);
    }
}

//! `quantizer reference`: runs the float model and writes what it computes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use quantizer::checkpoint::{Checkpoint, Config};
use quantizer::fasta::{self, Sequence};
use quantizer::reference::{Observer, Outputs, Reference, Site, Want};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

/// Memory for the activations of the sequences that run together, in bytes. Each group of sequences reads every layer
/// once, so this only has to be large compared with a layer.
const GROUP_BYTES: usize = 1 << 30;

#[derive(Args)]
pub struct Arguments {
    /// HuggingFace folder or fair-esm .pt file.
    checkpoint: PathBuf,
    /// Sequences to run.
    #[arg(long, value_name = "FILE")]
    fasta: PathBuf,
    /// Folder for one ID.safetensors per sequence, with f32 tensors ID.contacts [L, L], ID.logits [L+2, 33] and
    /// ID.hidden [layers+1, L+2, width], as far as the checkpoint has the heads.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Write the hidden states of every layer too: 0 is the embedding, the last is after the final LayerNorm.
    #[arg(long)]
    hidden: bool,
    /// Run only the first N sequences (of those that are not too long).
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Leave out sequences of more than N residues.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_len: usize,
}

impl Arguments {
    pub fn run(self) -> anyhow::Result<()> {
        let checkpoint = Checkpoint::open(&self.checkpoint)?;
        let want = Want {
            contacts: checkpoint.has_contact_head(),
            logits: checkpoint.has_lm_head(),
            hidden: self.hidden,
        };
        if want == Want::default() {
            bail!("{}: neither head is there; only --hidden can be written", self.checkpoint.display());
        }
        let sequences = self.sequences()?;
        std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        let reference = Reference::new(&checkpoint)?;
        let config = checkpoint.config();
        let mut progress = Progress::new(config, &sequences);
        for group in groups(&sequences, |sequence| activation_bytes(config, sequence, want)) {
            let tokens: Vec<&[u8]> = group.iter().map(|sequence| sequence.tokens.as_slice()).collect();
            let outputs = reference.run_batch(&tokens, want, &mut progress)?;
            for (sequence, outputs) in group.iter().zip(&outputs) {
                write(&self.out, sequence, outputs, config)?;
            }
        }
        progress.bar.finish_and_clear();
        println!("{} sequences written to {}", sequences.len(), self.out.display());
        Ok(())
    }

    /// The sequences to run, each with a file name of its own.
    fn sequences(&self) -> anyhow::Result<Vec<Sequence>> {
        let mut sequences = fasta::read(&self.fasta)?;
        let total = sequences.len();
        sequences.retain(|sequence| sequence.residues() <= self.max_len);
        if sequences.len() < total {
            let left_out = total - sequences.len();
            eprintln!("warning: {left_out} of {total} sequences have more than {} residues", self.max_len);
        }
        sequences.truncate(self.limit.unwrap_or(usize::MAX));
        if sequences.is_empty() {
            bail!("{}: no sequences left to run", self.fasta.display());
        }
        let mut stems = HashSet::new();
        for Sequence { id, replaced, .. } in &sequences {
            if !stems.insert(fasta::file_stem(id)) {
                bail!("{}: two sequences would be written as {}", self.fasta.display(), fasta::file_stem(id));
            }
            if *replaced > 0 {
                eprintln!("warning: {id}: {replaced} residues read as X");
            }
        }
        Ok(sequences)
    }
}

/// Bytes that a sequence needs from the first layer to the last.
fn activation_bytes(config: &Config, sequence: &Sequence, want: Want) -> usize {
    let tokens = sequence.tokens.len();
    let states = 1 + if want.hidden { config.layers + 1 } else { 0 };
    let contacts = if want.contacts { tokens * tokens * size_of::<f64>() } else { 0 };
    states * tokens * config.width * size_of::<f32>() + contacts
}

/// Splits `sequences` so that no group needs more than [`GROUP_BYTES`], unless one sequence alone does.
fn groups(sequences: &[Sequence], bytes: impl Fn(&Sequence) -> usize) -> Vec<&[Sequence]> {
    let mut groups = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (i, sequence) in sequences.iter().enumerate() {
        let needed = bytes(sequence);
        if i > start && used + needed > GROUP_BYTES {
            groups.push(&sequences[start..i]);
            (start, used) = (i, 0);
        }
        used += needed;
    }
    groups.push(&sequences[start..]);
    groups
}

fn write(out: &Path, sequence: &Sequence, outputs: &Outputs, config: &Config) -> anyhow::Result<()> {
    let (residues, tokens) = (sequence.residues(), sequence.tokens.len());
    let hidden = outputs.hidden.concat();
    let tensors = [
        ("contacts", &outputs.contacts, vec![residues, residues]),
        ("logits", &outputs.logits, vec![tokens, config.vocab]),
        ("hidden", &hidden, vec![outputs.hidden.len(), tokens, config.width]),
    ];
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .filter(|(_, values, _)| !values.is_empty())
        .map(|(kind, values, shape)| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (format!("{}.{kind}", sequence.id), shape, bytes)
        })
        .collect();
    let path = out.join(format!("{}.safetensors", fasta::file_stem(&sequence.id)));
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    views.and_then(|views| serialize_to_file(views, None, &path)).with_context(|| path.display().to_string())
}

/// Advances a bar by the tokens of each sequence that has been through a layer.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(config: &Config, sequences: &[Sequence]) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {percent}% {elapsed} of {duration}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let steps = (config.layers * sequences.len()) as u64;
        Self { bar: ProgressBar::new(steps).with_style(style) }
    }
}

impl Observer for Progress {
    fn wants(&self, _site: Site) -> bool {
        false
    }

    fn values(&mut self, _sequence: usize, _site: Site, _values: &[f32], _channels: usize) {}

    fn layer_done(&mut self, _layer: usize, _sequence: usize) {
        self.bar.inc(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequences(count: usize) -> Vec<Sequence> {
        (0..count).map(|i| Sequence { id: i.to_string(), tokens: vec![0; i + 2], replaced: 0 }).collect()
    }

    #[test]
    fn groups_stay_within_memory_and_lose_nothing() {
        let all = sequences(5);
        let sizes = |bytes: [usize; 5]| -> Vec<usize> {
            groups(&all, |sequence| bytes[sequence.residues()]).iter().map(|group| group.len()).collect()
        };
        let half = GROUP_BYTES / 2;
        assert_eq!(sizes([1; 5]), [5]);
        assert_eq!(sizes([half; 5]), [2, 2, 1]);
        assert_eq!(sizes([2 * GROUP_BYTES, 1, 1, GROUP_BYTES, 1]), [1, 2, 1, 1]);
    }
}

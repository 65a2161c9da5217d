//! `foldpoint evaluate hidden`

use std::path::PathBuf;

use anyhow::{Context, bail};
use fasta::Sequence;
use foldpoint_core::alphabet::{self, FIRST_RESIDUE, STANDARD};
use std_runner::accuracy::reference::Reference;
use std_runner::accuracy::similarity::{Similarity, arg_max, negative_log_likelihood};
use std_runner::engine::{Prediction, Request, Requests, decode};

use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::input;
use crate::cli::options::Options;

#[derive(clap::Args)]
pub struct Args {
    /// Sequences
    #[arg(long, value_name = "FILE")]
    fasta: PathBuf,
    /// Folder of float reference outputs: ID.safetensors with ID.hidden and, where there is such a head, ID.logits
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,
    /// Refuse longer sequences (in residues)
    #[arg(long, value_name = "N", default_value_t = 4096)]
    max_len: usize,
}

/// What the sequences add up to.
struct Totals {
    layers: Vec<Similarity>,
    logits: LogitTotals,
    tokens: usize,
}

#[derive(Default)]
struct LogitTotals {
    similarity: Similarity,
    /// Residues whose most probable token is the same.
    agreements: usize,
    residues: usize,
    /// Negative log-likelihoods of the sequence's own residues, summed.
    model_nll: f64,
    reference_nll: f64,
}

/// One sequence and its reference.
struct Compared {
    prediction: Prediction,
    hidden: Vec<f32>,
    logits: Option<Vec<f32>>,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let bytes = options.open(None)?;
    let engine = options.engine(&bytes)?;
    let config = engine.model().config();
    let (layers, width, vocab) = (config.layers, config.width, config.vocab);
    let request =
        Request { contacts: false, logits: engine.model().has_lm_head(), layers: (0..=layers).collect() };
    let batch = fasta::read_paths(&[&args.fasta], args.max_len).single_chains();
    let sequences = input::report(batch, &mut console);
    let mut totals =
        Totals { layers: vec![Similarity::default(); layers + 1], logits: LogitTotals::default(), tokens: 0 };
    input::run(
        options,
        &Requests { engine: &engine, request: &request },
        &sequences,
        &mut console,
        |sequence, prediction, _| {
            let tokens = sequence.residues.len() + 2;
            let reference = Reference::open(&args.reference, &sequence.stem, &sequence.id)?;
            let hidden = reference.required("hidden", &[layers + 1, tokens, width])?;
            let logits = if request.logits { reference.tensor("logits", &[tokens, vocab])? } else { None };
            Ok(Compared { prediction, hidden, logits })
        },
        |_, sequence, compared| totals.add(sequence, &compared, width, vocab),
    )?;
    if totals.tokens == 0 {
        let outcome = console.finish()?;
        if outcome.failures > 0 {
            return Ok(outcome);
        }
        bail!("nothing to compare");
    }
    totals.markdown().context("no layer")?.lines().for_each(|line| console.line(line));
    console.finish()
}

impl Totals {
    fn add(&mut self, sequence: &Sequence, compared: &Compared, width: usize, vocab: usize) {
        let tokens = sequence.residues.len() + 2;
        self.tokens += tokens;
        let references = compared.hidden.chunks_exact(tokens * width);
        for ((total, model), reference) in
            self.layers.iter_mut().zip(&compared.prediction.hidden).zip(references)
        {
            for (row, reference) in model.chunks_exact(width).zip(reference.chunks_exact(width)) {
                total.add(row.iter().map(|&v| f64::from(decode(v))), reference.iter().map(|&v| f64::from(v)));
            }
        }
        if let (Some(model), Some(reference)) = (&compared.prediction.logits, &compared.logits) {
            let model =
                model.chunks_exact(vocab).map(|row| row.iter().map(|&v| f64::from(decode(v))).collect());
            let reference =
                reference.chunks_exact(vocab).map(|row| row.iter().map(|&v| f64::from(v)).collect());
            let rows = alphabet::tokens(&sequence.residues).zip(model.zip(reference));
            rows.skip(1).take(sequence.residues.len()).for_each(|(t, (m, r))| self.logits.add(t, &m, &r));
        }
    }

    fn markdown(&self) -> Option<String> {
        use std::fmt::Write as _;
        let mut text = String::new();
        let last = self.layers.len().checked_sub(1)?;
        let _ = writeln!(text, "{} tokens, <cls> and <eos> included\n", self.tokens);
        text += "| hidden state | mean cosine | worst cosine | relative error |\n|---|---:|---:|---:|\n";
        for (layer, s) in self.layers.iter().enumerate() {
            let name = match layer {
                0 => "embedding".to_owned(),
                l if l == last => format!("{l}, after the final LayerNorm"),
                l => l.to_string(),
            };
            let (mean, worst, error) = (s.mean_cosine(), s.worst_cosine(), s.relative_error());
            let _ = writeln!(text, "| {name} | {mean:.5} | {worst:.5} | {error:.4} |");
        }
        let logits = &self.logits;
        if logits.residues > 0 {
            let n = logits.residues as f64;
            let s = &logits.similarity;
            let (mean, worst, error) = (s.mean_cosine(), s.worst_cosine(), s.relative_error());
            let _ =
                writeln!(text, "| logits of the 20 amino acids | {mean:.5} | {worst:.5} | {error:.4} |\n");
            let agreement = 100.0 * logits.agreements as f64 / n;
            let _ =
                writeln!(text, "Logits: top-1 agreement {agreement:.2}% of {} residues;", logits.residues);
            let (model, float) = ((logits.model_nll / n).exp(), (logits.reference_nll / n).exp());
            let _ = writeln!(
                text,
                "pseudo-perplexity in one pass (nothing masked): integer {model:.4}, float {float:.4}."
            );
        }
        Some(text)
    }
}

impl LogitTotals {
    /// Adds one residue: its token and its rows of logits, of which the 20 amino acids count.
    fn add(&mut self, token: u8, model: &Vec<f64>, reference: &Vec<f64>) {
        let first = usize::from(FIRST_RESIDUE);
        let amino =
            |row: &Vec<f64>| row.get(first..first + STANDARD).map(<[f64]>::to_vec).unwrap_or_default();
        let (model, reference) = (amino(model), amino(reference));
        let place = usize::from(token) - first;
        self.similarity.add(model.iter().copied(), reference.iter().copied());
        let nll = |row: &[f64]| negative_log_likelihood(row, place);
        // X has no entry among the 20, and no right answer.
        let (Some(m), Some(r)) = (nll(&model), nll(&reference)) else { return };
        self.model_nll += m;
        self.reference_nll += r;
        self.agreements += usize::from(arg_max(model) == arg_max(reference));
        self.residues += 1;
    }
}

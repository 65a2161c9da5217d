//! `foldpoint evaluate hidden`

use std::path::PathBuf;

use crate::accuracy::reference::{Origin, Reference};
use anyhow::bail;
use fasta::Sequence;
use std_runner::engine::{Prediction, Request, Requests};

use super::hidden_report::Totals;
use super::references;
use super::targets::LeftOut;
use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::input;
use crate::cli::options::Options;

#[derive(clap::Args)]
pub struct Args {
    /// Sequences
    #[arg(long, value_name = "FILE")]
    fasta: PathBuf,
    /// Folder of float reference outputs: ID.safetensors with ID.hidden and, where there is such a head,
    /// ID.logits
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,
    /// Refuse longer sequences (in residues)
    #[arg(long, value_name = "N", default_value_t = 4096)]
    max_len: usize,
    /// Print JSON, with every protein's similarities, and what was left out
    #[arg(long)]
    json: bool,
}

/// One sequence and its reference.
pub struct Comparison {
    pub prediction: Prediction,
    pub hidden: Vec<f32>,
    pub logits: Option<Vec<f32>>,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let model = options.open(None)?;
    let engine = options.engine(&model)?;
    let config = engine.model().config();
    let (layers, width, vocab) = (config.layers, config.width, config.vocab);
    let request =
        Request { contacts: false, logits: engine.model().has_lm_head(), layers: (0..=layers).collect() };
    let batch = fasta::read_paths(&[&args.fasta], args.max_len).single_chains();
    let mut left_out: Vec<LeftOut> = batch.rejected.iter().map(LeftOut::rejected).collect();
    let mut sequences = input::report(batch, &mut console);
    let origin = Origin::of(model.metadata()?.as_ref(), None);
    let mut failed = references::check(&mut console, &args.reference, &origin, sequences.iter());
    let stems: Vec<String> = failed.iter().map(|(stem, _)| stem.clone()).collect();
    let all = sequences.clone();
    sequences.retain(|s| !stems.contains(&s.stem));
    let mut totals = Totals::new(layers);
    input::run(
        options,
        &model,
        &Requests { engine: &engine, request: &request },
        &sequences,
        &mut console,
        |sequence, prediction, _| {
            let tokens = sequence.residues.len() + 2;
            let reference = Reference::open(&args.reference, sequence)?;
            let hidden = reference.required("hidden", &[layers + 1, tokens, width])?;
            let logits = if request.logits { reference.tensor("logits", &[tokens, vocab])? } else { None };
            Ok(Comparison { prediction, hidden, logits })
        },
        |_, sequence, result| match result {
            Ok(compared) => totals.add(sequence, &compared, width, vocab),
            Err(reason) => failed.push((sequence.stem.clone(), reason)),
        },
    )?;
    let reason = |s: &Sequence| failed.iter().find(|(stem, _)| *stem == s.stem).map(|(_, reason)| reason);
    left_out.extend(all.iter().filter_map(|s| Some(LeftOut::failed(s, reason(s)?))));
    if args.json {
        console.line(totals.json(&left_out));
    } else if totals.proteins.is_empty() {
        let outcome = console.finish()?;
        if outcome.failures > 0 {
            return Ok(outcome);
        }
        bail!("nothing to compare");
    } else {
        totals.markdown(left_out.len()).lines().for_each(|line| console.line(line));
    }
    console.finish()
}

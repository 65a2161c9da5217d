//! `foldpoint contacts`

use std::path::PathBuf;
use std::time::Duration;

use crate::files::OutputDir;
use fasta::Sequence;
use serde_json::Map;
use std_runner::contact_map;
use std_runner::engine::{Prediction, Request, Requests};
use std_runner::output::{contact_png, npy};

use super::Outcome;
use super::console::Console;
use super::input::Input;
use super::options::{Options, require};
use super::results::{Done, Report, Run};
use super::table::Column;

const COLUMNS: &[Column] = &[("residues", 8), ("contacts", 8), ("time", 11)];

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Folder for the results; created where needed. Each sequence gets ID.contacts.npy (f32 [L, L]); the
    /// chains of a complex (`:` between them) come one after another, without the linkers that the model sees
    /// between them
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Write a picture too, ID.contacts.png, with lines between the chains
    #[arg(long)]
    png: bool,
    /// Write a table too, ID.contacts.tsv: i, j (rows and columns of the map, from 1) and probability of each
    /// pair above the threshold; of a complex also chain_i, residue_i, chain_j, residue_j
    #[arg(long)]
    tsv: bool,
    /// Pairs in the table are more probable than this; -1 is for all pairs
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = probability, allow_negative_numbers = true)]
    threshold: f32,
    /// Pairs of one chain in the table are at least this far apart in sequence
    #[arg(long, value_name = "N", default_value_t = contact_map::MIN_SEPARATION)]
    min_separation: usize,
    #[command(flatten)]
    report: Report,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let out = OutputDir::create(&args.out)?;
    let mut console = Console::new(options.quiet);
    let model = options.open(None)?;
    let engine = options.engine(&model)?;
    let request = Request { contacts: true, ..Request::default() };
    require(&engine, &request, model.name())?;
    let batch = args.input.read(&mut console);
    let run = Run {
        options,
        model: &model,
        task: &Requests { engine: &engine, request: &request },
        out: Some(&out),
        report: &args.report,
        columns: COLUMNS,
        refuse: &|_| None,
    };
    let make = |sequence: &Sequence, prediction: Prediction, time: Duration| {
        let (length, chains) = (prediction.length, &sequence.chain_lengths);
        let map = contact_map::decode(&prediction.contacts.unwrap_or_default());
        let name = |ending: &str| format!("{}.contacts.{ending}", sequence.stem);
        // Of an earlier run, and so of another map.
        let stale = ["png", "tsv"].map(name);
        let mut files = vec![out.replace(&name("npy"), stale, |w| npy(w, &[length, length], &map, false))?];
        if args.png {
            files.push(out.write(&name("png"), |w| contact_png(w, &map, chains))?);
        }
        if args.tsv {
            files.push(out.write(&name("tsv"), |w| {
                contact_map::write_tsv(w, &map, chains, args.min_separation, args.threshold)
            })?);
        }
        let contacts = contact_map::pairs_above(&map, chains, args.min_separation, args.threshold).count();
        Ok(Done::<()> {
            files,
            scores: Map::from_iter([("contacts".to_owned(), contacts.into())]),
            warnings: (args.tsv && contacts == 0)
                .then(|| args.empty_table(&map, chains))
                .into_iter()
                .collect(),
            cells: vec![length.to_string(), contacts.to_string(), format!("{:.3} s", time.as_secs_f64())],
            ..Done::default()
        })
    };
    run.run(batch, &mut console, make, |_, _, ()| {})?;
    console.finish()
}

fn probability(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|p| (0.0..=1.0).contains(p) || *p == -1.0);
    value.ok_or_else(|| "expected a probability from 0 to 1, or -1 for all pairs".into())
}

impl Args {
    /// Why the table of a map has no rows.
    fn empty_table(&self, map: &[f32], chains: &[usize]) -> String {
        let (apart, threshold) = (self.min_separation.max(1), self.threshold);
        let all = contact_map::pairs_above(map, chains, apart, f32::NEG_INFINITY);
        match all.map(|(.., p)| p).max_by(f32::total_cmp) {
            Some(most) => format!(
                "the table has no rows: no pair at least {apart} apart is more probable than {threshold}; the most probable is {most:.3}"
            ),
            None => format!("the table has no rows: no two residues are at least {apart} apart"),
        }
    }
}

//! Contact maps, and pictures of them.

use std::time::Duration;

use crate::files::OutputDir;
use fasta::Sequence;
use serde_json::Map;
use std_runner::contact_map::{self, MIN_SEPARATION};
use std_runner::engine::{Prediction, Request, Requests};
use std_runner::model::Model;
use std_runner::output::{contact_png, npy};

use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::options::{Options, require};
use crate::cli::results::{Done, Run};
use crate::cli::table::Column;

use super::Args;

/// A pair above this probability is called a contact.
const CONTACT: f32 = 0.5;

const COLUMNS: &[Column] = &[("residues", 8), ("contacts", 8), ("time", 11)];

pub fn run(
    options: &Options,
    args: &Args,
    model: &Model,
    out: &OutputDir,
    mut console: Console,
) -> anyhow::Result<Outcome> {
    let engine = options.engine(model)?;
    let request = Request { contacts: true, ..Request::default() };
    require(&engine, &request, model.name())?;
    let batch = args.input.read(&mut console);
    let run = Run {
        options,
        model,
        task: &Requests { engine: &engine, request: &request },
        out: Some(out),
        report: &args.report,
        columns: COLUMNS,
        refuse: &|_| None,
    };
    let make = |sequence: &Sequence, prediction: Prediction, time: Duration| {
        let (length, chains) = (prediction.length, &sequence.chain_lengths);
        let map = contact_map::decode(&prediction.contacts.unwrap_or_default());
        let name = |ending: &str| format!("{}.contacts.{ending}", sequence.stem);
        let files = vec![
            // The table is of an earlier run, and so of another map.
            out.replace(&name("npy"), [name("tsv")], |w| npy(w, &[length, length], &map, false))?,
            out.write(&name("png"), |w| contact_png(w, &map, chains))?,
        ];
        let contacts = contact_map::pairs_above(&map, chains, MIN_SEPARATION, CONTACT).count();
        Ok(Done::<()> {
            files,
            scores: Map::from_iter([("contacts".to_owned(), contacts.into())]),
            cells: vec![length.to_string(), contacts.to_string(), format!("{:.3} s", time.as_secs_f64())],
            ..Done::default()
        })
    };
    run.run(batch, &mut console, make, |_, _, ()| {})?;
    console.finish()
}

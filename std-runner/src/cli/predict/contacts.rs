//! Contact maps, and pictures of them.

use std_runner::contact_map::{self, MIN_SEPARATION};
use std_runner::engine::{Request, Requests};
use std_runner::model::ModelBytes;
use std_runner::output::{OutputDir, contact_png, npy};

use crate::cli::Outcome;
use crate::cli::console::Console;
use crate::cli::input::{self, Input};
use crate::cli::options::{Options, require};

/// A pair above this probability is called a contact.
const CONTACT: f32 = 0.5;

pub fn run(
    options: &Options,
    input: &Input,
    bytes: &ModelBytes,
    out: &OutputDir,
    mut console: Console,
) -> anyhow::Result<Outcome> {
    let engine = options.engine(bytes)?;
    let request = Request { contacts: true, ..Request::default() };
    require(&engine, &request, bytes.name())?;
    let sequences = input.read(&mut console);
    let names = sequences.iter().map(|s| s.id.chars().count()).max().unwrap_or(0);
    input::run(
        options,
        &Requests { engine: &engine, request: &request },
        &sequences,
        &mut console,
        |sequence, prediction, time| {
            let (length, chains) = (prediction.length, &sequence.chain_lengths);
            let map = contact_map::decode(&prediction.contacts.unwrap_or_default());
            out.write(&format!("{}.contacts.npy", sequence.stem), |w| {
                npy(w, &[length, length], &map, false)
            })?;
            out.write(&format!("{}.contacts.png", sequence.stem), |w| contact_png(w, &map, chains))?;
            Ok((time, contact_map::pairs_above(&map, chains, MIN_SEPARATION, CONTACT).count()))
        },
        |console, sequence, (time, contacts)| {
            let (id, length, seconds) = (&sequence.id, sequence.residues.len(), time.as_secs_f64());
            console
                .line(format_args!("{id:names$} {length:6} residues {seconds:9.3} s {contacts:6} contacts"));
        },
    )?;
    console.finish()
}

//! `foldpoint predict`

use std::path::PathBuf;

use std_runner::contact_map::{self, MIN_SEPARATION};
use std_runner::engine::{Request, Requests};
use std_runner::output::{OutputDir, contact_png, npy};

use super::Outcome;
use super::console::Console;
use super::input::{self, Input};
use super::options::{Options, require};

/// A pair above this probability is called a contact.
const CONTACT: f32 = 0.5;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Folder for the results; created where needed
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let out = OutputDir::create(&args.out)?;
    let mut console = Console::new(options.quiet);
    let bytes = options.open(None)?;
    let engine = options.engine(&bytes)?;
    let request = Request { contacts: true, ..Request::default() };
    require(&engine, &request, bytes.name())?;
    let sequences = args.input.read(&mut console)?;
    let names = sequences.iter().map(|s| s.id.chars().count()).max().unwrap_or(0);
    input::run(
        options,
        &Requests { engine: &engine, request: &request },
        &sequences,
        &mut console,
        |sequence, prediction, time| {
            let length = prediction.length;
            let map = contact_map::decode(&prediction.contacts.unwrap_or_default());
            out.write(&format!("{}.contacts.npy", sequence.stem), |w| {
                npy(w, &[length, length], &map, false)
            })?;
            out.write(&format!("{}.contacts.png", sequence.stem), |w| contact_png(w, &map, length))?;
            Ok((time, contact_map::pairs_above(&map, length, MIN_SEPARATION, CONTACT).count()))
        },
        |console, sequence, (time, contacts)| {
            let (id, length, seconds) = (&sequence.id, sequence.residues.len(), time.as_secs_f64());
            console
                .line(format_args!("{id:names$} {length:6} residues {seconds:9.3} s {contacts:6} contacts"));
        },
    )?;
    console.finish()
}

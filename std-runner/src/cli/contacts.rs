//! `foldpoint contacts`

use std::path::PathBuf;

use std_runner::contact_map;
use std_runner::engine::{Request, Requests};
use std_runner::output::{OutputDir, contact_png, npy};

use super::Outcome;
use super::console::Console;
use super::input::{self, Input};
use super::options::{Options, require};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Folder for the results; created where needed. Each sequence gets ID.contacts.npy (f32 [L, L]); the chains of a
    /// complex (`:` between them) come one after another, without the linkers that the model sees between them
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Write a picture too, ID.contacts.png, with lines between the chains
    #[arg(long)]
    png: bool,
    /// Write a table too, ID.contacts.tsv: i, j (rows and columns of the map, from 1) and probability of each pair above
    /// the threshold; of a complex also chain_i, residue_i, chain_j, residue_j
    #[arg(long)]
    tsv: bool,
    /// Pairs in the table are more probable than this
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    threshold: f32,
    /// Pairs of one chain in the table are at least this far apart in sequence
    #[arg(long, value_name = "N", default_value_t = contact_map::MIN_SEPARATION)]
    min_separation: usize,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let out = OutputDir::create(&args.out)?;
    let mut console = Console::new(options.quiet);
    let bytes = options.open(None)?;
    let engine = options.engine(&bytes)?;
    let request = Request { contacts: true, ..Request::default() };
    require(&engine, &request, bytes.name())?;
    let sequences = args.input.read(&mut console);
    input::run(
        options,
        &Requests { engine: &engine, request: &request },
        &sequences,
        &mut console,
        |sequence, prediction, _| {
            let (length, chains) = (prediction.length, &sequence.chain_lengths);
            let map = contact_map::decode(&prediction.contacts.unwrap_or_default());
            let name = |ending: &str| format!("{}.contacts.{ending}", sequence.stem);
            out.write(&name("npy"), |w| npy(w, &[length, length], &map, false))?;
            if args.png {
                out.write(&name("png"), |w| contact_png(w, &map, chains))?;
            }
            if args.tsv {
                out.write(&name("tsv"), |w| {
                    contact_map::write_tsv(w, &map, chains, args.min_separation, args.threshold)
                })?;
            }
            Ok(())
        },
        |_, _, ()| {},
    )?;
    console.finish()
}

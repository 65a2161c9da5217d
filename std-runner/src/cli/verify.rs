//! `foldpoint verify`

use std::path::PathBuf;

use foldpoint_core::esm2::LanguageModel;
use std_runner::arena::display_bytes;

use super::Outcome;
use super::console::Console;
use super::options::Options;

#[derive(clap::Args)]
pub struct Args {
    /// Model file [default: --model, or the embedded model]
    #[arg(value_name = "MODEL")]
    file: Option<PathBuf>,
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let bytes = options.open(args.file.as_ref())?;
    let file = bytes.parse()?;
    file.verify().map_err(|e| bytes.error(e))?;
    LanguageModel::load(&file).map_err(|e| bytes.error(e))?;
    let (name, tensors) = (bytes.name(), file.tensor_count());
    let size = display_bytes(bytes.bytes().len() as u64);
    console.line(format_args!("{name}: ok, {tensors} tensors, {size}"));
    console.finish()
}

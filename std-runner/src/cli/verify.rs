//! `foldpoint verify`

use std::path::PathBuf;

use anyhow::ensure;
use foldpoint_core::alphabet::TOKENS;
use foldpoint_core::omegafold::Config;
use std_runner::arena::display_bytes;
use std_runner::model::{Kind, Model};

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
    let console = Console::new(options.quiet);
    let model = options.open(args.file.as_ref())?;
    let name = model.name();
    let file = model.file()?;
    model.verify()?;

    if model.kind() == Kind::OmegaFold {
        let omegafold = model.omegafold()?;
        let Config { layers, blocks, .. } = *omegafold.config();
        let checked = format!(
            "OmegaFold: language model ({layers} layers), folding trunk ({blocks} blocks), structure module and confidence head"
        );
        return told(console, &model, &[checked]);
    }
    let language_model = model.language_model()?;
    let config = language_model.config();
    // The tokens that sequences become.
    let (found, expected) = (config.vocab, TOKENS.len());
    ensure!(found == expected, "{name}: its alphabet has {found} tokens; expected {expected}");
    let mut checked = vec![format!("language model ({} layers)", config.layers)];
    for (head, there) in [
        ("contact head", language_model.has_contact_head()),
        ("language-model head", language_model.has_lm_head()),
    ] {
        checked.extend(there.then(|| head.to_owned()));
    }

    if model.folds() {
        let blocks = model.folding_model()?.config().blocks;
        checked.push(format!("folding trunk ({blocks} blocks), structure module and confidence heads"));
    } else if let Some(tensor) = file.tensors().find(|tensor| tensor.name.starts_with("fold.")) {
        // A run would take it for a language model without a word.
        let config = foldpoint_core::esmfold::CONFIG;
        anyhow::bail!(
            "{name}: tensor {} is of a folding model, and there is no tensor {config}",
            tensor.name
        );
    }

    told(console, &model, &checked)
}

/// Says what was checked.
fn told(mut console: Console, model: &Model, checked: &[String]) -> anyhow::Result<Outcome> {
    let (name, file) = (model.name(), model.file()?);
    let (tensors, size) = (file.tensor_count(), display_bytes(model.bytes().len() as u64));
    console.line(format_args!("{name}: ok, {tensors} tensors, {size}"));
    console.line(format_args!("checked: all checksums; {}", checked.join(", ")));
    console.finish()
}

//! `foldpoint models`

use anyhow::Context;
use serde_json::{Value, json};
use std_runner::arena::display_bytes;
use std_runner::model::{Model, ModelError};
use store::Store;

use super::Outcome;
use super::console::Console;
use super::options::Options;

#[derive(clap::Args)]
pub struct Args {
    /// Print one line of JSON for each model instead of a table
    #[arg(long)]
    json: bool,
}

/// What is told of a model.
struct Row {
    /// What `--model` takes; `None` for the model that is built in.
    name: Option<String>,
    path: Option<String>,
    bytes: u64,
    kind: &'static str,
    /// What its metadata say: by whose weights it was made, what it is called, what was chosen for its parts.
    checkpoint: Option<String>,
    title: Option<String>,
    choices: Vec<(&'static str, Value)>,
    /// The place whose codes were the least exact on the calibration values, and their signal-to-noise ratio.
    worst: Option<(String, f64)>,
}

impl Row {
    fn new(name: Option<String>, model: &Model) -> Result<Self, ModelError> {
        let meta = model.metadata()?.unwrap_or_default();
        let text = |key: &str| meta.get(key).and_then(Value::as_str).map(str::to_owned);
        let parts = ["language_model", "trunk", "structure"].into_iter();
        let sites = meta.get("snr_db").and_then(Value::as_object);
        let sites = sites.into_iter().flatten().filter_map(|(site, snr)| Some((site.clone(), snr.as_f64()?)));
        Ok(Self {
            path: name.is_some().then(|| model.name().to_owned()),
            name,
            bytes: model.bytes().len() as u64,
            kind: if model.folds() { "folding model" } else { "language model" },
            checkpoint: text("checkpoint"),
            title: text("name"),
            choices: parts.filter_map(|part| Some((part, meta.get(part)?.clone()))).collect(),
            worst: sites.min_by(|a, b| a.1.total_cmp(&b.1)),
        })
    }

    fn json(&self) -> Value {
        let (site, snr) = self.worst.clone().unzip();
        let mut value = json!({
            "name": self.name,
            "path": self.path,
            "bytes": self.bytes,
            "kind": self.kind,
            "checkpoint": self.checkpoint,
            "title": self.title,
            "worst_site": site,
            "worst_snr_db": snr,
        });
        self.choices.iter().for_each(|(part, choice)| value[*part] = choice.clone());
        value
    }

    fn cells(&self) -> [String; 5] {
        let named = match (&self.checkpoint, &self.title) {
            (Some(checkpoint), Some(title)) => format!("{checkpoint} ({title})"),
            (Some(text), None) | (None, Some(text)) => text.clone(),
            (None, None) => "unknown".to_owned(),
        };
        [
            self.name.clone().unwrap_or_else(|| "(built in)".to_owned()),
            display_bytes(self.bytes),
            self.kind.to_owned(),
            self.worst.as_ref().map_or_else(|| "unknown".to_owned(), |(_, snr)| format!("{snr:.1} dB")),
            named,
        ]
    }
}

pub fn run(options: &Options, args: &Args) -> anyhow::Result<Outcome> {
    let mut console = Console::new(options.quiet);
    let mut rows = Vec::new();
    match Model::embedded() {
        Ok(model) => rows.push(Row::new(None, &model)?),
        Err(ModelError::NoneEmbedded) => {}
        Err(error) => return Err(error.into()),
    }
    let store = Store::of_user().context("only the model that is built in can be listed")?;
    for entry in store.list()? {
        match Model::open(&entry.path).and_then(|model| Row::new(Some(entry.name), &model)) {
            Ok(row) => rows.push(row),
            Err(error) => console.unreadable(error),
        }
    }
    if args.json {
        rows.iter().for_each(|row| console.line(row.json()));
    } else {
        table(&mut console, &rows);
        let folder = store.folder().display();
        console.line(format_args!("\nThose with a name are in {folder}: --model NAME takes them"));
    }
    console.finish()
}

/// One row a model; what it was made of comes last, where its length does no harm.
fn table(console: &mut Console, rows: &[Row]) {
    let head = ["model", "size", "kind", "worst SNR", "checkpoint"].map(str::to_owned);
    let lines: Vec<[String; 5]> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for [name, size, kind, snr, checkpoint] in &lines {
        console.line(format_args!(
            "{name:<0$}  {size:>1$}  {kind:<2$}  {snr:>3$}  {checkpoint}",
            widths[0], widths[1], widths[2], widths[3]
        ));
    }
}

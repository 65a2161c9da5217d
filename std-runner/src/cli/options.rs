//! Options that every command has, and what is made of them.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use foldpoint_core::Isa;
use std_runner::arena::parse_bytes;
use std_runner::batch::Runner;
use std_runner::engine::{Engine, Request};
use std_runner::memory_limit::MemoryLimit;
use std_runner::model::Model;
use tracing_subscriber::filter::LevelFilter;

use super::console::Console;

/// Options of every command.
#[derive(clap::Args)]
pub struct Options {
    /// Model file, or the name of a model that `models` lists [default: the embedded model]
    #[arg(long, global = true, value_name = "FILE|NAME", env = "FOLDPOINT_MODEL")]
    pub model: Option<PathBuf>,
    /// Threads [default: all processors]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Instruction set: a name that `info` prints, or `auto` for the fastest one
    #[arg(long, global = true, value_name = "NAME", env = "FOLDPOINT_ISA", default_value = "auto", value_parser = parse_isa)]
    pub isa: Isa,
    /// Most memory to use, e.g. 2G [default: the smallest of what the system has available and what the
    /// process is held to: by a container or another control group, by Slurm, by `ulimit`]
    #[arg(long, global = true, value_name = "SIZE", value_parser = parse_bytes)]
    pub memory_limit: Option<u64>,
    /// Do not check the model's checksums before running it
    #[arg(long, global = true)]
    pub no_verify: bool,
    /// No table of records, progress bar, notes or warnings; errors are still printed, what --json asks for,
    /// and what commands without records answer (info, plan, verify ...)
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more about what is done; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

fn parse_isa(name: &str) -> Result<Isa, String> {
    if name == "auto" {
        return Ok(Isa::best());
    }
    Isa::by_name(name).ok_or_else(|| {
        let names: Vec<&str> = Isa::all().map(|isa| isa.name()).collect();
        format!("this machine runs auto, {}", names.join(", "))
    })
}

impl Options {
    /// Sends log lines to the standard error, as many as `-v` asks for.
    pub fn start_logging(&self) {
        let level = match self.verbose {
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::TRACE,
        };
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_target(false)
            .with_ansi(::console::colors_enabled_stderr())
            .without_time()
            .with_writer(std::io::stderr)
            .init();
    }

    /// Number of threads to use.
    pub fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.threads.unwrap_or_else(all).get()
    }

    /// The model: of `path`, a file or a name, or of the `--model` option's, or the embedded one.
    pub fn open(&self, path: Option<&PathBuf>) -> anyhow::Result<Model<'static>> {
        match path.or(self.model.as_ref()) {
            Some(path) => Ok(Model::find(path)?),
            None => Ok(Model::embedded()?),
        }
    }

    /// Checks the model's checksums, before it runs.
    pub fn verify(&self, model: &Model) -> anyhow::Result<()> {
        if !self.no_verify {
            model.verify()?;
        }
        tracing::info!(model = model.name(), isa = self.isa.name(), threads = self.threads(), "model loaded");
        Ok(())
    }

    /// The language model of `model`, after checking it.
    pub fn engine<'a>(&self, model: &'a Model) -> anyhow::Result<Engine<'a>> {
        self.verify(model)?;
        Ok(Engine::new(model.language_model()?, self.isa))
    }

    /// How much memory may be used; a limit that is not understood is a warning.
    pub fn limit(&self, console: &Console) -> MemoryLimit {
        MemoryLimit::new(self.memory_limit, |warning| console.warning(warning))
    }

    /// How batches are run.
    pub fn runner(&self, console: &Console) -> Runner {
        Runner { threads: self.threads(), limit: self.limit(console) }
    }
}

/// Fails early, and once, if the model lacks a head that every sequence would need.
pub fn require(engine: &Engine, request: &Request, name: &str) -> anyhow::Result<()> {
    let check = |wanted: bool, there: bool, head: &str| -> anyhow::Result<()> {
        ensure!(!wanted || there, "it has no {head} head, which this command needs");
        Ok(())
    };
    let model = engine.model();
    check(request.contacts, model.has_contact_head(), "contact")
        .and_then(|()| check(request.logits, model.has_lm_head(), "language-model"))
        .with_context(|| name.to_owned())
}

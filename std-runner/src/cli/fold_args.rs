//! Options of commands that fold, and the engine that they make.

use anyhow::ensure;
use foldpoint_core::omegafold;
use std_runner::fold::{EsmFold, FoldEngine, OmegaFold};
use std_runner::model::{Kind, Model};

use super::options::Options;

/// Rows of the pseudo-MSA in a run that is made to measure it.
const PROBED_ROWS: u16 = 1;

/// How to fold: which of these a model takes depends on what it is.
#[derive(Default, clap::Args)]
pub struct FoldArgs {
    /// ESMFold: times that a structure goes through the model again [default: as the model was trained;
    /// `info` says it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..=10_000))]
    recycles: Option<u16>,
    /// OmegaFold: passes through the whole model, of which the one with the highest confidence is the result
    /// [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    cycles: Option<u16>,
    /// OmegaFold: rows of the pseudo-MSA, copies of the sequence in which random residues are masked; they
    /// take most of the language model's time [default: 15]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..=omegafold::ROWS_MAX as i64))]
    rows: Option<u16>,
}

impl FoldArgs {
    /// Those that were given, with their names.
    pub fn given(&self) -> [(&'static str, bool); 3] {
        [
            ("--recycles", self.recycles.is_some()),
            ("--cycles", self.cycles.is_some()),
            ("--rows", self.rows.is_some()),
        ]
    }

    /// The same for a run that is made to measure it: an OmegaFold with all its rows is too long with its
    /// language model to come to its trunk within seconds.
    pub fn probed(&self, model: &Model) -> Self {
        let rows = match model.kind() {
            Kind::OmegaFold => Some(self.rows.map_or(PROBED_ROWS, |rows| rows.min(PROBED_ROWS))),
            Kind::EsmFold | Kind::LanguageModel => self.rows,
        };
        Self { rows, ..*self }
    }

    /// The folding model of `model`, which folds as these options say. Whether predicted aligned errors are
    /// wanted is up to the command.
    ///
    /// # Errors
    /// The model isn't one that folds so, or not one that can be used.
    pub fn engine<'a>(
        &self,
        options: &Options,
        model: &'a Model,
        aligned_error: bool,
    ) -> anyhow::Result<FoldEngine<'a>> {
        let (name, isa) = (model.name(), options.isa);
        if model.kind() != Kind::OmegaFold {
            ensure!(
                self.cycles.is_none(),
                "{name}: --cycles is for an OmegaFold, and this model is none; expected --recycles"
            );
            ensure!(self.rows.is_none(), "{name}: --rows is for an OmegaFold, and this model is none");
            let model = model.folding_model()?;
            let passes = self.recycles.map_or(model.config().passes, |recycles| usize::from(recycles) + 1);
            return Ok(FoldEngine::EsmFold(EsmFold { model, isa, passes, aligned_error }));
        }
        ensure!(
            self.recycles.is_none(),
            "{name}: this model is an OmegaFold, which has no --recycles; expected --cycles: passes, the first one \
             among them"
        );
        ensure!(!aligned_error, "{name}: this model is an OmegaFold, which predicts no aligned errors");
        let mut request = omegafold::Request::default();
        if let Some(cycles) = self.cycles {
            request = request.cycles(cycles.into());
        }
        if let Some(rows) = self.rows {
            request = request.rows(rows.into());
        }
        Ok(FoldEngine::OmegaFold(OmegaFold { model: model.omegafold()?, isa, request }))
    }
}

//! A model and what is loaded from it once, in one value that can be shared by threads.

use foldpoint_core::Isa;
use foldpoint_core::esmfold::FoldingModel;
use self_cell::self_cell;
use std_runner::engine::Engine;
use std_runner::fold::FoldEngine;
use std_runner::model::{Model, ModelError};
use std_runner::output::structure::Provenance;

/// What runs a model.
pub struct Engines<'a> {
    /// The language model.
    pub language_model: Engine<'a>,
    /// The folding model, if there is one.
    folding_model: Option<FoldingModel<'a>>,
}

self_cell!(
    /// A model and its engines, which borrow its bytes.
    pub struct Loaded {
        owner: Model<'static>,
        #[covariant]
        dependent: Engines,
    }
);

impl Loaded {
    /// Loads every tensor of `model` once, for `isa`.
    ///
    /// # Errors
    /// [`ModelError`], if a tensor is missing or bad.
    pub fn load(model: Model<'static>, isa: Isa) -> Result<Self, ModelError> {
        Self::try_new(model, |model| {
            let language_model = Engine::new(model.language_model()?, isa);
            let folding_model = if model.folds() { Some(model.folding_model()?) } else { None };
            Ok(Engines { language_model, folding_model })
        })
    }

    /// The model.
    pub fn model(&self) -> &Model<'static> {
        self.borrow_owner()
    }

    /// What runs it.
    pub fn engines(&self) -> &Engines<'_> {
        self.borrow_dependent()
    }

    /// What folds: in so many passes, or as many as it was trained for.
    ///
    /// # Errors
    /// [`ModelError::Format`] if there is no folding model.
    pub fn fold_engine(
        &self,
        recycles: Option<usize>,
        aligned_error: bool,
    ) -> Result<FoldEngine<'_>, ModelError> {
        let engines = self.engines();
        let model = match &engines.folding_model {
            Some(model) => model.clone(),
            // Says what is missing.
            None => self.model().folding_model()?,
        };
        let passes = recycles.map_or(model.config().passes, |recycles| recycles.saturating_add(1));
        Ok(FoldEngine { model, isa: engines.language_model.isa(), passes, aligned_error })
    }

    /// What made the structures that `engine` folds.
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn provenance(&self, engine: &FoldEngine) -> Result<Provenance, ModelError> {
        let meta = self.model().metadata()?.unwrap_or_default();
        let text = |key: &str| meta.get(key).and_then(|value| value.as_str()).unwrap_or("UNKNOWN").to_owned();
        Ok(Provenance {
            passes: engine.passes,
            model: self.model().file_name().to_owned(),
            checkpoint: text("checkpoint"),
            quantizer: text("quantizer"),
        })
    }
}

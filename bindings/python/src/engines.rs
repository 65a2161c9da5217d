//! A model and what is loaded from it once, in one value that can be shared by threads.

use foldpoint_core::{Isa, esmfold, omegafold};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use self_cell::self_cell;
use std_runner::engine::Engine;
use std_runner::fold::{EsmFold, FoldEngine, OmegaFold};
use std_runner::model::{Kind, Model, ModelError};

use crate::error;

/// What runs a model.
pub struct Engines<'a> {
    /// The language model, if it gives anything by itself.
    language_model: Option<Engine<'a>>,
    folding_model: Folding<'a>,
}

/// The folding model, if there is one.
#[expect(clippy::large_enum_variant, reason = "there is one for each model")]
enum Folding<'a> {
    None,
    EsmFold(esmfold::FoldingModel<'a>),
    OmegaFold(omegafold::FoldingModel<'a>),
}

/// How to fold.
#[derive(Clone, Copy)]
pub struct FoldOptions {
    /// ESMFold: times that a structure goes through the model again.
    pub recycles: Option<u16>,
    /// OmegaFold: passes through the whole model.
    pub cycles: Option<u16>,
    /// OmegaFold: rows of the pseudo-MSA.
    pub rows: Option<u16>,
    /// Whether predicted aligned errors are wanted of a model that has them.
    pub aligned_error: bool,
}

/// As the model was trained, and all that it predicts.
impl Default for FoldOptions {
    fn default() -> Self {
        Self { recycles: None, cycles: None, rows: None, aligned_error: true }
    }
}

self_cell!(
    struct Borrowed {
        owner: Model<'static>,
        #[covariant]
        dependent: Engines,
    }
);

/// A model and its engines, which borrow its bytes.
pub struct Loaded {
    borrowed: Borrowed,
    isa: Isa,
}

impl Loaded {
    /// Loads every tensor of `model` once, for `isa`.
    ///
    /// # Errors
    /// [`ModelError`], if a tensor is missing or bad.
    pub fn load(model: Model<'static>, isa: Isa) -> Result<Self, ModelError> {
        let borrowed = Borrowed::try_new(model, |model| {
            let language_model = match model.kind() {
                Kind::OmegaFold => None,
                Kind::LanguageModel | Kind::EsmFold => Some(Engine::new(model.language_model()?, isa)),
            };
            let folding_model = match model.kind() {
                Kind::LanguageModel => Folding::None,
                Kind::EsmFold => Folding::EsmFold(model.folding_model()?),
                Kind::OmegaFold => Folding::OmegaFold(model.omegafold()?),
            };
            Ok::<_, ModelError>(Engines { language_model, folding_model })
        })?;
        Ok(Self { borrowed, isa })
    }

    /// The model.
    pub fn model(&self) -> &Model<'static> {
        self.borrowed.borrow_owner()
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// What runs the language model.
    ///
    /// # Errors
    /// [`ModelError::StructuresAlone`].
    pub fn language_model(&self) -> Result<&Engine<'_>, ModelError> {
        match &self.borrowed.borrow_dependent().language_model {
            Some(engine) => Ok(engine),
            None => Err(ModelError::StructuresAlone { name: self.model().name().to_owned() }),
        }
    }

    /// What folds.
    ///
    /// # Errors
    /// `ModelError` if there is no folding model, `ValueError` if it isn't one that folds so.
    pub fn fold_engine(&self, options: FoldOptions) -> PyResult<FoldEngine<'_>> {
        let FoldOptions { recycles, cycles, rows, aligned_error } = options;
        let name = self.model().name();
        let refuse = |text: &str| Err(PyValueError::new_err(format!("{name}: {text}")));
        if let Folding::OmegaFold(model) = &self.borrowed.borrow_dependent().folding_model {
            if recycles.is_some() {
                return refuse(
                    "this model is an OmegaFold, which has no recycles; expected cycles: passes, the first one among them",
                );
            }
            let mut request = omegafold::Request::default();
            if let Some(cycles) = cycles {
                request = request.cycles(cycles.into());
            }
            if let Some(rows) = rows {
                request = request.rows(rows.into());
            }
            return Ok(FoldEngine::OmegaFold(OmegaFold { model: model.clone(), isa: self.isa, request }));
        }
        if cycles.is_some() {
            return refuse("cycles is for an OmegaFold, and this model is none; expected recycles");
        }
        if rows.is_some() {
            return refuse("rows is for an OmegaFold, and this model is none");
        }
        let model = match &self.borrowed.borrow_dependent().folding_model {
            Folding::EsmFold(model) => model.clone(),
            // Says what is missing.
            _ => self.model().folding_model().map_err(error::of_model)?,
        };
        let passes = recycles.map_or(model.config().passes, |recycles| usize::from(recycles) + 1);
        Ok(FoldEngine::EsmFold(EsmFold { model, isa: self.isa, passes, aligned_error }))
    }
}

//! An OmegaFold over the bytes of a model file.

use super::block::Block;
use super::confidence::Confidence;
use super::config::{CONFIG, Config};
use super::embedding::Embedding;
use super::language_model::LanguageModel;
use super::recycling::Recycling;
use super::sites::{CodeBytes, Sites};
use crate::format::{FormatError, ModelFile};
use crate::structure::{Representations, StructureModule};

/// The language model and the folding trunk of one file.
#[derive(Clone, Debug)]
pub struct FoldingModel<'a> {
    pub(super) file: ModelFile<'a>,
    pub(super) config: Config,
    pub(super) language_model: LanguageModel<'a>,
    /// Bytes of the widest stored value of the language model's stream.
    pub(super) stream_bytes: usize,
    /// Bytes of the widest stored value of each representation.
    pub(super) code_bytes: CodeBytes,
    /// Codes of the longest quantized pair that a block saves.
    pub(super) quantized_pair: usize,
}

impl<'a> FoldingModel<'a> {
    /// Whether the file is an OmegaFold.
    pub fn is_in(file: &ModelFile) -> bool {
        file.tensor(CONFIG).is_some()
    }

    /// Finds and checks every tensor, so that a run over them can't meet a bad one.
    ///
    /// # Errors
    /// A tensor is missing, or is not as a run needs it.
    pub fn load(file: &ModelFile<'a>) -> Result<Self, FormatError> {
        let mut loaded = Self::open(file);
        Self::check(&mut loaded);
        loaded
    }

    #[inline(never)]
    fn open(file: &ModelFile<'a>) -> Result<Self, FormatError> {
        let config = Config::load(file)?;
        let language_model = LanguageModel::open(file, &config)?;
        let code_bytes = CodeBytes::default();
        Ok(Self { file: *file, config, language_model, stream_bytes: 0, code_bytes, quantized_pair: 0 })
    }

    /// Puts what is wrong with the tensors in the model's place. It isn't handed over: a copy of the model
    /// would be on the stack below every check.
    #[inline(never)]
    fn check(loaded: &mut Result<Self, FormatError>) {
        if let Ok(model) = loaded
            && let Err(error) = model.check_all()
        {
            *loaded = Err(error);
        }
    }

    fn check_all(&mut self) -> Result<(), FormatError> {
        self.stream_bytes = self.language_model.check()?;
        self.code_bytes = self.sites().check()?;
        for index in 0..self.config.blocks {
            self.quantized_pair = self.quantized_pair.max(self.block(index).check()?);
        }
        self.check_rest()
    }

    /// Checks everything beside the language model and the trunk. Nothing is kept: a run reads it again where
    /// it is used, and a small stack never holds more than one operation.
    #[inline(never)]
    fn check_rest(&self) -> Result<(), FormatError> {
        self.embedding()?;
        self.recycling()?;
        self.structure().check()?;
        self.confidence()?;
        Ok(())
    }

    /// How both representations are stored.
    pub(super) const fn sites(&self) -> Sites<'_, 'a> {
        Sites { file: self.file, config: &self.config }
    }

    /// Block `index` of the trunk.
    pub(super) const fn block(&self, index: usize) -> Block<'_, 'a> {
        let middle_row = self.config.pair_width * self.code_bytes.middle;
        Block { sites: self.sites(), index, middle_row }
    }

    /// What makes both representations of what the language model says.
    #[inline(never)]
    pub(super) fn embedding(&self) -> Result<Embedding<'a>, FormatError> {
        Embedding::load(&self.file, &self.config)
    }

    /// What a cycle begins with besides.
    #[inline(never)]
    pub(super) fn recycling(&self) -> Result<Recycling<'a>, FormatError> {
        Recycling::load(&self.file, &self.config)
    }

    /// The structure module.
    pub(super) fn structure(&self) -> StructureModule<'a> {
        let Config { node_width, node_frac, pair_width, pair_frac, epsilon_pair, .. } = self.config;
        let representations = Representations {
            sequence_width: node_width,
            sequence_frac: node_frac,
            pair_width,
            pair_frac,
            pair_epsilon: epsilon_pair,
        };
        StructureModule::open(
            &self.file,
            &self.config.structure,
            &representations,
            self.config.epsilon_activation,
        )
    }

    /// The confidence head.
    #[inline(never)]
    pub(super) fn confidence(&self) -> Result<Confidence<'a>, FormatError> {
        Confidence::load(&self.file, &self.config)
    }

    /// The shape.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

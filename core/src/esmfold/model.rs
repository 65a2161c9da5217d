//! A folding model over the bytes of a model file.

use super::block::{Block, PAIR_SITES, pair_site, sequence_site};
use super::config::Config;
use super::embedding::Embedding;
use super::recycling::Recycling;
use crate::esm::LanguageModel;
use crate::format::{FormatError, ModelFile};
use crate::heads::{AlignedError, Distogram, Plddt};
use crate::quant::Site;
use crate::structure::{Representations, StructureModule};

/// The language model and the folding trunk of one file.
#[derive(Clone, Debug)]
pub struct FoldingModel<'a> {
    pub(super) file: ModelFile<'a>,
    pub(super) config: Config,
    pub(super) language_model: LanguageModel<'a>,
    /// Bytes of the widest stored value of the sequence and of the pair representation.
    pub(super) code_bytes: [usize; 2],
    /// Codes of the longest quantized pair that a block saves.
    pub(super) quantized_pair: usize,
}

impl<'a> FoldingModel<'a> {
    /// Whether the file has a folding part at all.
    pub fn is_in(file: &ModelFile) -> bool {
        file.tensor(super::CONFIG).is_some()
    }

    /// Finds and checks every tensor of the language model and of the folding part, so that a pass over them
    /// can't meet a bad one.
    ///
    /// # Errors
    /// A tensor is missing, or is not as a pass needs it.
    pub fn load(file: &ModelFile<'a>) -> Result<Self, FormatError> {
        let mut loaded = Self::open(file);
        Self::check(&mut loaded);
        loaded
    }

    #[inline(never)]
    fn open(file: &ModelFile<'a>) -> Result<Self, FormatError> {
        let config = Config::load(file)?;
        let language_model = LanguageModel::open(file)?;
        Ok(Self { file: *file, config, language_model, code_bytes: [0; 2], quantized_pair: 0 })
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
        self.language_model.check()?;
        self.check_blocks()?;
        self.check_sites()?;
        self.check_rest()
    }

    /// Checks the trunk and finds its longest rows. As in [`check_rest`](Self::check_rest) nothing is kept: a
    /// pass reads it again where it is used, and a small stack never holds more than one operation.
    #[inline(never)]
    fn check_blocks(&mut self) -> Result<(), FormatError> {
        for index in 0..self.config.blocks {
            self.quantized_pair = self.quantized_pair.max(self.block(index).check()?);
        }
        Ok(())
    }

    /// Checks how both representations are stored, and finds their widest values.
    #[inline(never)]
    fn check_sites(&mut self) -> Result<(), FormatError> {
        let bytes = |site: Site| site.codec.bytes_per_value();
        let [mut sequence, mut pair] = [0; 2];
        for index in 0..=self.config.blocks {
            sequence = sequence.max(bytes(self.sequence_site(index)?));
        }
        for index in 0..=PAIR_SITES * self.config.blocks {
            pair = pair.max(bytes(self.pair_site(index)?));
        }
        self.code_bytes = [sequence, pair];
        Ok(())
    }

    /// Checks everything beside the trunk.
    #[inline(never)]
    fn check_rest(&self) -> Result<(), FormatError> {
        self.embedding()?;
        self.recycling()?;
        self.structure().check()?;
        self.plddt()?;
        self.aligned_error()?;
        self.distogram()?;
        Ok(())
    }

    /// Block `index` of the trunk.
    pub(super) const fn block(&self, index: usize) -> Block<'_, 'a> {
        Block { file: self.file, config: &self.config, index }
    }

    /// The sequence representation's site number `index`.
    pub(super) fn sequence_site(&self, index: usize) -> Result<Site<'a>, FormatError> {
        sequence_site(&self.file, &self.config, index)
    }

    /// The pair representation's site number `index`.
    pub(super) fn pair_site(&self, index: usize) -> Result<Site<'a>, FormatError> {
        pair_site(&self.file, &self.config, index)
    }

    /// What makes a sequence representation of the language model's hidden states.
    #[inline(never)]
    pub(super) fn embedding(&self) -> Result<Embedding<'a>, FormatError> {
        let lm = self.language_model.config();
        Embedding::load(&self.file, &self.config, lm.layers + 1, lm.width)
    }

    /// What a pass begins with.
    #[inline(never)]
    pub(super) fn recycling(&self) -> Result<Recycling<'a>, FormatError> {
        Recycling::load(&self.file, &self.config)
    }

    /// The structure module.
    pub(super) fn structure(&self) -> StructureModule<'a> {
        let Config { sequence_width, sequence_frac, pair_width, pair_frac, epsilon_pair, .. } = self.config;
        let representations = Representations {
            sequence_width,
            sequence_frac,
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

    /// The head of the pLDDT.
    #[inline(never)]
    pub(super) fn plddt(&self) -> Result<Plddt<'a>, FormatError> {
        Plddt::load(&self.file, self.config.structure.width, self.config.epsilon_activation)
    }

    /// The head of the aligned errors.
    #[inline(never)]
    pub(super) fn aligned_error(&self) -> Result<AlignedError<'a>, FormatError> {
        AlignedError::load(&self.file, self.config.pair_width, self.config.pair_frac)
    }

    /// The head of the distances.
    #[inline(never)]
    pub(super) fn distogram(&self) -> Result<Distogram<'a>, FormatError> {
        Distogram::load(&self.file, self.config.pair_width, self.config.pair_frac)
    }

    /// The shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The language model below.
    pub fn language_model(&self) -> &LanguageModel<'a> {
        &self.language_model
    }
}

//! A folding model over the bytes of a model file.

use super::block::{Block, pair_site, sequence_site};
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
    pub(super) embedding: Embedding<'a>,
    pub(super) recycling: Recycling<'a>,
    /// The representations at the start of a pass.
    pub(super) sequence_start: Site<'a>,
    pub(super) pair_start: Site<'a>,
    pub(super) structure: StructureModule<'a>,
    pub(super) plddt: Plddt<'a>,
    pub(super) aligned_error: AlignedError<'a>,
    pub(super) distogram: Distogram<'a>,
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

    /// Finds and checks every tensor of the language model and of the folding part, so that a pass over them can't meet a bad one.
    ///
    /// # Errors
    /// A tensor is missing, or is not as a pass needs it.
    pub fn load(file: &ModelFile<'a>) -> Result<Self, FormatError> {
        let config = Config::load(file)?;
        let language_model = LanguageModel::load(file)?;
        let lm = language_model.config();
        let (sequence_start, pair_start) = (sequence_site(file, &config, 0)?, pair_site(file, &config, 0)?);
        let bytes = |site: &Site| site.codec.bytes_per_value();
        let mut code_bytes = [bytes(&sequence_start), bytes(&pair_start)];
        let mut quantized_pair = 0;
        for index in 0..config.blocks {
            let block = Block::load(file, &config, index)?;
            let [sequence, pair] = &mut code_bytes;
            *sequence = (*sequence).max(bytes(&block.sequence));
            *pair = block.pair.iter().map(bytes).fold(*pair, usize::max);
            quantized_pair = quantized_pair.max(block.quantized_pair());
        }
        let representations = Representations {
            sequence_width: config.sequence_width,
            sequence_frac: config.sequence_frac,
            pair_width: config.pair_width,
            pair_frac: config.pair_frac,
        };
        Ok(Self {
            file: *file,
            config,
            embedding: Embedding::load(file, &config, lm.layers + 1, lm.width)?,
            recycling: Recycling::load(file, &config)?,
            sequence_start,
            pair_start,
            structure: StructureModule::load(
                file,
                &config.structure,
                &representations,
                config.epsilon_activation,
            )?,
            plddt: Plddt::load(file, config.structure.width, config.epsilon_activation)?,
            aligned_error: AlignedError::load(file, config.pair_width, config.pair_frac)?,
            distogram: Distogram::load(file, config.pair_width, config.pair_frac)?,
            language_model,
            code_bytes,
            quantized_pair,
        })
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

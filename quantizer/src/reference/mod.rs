//! The float forward pass of ESM-2, and with [`esmfold`] of ESMFold: what integer inference is measured
//! against, and where calibration looks.
//!
//! Follows `transformers`' `EsmForMaskedLM` (and with it fair-esm's `ESM2`): token dropout rescaling, rotary
//! positions on queries that are already scaled, GELU by the error function, LayerNorm before each branch and
//! after the last layer. Sums over channels and keys are f64 where candle does not do them.

mod attention;
mod contact_head;
mod elementwise;
mod error;
pub mod esmfold;
mod layer;
mod lm_head;
mod observer;
pub mod omegafold;
mod ops;
mod run;
mod weights;

use foldpoint_core::alphabet::MASK;

pub use attention::Rotary;
pub use contact_head::{ContactHead, ContactLogits};
pub use error::ReferenceError;
pub use layer::Layer;
pub use lm_head::LmHead;
pub use observer::{Observer, Shown, Site, Tap};
pub(crate) use ops::to_vec;
pub use ops::{LayerNorm, Linear};
pub use run::Run;
pub(crate) use run::TOKENS_TOGETHER;
pub use weights::Weights;

use crate::checkpoint::Checkpoint;

/// Share of tokens that were not replaced by `<mask>` in training: 1 - 0.15 * 0.8.
const UNMASKED_IN_TRAINING: f32 = 0.88;

/// Which results a forward pass shall return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Contact probabilities.
    pub contacts: bool,
    /// Logits over the alphabet.
    pub logits: bool,
    /// The hidden states of every layer.
    pub hidden: bool,
}

/// The results for one sequence; those that were not wanted are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// `[residues, residues]`, without `<cls>` and `<eos>`.
    pub contacts: Vec<f32>,
    /// `[tokens, vocab]`.
    pub logits: Vec<f32>,
    /// Element 0 is the embedding, element i the stream after layer i - 1, except that the last one has been
    /// through the final LayerNorm; each `[tokens, width]`.
    pub hidden: Vec<Vec<f32>>,
}

/// The float model of a checkpoint. Holds the embedding; layers are read when they run.
pub struct Reference<'c> {
    checkpoint: &'c Checkpoint,
    embedding: Vec<f32>,
    norm: LayerNorm,
}

impl<'c> Reference<'c> {
    /// Reads the embedding and the final LayerNorm.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn new(checkpoint: &'c Checkpoint) -> Result<Self, ReferenceError> {
        let weights = Weights::new(checkpoint).at("lm");
        let [embedding] = weights.values("embedding")?;
        Ok(Self { checkpoint, embedding, norm: weights.norm("norm")? })
    }

    /// The checkpoint that runs.
    pub fn checkpoint(&self) -> &'c Checkpoint {
        self.checkpoint
    }

    /// The final LayerNorm.
    pub fn norm(&self) -> &LayerNorm {
        &self.norm
    }

    /// Runs one sequence of tokens, `<cls>` and `<eos>` included.
    ///
    /// # Errors
    /// As [`Reference::run_batch`].
    pub fn run(&self, tokens: &[u8], want: Want) -> Result<Outputs, ReferenceError> {
        Ok(self.run_batch(&[tokens], want, &mut ())?.pop().unwrap_or_default())
    }

    /// Runs every sequence through one layer before the next layer is read, so that memory holds one layer's
    /// weights and the residual streams. Each sequence gives what it gives alone, as near as single precision
    /// has it. `observer` is shown the values inside.
    ///
    /// # Errors
    /// A sequence without `<cls>` and `<eos>`, a token outside the alphabet, a wanted head that is missing,
    /// or a tensor that can't be read.
    pub fn run_batch<S: AsRef<[u8]>>(
        &self,
        sequences: &[S],
        want: Want,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Outputs>, ReferenceError> {
        let mut run = self.begin(sequences, want)?;
        while run.next_layer() < self.checkpoint.config().layers {
            self.layer(&mut run, observer)?;
        }
        self.finish(run, observer)
    }

    /// Embeds sequence number `sequence`: adds `[tokens, width]` to `values`. With token dropout, `<mask>`
    /// embeds to zero and all else is scaled as if as many tokens as in training were masked.
    fn embed(&self, sequence: usize, tokens: &[u8], values: &mut Vec<f32>) -> Result<(), ReferenceError> {
        let config = self.checkpoint.config();
        if tokens.len() < 2 {
            return Err(ReferenceError::TooShort { sequence, tokens: tokens.len() });
        }
        let masked = tokens.iter().filter(|&&token| token == MASK).count();
        let scale = if config.token_dropout {
            UNMASKED_IN_TRAINING / (1.0 - masked as f32 / tokens.len() as f32)
        } else {
            1.0
        };
        for (index, &token) in tokens.iter().enumerate() {
            let row = self
                .embedding
                .chunks_exact(config.width)
                .nth(token.into())
                .ok_or(ReferenceError::BadToken { sequence, index, token, vocab: config.vocab })?;
            if config.token_dropout && token == MASK {
                values.resize(values.len() + config.width, 0.0);
            } else {
                values.extend(row.iter().map(|v| v * scale));
            }
        }
        Ok(())
    }
}

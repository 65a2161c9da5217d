//! What every step of a pass reads.

use super::memory::Dims;
use super::weights::LanguageModel;
use crate::nn::Context;
use crate::nn::stream::StreamFormat;
use crate::quant::Site;

/// A model, the sizes of one sequence, and what runs it.
pub struct Pass<'r, 'a> {
    pub model: &'r LanguageModel<'a>,
    pub dims: Dims,
    pub context: Context<'r>,
}

impl Pass<'_, '_> {
    /// How the stream is stored at `site`.
    pub fn format<'s>(&self, site: &Site<'s>) -> StreamFormat<'s> {
        StreamFormat { site: *site, code_row: self.dims.code_row() }
    }
}

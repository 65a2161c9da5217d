//! What every step of a run reads.

use super::rows::Rows;
use super::shape::Shape;
use super::weights::LanguageModel;
use crate::nn::Context;

/// A model, the sizes of one run, what it is over, and what runs it.
pub struct Pass<'r, 'a> {
    pub model: &'r LanguageModel<'a>,
    pub context: Context<'r>,
    pub shape: &'r Shape,
    pub rows: &'r Rows<'r>,
}

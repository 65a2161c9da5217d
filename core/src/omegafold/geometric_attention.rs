//! Geometric attention: triangle attention and triangle multiplication of the pairs and of the transposed
//! pairs.
//!
//! All four read the pairs E as they enter the layer, and what they give is added:
//!
//! ```text
//! E[i, j] += attention(E)[i, j] + attention(E^T)[j, i] + product(E)[i, j] + product(E^T)[i, j]
//! ```
//! The last term is AlphaFold's multiplication of incoming edges but for its gate, which reads the mirrored
//! pair (j, i): it is that of outgoing edges on transposed pairs, not transposed back. So E stays until all
//! have read it, and the sum grows beside it, in codes of a site of its own ("middle"); the fourth term ends
//! it, and what it has read of E lies elsewhere by then, so that the sum takes E's place:
//!
//! | step | reads | adds to | sum |
//! |---|---|---|---|
//! | attention | E | E | middle |
//! | product | E | middle | middle |
//! | product | E transposed | middle | middle |
//! | attention | E transposed | middle transposed | E transposed |

use super::request::RunError;
use crate::arena::Arena;
use crate::format::{FormatError, ModelFile, Name, join, numbered};
use crate::nn::stream::{Formats, Stream, StreamFormat};
use crate::trunk::addends::Addends;
use crate::trunk::memory::PairMemory;
use crate::trunk::shape::Setting;
use crate::trunk::transpose::transpose;
use crate::trunk::triangle_attention::TriangleAttention;
use crate::trunk::triangle_multiplication::{Direction, TriangleMultiplication};

/// What is multiplied.
#[derive(Clone, Copy, Debug)]
enum Product {
    /// The pairs.
    Straight,
    /// The transposed pairs.
    Turned,
}

/// How the pairs are stored around a layer.
#[derive(Clone, Copy, Debug)]
pub struct LayerFormats<'s> {
    /// Before it.
    pub before: StreamFormat<'s>,
    /// Sums of some of what it adds.
    pub middle: StreamFormat<'s>,
    /// After it.
    pub after: StreamFormat<'s>,
}

/// A layer, whose weights are read where they are used.
#[derive(Clone, Copy, Debug)]
pub struct GeometricAttention<'a> {
    /// The model's file.
    pub file: ModelFile<'a>,
    /// The block's number.
    pub block: usize,
    /// The layer's number within it.
    pub layer: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Channels of the pairs.
    pub width: usize,
}

impl<'a> GeometricAttention<'a> {
    /// Checks all tensors of the layer. Returns the codes of the longest quantized pair that an operation
    /// saves.
    ///
    /// # Errors
    /// That of the first tensor that can't be used.
    pub fn check(&self) -> Result<usize, FormatError> {
        let attentions = self.check_attention("attention_start")?.max(self.check_attention("attention_end")?);
        let products = self.check_product(Product::Straight)?.max(self.check_product(Product::Turned)?);
        Ok(attentions.max(products))
    }

    #[inline(never)]
    fn check_attention(&self, part: &str) -> Result<usize, FormatError> {
        Ok(self.attention(part)?.quantized_pair())
    }

    #[inline(never)]
    fn check_product(&self, product: Product) -> Result<usize, FormatError> {
        Ok(self.product(product)?.quantized_pair())
    }

    /// Updates the pairs. `middle` is memory for as many pairs as there are, `formats.middle.code_row` bytes
    /// each.
    ///
    /// # Errors
    /// The memory is not as the plan says, or a tensor can't be used.
    pub fn run(
        &self,
        on: &Setting,
        formats: &LayerFormats,
        [pair, middle]: [&mut [u8]; 2],
        memory: &mut PairMemory<Arena>,
    ) -> Result<(), RunError> {
        let turn = |codes: &mut [u8], format: &StreamFormat| {
            transpose(codes, on.shape.residues, format.code_row);
        };
        self.attend_rows(on, formats, pair, middle, memory)?;
        self.multiply(on, Product::Straight, formats, pair, middle, memory)?;
        turn(pair, &formats.before);
        self.multiply(on, Product::Turned, formats, pair, middle, memory)?;
        turn(middle, &formats.middle);
        self.attend_columns(on, formats, pair, middle, memory)?;
        turn(pair, &formats.after);
        Ok(())
    }

    /// Attention of the pairs: begins the sum, in `middle`.
    #[inline(never)]
    fn attend_rows(
        &self,
        on: &Setting,
        formats: &LayerFormats,
        pair: &[u8],
        middle: &mut [u8],
        PairMemory { records, scratch }: &mut PairMemory<Arena>,
    ) -> Result<(), RunError> {
        let attention = self.attention("attention_start")?;
        let stream = Stream { codes: pair, format: formats.before };
        let read = attention.read(on, &stream, records, scratch)?;
        let formats = Formats { before: formats.before, after: formats.middle };
        let addends = Addends { formats: &formats, codes: Some(pair) };
        Ok(attention.add(on, &read, addends, middle, scratch)?)
    }

    /// Adds a product to `middle`: of the pairs, or, if these are transposed, the other.
    #[inline(never)]
    fn multiply(
        &self,
        on: &Setting,
        product: Product,
        formats: &LayerFormats,
        pair: &[u8],
        middle: &mut [u8],
        PairMemory { records, scratch }: &mut PairMemory<Arena>,
    ) -> Result<(), RunError> {
        let product = self.product(product)?;
        let stream = Stream { codes: pair, format: formats.before };
        let read = product.read(on, &stream, records, scratch)?;
        let formats = Formats { before: formats.middle, after: formats.middle };
        Ok(product.add(on, read, Addends { formats: &formats, codes: None }, middle, scratch)?)
    }

    /// Attention of the transposed pairs: ends the sum, in their place. `middle` is transposed, too.
    #[inline(never)]
    fn attend_columns(
        &self,
        on: &Setting,
        formats: &LayerFormats,
        pair: &mut [u8],
        middle: &[u8],
        PairMemory { records, scratch }: &mut PairMemory<Arena>,
    ) -> Result<(), RunError> {
        let attention = self.attention("attention_end")?;
        let stream = Stream { codes: pair, format: formats.before };
        let read = attention.read(on, &stream, records, scratch)?;
        let formats = Formats { before: formats.middle, after: formats.after };
        let addends = Addends { formats: &formats, codes: Some(middle) };
        Ok(attention.add(on, &read, addends, pair, scratch)?)
    }

    #[inline(never)]
    fn attention(&self, part: &str) -> Result<TriangleAttention<'a>, FormatError> {
        TriangleAttention::load(&self.file, &self.name(part), self.heads, self.width)
    }

    #[inline(never)]
    fn product(&self, product: Product) -> Result<TriangleMultiplication<'a>, FormatError> {
        let part = match product {
            Product::Straight => "product",
            Product::Turned => "product_turned",
        };
        TriangleMultiplication::load(&self.file, &self.name(part), Direction::Outgoing, self.width)
    }

    fn name(&self, part: &str) -> Name {
        let layer = numbered("fold.trunk.", self.block, ".geometric.");
        join(&numbered(&layer, self.layer, ""), part)
    }
}

#[cfg(test)]
mod tests;

//! One Geoformer block: the order of its operations.

use super::config::{Config, TRANSITION_FACTOR};
use super::geometric_attention::{GeometricAttention, LayerFormats};
use super::request::RunError;
use super::sites::{NODE_SITES, Sites, pair_sites};
use crate::arena::{Arena, ArenaError, Source, bytes_of};
use crate::format::{FormatError, Name, numbered};
use crate::nn::feed_forward::{Activation, FeedForward};
use crate::nn::stream::{Formats, Stream, StreamFormat};
use crate::trunk::memory::PairMemory;
use crate::trunk::msa::memory::Memory as MsaMemory;
use crate::trunk::msa::msa_attention::MsaAttention;
use crate::trunk::msa::outer_product::OuterProduct;
use crate::trunk::msa::shape as msa;
use crate::trunk::pair_transition;
use core::mem::replace;

/// A block's operations, whose weights are read where they are used: all at once would be some kilobytes of
/// stack. None is inlined, so that one operation's are gone when the next one's come.
#[derive(Clone, Copy, Debug)]
pub struct Block<'m, 'a> {
    /// The model's file and shape, and how the representations are stored.
    pub sites: Sites<'m, 'a>,
    /// Its number.
    pub index: usize,
    /// Bytes of a pair as it is stored within a layer of geometric attention.
    pub middle_row: usize,
}

/// How both representations are stored at some place.
#[derive(Clone, Copy, Debug)]
pub struct TrunkFormats<'a> {
    /// One row for each residue and row of the pseudo-MSA.
    pub node: StreamFormat<'a>,
    /// One row for each pair of residues.
    pub pair: StreamFormat<'a>,
}

/// What the operations on pairs alone work in.
#[derive(Debug)]
struct PairWork<S: Source> {
    /// The pairs within a layer of geometric attention.
    middle: S::Piece<u8>,
    memory: PairMemory<S>,
}

impl<S: Source> PairWork<S> {
    fn take(
        source: &mut S,
        shape: &msa::Shape,
        middle_row: usize,
        workers: usize,
    ) -> Result<Self, ArenaError> {
        let residues = shape.trunk.residues;
        Ok(Self {
            middle: source.take(residues.saturating_mul(residues).saturating_mul(middle_row))?,
            memory: PairMemory::take(source, shape.trunk, workers)?,
        })
    }
}

impl<'a> Block<'_, 'a> {
    /// Checks all tensors of the block but the sites. Returns the codes of the longest quantized pair that an
    /// operation saves.
    ///
    /// # Errors
    /// That of the first tensor that can't be used.
    pub fn check(&self) -> Result<usize, FormatError> {
        self.check_node()?;
        self.check_pair()?;
        (0..self.config().geometric_layers)
            .try_fold(0, |longest, layer| Ok(self.geometric_attention(layer).check()?.max(longest)))
    }

    #[inline(never)]
    fn check_node(&self) -> Result<(), FormatError> {
        self.msa_attention()?;
        Ok(())
    }

    #[inline(never)]
    fn check_pair(&self) -> Result<(), FormatError> {
        self.outer_product()?;
        self.pair_transition()?;
        Ok(())
    }

    /// Bytes of working memory.
    ///
    /// # Errors
    /// They exceed the address width, or there are more rows than the arithmetic is proved for.
    pub fn bytes(&self, shape: &msa::Shape, workers: usize) -> Result<usize, ArenaError> {
        let node = bytes_of(|counter| MsaMemory::take(counter, shape, workers))?;
        let pair = bytes_of(|counter| PairWork::take(counter, shape, self.middle_row, workers))?;
        Ok(node.max(pair))
    }

    /// Updates both representations, the nodes' and the pairs', from how they are stored before the block,
    /// `stored`, which then says how they are stored after it. `memory` has [`bytes`](Self::bytes) bytes.
    ///
    /// # Errors
    /// The memory is not as the plan says, or a tensor can't be used.
    pub fn run(
        &self,
        on: &msa::Setting,
        stored: &mut TrunkFormats<'a>,
        [node, pair]: [&mut [u8]; 2],
        memory: &mut [u8],
    ) -> Result<(), RunError> {
        let pairs = Stream { codes: pair, format: stored.pair };
        self.update_nodes(on, stored, node, &pairs, memory)?;
        let nodes = Stream { codes: node, format: stored.node };
        self.add_nodes(on, &nodes, &self.next_pair(on, 1, stored)?, pair, memory)?;
        for layer in 0..self.config().geometric_layers {
            self.attend_geometrically(on, layer, stored, pair, memory)?;
        }
        let last = self.next_pair(on, pair_sites(self.config()), stored)?;
        self.transform_pairs(on, &last, pair, memory)
    }

    /// Attention within rows and columns, and the transition.
    #[inline(never)]
    fn update_nodes(
        &self,
        on: &msa::Setting,
        stored: &mut TrunkFormats<'a>,
        node: &mut [u8],
        pair: &Stream,
        memory: &mut [u8],
    ) -> Result<(), RunError> {
        let mut memory = self.node_memory(on, memory)?;
        let formats = [self.next_node(on, 1, stored)?, self.next_node(on, NODE_SITES, stored)?];
        Ok(self.msa_attention()?.run(on, &formats, node, pair, &mut memory)?)
    }

    #[inline(never)]
    fn add_nodes(
        &self,
        on: &msa::Setting,
        node: &Stream,
        formats: &Formats,
        pair: &mut [u8],
        memory: &mut [u8],
    ) -> Result<(), RunError> {
        let mut memory = self.node_memory(on, memory)?;
        Ok(self.outer_product()?.run(on, node, formats, pair, &mut memory)?)
    }

    #[inline(never)]
    fn attend_geometrically(
        &self,
        on: &msa::Setting,
        layer: usize,
        stored: &mut TrunkFormats<'a>,
        pair: &mut [u8],
        memory: &mut [u8],
    ) -> Result<(), RunError> {
        let site = self.sites.middle(self.config().geometric_layers * self.index + layer)?;
        let middle = StreamFormat { site, code_row: self.middle_row };
        let Formats { before, after } = self.next_pair(on, 2 + layer, stored)?;
        let work = PairWork::take(&mut Arena::new(memory)?, on.shape, self.middle_row, on.context.workers())?;
        let PairWork { middle: codes, mut memory } = work;
        let formats = LayerFormats { before, middle, after };
        self.geometric_attention(layer).run(&on.trunk(), &formats, [pair, codes], &mut memory)
    }

    #[inline(never)]
    fn transform_pairs(
        &self,
        on: &msa::Setting,
        formats: &Formats,
        pair: &mut [u8],
        memory: &mut [u8],
    ) -> Result<(), RunError> {
        let mut arena = Arena::new(memory)?;
        let PairMemory { scratch, .. } = PairMemory::take(&mut arena, on.shape.trunk, on.context.workers())?;
        Ok(pair_transition::run(&on.trunk(), &self.pair_transition()?, formats, pair, scratch)?)
    }

    /// How the nodes are stored before and after operation `number`, counted from 1.
    #[inline(never)]
    fn next_node(
        &self,
        on: &msa::Setting,
        number: usize,
        stored: &mut TrunkFormats<'a>,
    ) -> Result<Formats<'a>, FormatError> {
        let site = self.sites.node(NODE_SITES * self.index + number)?;
        let after = StreamFormat { site, code_row: on.shape.trunk.sequence.code_row };
        Ok(Formats { before: replace(&mut stored.node, after), after })
    }

    /// How the pairs are stored before and after operation `number`, counted from 1.
    #[inline(never)]
    fn next_pair(
        &self,
        on: &msa::Setting,
        number: usize,
        stored: &mut TrunkFormats<'a>,
    ) -> Result<Formats<'a>, FormatError> {
        let site = self.sites.pair(pair_sites(self.config()) * self.index + number)?;
        let after = StreamFormat { site, code_row: on.shape.trunk.pair.code_row };
        Ok(Formats { before: replace(&mut stored.pair, after), after })
    }

    fn node_memory<'w>(
        &self,
        on: &msa::Setting,
        memory: &'w mut [u8],
    ) -> Result<MsaMemory<Arena<'w>>, ArenaError> {
        MsaMemory::take(&mut Arena::new(memory)?, on.shape, on.context.workers())
    }

    #[inline(never)]
    fn msa_attention(&self) -> Result<MsaAttention<'a>, FormatError> {
        let Config { node_width, node_heads, pair_width, .. } = *self.config();
        MsaAttention::load(&self.sites.file, &self.name(""), node_heads, [node_width, pair_width])
    }

    #[inline(never)]
    fn outer_product(&self) -> Result<OuterProduct<'a>, FormatError> {
        let Config { node_width, outer_width, pair_width, pair_frac, .. } = *self.config();
        let widths = [node_width, outer_width, pair_width];
        OuterProduct::load(&self.sites.file, &self.name(""), widths, pair_frac)
    }

    fn geometric_attention(&self, layer: usize) -> GeometricAttention<'a> {
        let Config { pair_width, pair_heads, .. } = *self.config();
        let (file, block) = (self.sites.file, self.index);
        GeometricAttention { file, block, layer, heads: pair_heads, width: pair_width }
    }

    #[inline(never)]
    fn pair_transition(&self) -> Result<FeedForward<'a>, FormatError> {
        let width = self.config().pair_width;
        let widths = [width, TRANSITION_FACTOR * width];
        FeedForward::load(&self.sites.file, &self.name(".pair_transition"), widths, Activation::Relu)
    }

    fn config(&self) -> &Config {
        self.sites.config
    }

    fn name(&self, part: &str) -> Name {
        numbered("fold.trunk.", self.index, part)
    }
}

#[cfg(test)]
mod tests;

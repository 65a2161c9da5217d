//! How both representations are stored between operations.

use super::config::Config;
use crate::format::{FormatError, ModelFile, numbered};
use crate::quant::Site;

/// Operations of a block that store the node representation: attention within rows; attention within columns
/// and the transition.
pub const NODE_SITES: usize = 2;

/// Operations of a block that store the pair representation: the outer product, the layers of geometric
/// attention, and the transition.
pub const fn pair_sites(config: &Config) -> usize {
    config.geometric_layers + 2
}

/// Bytes of the widest stored value of each representation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeBytes {
    /// Of the nodes.
    pub node: usize,
    /// Of the pairs.
    pub pair: usize,
    /// Of the pairs within a layer of geometric attention.
    pub middle: usize,
}

/// The sites of a file.
#[derive(Clone, Copy, Debug)]
pub struct Sites<'m, 'a> {
    /// The model's file.
    pub file: ModelFile<'a>,
    /// The model's shape.
    pub config: &'m Config,
}

impl<'a> Sites<'_, 'a> {
    /// Checks all of them, and finds their widest values.
    ///
    /// # Errors
    /// That of the first one that can't be used.
    pub fn check(&self) -> Result<CodeBytes, FormatError> {
        let Config { blocks, geometric_layers, .. } = *self.config;
        let widest = |last: usize, site: &dyn Fn(usize) -> Result<Site<'a>, FormatError>| {
            (0..=last).try_fold(0, |widest, index| Ok(site(index)?.codec.bytes_per_value().max(widest)))
        };
        Ok(CodeBytes {
            node: widest(NODE_SITES * blocks, &|index| self.node(index))?,
            pair: widest(pair_sites(self.config) * blocks, &|index| self.pair(index))?,
            middle: widest((geometric_layers * blocks).saturating_sub(1), &|index| self.middle(index))?,
        })
    }

    /// The node representation's site number `index`: 0 at the start of a cycle, then [`NODE_SITES`] a block.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn node(&self, index: usize) -> Result<Site<'a>, FormatError> {
        self.site("fold.residual.node.", index, self.config.node_width)
    }

    /// The pair representation's site number `index`: 0 at the start of a cycle, then [`pair_sites`] a block.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn pair(&self, index: usize) -> Result<Site<'a>, FormatError> {
        self.site("fold.residual.pair.", index, self.config.pair_width)
    }

    /// The site of the sums within layer number `index` of geometric attention, counted over all blocks.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn middle(&self, index: usize) -> Result<Site<'a>, FormatError> {
        self.site("fold.residual.middle.", index, self.config.pair_width)
    }

    #[inline(never)]
    fn site(&self, kind: &str, index: usize, channels: usize) -> Result<Site<'a>, FormatError> {
        Site::load(&self.file, &numbered(kind, index, ""), channels)
    }
}

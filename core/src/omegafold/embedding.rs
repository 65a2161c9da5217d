//! What the language model says of residues and pairs, as the node and the pair representation begin.
//!
//! Both are a Linear of a normalization whose variance divides by one channel less than there are: its gain
//! and its epsilon, which are in the file, make up for that.

use super::config::Config;
use super::language_model::{Maps, States};
use crate::arena::{Arena, ArenaError, Source, bytes_of};
use crate::format::{FormatError, ModelFile};
use crate::kernels::Backend;
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::nn::Norm;
use crate::nn::quantized_tile::{QuantizedTile, TILE};

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    node_norm: Norm<'a>,
    /// Language model width to node width, node units.
    node: Linear<'a>,
    pair_norm: Norm<'a>,
    /// The maps of all layers to pair width, pair units.
    pair: Linear<'a>,
    /// Epsilon of the node's normalization in squares of the activation unit.
    epsilon: u64,
}

/// The memory of who embeds.
#[derive(Debug)]
struct Scratch<S: Source> {
    /// Rows before they are normalized, `[TILE, width or layers]`.
    rows: S::Piece<i32>,
    /// What they are made of, as many values.
    source: S::Piece<i32>,
    tile: QuantizedTile<S>,
}

impl<S: Source> Scratch<S> {
    fn take(source: &mut S, channels: usize) -> Result<Self, ArenaError> {
        Ok(Self {
            rows: source.take(TILE.saturating_mul(channels))?,
            source: source.take(TILE.saturating_mul(channels))?,
            tile: QuantizedTile::take(source, channels)?,
        })
    }
}

impl<'a> Embedding<'a> {
    /// Reads the tensors.
    ///
    /// # Errors
    /// A tensor is missing, misshapen, or can't be used.
    pub fn load(file: &ModelFile<'a>, config: &Config) -> Result<Self, FormatError> {
        let Config { width, layers, node_width, pair_width, epsilon_features: epsilon, .. } = *config;
        let node_norm = Norm::load(file, "fold.embedding.node_norm", width)?;
        let node = Linear::load(file, "fold.embedding.node", width, node_width)?;
        let pair_norm = Norm::load(file, "fold.embedding.pair_norm", layers)?;
        let pair = Linear::load(file, "fold.embedding.pair", layers, pair_width)?;
        Ok(Self { node_norm, node, pair_norm, pair, epsilon })
    }

    /// Bytes of the memory that [`node`](Self::node) and [`pair`](Self::pair) need.
    ///
    /// # Errors
    /// They exceed the address width.
    pub fn bytes(&self) -> Result<usize, ArenaError> {
        bytes_of(|counter| Scratch::take(counter, self.channels()))
    }

    fn channels(&self) -> usize {
        self.node.inputs().max(self.pair.inputs())
    }

    /// Fills `out`, `[residues, node width]` in node units, with what the language model says of the residues
    /// of row `row` from `first` on.
    ///
    /// # Errors
    /// `scratch` is not as [`bytes`](Self::bytes) says.
    pub fn node(
        &self,
        backend: &Backend,
        states: &States,
        (row, first): (usize, usize),
        out: &mut [i32],
        scratch: &mut [u8],
    ) -> Result<(), ArenaError> {
        let Scratch { rows, source, mut tile } = Scratch::take(&mut Arena::new(scratch)?, self.channels())?;
        let (inputs, outputs) = (self.node.inputs(), self.node.outputs().max(1));
        for (out, first) in out.chunks_mut(TILE * outputs).zip((first..).step_by(TILE)) {
            let count = out.len() / outputs;
            let (rows, source) = (&mut rows[..count * inputs], &mut source[..count * inputs]);
            states.read(backend, row, first, source, rows);
            tile.make_norm(backend, &self.node_norm, self.epsilon, rows);
            tile.apply_made(backend, &self.node, count, Epilogue::Store, out);
        }
        Ok(())
    }

    /// Fills `out`, `[pairs, pair width]` in pair units, with what the maps say of the pairs of residue `i`
    /// with those from `first` on.
    ///
    /// # Errors
    /// `scratch` is not as [`bytes`](Self::bytes) says.
    pub fn pair(
        &self,
        backend: &Backend,
        maps: &Maps,
        (i, first): (usize, usize),
        out: &mut [i32],
        scratch: &mut [u8],
    ) -> Result<(), ArenaError> {
        let Scratch { rows, source, mut tile } = Scratch::take(&mut Arena::new(scratch)?, self.channels())?;
        let (layers, outputs) = (self.pair.inputs(), self.pair.outputs().max(1));
        for (out, first) in out.chunks_mut(TILE * outputs).zip((first..).step_by(TILE)) {
            let count = out.len() / outputs;
            let (rows, source) = (&mut rows[..count * layers], &mut source[..count * layers]);
            for (layer, sums) in source.chunks_exact_mut(count.max(1)).enumerate() {
                maps.read(i, layer, first, sums);
            }
            // A pair's layers together, as its normalization reads them.
            (backend.transpose)(Rows::new(source, count), layers, rows, layers);
            tile.make_norm(backend, &self.pair_norm, maps.unit.epsilon, rows);
            tile.apply_made(backend, &self.pair, count, Epilogue::Store, out);
        }
        Ok(())
    }
}

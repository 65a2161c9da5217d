//! From the language model's hidden states to the first sequence representation.
//!
//! The hidden states are mixed as they arise: each is added to one sum with its weight, and none is kept.

use super::config::{Config, RESIDUES};
use crate::arena::{ArenaError, Source, bytes_of};
use crate::esm::HiddenRow;
use crate::fixed::{ACT_FRAC, requantize};
use crate::format::{FormatError, ModelFile};
use crate::geometry::Residue;
use crate::kernels::linear::{Epilogue, Linear, PANEL};
use crate::kernels::rows::Rows;
use crate::kernels::scalar::activation::add;
use crate::nn::quantized_tile::QuantizedTile;
use crate::nn::{Context, Norm};
use crate::quant::STREAM_MAX;

/// Fractional bits of a hidden state's weight.
const WEIGHT_FRAC: i32 = 30;

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    /// Share of each hidden state, unit 2^-30.
    mix: &'a [i32],
    /// Fractional bits of the mix.
    mix_frac: u32,
    /// LayerNorm's epsilon in squares of the mix's unit.
    epsilon: u64,
    norm: Norm<'a>,
    /// Language model width to sequence width.
    up: Linear<'a>,
    /// Sequence width to sequence width, sequence units.
    down: Linear<'a>,
    /// `[21, width]`, sequence units.
    residue: &'a [i32],
}

impl<'a> Embedding<'a> {
    /// Reads the tensors; `states` is the number of hidden states, `mix_width` their channels.
    pub fn load(
        file: &ModelFile<'a>,
        config: &Config,
        states: usize,
        mix_width: usize,
    ) -> Result<Self, FormatError> {
        let width = config.sequence_width;
        let residue = file.i32s("fold.embedding.residue", &[RESIDUES, width])?;
        if residue.iter().any(|v| v.unsigned_abs() > STREAM_MAX.unsigned_abs()) {
            return Err(FormatError::bad_value("fold.embedding.residue", "a value exceeds 2^23 units"));
        }
        let mix = file.i32s("fold.embedding.mix", &[states])?;
        let norm = Norm::load(file, "fold.embedding.norm", mix_width)?;
        let up = Linear::load(file, "fold.embedding.up", mix_width, width)?;
        let down = Linear::load(file, "fold.embedding.down", width, width)?;
        Ok(Self { mix, mix_frac: config.mix_frac, epsilon: config.epsilon_mix, norm, up, down, residue })
    }

    /// Adds a hidden state to `mix`, `[residues, mix_width]` in units of 2^-`mix_frac`. `<cls>` and `<eos>`
    /// are passed over.
    pub fn add(&self, row: &HiddenRow, mix: &mut [i32]) {
        let width = row.values.len();
        let weight = self.mix.get(row.layer).copied().unwrap_or(0);
        let shift = WEIGHT_FRAC + ACT_FRAC.saturating_sub(self.mix_frac) as i32;
        let sums = row.token.checked_sub(1).and_then(|residue| mix.get_mut(residue * width..));
        let sums = sums.and_then(|rest| rest.get_mut(..width)).unwrap_or_default();
        for (sum, &value) in sums.iter_mut().zip(row.values) {
            *sum = sum.saturating_add(requantize(value, weight, shift));
        }
    }

    /// Bytes of working memory for `workers` workers.
    ///
    /// # Errors
    /// They exceed the address width.
    pub fn bytes(&self, workers: usize) -> Result<usize, ArenaError> {
        Ok(bytes_of(|counter| Scratch::take(counter, self))?.saturating_mul(workers))
    }

    /// Fills `embedded`, `[residues, width]` in sequence units, from the mix.
    ///
    /// # Errors
    /// `scratch` is smaller than [`bytes`](Self::bytes) says.
    pub fn run(
        &self,
        context: &Context,
        residues: &(dyn Fn(usize) -> Residue + Sync),
        mix: &[i32],
        embedded: &mut [i32],
        scratch: &mut [u8],
    ) -> Result<(), ArenaError> {
        let (wide, width) = (self.up.inputs(), self.down.inputs());
        let backend = context.backend;
        context.for_each(embedded, PANEL * width, scratch, |panel, embedded, mut scratch| {
            let Scratch { hidden, mut tile } = Scratch::take(&mut scratch, self)?;
            let rows = embedded.len() / width;
            let mix = &mix[panel * PANEL * wide..][..rows * wide];
            tile.make_norm(backend, &self.norm, self.epsilon, mix);
            tile.apply_made(backend, &self.up, rows, Epilogue::Relu, hidden);
            tile.apply(backend, &self.down, rows, Rows::new(hidden, width), Epilogue::Store, embedded);
            for (row, x) in embedded.chunks_exact_mut(width).enumerate() {
                let residue = residues(panel * PANEL + row).index();
                let embedding = self.residue.chunks_exact(width).nth(residue).unwrap_or_default();
                add(x, embedding);
            }
            Ok(())
        })
    }
}

/// A worker's scratch.
#[derive(Debug)]
struct Scratch<S: Source> {
    /// `[16, width]`
    hidden: S::Piece<i32>,
    tile: QuantizedTile<S>,
}

impl<S: Source> Scratch<S> {
    fn take(source: &mut S, embedding: &Embedding) -> Result<Self, ArenaError> {
        let (wide, width) = (embedding.up.inputs(), embedding.down.inputs());
        Ok(Self { hidden: source.take(PANEL * width)?, tile: QuantizedTile::take(source, wide.max(width))? })
    }
}

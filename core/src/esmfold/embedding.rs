//! From the language model's hidden states to the first sequence representation.
//!
//! The hidden states are mixed as they arise: each is added to one sum with its weight, and none is kept.

use super::config::{Config, RESIDUES};
use super::rows::Codes;
use super::run::Pass;
use crate::arena::{Arena, ArenaError, Layout};
use crate::esm2::{HiddenRow, Norm};
use crate::executor::Executor;
use crate::fixed::{ACT_FRAC, requantize};
use crate::format::{FormatError, ModelFile};
use crate::geometry::Residue;
use crate::kernels::linear::{Linear, PANEL, Then};
use crate::kernels::rows::Rows;
use crate::kernels::scalar::activation::add;
use crate::quant::STREAM_MAX;

/// Fractional bits of a hidden state's weight.
const WEIGHT_FRAC: i32 = 30;

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    /// Share of each hidden state, unit 2^-30.
    mix: &'a [i32],
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
        Ok(Self {
            mix: file.i32s("fold.embedding.mix", &[states])?,
            norm: Norm::load(file, "fold.embedding.norm", mix_width)?,
            up: Linear::load(file, "fold.embedding.up", mix_width, width)?,
            down: Linear::load(file, "fold.embedding.down", width, width)?,
            residue,
        })
    }

    /// Adds a hidden state to `mix`, `[residues, mix_width]` in units of 2^-`mix_frac`. `<cls>` and `<eos>` are passed over.
    pub fn add(&self, config: &Config, row: &HiddenRow, mix: &mut [i32]) {
        let width = row.values.len();
        let weight = self.mix.get(row.layer).copied().unwrap_or(0);
        let shift = WEIGHT_FRAC + ACT_FRAC.saturating_sub(config.mix_frac) as i32;
        let sums = row.token.checked_sub(1).and_then(|residue| mix.get_mut(residue * width..));
        let sums = sums.and_then(|rest| rest.get_mut(..width)).unwrap_or_default();
        for (sum, &value) in sums.iter_mut().zip(row.values) {
            *sum = sum.saturating_add(requantize(value, weight, shift));
        }
    }

    /// A worker's scratch.
    pub fn scratch_layout(&self) -> Layout {
        let (wide, width) = (self.up.inputs(), self.down.inputs());
        Codes::layout(Layout::new().add::<i32>(PANEL * width), wide.max(width))
    }

    /// Fills `embedded`, `[residues, width]` in sequence units, from the mix.
    pub fn run(
        &self,
        pass: &Pass,
        residues: &(dyn Fn(usize) -> Residue + Sync),
        mix: &[i32],
        embedded: &mut [i32],
        scratch: &mut [u8],
        executor: &dyn Executor,
    ) {
        let (wide, width) = (self.up.inputs(), self.down.inputs());
        let work = |panel: usize, chunk: &mut [u8], scratch: &mut [u8]| -> Result<(), ArenaError> {
            let mut arena = Arena::new(scratch)?;
            let hidden: &mut [i32] = arena.take(PANEL * width)?;
            let mut codes = Codes::carve(&mut arena, wide.max(width))?;
            let embedded: &mut [i32] =
                bytemuck::try_cast_slice_mut(chunk).map_err(|_| ArenaError::Misaligned)?;
            let rows = embedded.len() / width;
            let epsilons = &[pass.dims.config.epsilon_mix; PANEL][..rows];
            let mix = Rows::new(&mix[panel * PANEL * wide..], wide);
            codes.apply_to_norm(pass.backend, &self.up, &self.norm, epsilons, mix, Then::Relu, hidden);
            codes.apply(pass.backend, &self.down, rows, Rows::new(hidden, width), Then::Store, embedded);
            for (row, x) in embedded.chunks_exact_mut(width).enumerate() {
                let residue = residues(panel * PANEL + row).index();
                let embedding = self.residue.chunks_exact(width).nth(residue).unwrap_or_default();
                add(x, embedding);
            }
            Ok(())
        };
        let chunk = PANEL * width * size_of::<i32>();
        executor.for_each(bytemuck::cast_slice_mut(embedded), chunk, scratch, &|panel, chunk, scratch| {
            // Both chunks are as long as the layouts say, so carving them succeeds.
            let _ = work(panel, chunk, scratch);
        });
    }
}

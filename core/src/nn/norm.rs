//! LayerNorm.

use crate::format::{FormatError, ModelFile};
use crate::kernels::Backend;
use crate::kernels::rows::Rows;

/// Gain and bias of a LayerNorm.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Unit 2^-20.
    pub gain: &'a [i32],
    /// Activation units.
    pub bias: &'a [i32],
}

impl<'a> Norm<'a> {
    /// Reads `{name}.gain` and `{name}.bias` of `channels` channels.
    pub(crate) fn load(file: &ModelFile<'a>, name: &str, channels: usize) -> Result<Self, FormatError> {
        let gain = file.part(name, "gain", &[channels])?;
        let bias = file.part(name, "bias", &[channels])?;
        Ok(Self { gain, bias })
    }

    /// LayerNorm of as many rows as `x` and `y` hold: `x` in any unit, `epsilon` in its squares, `y` in
    /// activation units.
    pub(crate) fn apply(&self, backend: &Backend, epsilon: u64, x: &[i32], y: &mut [i32]) {
        const ROWS: usize = 32;
        let width = self.gain.len().max(1);
        for (x, y) in x.chunks(ROWS * width).zip(y.chunks_mut(ROWS * width)) {
            self.apply_each(backend, &[epsilon; ROWS], Rows::new(x, width), y);
        }
    }

    /// As [`apply`](Self::apply), of rows that each have an epsilon.
    pub(crate) fn apply_each(&self, backend: &Backend, epsilons: &[u64], x: Rows, y: &mut [i32]) {
        (backend.layer_norm_rows)(x, self.gain, self.bias, epsilons, y);
    }
}

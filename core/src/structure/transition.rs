//! The transition: layers of three Linears with ReLU between, each added to what it reads, and a LayerNorm.

use super::config::Config;
use super::names::WeightSet;
use crate::arena::Arena;
use crate::format::{FormatError, ModelFile};
use crate::kernels::Backend;
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::nn::Norm;
use crate::nn::quantized_tile::QuantizedTile;

/// The transition's weights. Those of a layer are read where they are used: there may be many.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    file: ModelFile<'a>,
    set: WeightSet,
    layers: usize,
    norm: Norm<'a>,
}

impl<'a> Transition<'a> {
    /// Reads `transition` of a set of weights but the layers, which are for [`check`](Self::check).
    pub fn load(file: &ModelFile<'a>, set: WeightSet, config: &Config) -> Result<Self, FormatError> {
        let norm = Norm::load(file, &set.name("transition.norm"), config.width)?;
        Ok(Self { file: *file, set, layers: config.transition_layers, norm })
    }

    /// Whether every layer can be used.
    ///
    /// # Errors
    /// That of the first one that can't.
    pub fn check(&self) -> Result<(), FormatError> {
        for index in 0..self.layers {
            self.linear(index, ".first")?;
            self.linear(index, ".second")?;
            self.linear(index, ".third")?;
        }
        Ok(())
    }

    /// A Linear of a layer, `width` to `width`.
    #[inline(never)]
    fn linear(&self, index: usize, part: &str) -> Result<Linear<'a>, FormatError> {
        let width = self.norm.gain.len();
        Linear::load(&self.file, &self.set.numbered("transition.", index, part), width, width)
    }

    /// Replaces the rows of `x`, `[rows, width]`, activation units. `a` and `b` hold as many values each.
    ///
    /// # Errors
    /// A layer can't be used, what [`check`](Self::check) would have said.
    pub fn run(
        &self,
        backend: &Backend,
        epsilon: u64,
        x: &mut [i32],
        tile: &mut QuantizedTile<Arena>,
        [a, b]: [&mut [i32]; 2],
    ) -> Result<(), FormatError> {
        let width = self.norm.gain.len().max(1);
        let rows = x.len() / width;
        let (a, b) = (&mut a[..rows * width], &mut b[..rows * width]);
        for index in 0..self.layers {
            let first = self.linear(index, ".first")?;
            tile.apply(backend, &first, rows, Rows::new(x, width), Epilogue::Relu, a);
            let second = self.linear(index, ".second")?;
            tile.apply(backend, &second, rows, Rows::new(a, width), Epilogue::Relu, b);
            let third = self.linear(index, ".third")?;
            tile.apply(backend, &third, rows, Rows::new(b, width), Epilogue::Add, x);
        }
        self.norm.apply(backend, epsilon, x, a);
        x.copy_from_slice(a);
        Ok(())
    }
}

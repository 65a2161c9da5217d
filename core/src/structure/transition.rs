//! The transition: layers of three Linears with ReLU between, each added to what it reads, and a LayerNorm.

use super::config::Config;
use crate::arena::Arena;
use crate::format::{FormatError, ModelFile, join, numbered};
use crate::kernels::Backend;
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::nn::Norm;
use crate::nn::quantized_tile::QuantizedTile;

/// The transition's weights. Those of a layer are read where they are used: there may be many.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    file: ModelFile<'a>,
    layers: usize,
    norm: Norm<'a>,
}

impl<'a> Transition<'a> {
    /// Reads `fold.structure.transition`, and checks every layer.
    pub fn load(file: &ModelFile<'a>, config: &Config) -> Result<Self, FormatError> {
        let norm = Norm::load(file, "fold.structure.transition.norm", config.width)?;
        let loaded = Self { file: *file, layers: config.transition_layers, norm };
        loaded.check()?;
        Ok(loaded)
    }

    /// Whether every layer can be used.
    ///
    /// # Errors
    /// That of the first one that can't.
    pub fn check(&self) -> Result<(), FormatError> {
        (0..self.layers).try_for_each(|index| self.layer(index).map(drop))
    }

    /// The three Linears of a layer, `width` to `width` each.
    fn layer(&self, index: usize) -> Result<[Linear<'a>; 3], FormatError> {
        let width = self.norm.gain.len();
        let name = numbered("fold.structure.transition.", index, "")?;
        let part = |part: &str| Linear::load(&self.file, &join(&name, part)?, width, width);
        let first = part("first")?;
        let second = part("second")?;
        let third = part("third")?;
        Ok([first, second, third])
    }

    /// Replaces the rows of `x`, `[rows, width]`, activation units. `a` and `b` hold as many values each.
    ///
    /// # Errors
    /// A layer can't be used, what [`load`](Self::load) would have said.
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
            let [first, second, third] = self.layer(index)?;
            tile.apply(backend, &first, rows, Rows::new(x, width), Epilogue::Relu, a);
            tile.apply(backend, &second, rows, Rows::new(a, width), Epilogue::Relu, b);
            tile.apply(backend, &third, rows, Rows::new(b, width), Epilogue::Add, x);
        }
        self.norm.apply(backend, epsilon, x, a);
        x.copy_from_slice(a);
        Ok(())
    }
}

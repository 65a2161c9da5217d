//! The transition: layers of three Linears with ReLU between, each added to what it reads, and a LayerNorm.

use crate::esm2::{Norm, numbered};
use crate::esmfold::config::StructureConfig;
use crate::esmfold::rows::Codes;
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::Backend;
use crate::kernels::linear::{Linear, Then};
use crate::kernels::rows::Rows;

/// Most layers: what [`Config::check`](crate::esmfold::Config::check) lets through.
const LAYERS_MAX: usize = 16;

/// The transition's weights.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    /// `width` to `width` each.
    layers: [Option<[Linear<'a>; 3]>; LAYERS_MAX],
    norm: Norm<'a>,
}

impl<'a> Transition<'a> {
    /// Reads `fold.structure.transition`.
    pub fn load(file: &ModelFile<'a>, config: &StructureConfig) -> Result<Self, FormatError> {
        let width = config.width;
        let mut layers = [None; LAYERS_MAX];
        for (index, layer) in layers.iter_mut().enumerate().take(config.transition_layers) {
            let name = numbered("fold.structure.transition.", index, "")?;
            let part = |part: &str| Linear::load(file, &join(&name, part)?, width, width);
            *layer = Some([part("first")?, part("second")?, part("third")?]);
        }
        Ok(Self { layers, norm: Norm::load(file, "fold.structure.transition.norm", width)? })
    }

    /// Replaces `rows` rows of `x`, `[rows, width]`, activation units. `a` and `b` hold as many values each.
    pub fn run(
        &self,
        backend: &Backend,
        epsilon: u64,
        rows: usize,
        x: &mut [i32],
        codes: &mut Codes,
        [a, b]: [&mut [i32]; 2],
    ) {
        let width = self.norm.gain.len();
        let (a, b) = (&mut a[..rows * width], &mut b[..rows * width]);
        for [first, second, third] in self.layers.iter().flatten() {
            codes.apply(backend, first, rows, Rows::new(x, width), Then::Relu, a);
            codes.apply(backend, second, rows, Rows::new(a, width), Then::Relu, b);
            codes.apply(backend, third, rows, Rows::new(b, width), Then::Add, x);
        }
        for (x, y) in x.chunks_exact_mut(width.max(1)).zip(a.chunks_exact_mut(width.max(1))) {
            self.norm.apply(backend, epsilon, x, y);
            x.copy_from_slice(y);
        }
    }
}

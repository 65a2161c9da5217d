//! Torsions from the sequence representation (algorithm 20, lines 11 to 14).

use crate::esm2::numbered;
use crate::esmfold::config::{StructureConfig, TORSIONS};
use crate::esmfold::rows::Codes;
use crate::fixed::{requantize, rsqrt};
use crate::format::{FormatError, ModelFile, join};
use crate::geometry::ONE;
use crate::kernels::Backend;
use crate::kernels::linear::{Linear, Then};
use crate::kernels::scalar::activation::relu;

/// Most blocks: what [`Config::check`](crate::esmfold::Config::check) lets through.
const BLOCKS_MAX: usize = 16;

/// The angle resnet's weights.
#[derive(Clone, Copy, Debug)]
pub struct AngleResnet<'a> {
    /// Least squared norm of (sine, cosine), unit 2^-32.
    epsilon: u64,
    /// `width` to `resnet_width`, on the sequence representation.
    input: Linear<'a>,
    /// `width` to `resnet_width`, on the sequence representation from before the first iteration.
    initial: Linear<'a>,
    /// `resnet_width` to `resnet_width` each.
    blocks: [Option<[Linear<'a>; 2]>; BLOCKS_MAX],
    /// `resnet_width` to 14: sine and cosine of each torsion.
    output: Linear<'a>,
}

impl<'a> AngleResnet<'a> {
    /// Reads `fold.structure.angle_resnet`.
    pub fn load(file: &ModelFile<'a>, config: &StructureConfig) -> Result<Self, FormatError> {
        let StructureConfig { width, resnet_width, .. } = *config;
        let linear = |part: &str, inputs: usize, outputs: usize| {
            Linear::load(file, &join("fold.structure.angle_resnet", part)?, inputs, outputs)
        };
        let mut blocks = [None; BLOCKS_MAX];
        for (index, block) in blocks.iter_mut().enumerate().take(config.resnet_blocks) {
            let part = |part: &str| linear(&numbered("", index, part)?, resnet_width, resnet_width);
            *block = Some([part(".first")?, part(".second")?]);
        }
        Ok(Self {
            epsilon: config.epsilon,
            input: linear("input", width, resnet_width)?,
            initial: linear("initial", width, resnet_width)?,
            blocks,
            output: linear("output", resnet_width, 2 * TORSIONS)?,
        })
    }

    /// (sine, cosine) of `rows` residues' torsions, Q1.30: omega, phi, psi, chi1 to chi4. `fill` and `fill_initial` copy a row of the two
    /// representations; the result is in the first of `outputs`, `[rows, 14]`.
    pub fn run<'o>(
        &self,
        backend: &Backend,
        rows: usize,
        mut fill: impl FnMut(usize, &mut [i32]),
        mut fill_initial: impl FnMut(usize, &mut [i32]),
        codes: &mut Codes,
        [torsions, x, y]: [&'o mut [i32]; 3],
    ) -> &'o [i32] {
        let width = self.output.inputs();
        let (x, y) = (&mut x[..rows * width], &mut y[..rows * width]);
        let rectified = |fill: &mut dyn FnMut(usize, &mut [i32]), row: usize, out: &mut [i32]| {
            fill(row, out);
            relu(out);
        };
        codes.apply_with(
            backend,
            &self.input,
            rows,
            |row, out| rectified(&mut fill, row, out),
            Then::Store,
            y,
        );
        let initial = |row: usize, out: &mut [i32]| rectified(&mut fill_initial, row, out);
        codes.apply_with(backend, &self.initial, rows, initial, Then::Add, y);
        for [first, second] in self.blocks.iter().flatten() {
            codes.apply_with(backend, first, rows, rectified_row(y, width), Then::Store, x);
            codes.apply_with(backend, second, rows, rectified_row(x, width), Then::Add, y);
        }
        let torsions = &mut torsions[..rows * 2 * TORSIONS];
        codes.apply_with(backend, &self.output, rows, rectified_row(y, width), Then::Store, torsions);
        for pair in torsions.as_chunks_mut().0 {
            *pair = unit(*pair, self.epsilon);
        }
        torsions
    }
}

/// Copies a row of `x`, and rectifies it.
fn rectified_row(x: &[i32], width: usize) -> impl FnMut(usize, &mut [i32]) {
    move |row, out| {
        out.copy_from_slice(&x[row * width..][..width]);
        relu(out);
    }
}

/// `pair` (any unit) over its norm, or over the root of `epsilon` where that is larger: Q1.30, at most 1 in magnitude.
pub(super) fn unit(pair: [i32; 2], epsilon: u64) -> [i32; 2] {
    let [sin, cos] = pair.map(|v| u64::from(v.unsigned_abs()).pow(2));
    // Two squares of at most 2^62.
    let inverse = rsqrt((sin + cos).max(epsilon));
    pair.map(|v| requantize(v, inverse.mantissa, inverse.shift - 30).clamp(-ONE, ONE))
}

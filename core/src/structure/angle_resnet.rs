//! Torsions from the sequence representation (algorithm 20, lines 11 to 14).

use super::config::Config;
use crate::arena::Arena;
use crate::fixed::{requantize, rsqrt};
use crate::format::{FormatError, ModelFile, join, numbered};
use crate::geometry::{ONE, TORSIONS};
use crate::kernels::Backend;
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::kernels::scalar::activation::relu;
use crate::nn::quantized_tile::QuantizedTile;

/// The angle resnet's weights. Those of a block are read where they are used: there may be many.
#[derive(Clone, Copy, Debug)]
pub struct AngleResnet<'a> {
    file: ModelFile<'a>,
    blocks: usize,
    /// Least squared norm of (sine, cosine), unit 2^-32.
    epsilon: u64,
    /// `width` to `resnet_width`, on the sequence representation.
    input: Linear<'a>,
    /// `width` to `resnet_width`, on the sequence representation from before the first iteration.
    initial: Linear<'a>,
    /// `resnet_width` to 14: sine and cosine of each torsion.
    output: Linear<'a>,
}

impl<'a> AngleResnet<'a> {
    /// Reads `fold.structure.angle_resnet` but the blocks, which are for [`check`](Self::check).
    pub fn load(file: &ModelFile<'a>, config: &Config) -> Result<Self, FormatError> {
        let Config { width, resnet_width, .. } = *config;
        let linear = |part: &str, inputs: usize, outputs: usize| {
            Linear::load(file, &join("fold.structure.angle_resnet", part), inputs, outputs)
        };
        let input = linear("input", width, resnet_width)?;
        let initial = linear("initial", width, resnet_width)?;
        let output = linear("output", resnet_width, 2 * TORSIONS)?;
        Ok(Self {
            file: *file,
            blocks: config.resnet_blocks,
            epsilon: config.torsion_epsilon,
            input,
            initial,
            output,
        })
    }

    /// Whether every block can be used.
    ///
    /// # Errors
    /// That of the first one that can't.
    pub fn check(&self) -> Result<(), FormatError> {
        for index in 0..self.blocks {
            self.linear(index, "first")?;
            self.linear(index, "second")?;
        }
        Ok(())
    }

    /// A Linear of a block, `resnet_width` to `resnet_width`.
    #[inline(never)]
    fn linear(&self, index: usize, part: &str) -> Result<Linear<'a>, FormatError> {
        let width = self.output.inputs();
        let name = numbered("fold.structure.angle_resnet.", index, "");
        Linear::load(&self.file, &join(&name, part), width, width)
    }

    /// (sine, cosine) of `rows` residues' torsions, Q1.30: omega, phi, psi, chi1 to chi4. `sequence` and
    /// `initial` are the rows of the two representations; the result is in the first of `outputs`,
    /// `[rows, 14]`.
    ///
    /// # Errors
    /// A block can't be used, what [`check`](Self::check) would have said.
    pub fn run<'o>(
        &self,
        backend: &Backend,
        rows: usize,
        [sequence, initial]: [Rows; 2],
        tile: &mut QuantizedTile<Arena>,
        [torsions, x, y]: [&'o mut [i32]; 3],
    ) -> Result<&'o [i32], FormatError> {
        let width = self.output.inputs();
        let (x, y) = (&mut x[..rows * width], &mut y[..rows * width]);
        let torsions = &mut torsions[..rows * 2 * TORSIONS];
        let mut apply = |linear: &Linear, inputs: Rows, epilogue: Epilogue, out: &mut [i32]| {
            let made = tile.rows().chunks_exact_mut(inputs.width.max(1)).zip(inputs.iter()).take(rows);
            for (made, row) in made {
                made.copy_from_slice(row);
                relu(made);
            }
            tile.apply_made(backend, linear, rows, epilogue, out);
        };
        apply(&self.input, sequence, Epilogue::Store, y);
        apply(&self.initial, initial, Epilogue::Add, y);
        for index in 0..self.blocks {
            let first = self.linear(index, "first")?;
            apply(&first, Rows::new(y, width), Epilogue::Store, x);
            let second = self.linear(index, "second")?;
            apply(&second, Rows::new(x, width), Epilogue::Add, y);
        }
        apply(&self.output, Rows::new(y, width), Epilogue::Store, torsions);
        for pair in torsions.as_chunks_mut().0 {
            *pair = unit(*pair, self.epsilon);
        }
        Ok(torsions)
    }
}

/// `pair` (any unit) over its norm, or over the root of `epsilon` where that is larger: Q1.30, at most 1 in
/// magnitude.
pub(super) fn unit(pair: [i32; 2], epsilon: u64) -> [i32; 2] {
    let [sin, cos] = pair.map(|v| u64::from(v.unsigned_abs()).pow(2));
    // Two squares of at most 2^62.
    let inverse = rsqrt((sin + cos).max(epsilon));
    pair.map(|v| requantize(v, inverse.mantissa, inverse.shift - 30).clamp(-ONE, ONE))
}

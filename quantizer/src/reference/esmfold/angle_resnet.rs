//! Torsion angles from the sequence representation of the structure module.

use candle_core::Tensor;

use crate::checkpoint::StructureConfig;
use crate::reference::ops::{Linear, with_values};
use crate::reference::{ReferenceError, Tap, Weights};
use crate::table::TORSIONS;

/// The angle resnet.
pub struct AngleResnet {
    pub(crate) epsilon: f64,
    /// Reads the sequence representation: `[resnet width, width]`.
    pub input: Linear,
    /// Reads the sequence representation from before the first iteration: `[resnet width, width]`.
    pub initial: Linear,
    /// Each block's two Linears, `[resnet width, resnet width]`.
    pub blocks: Vec<[Linear; 2]>,
    /// `[14, resnet width]`: sine and cosine of each torsion.
    pub output: Linear,
}

impl AngleResnet {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(weights: &Weights<'_>, config: &StructureConfig) -> Result<Self, ReferenceError> {
        let block = |index: usize| -> Result<[Linear; 2], ReferenceError> {
            let linear = |part: &str| weights.linear(format_args!("{index}.{part}"));
            Ok([linear("first")?, linear("second")?])
        };
        Ok(Self {
            epsilon: config.epsilon,
            input: weights.linear("input")?,
            initial: weights.linear("initial")?,
            blocks: (0..config.resnet_blocks).map(block).collect::<Result<_, _>>()?,
            output: weights.linear("output")?,
        })
    }

    /// (sine, cosine) of each residue's torsions: omega, phi, psi, chi1 to chi4. `sequence` and `initial` are
    /// `[residues, width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        sequence: &Tensor,
        initial: &Tensor,
        tap: &mut Tap<'_>,
    ) -> Result<Vec<[[f64; 2]; TORSIONS]>, ReferenceError> {
        let (sequence, initial) = (sequence.relu()?, initial.relu()?);
        tap.show("input", &sequence)?;
        tap.show("initial", &initial)?;
        let mut y = (self.input.forward(&sequence)? + self.initial.forward(&initial)?)?;
        for (index, [first, second]) in self.blocks.iter().enumerate() {
            let x = y.relu()?;
            tap.show(format_args!("{index}.first"), &x)?;
            let x = first.forward(&x)?.relu()?;
            tap.show(format_args!("{index}.second"), &x)?;
            y = (second.forward(&x)? + y)?;
        }
        let y = y.relu()?;
        tap.show("output", &y)?;
        let unit = |pair: &[f32; 2]| {
            let [sin, cos] = pair.map(f64::from);
            let norm = (sin * sin + cos * cos).max(self.epsilon).sqrt();
            [sin / norm, cos / norm]
        };
        with_values(&self.output.forward(&y)?, |values| {
            let (pairs, _) = values.as_chunks::<2>();
            pairs.as_chunks::<TORSIONS>().0.iter().map(|torsions| torsions.each_ref().map(unit)).collect()
        })
    }
}

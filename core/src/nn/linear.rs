//! Linear layers on their way from a model file to a product.

use crate::fixed::TokenScale;
use crate::format::{FormatError, ModelFile};
use crate::kernels::Backend;
use crate::kernels::linear::{Epilogue, GROUP, Linear, PANEL, panel_groups};
use crate::kernels::rows::Rows;

impl<'a> Linear<'a> {
    /// Reads layer `name` with the given numbers of inputs and outputs from a model file and checks all that
    /// the kernels rely on.
    ///
    /// # Errors
    /// A tensor is missing, misshapen, or can't be used.
    pub fn load(
        file: &ModelFile<'a>,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, FormatError> {
        let file = file.parts_of(name);
        let outliers: &[u16] = file.part_list(name, "outliers")?;
        let bias = file.part(name, "bias", &[outputs])?;
        let mantissa = file.part(name, "mantissa", &[outputs])?;
        let shift = file.part(name, "shift", &[outputs])?;
        let row_sum = file.part(name, "rowsum", &[outputs])?;
        let shape = [outputs.div_ceil(PANEL), panel_groups(inputs, outliers.len()), PANEL, GROUP];
        let weight = file.part(name, "weight", &shape)?;
        Self::from_parts(weight, bias, mantissa, shift, row_sum, outliers, inputs)
            .map_err(|what| FormatError::bad_value(name, what))
    }

    /// Quantizes the rows of `inputs`, activation units, and multiplies them; then the outputs go to `out`,
    /// `[rows, outputs]`. There is a scale for each row, and `codes` has at least [`row_len`](Self::row_len)
    /// for each.
    pub(crate) fn apply(
        &self,
        backend: &Backend,
        inputs: Rows,
        codes: &mut [i8],
        scales: &mut [TokenScale],
        epilogue: Epilogue,
        out: &mut [i32],
    ) {
        let codes = &mut codes[..scales.len() * self.row_len()];
        (backend.quantize_rows)(inputs, self.outliers(), codes, scales);
        (backend.gemm)(self, codes, scales, epilogue, &mut out[..scales.len() * self.outputs()]);
    }
}

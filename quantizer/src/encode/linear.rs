//! Linear layers: int8 weights, packed.

use foldpoint_core::kernels::linear::{GROUP, PANEL, panel_groups};
use foldpoint_core::kernels::packing::{packed, row_sums};

use rayon::prelude::*;

use super::compensate::Feedback;
use super::encoder::Encoder;
use super::{EncodeError, all_fixed};
use crate::calibrate;
use crate::checkpoint::row_scale;
use crate::fixed::split;
use crate::reference::Linear;
use crate::table::{Group, Unit};
use crate::work::Floats;

/// Rows of weights as codes with one scale each.
pub struct WeightCodes {
    /// `[outputs, inputs]`, -127 to 127.
    pub codes: Vec<i8>,
    /// One scale a row.
    pub scales: Vec<f64>,
}

/// Symmetric int8 codes of each row, its largest magnitude at 127. With `feedback` the errors of a row make
/// up for each other, otherwise every weight is rounded to nearest.
pub fn quantize_weights(weight: &[f32], inputs: usize, feedback: Option<&Feedback>) -> WeightCodes {
    let scales: Vec<f64> = weight.par_chunks_exact(inputs).map(row_scale).collect();
    let codes = match feedback {
        Some(feedback) => feedback.round(weight, &scales),
        None => {
            let rows = weight.chunks_exact(inputs).zip(&scales);
            rows.flat_map(|(row, scale)| row.iter().map(move |&w| (f64::from(w) / scale).round() as i8))
                .collect()
        }
    };
    WeightCodes { codes, scales }
}

impl Encoder<'_> {
    /// Writes a Linear.
    pub fn linear(&mut self, group: &Group, linear: &Linear) -> Result<(), EncodeError> {
        let Group { name, choice, .. } = group;
        let per_one = self.units.per_one(group.unit);
        let (outputs, inputs) = linear.shape()?;
        let (weight, bias) = linear.values()?;
        let not_calibrated = || EncodeError::NotCalibrated(choice.clone());
        let outliers = self.calibration.outliers.get(choice).ok_or_else(not_calibrated)?;
        let samples = self.work.load::<Floats>(&calibrate::inputs(choice))?;
        if self.compensated && samples.is_none() {
            return Err(EncodeError::NotCalibrated(choice.clone()));
        }
        let feedback = samples.map(|Floats(samples)| Feedback::new(&samples, inputs)).transpose()?;
        let WeightCodes { codes, scales } = quantize_weights(&weight, inputs, feedback.as_ref());
        let to_output = per_one / self.units.per_one(Unit::Activation);
        let (mut mantissas, mut shifts) = (Vec::new(), Vec::new());
        for scale in scales {
            let (mantissa, shift) = split(scale * to_output, 16);
            let out_of_range = || EncodeError::OutOfRange {
                tensor: format!("{name}.shift"),
                value: scale,
                limit: 100f64.exp2(),
            };
            mantissas.push(mantissa as u16);
            shifts.push(i8::try_from(shift).map_err(|_| out_of_range())?);
        }
        let bias = all_fixed(&format!("{name}.bias"), bias.into_iter().map(f64::from), per_one)?;
        let shape = [outputs.div_ceil(PANEL), panel_groups(inputs, outliers.len()), PANEL, GROUP];
        // Panels are packed one after another, so all threads can.
        let panels: Vec<Vec<i8>> = codes
            .par_chunks(PANEL * inputs)
            .map(|rows| packed(rows, [rows.len() / inputs, inputs], outliers).collect())
            .collect();
        let writer = &mut self.writer;
        writer.add_i8(&format!("{name}.weight"), &shape, panels.concat())?;
        writer.add_i32(&format!("{name}.bias"), &[outputs], bias)?;
        writer.add_u16(&format!("{name}.mantissa"), &[outputs], mantissas)?;
        writer.add_i8(&format!("{name}.shift"), &[outputs], shifts)?;
        writer.add_i32(
            &format!("{name}.rowsum"),
            &[outputs],
            row_sums(&codes, [outputs, inputs], outliers).collect(),
        )?;
        writer.add_u16(&format!("{name}.outliers"), &[outliers.len()], outliers.clone())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldpoint_core::fixed::TokenScale;
    use foldpoint_core::kernels::linear::{Epilogue, Linear as Packed};
    use foldpoint_core::kernels::scalar::gemm::gemm;
    use proptest::prelude::*;

    #[test]
    fn weights_keep_half_a_step() {
        let weight: Vec<f32> = (0..60).map(|i| ((i * 37) % 19) as f32 - 9.3).collect();
        let quantized = quantize_weights(&weight, 20, None);
        for (row, (codes, scale)) in weight.chunks(20).zip(quantized.codes.chunks(20).zip(&quantized.scales))
        {
            assert_eq!(codes.iter().map(|c| c.unsigned_abs()).max(), Some(127));
            for (&w, &code) in row.iter().zip(codes) {
                assert!((f64::from(code) * scale - f64::from(w)).abs() <= scale / 2.0 * 1.0001);
            }
        }
        assert_eq!(quantize_weights(&[0.0; 4], 4, None).codes, [0; 4]);
    }

    proptest! {
        /// The packed layout gives the product that plain matrices give.
        #[test]
        fn packed_weights_multiply(
            inputs in 1..40usize, outputs in 1..40usize, seed in any::<u64>(), share in 0..4usize,
        ) {
            let byte = |i: usize| (seed.wrapping_mul(i as u64 * 2 + 1).wrapping_add(0x9e37_79b9 * i as u64) >> 29) as i8;
            let codes: Vec<i8> = (0..inputs * outputs).map(|i| byte(i).max(-127)).collect();
            let outliers: Vec<u16> = (0..inputs as u16).filter(|c| usize::from(*c) % 3 < share).collect();
            let packed: Vec<i8> = packed(&codes, [outputs, inputs], &outliers).collect();
            let (bias, mantissa, shift) = (vec![0; outputs], vec![1 << 15; outputs], vec![29; outputs]);
            let sums: Vec<i32> = row_sums(&codes, [outputs, inputs], &outliers).collect();
            let layer = Packed::from_parts(&packed, &bias, &mantissa, &shift, &sums, &outliers, inputs).unwrap();
            let mut row = vec![0i8; layer.row_len()];
            let high_len = layer.high_groups() * GROUP;
            (0..outliers.len()).for_each(|i| row[i] = byte(i + 1000));
            (0..inputs).for_each(|i| row[high_len + i] = byte(i + 2000));
            let mut out = vec![0; outputs];
            // mantissa 2^14 * 2^15, shift 29: the accumulator itself.
            gemm(&layer, &row, &[TokenScale { mantissa: 1 << 14, exponent: 0 }], Epilogue::Store, &mut out);
            for (n, &out) in out.iter().enumerate() {
                let weight = |c: usize| i32::from(codes[n * inputs + c]);
                let low: i32 = (0..inputs).map(|c| weight(c) * i32::from(row[high_len + c])).sum();
                let high: i32 = outliers.iter().zip(&row).map(|(&c, &h)| weight(c.into()) * i32::from(h)).sum();
                prop_assert_eq!(out, low + 128 * high);
                let all: i32 = (0..inputs).map(weight).sum();
                prop_assert_eq!(sums[n], all + 128 * outliers.iter().map(|&c| weight(c.into())).sum::<i32>());
            }
        }
    }
}

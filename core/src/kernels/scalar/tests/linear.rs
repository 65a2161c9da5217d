//! Linear layers against the matrix product.

use super::real;
use crate::fixed::TokenScale;
use crate::kernels::linear::{Epilogue, Linear, panel_groups, row_len};
use crate::kernels::scalar::gemm::gemm;
use crate::kernels::scalar::quantize::{limbs, quantize_row};
use crate::kernels::testing::{Layer, Random};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// A row whose outlier channels are up to 128 times larger, quantized, and its exact values.
struct Row {
    values: Vec<i32>,
    codes: Vec<i8>,
    scale: TokenScale,
}

fn quantized(random: &mut Random, inputs: usize, outliers: &[u16]) -> Row {
    let size = 1000.0 * libm::exp2(random.below(8) as f64);
    let mut values = random.many(inputs, |r| (r.normal() * size) as i32);
    for &channel in outliers {
        values[usize::from(channel)] *= 60;
    }
    let mut codes = vec![0; row_len(inputs, outliers.len())];
    let scale = quantize_row(&values, outliers, &mut codes);
    Row { values, codes, scale }
}

/// The integer that a channel's code stands for, whichever limbs it has.
fn whole(codes: &[i8], outliers: &[u16], inputs: usize) -> Vec<i64> {
    let high_len = outliers.len().next_multiple_of(4);
    let mut whole: Vec<i64> = codes[high_len..][..inputs].iter().map(|&code| code.into()).collect();
    for (&channel, &high) in outliers.iter().zip(codes) {
        whole[usize::from(channel)] += 128 * i64::from(high);
    }
    whole
}

/// `floor((acc * mantissa + half) / 2^shift)` in 128 bits, and the bias, saturated.
fn epilogue(acc: i64, scale: TokenScale, mantissa: u16, shift: i8, bias: i32) -> i32 {
    let product = i128::from(acc) * i128::from(scale.mantissa) * i128::from(mantissa);
    let shift = i32::from(shift) - i32::from(scale.exponent);
    let rounded = match shift {
        63.. => 0,
        1..=62 => (product + (1 << (shift - 1))).div_euclid(1 << shift),
        _ => product << shift.unsigned_abs().min(40),
    };
    let rounded = rounded.clamp(i32::MIN.into(), i32::MAX.into());
    (rounded + i128::from(bias)).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

fn outputs(layer: &Linear, rows: &[Row]) -> Vec<i32> {
    let codes: Vec<i8> = rows.iter().flat_map(|row| row.codes.iter().copied()).collect();
    let scales: Vec<TokenScale> = rows.iter().map(|row| row.scale).collect();
    let mut out = vec![0; rows.len() * layer.outputs()];
    gemm(layer, &codes, &scales, Epilogue::Store, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn gemm_is_the_exact_product_rounded_once(
        seed: u64,
        rows in 1..4usize,
        inputs in 0..100usize,
        outputs_count in 1..40usize,
        outliers in 0..12usize,
        shift in -40..80i32,
    ) {
        let mut random = Random(seed);
        let matrix = random.many(inputs * outputs_count, |r| r.next() as i8);
        let mut layer = Layer::pack(&matrix, inputs, outputs_count, &random.channels(outliers, inputs));
        layer.shift = random.many(outputs_count, |r| (shift + r.below(3) as i32) as i8);
        layer.mantissa = random.many(outputs_count, |r| r.next() as u16 | 1 << 15);
        layer.bias = random.many(outputs_count, |r| r.next() as i32);
        let rows = random.many(rows, |r| quantized(r, inputs, &layer.outliers));
        let out = outputs(&layer.view(), &rows);
        for (row, out) in rows.iter().zip(out.chunks(outputs_count)) {
            let codes = whole(&row.codes, &layer.outliers, inputs);
            for (n, &found) in out.iter().enumerate() {
                let weights = &matrix[n * inputs..(n + 1) * inputs];
                let acc: i64 = codes.iter().zip(weights).map(|(&q, &w)| q * i64::from(w)).sum();
                let expected = epilogue(acc, row.scale, layer.mantissa[n], layer.shift[n], layer.bias[n]);
                prop_assert_eq!(found, expected);
            }
        }
    }

    /// Half a step for every channel, outlier or not, times its weight, and half a unit for the result's
    /// rounding.
    #[test]
    fn a_linear_layer_is_within_half_a_step_of_the_real_product(
        seed: u64,
        inputs in 1..200usize,
        outliers in 0..12usize,
    ) {
        let mut random = Random(seed);
        let matrix = random.many(inputs * 20, |r| r.next() as i8);
        let mut layer = Layer::pack(&matrix, inputs, 20, &random.channels(outliers, inputs));
        // Weights of about 1/8: outputs stay far from saturation.
        layer.shift = vec![25; 20];
        layer.mantissa = random.many(20, |r| r.next() as u16 | 1 << 15);
        layer.bias = random.many(20, |r| (r.next() as i32) >> 12);
        let row = quantized(&mut random, inputs, &layer.outliers);
        let out = outputs(&layer.view(), core::slice::from_ref(&row));
        for (n, &found) in out.iter().enumerate() {
            let weights = &matrix[n * inputs..(n + 1) * inputs];
            let unit = libm::ldexp(f64::from(layer.mantissa[n]), -25);
            let exact: f64 =
                row.values.iter().zip(weights).map(|(&y, &w)| f64::from(y) * f64::from(w) * unit).sum();
            let size: f64 = weights.iter().map(|&w| f64::from(w).abs() * unit).sum();
            let bound = size * real(row.scale) / 2.0 * (1.0 + libm::exp2(-14.0)) + 0.5 + 1e-6;
            let error = (f64::from(found) - exact - f64::from(layer.bias[n])).abs();
            prop_assert!(error <= bound, "error {error} bound {bound}");
        }
    }

    /// The step is set by the ordinary channels, so that an outlier does not cost them their precision.
    #[test]
    fn quantized_channels_are_within_half_a_step(seed: u64, inputs in 1..200usize, outliers in 0..12usize) {
        let mut random = Random(seed);
        let channels = random.channels(outliers, inputs);
        let row = quantized(&mut random, inputs, &channels);
        let step = real(row.scale);
        for (&code, &value) in whole(&row.codes, &channels, inputs).iter().zip(&row.values) {
            let error = (code as f64 * step - f64::from(value)).abs();
            prop_assert!(error <= step / 2.0 * (1.0 + libm::exp2(-14.0)), "{value} {code} {step}");
        }
        let ordinary = (0..inputs).filter(|&c| !channels.contains(&(c as u16)));
        let largest = ordinary.map(|c| row.values[c].unsigned_abs()).max().unwrap_or(0);
        let outlier = channels.iter().map(|&c| row.values[usize::from(c)].unsigned_abs()).max().unwrap_or(0);
        prop_assert_eq!(row.scale, TokenScale::covering(largest, outlier));
    }
}

#[test]
fn every_value_of_two_limbs_is_exact() {
    for value in -16_319..=16_319 {
        let (high, low) = limbs(value);
        assert_eq!(128 * i32::from(high) + i32::from(low), value);
        assert!((-64..=63).contains(&low) && high >= -127);
    }
    assert_eq!(limbs(i32::MAX), (127, 63));
    assert_eq!(limbs(i32::MIN), limbs(-16_319));
}

#[test]
fn the_largest_accumulators_fit() {
    // 131071 = inputs + 128 * outliers, all codes and weights -128: the bound that the reader checks.
    let (inputs, outliers) = (16_383, 896);
    let channels: Vec<u16> = (0..outliers as u16).collect();
    let layer = Layer::pack(&vec![-128; inputs], inputs, 1, &channels);
    let linear = layer.view();
    let codes = vec![-128; linear.row_len()];
    // The packed zeros beside the columns leave the accumulator at 2^14 * 131071.
    let mut out = [0];
    gemm(&linear, &codes, &[TokenScale { mantissa: 1 << 14, exponent: -14 }], Epilogue::Store, &mut out);
    assert_eq!(out, [(1 << 14) * 131_071]);
    let mut too_many = layer.clone();
    too_many.outliers.push(outliers as u16);
    too_many.weight.resize(panel_groups(inputs, outliers + 1) * 64, 0);
    assert!(
        Linear::from_parts(
            &too_many.weight,
            &too_many.bias,
            &too_many.mantissa,
            &too_many.shift,
            &too_many.row_sum,
            &too_many.outliers,
            inputs
        )
        .is_err()
    );
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let refused = |change: fn(&mut Layer)| {
        let mut l = Layer::pack(&[1; 12 * 5], 12, 5, &[2, 7]);
        change(&mut l);
        Linear::from_parts(&l.weight, &l.bias, &l.mantissa, &l.shift, &l.row_sum, &l.outliers, l.inputs)
            .is_err()
    };
    assert!(!refused(|_| ()));
    assert!(refused(|l| l.weight.truncate(1)));
    assert!(refused(|l| l.bias.push(0)));
    assert!(refused(|l| l.mantissa[4] = 1 << 14));
    assert!(refused(|l| l.shift.truncate(4)));
    assert!(refused(|l| l.row_sum.truncate(4)));
    assert!(refused(|l| l.outliers = vec![7, 2]));
    assert!(refused(|l| l.outliers = vec![7, 7]));
    assert!(refused(|l| l.outliers = vec![2, 12]));
    assert!(refused(|l| l.inputs = usize::MAX / 32));
}

#[test]
fn the_layer_of_the_last_outputs_gives_them_alone() {
    let mut random = Random(7);
    let (inputs, outputs_count) = (37, 50);
    for outliers in [0, 3, 37] {
        let matrix = random.many(inputs * outputs_count, |r| r.next() as i8);
        let mut layer = Layer::pack(&matrix, inputs, outputs_count, &random.channels(outliers, inputs));
        layer.shift = random.many(outputs_count, |r| 20 + r.below(3) as i8);
        layer.mantissa = random.many(outputs_count, |r| r.next() as u16 | 1 << 15);
        layer.bias = random.many(outputs_count, |r| r.next() as i32 >> 8);
        let rows = random.many(3, |r| quantized(r, inputs, &layer.outliers));
        let (layer, all) = (layer.view(), outputs(&layer.view(), &rows));
        for first in [0, 16, 48] {
            let part = layer.outputs_from(first).expect("a panel begins there");
            assert_eq!((part.outputs(), part.row_len()), (outputs_count - first, layer.row_len()));
            let expected = all.chunks_exact(outputs_count).flat_map(|row| row[first..].iter().copied());
            assert!(outputs(&part, &rows).into_iter().eq(expected));
        }
        assert!(
            [1, 15, 64, usize::MAX, usize::MAX & !15].map(|at| layer.outputs_from(at).is_none()) == [true; 5]
        );
    }
}

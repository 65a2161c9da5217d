//! LayerNorm, rotary embedding and the stored stream against f64.

use crate::fixed::sin_cos;
use crate::kernels::scalar::{layer_norm, residual, rotary};
use crate::kernels::testing::Random;
use crate::quant::{Codec, Site};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// One row's LayerNorm in f64, and the bound of each value's error in units of 2^-16.
fn normalized(x: &[i32], gain: &[i32], bias: &[i32], epsilon: u64) -> Vec<(f64, f64)> {
    let count = x.len() as f64;
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = x.iter().map(|&x| (f64::from(x) - mean) * (f64::from(x) - mean)).sum::<f64>() / count
        + epsilon as f64;
    let deviation = libm::sqrt(variance);
    let channels = x.iter().zip(gain).zip(bias);
    let one = 65536.0;
    channels
        .map(|((&x, &gain), &bias)| {
            let normal = (f64::from(x) - mean) / deviation * one;
            let gain = libm::ldexp(f64::from(gain), -20);
            // Half a unit of the mean, half a squared unit of the variance and a quarter for its centre,
            // 2^-30 of the reciprocal root, half a unit of each of two roundings.
            let of_normal =
                one * 0.5 / deviation + normal.abs() * (0.375 / variance + libm::exp2(-30.0)) + 0.5;
            (normal * gain + f64::from(bias), of_normal * gain.abs() * 1.001 + 0.5)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn layer_norm_is_within_its_roundings(
        seed: u64,
        count in 2..400usize,
        size in 5.0..21.0f64,
        offset in -1_000_000..1_000_000i32,
        epsilon in 0..1_000_000u64,
    ) {
        let mut random = Random(seed);
        let size = libm::exp2(size);
        let x = random.many(count, |r| (r.normal() * size) as i32 + offset);
        let gain = random.many(count, |r| (r.next() as i32) >> 9);
        let bias = random.many(count, |r| (r.next() as i32) >> 12);
        let mut y = vec![0; count];
        layer_norm::layer_norm(&x, &gain, &bias, epsilon, &mut y);
        prop_assume!(x.iter().any(|&v| (f64::from(v - x[0])).abs() > 16.0));
        for (&y, (exact, bound)) in y.iter().zip(normalized(&x, &gain, &bias, epsilon)) {
            let error = (f64::from(y) - exact).abs();
            prop_assert!(error <= bound, "{y} {exact} {error} {bound}");
        }
    }

    #[test]
    fn rotary_is_a_rotation(x: i32, y: i32, phase: u32, cut in 0..31u32) {
        let (x, y) = (x >> cut, y >> cut);
        let (sine, cosine) = sin_cos(phase);
        let (a, b) = rotary::rotate(x, y, cosine, sine);
        let angle = f64::from(phase) / 4_294_967_296.0 * core::f64::consts::TAU;
        let (real_x, real_y) = (f64::from(x), f64::from(y));
        let limit = |v: f64| v.clamp(f64::from(i32::MIN), f64::from(i32::MAX));
        let exact = [
            limit(real_x * libm::cos(angle) - real_y * libm::sin(angle)),
            limit(real_y * libm::cos(angle) + real_x * libm::sin(angle)),
        ];
        // Sine and cosine are within 1.27 units of 2^-30.
        let bound = 0.5 + (real_x.abs() + real_y.abs()) * 1.27 * libm::exp2(-30.0) + 1e-6;
        for (found, exact) in [a, b].into_iter().zip(exact) {
            prop_assert!((f64::from(found) - exact).abs() <= bound, "{x} {y} {phase} {found} {exact}");
        }
    }

    #[test]
    fn rotary_pairs_a_channel_with_the_one_half_a_head_away(seed: u64, half in 1..40usize, heads in 0..4usize) {
        let mut random = Random(seed);
        let row = random.many(2 * half * heads + half, |r| (r.next() as i32) >> 8);
        let angles = random.many(half, |r| {
            let (sine, cosine) = sin_cos(r.next() as u32);
            [cosine, sine]
        });
        let mut rotated = row.clone();
        rotary::rotary(&mut rotated, &angles);
        for head in (0..heads).map(|head| head * 2 * half) {
            for (c, &[cosine, sine]) in (head..).zip(&angles) {
                let expected = rotary::rotate(row[c], row[c + half], cosine, sine);
                prop_assert_eq!((rotated[c], rotated[c + half]), expected);
            }
        }
        prop_assert_eq!(&rotated[2 * half * heads..], &row[2 * half * heads..]);
    }

    #[test]
    fn a_stored_row_is_each_channel_by_its_own_exponent(seed: u64, count in 0..100usize, sixteen: bool) {
        let record = if sixteen { [16, 0, 0, 0, 0, 0, 20, 0] } else { [8, 20, 107, 107, 20, 400, 20, 500] };
        let codec = Codec::from_record(&record, 3).unwrap();
        let mut random = Random(seed);
        let exponents = random.many(count, |r| r.below(4) as u8);
        let site = Site { codec, exponents: &exponents };
        let x = random.many(count, |r| (r.next() as i32) >> (10 + r.below(16)));
        let code_row = count * codec.bytes_per_value();
        let mut codes = vec![0; code_row];
        residual::encode(&site, &x, &mut codes, code_row);
        let mut decoded = vec![0; count];
        residual::decode(&site, &codes, code_row, &mut decoded);
        for ((&x, &e), &decoded) in x.iter().zip(&exponents).zip(&decoded) {
            prop_assert_eq!(decoded, codec.decode(codec.encode(x, e), e));
        }
    }
}

#[test]
fn constant_rows_normalize_to_the_bias() {
    for value in [i32::MIN, -5, 0, 1 << 23, i32::MAX] {
        let mut y = [0; 7];
        layer_norm::layer_norm(&[value; 7], &[1 << 20; 7], &[3; 7], 0, &mut y);
        assert_eq!(y, [3; 7]);
    }
    let mut y = [0];
    layer_norm::layer_norm(&[12345], &[1 << 20], &[-8], 100, &mut y);
    assert_eq!(y, [-8]);
}

#[test]
fn two_opposite_values_normalize_to_one() {
    let mut y = [0; 2];
    layer_norm::layer_norm(&[-1 << 20, 1 << 20], &[1 << 20; 2], &[0; 2], 0, &mut y);
    assert_eq!(y, [-65536, 65536]);
}

//! Attention with a bias against softmax in f64, and its exponents against their definition.

use super::attention::Sequence;
use super::real;
use crate::fixed::{Multiplier, TokenScale, exp2_neg};
use crate::kernels::attention::{Logits, bias_factor, key_scale_max, unpack};
use crate::kernels::scalar::attention::attention;
use crate::kernels::testing::{AttentionOutput, HeadData, Random, temperature_constant};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// What a score is worth, for heads of this width: in units of 2^-16, where a temperature's constant is in
/// 2^-11.
fn constant(width: usize) -> Multiplier {
    temperature_constant(width).scaled(5)
}

/// Attention of a sequence with `[3, keys]` biases.
fn attend(sequence: &Sequence, width: usize, bias: &[i32]) -> AttentionOutput {
    sequence.attend_by(32, 1, |head, key_max, queries| {
        let factors: Vec<_> = sequence
            .queries
            .scales
            .iter()
            .map(|&scale| bias_factor(scale, key_max, constant(width)))
            .collect();
        let logits = Logits::Biased { factors: &factors, bias, bias_stride: head.keys };
        AttentionOutput::by(attention, head, queries, logits, 1)
    })
}

/// Standard deviations of the scores and of the bias; the worst error over 500 sequences, relative to the
/// largest value, against softmax over the keys with their rounded relative scales.
const WORST: [[f64; 3]; 4] = [[0.5, 0.5, 2.5e-4], [0.5, 8.0, 2.5e-4], [8.0, 0.5, 2.3e-4], [8.0, 8.0, 1.1e-4]];

#[test]
fn biased_attention_is_near_softmax() {
    let mut found = Vec::new();
    for [size, of_bias, _] in WORST {
        let mut worst: f64 = 0.0;
        let mut random = Random((size + 10.0 * of_bias) as u64);
        for _ in 0..500 {
            let (keys, width) = (1 + random.below(300), [8, 16, 32, 64][random.below(4)]);
            let sequence = Sequence::new(&mut random, keys, width, size);
            let bias = random.many(3 * keys, |r| (r.normal() * of_bias * 65536.0) as i32);
            let natural: Vec<f64> =
                bias.iter().map(|&b| f64::from(b) / 65536.0 * core::f64::consts::LN_2).collect();
            let attended = attend(&sequence, width, &bias);
            worst = worst.max(sequence.error(&attended, &sequence.rounding_of_key_scales(), &natural));
        }
        found.push(worst);
    }
    let within = |(worst, [.., bound]): (&f64, [f64; 3])| (0.7 * bound..=bound).contains(worst);
    assert!(found.iter().zip(WORST).all(within), "{found:?}");
}

/// The weights of one query over keys of 8 channels that are each one code, all channels the same, by the
/// definition.
fn defined(query: i8, keys: &[i8], key_scale: &[i16], factor: Multiplier, bias: &[i32]) -> Vec<i16> {
    let logits: Vec<i128> = keys
        .iter()
        .zip(key_scale)
        .enumerate()
        .map(|(j, (&key, &scale))| {
            let score = 8 * i128::from(query) * i128::from(key) * i128::from(scale);
            let product = score * i128::from(factor.mantissa);
            let value = match factor.shift {
                1.. => (product + (1 << (factor.shift - 1))) >> factor.shift,
                shift => product << -shift,
            };
            let saturate = |v: i128| v.clamp(i32::MIN.into(), i32::MAX.into());
            saturate(saturate(value) + i128::from(bias.get(j).copied().unwrap_or(0)))
        })
        .collect();
    let largest = logits.iter().copied().max().unwrap_or(0);
    logits.iter().map(|logit| exp2_neg(((largest - logit + 16) / 32).min(65_535) as u16)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn weights_are_as_defined(
        seed: u64,
        keys in 1..60usize,
        rows in 1..=4usize,
        (surplus, missing) in (0..3usize, prop_oneof![Just(0), 0..100usize]),
        shift in -8..62i32,
        wild: bool,
    ) {
        let mut random = Random(seed);
        let codes = random.many(keys, |r| r.next() as i8);
        let channels: Vec<i8> = codes.iter().flat_map(|&code| [code; 8]).collect();
        let mut head = HeadData::pack(&channels, &channels, 8, 16, || random.next() as u8);
        head.key_scale = random.many(keys, |r| r.below(usize::from(key_scale_max(8).unsigned_abs()) + 1) as i16);
        let queries = random.many(rows, |r| r.next() as i8);
        let factors = random.many(rows, |r| Multiplier { mantissa: r.next() as i32, shift });
        let bias_stride = keys + surplus;
        let cut = if wild { 0 } else { 8 };
        let mut bias = random.many(rows * bias_stride, |r| r.next() as i32 >> cut);
        bias.truncate((rows * bias_stride).saturating_sub(missing));
        let rows_of_codes: Vec<i8> = queries.iter().flat_map(|&code| [code; 8]).collect();
        let logits = Logits::Biased { factors: &factors, bias: &bias, bias_stride };
        let found = AttentionOutput::by(attention, &head, &rows_of_codes, logits, seed);
        for (row, (&query, &factor)) in queries.iter().zip(&factors).enumerate() {
            let bias = bias.get(row * bias_stride..).unwrap_or_default();
            let expected = defined(query, &codes, &head.key_scale, factor, bias);
            let weights = &found.weights[row * found.stride..][..found.stride];
            prop_assert_eq!(&weights[..keys], &expected[..]);
            prop_assert!(weights[keys..].iter().all(|&weight| weight == 0));
            prop_assert_eq!(found.sums[row], expected.iter().map(|&e| u32::from(e.unsigned_abs())).sum::<u32>());
        }
    }

    #[test]
    fn a_bias_that_all_keys_have_changes_nothing(seed: u64, keys in 1..200usize, common in -1_000_000..1_000_000i32) {
        let mut random = Random(seed);
        let sequence = Sequence::new(&mut random, keys, 16, 2.0);
        let mut bias = random.many(3 * keys, |r| (r.normal() * 65536.0) as i32);
        let expected = attend(&sequence, 16, &bias);
        bias.iter_mut().for_each(|bias| *bias += common);
        prop_assert_eq!(attend(&sequence, 16, &bias), expected);
    }

    #[test]
    fn a_factor_is_the_product_of_its_parts(
        query: u32,
        key: u32,
        (a, b) in (0..32u32, 0..32u32),
        width in prop::sample::select(&[8usize, 16, 32, 64, 256][..]),
    ) {
        let (query, key) = (TokenScale::covering(query >> a, 0), TokenScale::covering(key >> b, 0));
        let constant = constant(width);
        let found = bias_factor(query, key, constant);
        let value = |m: Multiplier| libm::ldexp(f64::from(m.mantissa), -m.shift);
        let exact = real(query) * real(key) * value(constant);
        prop_assert!((value(found) - exact).abs() <= exact * libm::exp2(-31.0) * (1.0 + 1e-9), "{found:?} {exact}");
        prop_assert!(found.mantissa >= 1 << 30);
    }

    #[test]
    fn no_factor_panics(words: [u32; 2], mantissa: i32, shift: i32) {
        let [query, key] = words.map(unpack);
        for shift in [shift, shift % 128, i32::MIN, i32::MAX] {
            let found = bias_factor(query, key, Multiplier { mantissa, shift });
            prop_assert!(found.apply(i32::MIN) <= 0 || mantissa <= 0);
        }
    }
}

#[test]
fn the_bias_alone_decides_between_equal_keys() {
    // Half of the weight for each octave: 2^16 units of bias.
    let head = HeadData::pack(&[3; 5 * 8], &[1; 5 * 8], 8, 16, || 7);
    let factors = [Multiplier { mantissa: 1 << 30, shift: 40 }];
    let bias = [-65536, 0, -2 * 65536, -20 * 65536, i32::MIN];
    let logits = Logits::Biased { factors: &factors, bias: &bias, bias_stride: 5 };
    let found = AttentionOutput::by(attention, &head, &[2; 8], logits, 1);
    assert_eq!(found.weights[..5], [exp2_neg(1 << 11), 32767, exp2_neg(2 << 11), 0, 0]);
}

#[test]
fn exponents_of_logits_are_rounded_half_up() {
    let head = HeadData::pack(&[0; 4 * 8], &[1; 4 * 8], 8, 16, || 7);
    let factors = [Multiplier { mantissa: 1 << 30, shift: 40 }];
    let bias = [0, -15, -16, -48];
    let logits = Logits::Biased { factors: &factors, bias: &bias, bias_stride: 4 };
    let found = AttentionOutput::by(attention, &head, &[2; 8], logits, 1);
    assert_eq!(found.weights[..4], [0, 0, 1, 2].map(exp2_neg));
    assert!(exp2_neg(1) < exp2_neg(0) && exp2_neg(2) < exp2_neg(1));
}

#[test]
fn the_rows_of_logits() {
    let factors = vec![Multiplier { mantissa: 1, shift: 1 }; 3];
    let logits = Logits::Biased { factors: &factors, bias: &[1, 2, 3, 4, 5], bias_stride: 2 };
    let rest = |first: usize| match logits.starting_at(first) {
        Logits::Biased { factors, bias, .. } => (factors.len(), bias.to_vec()),
        Logits::Plain(_) => (99, vec![]),
    };
    assert_eq!(rest(0), (3, vec![1, 2, 3, 4, 5]));
    assert_eq!(rest(2), (1, vec![5]));
    assert_eq!(rest(3), (0, vec![]));
    assert_eq!(rest(usize::MAX), (0, vec![]));
    assert_eq!((logits.rows(), Logits::Plain(&[]).rows()), (3, 0));
}

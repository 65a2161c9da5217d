//! Attention against softmax in f64.

use super::real;
use crate::fixed::{Multiplier, TokenScale};
use crate::kernels::attention::{
    ContactWeight, Logits, Temperature, key_scale_max, pack, relative_scales, unpack,
};
use crate::kernels::scalar::attention::attention;
use crate::kernels::scalar::contact::accumulate;
use crate::kernels::scalar::quantize::quantize_row;
use crate::kernels::testing::{AttentionOutput, HeadData, Random, temperature_constant};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Rows of codes with their scales.
pub(super) struct Codes {
    pub codes: Vec<i8>,
    pub scales: Vec<TokenScale>,
}

impl Codes {
    /// Rows of normal numbers of standard deviation `size` (1 is 2^16), each row with a size of its own.
    fn new(random: &mut Random, rows: usize, width: usize, size: f64) -> Self {
        let mut quantized = Self { codes: vec![0; rows * width], scales: Vec::new() };
        for codes in quantized.codes.chunks_mut(width) {
            let size = size * 65536.0 * libm::exp2(random.normal() / 2.0);
            let row = random.many(width, |r| (r.normal() * size) as i32);
            quantized.scales.push(quantize_row(&row, &[], codes));
        }
        quantized
    }

    fn packed_scales(&self) -> Vec<u32> {
        self.scales.iter().map(|&scale| pack(scale)).collect()
    }

    /// Row `r` as real numbers.
    fn row(&self, r: usize, width: usize) -> Vec<f64> {
        let unit = real(self.scales[r]) / 65536.0;
        self.codes[r * width..(r + 1) * width].iter().map(|&code| f64::from(code) * unit).collect()
    }
}

/// Three queries over keys and values.
pub(super) struct Sequence {
    pub queries: Codes,
    keys: Codes,
    values: Codes,
    width: usize,
}

impl Sequence {
    pub(super) fn new(random: &mut Random, keys: usize, width: usize, logit: f64) -> Self {
        // Scores q.k / sqrt(width) have the standard deviation of `logit`.
        let size = libm::sqrt(logit);
        Self {
            queries: Codes::new(random, 3, width, size),
            keys: Codes::new(random, keys, width, size),
            values: Codes::new(random, keys, width, 1.0),
            width,
        }
    }

    fn attend(&self, block_rows: usize, garbage: u64) -> AttentionOutput {
        self.attend_by(block_rows, garbage, |head, key_max, queries| {
            let constant = temperature_constant(self.width);
            let temperature = |&scale: &TokenScale| Temperature::new(scale, key_max, constant);
            let temperatures: Vec<_> = self.queries.scales.iter().map(temperature).collect();
            AttentionOutput::by(attention, head, queries, Logits::Plain(&temperatures), garbage)
        })
    }

    /// Runs `kernel` on the packed head, its largest key scale and the queries.
    pub(super) fn attend_by(
        &self,
        block_rows: usize,
        garbage: u64,
        kernel: impl FnOnce(&HeadData, TokenScale, &[i8]) -> AttentionOutput,
    ) -> AttentionOutput {
        let mut padding = Random(!garbage);
        let mut head = HeadData::pack(&self.keys.codes, &self.values.codes, self.width, block_rows, || {
            padding.next() as u8
        });
        let key_max = head.relate(&self.keys.packed_scales(), &self.values.packed_scales());
        kernel(&head, key_max, &self.queries.codes)
    }

    /// What rounding to whole multiples makes of every key's scale.
    pub(super) fn rounding_of_key_scales(&self) -> Vec<f64> {
        let mut relative = vec![0; self.keys.scales.len()];
        let numerator = key_scale_max(self.width);
        let largest = real(relative_scales(&self.keys.packed_scales(), numerator, &mut relative));
        let stored = relative.iter().map(|&r| f64::from(r) / f64::from(numerator) * largest);
        stored.zip(&self.keys.scales).map(|(stored, &scale)| stored / real(scale)).collect()
    }

    /// The softmax of one query's scores over the dequantized keys, each score times a factor, plus a bias.
    fn softmax(&self, query: usize, factors: &[f64], bias: &[f64]) -> Vec<f64> {
        let q = self.queries.row(query, self.width);
        let scores: Vec<f64> = factors
            .iter()
            .zip(bias)
            .enumerate()
            .map(|(key, (factor, bias))| {
                let dot: f64 = self.keys.row(key, self.width).iter().zip(&q).map(|(k, q)| k * q).sum();
                factor * dot / libm::sqrt(self.width as f64) + bias
            })
            .collect();
        let largest = scores.iter().copied().fold(f64::MIN, f64::max);
        let exponents: Vec<f64> = scores.iter().map(|score| libm::exp(score - largest)).collect();
        let sum: f64 = exponents.iter().sum();
        exponents.iter().map(|e| e / sum).collect()
    }

    fn largest_value(&self) -> f64 {
        (0..self.values.scales.len())
            .flat_map(|key| self.values.row(key, self.width))
            .map(f64::abs)
            .fold(0.0, f64::max)
    }

    /// The largest error of an output, relative to the largest value. `bias` is natural, one a query and key.
    pub(super) fn error(&self, attended: &AttentionOutput, factors: &[f64], bias: &[f64]) -> f64 {
        let mut worst = 0.0;
        for query in 0..self.queries.scales.len() {
            let bias = &bias[query * factors.len()..][..factors.len()];
            let probabilities = self.softmax(query, factors, bias);
            let mut exact = vec![0.0; self.width];
            for (key, p) in probabilities.iter().enumerate() {
                exact.iter_mut().zip(self.values.row(key, self.width)).for_each(|(sum, v)| *sum += p * v);
            }
            for (&found, exact) in attended.row(query, self.width).iter().zip(exact) {
                worst = f64::max(worst, (f64::from(found) / 65536.0 - exact).abs());
            }
        }
        worst / self.largest_value()
    }
}

/// Standard deviation of the scores (rows differ in size, so that single scores are far larger); the worst
/// error over 1000 sequences, relative to the largest value: against softmax over the keys with their rounded
/// relative scales, and with their own. The first is what exponents, weights and sums cost; the second grows
/// with the scores because a scale that is rounded moves a score by a share of itself.
const WORST: [[f64; 3]; 3] = [[0.5, 2.0e-4, 3.0e-4], [2.0, 4.0e-4, 3.0e-3], [8.0, 2.0e-4, 1.0e-2]];

#[test]
fn attention_is_near_softmax() {
    for [size, of_kernel, of_scales] in WORST {
        let (mut kernel, mut scales) = (0.0, 0.0);
        let mut random = Random(size as u64);
        for _ in 0..1000 {
            let (keys, width) = (1 + random.below(300), [8, 16, 64, 128][random.below(4)]);
            let sequence = Sequence::new(&mut random, keys, width, size);
            let (attended, no_bias) = (sequence.attend(32, 1), vec![0.0; 3 * keys]);
            let rounded = sequence.rounding_of_key_scales();
            kernel = f64::max(kernel, sequence.error(&attended, &rounded, &no_bias));
            scales = f64::max(scales, sequence.error(&attended, &vec![1.0; keys], &no_bias));
        }
        assert!((0.7 * of_kernel..=of_kernel).contains(&kernel), "scores of {size}: {kernel}");
        assert!((0.7 * of_scales..=of_scales).contains(&scales), "scores of {size}: {scales}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn blocks_and_what_was_in_memory_change_nothing(seed: u64, keys in 1..300usize, logit in 0.1..50.0f64) {
        let sequence = Sequence::new(&mut Random(seed), keys, 16, logit);
        let expected = sequence.attend(16, 1);
        for (block_rows, garbage) in [(16, 2), (32, 3), (96, 4), (304, 5)] {
            prop_assert_eq!(sequence.attend(block_rows, garbage), expected.clone());
        }
    }

    #[test]
    fn contact_probabilities_add_up_to_one(seed: u64, keys in 1..700usize, logit in 0.1..50.0f64) {
        let attended = Sequence::new(&mut Random(seed), keys, 8, logit).attend(16, 1);
        let (mut row, mut columns) = (vec![0; keys], vec![0; keys]);
        let head = ContactWeight { weight: 1 << 8, shift: 8 };
        let total = accumulate(&attended.weights[..keys], attended.sums[0], head, &mut row, &mut columns);
        prop_assert_eq!(columns.iter().sum::<u32>(), total);
        // Half a unit a key, the factor's 2^-16, and 65536 stored as 65535.
        let bound = keys.div_ceil(2) as u32 + 2;
        prop_assert!(total.abs_diff(65536) <= bound, "{total} for {keys} keys");
        // A weight of 2^8 shifted by 8 is the probability itself.
        prop_assert!(row.iter().zip(&columns).all(|(&row, &column)| i64::from(row) == i64::from(column)));
    }

    #[test]
    fn relative_scales_are_rounded_ratios(maxima in prop::collection::vec(any::<u32>(), 1..50), cut in 0..32u32) {
        let scales: Vec<TokenScale> = maxima
            .iter()
            .enumerate()
            .map(|(i, &max)| TokenScale::covering(max.checked_shr(cut * (i as u32 % 3) / 2).unwrap_or(0), 0))
            .collect();
        let packed: Vec<u32> = scales.iter().map(|&scale| pack(scale)).collect();
        prop_assert!(packed.iter().zip(&scales).all(|(&word, &scale)| unpack(word) == scale));
        let largest = scales.iter().copied().map(real).fold(0.0, f64::max);
        for numerator in [511, i16::MAX] {
            let mut out = vec![-1; scales.len()];
            prop_assert_eq!(real(relative_scales(&packed, numerator, &mut out)), largest);
            prop_assert_eq!(out.iter().max(), Some(&numerator));
            for (&found, &scale) in out.iter().zip(&scales) {
                let exact = f64::from(numerator) * real(scale) / largest;
                prop_assert!((f64::from(found) - exact).abs() <= 0.5 + 1e-9, "{found} {exact}");
            }
        }
    }

    #[test]
    fn a_temperature_is_the_product_of_its_factors(
        query in 0..=u32::MAX,
        key in 0..=u32::MAX,
        (a, b) in (0..32u32, 0..32u32),
        width in prop::sample::select(&[8usize, 16, 24, 64, 256][..]),
    ) {
        let (query, key) = (TokenScale::covering(query >> a, 0), TokenScale::covering(key >> b, 0));
        let found = Temperature::new(query, key, temperature_constant(width));
        let product = real(query) * real(key) * core::f64::consts::LOG2_E * libm::exp2(11.0 - 32.0)
            / (f64::from(key_scale_max(width)) * libm::sqrt(width as f64));
        // As `(difference >> shift) * factor >> 16`.
        let stored = libm::ldexp(f64::from(found.factor), -16 - i32::from(found.shift));
        if product >= 1.0 {
            prop_assert_eq!(found, Temperature { factor: u16::MAX, shift: 0 });
        } else if product >= libm::exp2(-32.0) {
            prop_assert!(stored <= product && stored >= product * (1.0 - libm::exp2(-14.9)), "{stored} {product}");
        } else {
            // No difference of scores is so large that it would lower a weight.
            prop_assert_eq!(found.shift, 31);
        }
    }

    #[test]
    fn no_temperature_panics(words: [u32; 2], mantissa: i32, shift: i32) {
        let [query, key] = words.map(unpack);
        for shift in [shift, shift % 128, i32::MIN, i32::MAX] {
            let found = Temperature::new(query, key, Multiplier { mantissa, shift });
            prop_assert!(found.shift <= 31);
        }
    }
}

#[test]
fn no_scales_are_the_scale_of_zero() {
    assert_eq!(relative_scales(&[], 511, &mut []), TokenScale::covering(0, 0));
    let mut out = [3, 3];
    let zero = pack(TokenScale::covering(0, 0));
    relative_scales(&[zero, pack(TokenScale::covering(1 << 20, 0))], 511, &mut out);
    assert_eq!(out, [0, 511]);
}

#[test]
fn one_key_gets_all_of_the_attention() {
    let values: Vec<i8> = (-8..8).collect();
    let mut head = HeadData::pack(&[5; 16], &values, 16, 16, || 99);
    let scale = TokenScale::covering(65536, 0);
    head.relate(&[pack(scale)], &[pack(scale)]);
    let attended = AttentionOutput::by(
        attention,
        &head,
        &[-7; 16],
        Logits::Plain(&[Temperature { factor: 40_000, shift: 3 }]),
        1,
    );
    assert_eq!((attended.sums[0], attended.weights[0]), (32767, 32767));
    assert_eq!(attended.weights[1..], [0; 31]);
    for (&found, &code) in attended.row(0, 16).iter().zip(&values) {
        let exact = f64::from(code) * real(scale);
        assert!((f64::from(found) - exact).abs() <= exact.abs() * 1e-4 + 1.0, "{found} {exact}");
    }
}

#[test]
fn equal_scores_give_the_mean_of_the_values() {
    let keys = 200;
    let mut random = Random(5);
    let values = random.many(keys * 8, |r| r.next() as i8);
    let mut head = HeadData::pack(&vec![0; keys * 8], &values, 8, 48, || 1);
    let scales = vec![pack(TokenScale::covering(127 << 9, 0)); keys];
    head.relate(&scales, &scales);
    let attended = AttentionOutput::by(
        attention,
        &head,
        &[127; 8],
        Logits::Plain(&[Temperature { factor: 65535, shift: 0 }]),
        1,
    );
    assert_eq!(attended.sums[0], 200 * 32767);
    for (c, &found) in attended.row(0, 8).iter().enumerate() {
        let mean = values.chunks(8).map(|row| f64::from(row[c])).sum::<f64>() / keys as f64 * 512.0;
        assert!((f64::from(found) - mean).abs() <= mean.abs() * 1e-4 + 2.0, "{found} {mean}");
    }
}

//! Attention and what it adds to contact maps.

use crate::fixed::{Multiplier, TokenScale};
use crate::kernels::Isa;
use crate::kernels::attention::{ContactWeight, Logits, QUERY_TILE, Temperature, key_scale_max};
use crate::kernels::testing::{AttentionOutput, CODES, Codes, HeadData, Random, any_magnitude};
use proptest::prelude::*;
use std::vec::Vec;

#[derive(Clone, Debug)]
pub struct AttentionCase {
    pub seed: u64,
    pub width: usize,
    pub keys: usize,
    pub block_rows: usize,
    pub rows: usize,
    pub codes: Codes,
    pub scales: Scales,
    pub bias: Option<Bias>,
}

/// Factors and biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// As in a model.
    Real,
    /// Any factor and bias, and fewer biases than keys.
    Wild,
}

#[derive(Clone, Copy, Debug)]
pub enum Scales {
    Any,
    Largest,
    Zero,
}

pub const WIDTHS: [usize; 7] = [8, 16, 24, 32, 64, 128, 256];

pub fn attention_case() -> impl Strategy<Value = AttentionCase> {
    let keys = prop_oneof![1..40usize, 1..700usize];
    let shape = (prop::sample::select(&WIDTHS[..]), keys, 1..=6usize, 1..=QUERY_TILE);
    let scales = prop::sample::select(&[Scales::Any, Scales::Largest, Scales::Zero][..]);
    let bias = prop::sample::select(&[None, Some(Bias::Real), Some(Bias::Wild)][..]);
    (any::<u64>(), shape, prop::sample::select(&CODES[..]), scales, bias).prop_map(
        |(seed, (width, keys, panels, rows), codes, scales, bias)| AttentionCase {
            seed,
            width,
            keys,
            block_rows: 16 * panels,
            rows,
            codes,
            scales,
            bias,
        },
    )
}

impl AttentionCase {
    fn head(&self, random: &mut Random) -> HeadData {
        let keys = random.many(self.keys * self.width, |r| self.codes.draw(r));
        let values = random.many(self.keys * self.width, |r| self.codes.draw(r));
        let mut head = HeadData::pack(&keys, &values, self.width, self.block_rows, || random.next() as u8);
        let mut scales = |largest: i16| {
            random.many(self.keys, |r| match self.scales {
                Scales::Any => r.below(usize::from(largest.unsigned_abs()) + 1) as i16,
                Scales::Largest => largest,
                Scales::Zero => 0,
            })
        };
        (head.key_scale, head.value_scale) = (scales(key_scale_max(self.width)), scales(i16::MAX));
        head.value_max = TokenScale { mantissa: random.next() as u16, exponent: random.next() as i8 };
        head
    }
}

pub fn check_attention(isa: Isa, case: &AttentionCase) {
    let mut random = Random(case.seed);
    let head = case.head(&mut random);
    let queries = random.many(case.rows * case.width, |r| case.codes.draw(r));
    let temperatures = random.many(case.rows, |r| {
        let shift = if r.below(2) == 0 { r.below(20) as u8 } else { r.next() as u8 };
        Temperature { factor: r.next() as u16, shift }
    });
    let factors = random.many(case.rows, |r| match case.bias {
        Some(Bias::Real) => {
            Multiplier { mantissa: (r.next() as i32 & i32::MAX) | 1 << 30, shift: 32 + r.below(14) as i32 }
        }
        _ => Multiplier { mantissa: r.next() as i32, shift: r.below(80) as i32 - 10 },
    });
    let bias_stride = case.keys + random.below(3);
    let bias = random.many(case.rows * bias_stride, |r| match case.bias {
        Some(Bias::Real) => (r.normal() * 400_000.0) as i32,
        _ => any_magnitude(r),
    });
    let missing = if case.bias == Some(Bias::Wild) { random.below(2 * bias_stride) } else { 0 };
    let bias = &bias[..bias.len().saturating_sub(missing)];
    let logits = match case.bias {
        None => Logits::Plain(&temperatures),
        Some(_) => Logits::Biased { factors: &factors, bias, bias_stride },
    };
    let by =
        |isa: Isa, garbage| AttentionOutput::by(isa.backend().attention, &head, &queries, logits, garbage);
    let expected = by(Isa::scalar(), 1);
    assert!(expected.sums.iter().all(|&sum| sum >= 32767), "the largest weight is whole");
    assert_eq!(by(isa, 2), expected);
}

pub fn check_every_width(isa: Isa) {
    for width in WIDTHS {
        for (keys, block_rows) in [(1, 16), (16, 16), (95, 32), (96, 96), (255, 48), (513, 96)] {
            for (rows, codes) in
                (1..=QUERY_TILE).flat_map(|rows| [(rows, Codes::Any), (rows, Codes::Extremes)])
            {
                for bias in [None, Some(Bias::Real), Some(Bias::Wild)] {
                    let (seed, scales) = ((width * keys + rows) as u64, Scales::Largest);
                    let case = AttentionCase { seed, width, keys, block_rows, rows, codes, scales, bias };
                    check_attention(isa, &case);
                }
            }
        }
    }
}

/// Every key weighs as much as a key can, and all values push one way: the largest sums that so many keys
/// make. With 512 keys, they just fit 32 bits.
pub fn check_largest_sums(isa: Isa) {
    const WIDTH: usize = 32;
    for (keys, code) in
        [510, 511, 512, 513, 1100].into_iter().flat_map(|keys| [(keys, i8::MIN), (keys, i8::MAX)])
    {
        let (key_codes, values) = (std::vec![1; keys * WIDTH], std::vec![code; keys * WIDTH]);
        let mut head = HeadData::pack(&key_codes, &values, WIDTH, 96, || 7);
        (head.key_scale, head.value_scale) = (std::vec![1; keys], std::vec![i16::MAX; keys]);
        head.value_max = TokenScale { mantissa: 1 << 15, exponent: 0 };
        let (queries, temperatures) =
            ([0; QUERY_TILE * WIDTH], [Temperature { factor: 40_000, shift: 7 }; QUERY_TILE]);
        let logits = Logits::Plain(&temperatures);
        let by = |isa: Isa, garbage| {
            AttentionOutput::by(isa.backend().attention, &head, &queries, logits, garbage)
        };
        let expected = by(Isa::scalar(), 1);
        assert_eq!(expected.sums, [keys as u32 * 32_767; QUERY_TILE]);
        assert_eq!(by(isa, 2), expected, "{keys} keys of {code}");
    }
}

#[derive(Clone, Debug)]
pub struct ContactCase {
    pub weights: Vec<i16>,
    pub sum: u32,
    pub head: ContactWeight,
    pub seed: u64,
}

pub fn contact_case() -> impl Strategy<Value = ContactCase> {
    let weights = prop_oneof![
        prop::collection::vec(0..=i16::MAX, 0..100),
        prop::collection::vec(any::<i16>(), 0..700),
        Just(std::vec![i16::MAX; 50]),
    ];
    let sum = prop_oneof![any::<u32>(), 32767..200_000u32, Just(0), (0..32u32).prop_map(|b| (1 << b) + 1)];
    let shift = prop_oneof![1..=30u32, any::<u32>()];
    (weights, sum, any::<i16>(), shift, any::<u64>()).prop_map(|(weights, sum, weight, shift, seed)| {
        ContactCase { weights, sum, head: ContactWeight { weight, shift }, seed }
    })
}

pub fn check_contact(isa: Isa, case: &ContactCase) {
    let by = |isa: Isa| {
        let mut random = Random(case.seed);
        let longer = case.weights.len() + random.below(3);
        let mut row = random.many(longer, |r| r.next() as i32);
        let mut columns = random.many(longer, |r| r.next() as u32);
        let total = (isa.backend().contact)(&case.weights, case.sum, case.head, &mut row, &mut columns);
        (total, row, columns)
    };
    assert_eq!(by(isa), by(Isa::scalar()));
}

//! Operations on one row: LayerNorm, gates, rotary embedding, the stored stream.

use crate::kernels::Isa;
use crate::kernels::rows::Rows;
use crate::kernels::testing::{Random, any_magnitude};
use crate::quant::{Codec, Site};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Rows of one magnitude, of all, and of extremes.
pub fn values(count: usize, seed: u64, style: u32) -> Vec<i32> {
    let mut random = Random(seed);
    let shift = random.below(32);
    random.many(count, |r| match style % 5 {
        0 => any_magnitude(r),
        1 => (r.next() as i32) >> shift,
        2 => [i32::MIN, i32::MAX, 0][r.below(3)],
        3 => i32::MIN,
        _ => (shift as i32 - 16) << 10,
    })
}

#[derive(Clone, Debug)]
pub struct NormCase {
    pub x: Vec<i32>,
    pub width: usize,
    /// Values between rows.
    pub between: usize,
    pub gain: Vec<i32>,
    pub bias: Vec<i32>,
    pub epsilons: Vec<u64>,
    /// Values of y.
    pub room: usize,
}

/// One row of any width, or some narrow ones; epsilons and results for more of them or fewer, gains and
/// biases as a model has them or any.
pub fn norm_case() -> impl Strategy<Value = NormCase> {
    let shape = prop_oneof![
        (0..2usize, 0..400usize),
        (0..40usize, 0..70usize),
        // Whole blocks, and tiles of rows that are not.
        (0..40usize, prop::sample::select(vec![64usize, 72, 128]))
    ];
    (any::<u64>(), shape, prop_oneof![Just(0usize), 0..9usize], any::<bool>(), [-3..4isize, -3..4isize])
        .prop_map(|(seed, (rows, width), between, wild, surplus)| {
            let mut random = Random(seed ^ 1);
            let part = |random: &mut Random| any_magnitude(random) >> if wild { 0 } else { 9 };
            let (gain, bias) = (random.many(width, part), random.many(width, part));
            let x = (0..rows).flat_map(|_| {
                let (seed, style) = (random.next(), random.below(5) as u32);
                values(width + between, seed, style)
            });
            let x = x.collect();
            let epsilons = random.many(rows.saturating_add_signed(surplus[0]), |r| match r.below(4) {
                0 => 0,
                1 => u64::MAX,
                2 => r.next(),
                _ => r.next() >> 47,
            });
            let room = (rows * width).saturating_add_signed(surplus[1]);
            NormCase { x, width, between, gain, bias, epsilons, room }
        })
}

pub fn check_layer_norm(isa: Isa, case: &NormCase) {
    let by = |isa: Isa| {
        let mut y = vec![-9; case.room];
        let x = Rows { values: &case.x, width: case.width, stride: case.width + case.between };
        (isa.backend().layer_norm_rows)(x, &case.gain, &case.bias, &case.epsilons, &mut y);
        y
    };
    assert_eq!(by(isa), by(Isa::scalar()));
}

/// One row, with strides of which two are more than there are addresses; widths of more than a block of
/// channels, too.
pub fn check_far_rows(isa: Isa) {
    for (width, stride) in
        [8, 72, 129].into_iter().flat_map(|w| [w, usize::MAX / 2, usize::MAX].map(|s| (w, s)))
    {
        let x = values(width, 1, 0);
        let normal = |isa: Isa| {
            let mut y = vec![-9; 17 * width];
            let x = Rows { values: &x, width, stride };
            (isa.backend().layer_norm_rows)(x, &vec![1 << 20; width], &vec![5; width], &[1; 17], &mut y);
            y
        };
        assert_eq!(normal(isa), normal(Isa::scalar()), "{width} {stride}");
        let (codec, exponents) = (Codec::Wide { step: 1 }, vec![0; width]);
        let site = Site { codec, exponents: &exponents };
        let residual = |isa: Isa| {
            let (mut codes, mut back) = (vec![7; 2 * width], vec![3; width]);
            (isa.backend().encode)(&site, &x, &mut codes, stride.max(2 * width));
            (isa.backend().decode)(&site, &codes, stride.max(2 * width), &mut back);
            (codes, back)
        };
        assert_eq!(residual(isa), residual(Isa::scalar()), "{width} {stride}");
    }
}

#[derive(Clone, Debug)]
pub struct RowCase {
    pub x: Vec<i32>,
    pub phases: Vec<u32>,
}

pub fn row_case() -> impl Strategy<Value = RowCase> {
    (any::<u64>(), 0..300usize, 0..5u32, 0..3usize).prop_map(|(seed, count, style, missing)| RowCase {
        x: values(count, seed, style),
        phases: Random(!seed)
            .many((count / 2).saturating_sub(missing), |r| r.next() as u32 & !(r.next() as u32)),
    })
}

pub fn check_gate(isa: Isa, case: &RowCase) {
    // Gates of the other end of the row, and one less of them.
    let gates: Vec<i32> = case.x.iter().rev().copied().skip(1).collect();
    let (mut expected, mut found) = (case.x.clone(), case.x.clone());
    (Isa::scalar().backend().gate)(&mut expected, &gates);
    (isa.backend().gate)(&mut found, &gates);
    assert_eq!(found, expected);
}

pub fn check_rotary(isa: Isa, case: &RowCase) {
    // One head or more, and values beyond the last.
    let half = case.phases.len() / (1 + case.x.len() % 5);
    let angles: Vec<[i32; 2]> = case.phases[..half]
        .iter()
        .map(|&phase| {
            let (sine, cosine) = crate::fixed::sin_cos(phase);
            [cosine, sine]
        })
        .collect();
    let (mut expected, mut found) = (case.x.clone(), case.x.clone());
    (Isa::scalar().backend().rotary)(&mut expected, &angles);
    (isa.backend().rotary)(&mut found, &angles);
    assert_eq!(found, expected);
}

#[derive(Clone, Debug)]
pub struct TransposeCase {
    pub count: usize,
    pub width: usize,
    /// Values between rows, and between columns.
    pub between: [usize; 2],
    /// Rows, and values written, beyond what there is room for, or less.
    pub surplus: [isize; 2],
}

pub fn transpose_case() -> impl Strategy<Value = TransposeCase> {
    (0..40usize, 0..40usize, [0..9usize, 0..9], prop_oneof![Just([0, 0]), [-30..30isize, -30..30]])
        .prop_map(|(count, width, between, surplus)| TransposeCase { count, width, between, surplus })
}

pub fn check_turn(isa: Isa, case: &TransposeCase) {
    let TransposeCase { count, width, between, surplus } = *case;
    let stride = (count + between[1]).saturating_add_signed(surplus[0].min(0));
    let values: Vec<i32> = (1..=(count * (width + between[0])) as i32).collect();
    let rows = Rows { values: &values, width, stride: width + between[0] };
    let by = |isa: Isa| {
        let mut out = vec![0; (width * stride).saturating_add_signed(surplus[1])];
        (isa.backend().transpose)(rows, count.saturating_add_signed(surplus[0].max(0)), &mut out, stride);
        out
    };
    assert_eq!(by(isa), by(Isa::scalar()));
    let gates = Random(width as u64).many(values.len(), |r| (r.normal() * 200_000.0) as i32);
    let gates = Rows { values: &gates, ..rows };
    let gated = |isa: Isa| {
        let mut out = vec![0; (width * stride).saturating_add_signed(surplus[1])];
        let count = count.saturating_add_signed(surplus[0].max(0));
        (isa.backend().transpose_gated)(rows, gates, count, &mut out, stride);
        out
    };
    assert_eq!(gated(isa), gated(Isa::scalar()));
    if surplus == [0, 0] {
        let mut gated_first = values.clone();
        (Isa::scalar().backend().gate)(&mut gated_first, gates.values);
        let mut transposed = vec![0; width * stride];
        let gated_first = Rows { values: &gated_first, ..rows };
        (Isa::scalar().backend().transpose)(gated_first, count, &mut transposed, stride);
        assert_eq!(gated(isa), transposed);
        let out = by(isa);
        for (r, row) in rows.iter().enumerate().take(count) {
            row.iter().enumerate().for_each(|(c, &value)| assert_eq!(out[c * stride + r], value));
        }
    }
}

#[derive(Clone, Debug)]
pub struct CodecCase {
    pub codec: Codec,
    pub exponents: Vec<u8>,
    pub x: Vec<i32>,
    pub seed: u64,
}

/// Legal codecs of 8 bits, fewer bits and 16 bits.
pub fn codec() -> impl Strategy<Value = (Codec, u8)> {
    let piecewise = (4..=8u32, prop::array::uniform4(1..100i32), prop::array::uniform3(1..4000i32)).prop_map(
        |(bits, shares, [step_neg, step_mid, step_pos])| {
            // Four random shares of the levels beside the zero level.
            let levels = (1 << bits) - 1;
            let sum: i32 = shares.iter().sum();
            let [n_neg, a, b, n_pos] = shares.map(|share| share * levels / sum);
            [bits as i32, n_neg, a, b, n_pos, step_neg, step_mid, step_pos]
        },
    );
    let wide = (1..=32i32).prop_map(|step| [16, 0, 0, 0, 0, 0, step, 0]);
    (prop_oneof![3 => piecewise, 1 => wide], 0..=3u8).prop_map(|(record, e)| {
        let e = (0..=e).rev().find(|&e| Codec::from_record(&record, e).is_ok());
        (Codec::from_record(&record, e.unwrap_or(0)).expect("legal by construction"), e.unwrap_or(0))
    })
}

pub fn codec_case() -> impl Strategy<Value = CodecCase> {
    let rows = (0..4usize, -3..4isize);
    let count = prop_oneof![2 => 0..300usize, 1 => prop::sample::select(vec![64usize, 128, 256])];
    (codec(), any::<u64>(), count, rows, 0..5u32).prop_map(|((codec, e), seed, count, rows, style)| {
        CodecCase {
            codec,
            exponents: Random(seed ^ 1).many(count, |r| r.below(usize::from(e) + 1) as u8),
            // Whole rows, and a few channels more or less.
            x: values((rows.0 * count).saturating_add_signed(rows.1), seed, style),
            seed,
        }
    })
}

pub fn check_codec(isa: Isa, case: &CodecCase) {
    let site = Site { codec: case.codec, exponents: &case.exponents };
    let mut random = Random(case.seed);
    let row = case.exponents.len() * case.codec.bytes_per_value();
    let code_row = row + random.below(4);
    // As many rows as there are, and a byte more.
    let rows = case.x.len().div_ceil(case.exponents.len().max(1));
    let blank = random.many(rows * code_row + 1, |r| r.next() as u8);
    let (mut expected, mut found) = (blank.clone(), blank.clone());
    (Isa::scalar().backend().encode)(&site, &case.x, &mut expected, code_row);
    (isa.backend().encode)(&site, &case.x, &mut found, code_row);
    assert_eq!(found, expected);
    for codes in [&blank, &found] {
        let (mut expected, mut found) = (vec![3; case.x.len() + 1], vec![3; case.x.len() + 1]);
        (Isa::scalar().backend().decode)(&site, codes, code_row, &mut expected);
        (isa.backend().decode)(&site, codes, code_row, &mut found);
        assert_eq!(found, expected);
    }
}

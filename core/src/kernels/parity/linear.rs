//! Linear layers and their inputs.

use super::rows::codec;
use crate::fixed::TokenScale;
use crate::kernels::Isa;
use crate::kernels::linear::{CodeRows, EpilogueKind, GROUP, PANEL, panel_groups};
use crate::kernels::testing::{CODES, Codes, Layer, Random, any_magnitude};
use crate::quant::{Codec, Site};
use proptest::prelude::*;
use std::vec;

#[derive(Clone, Debug)]
pub struct GemmCase {
    pub seed: u64,
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub outliers: usize,
    pub codes: Codes,
    pub weights: Codes,
    pub end: EpilogueKind,
    /// How [`EpilogueKind::Encode`] stores, and the largest exponent of a channel.
    pub codec: (Codec, u8),
    /// Any columns for high limbs, instead of copies of their channels' own.
    pub uncopied: bool,
    /// Any mantissa, shift, exponent and bias, instead of those of a real layer.
    pub wild: bool,
    /// Values that `out` is longer than its rows; scales that are missing.
    pub surplus: usize,
    pub missing: usize,
}

#[test]
fn every_epilogue_is_of_its_kind() {
    for &kind in EpilogueKind::ALL {
        let site = Site { codec: Codec::Wide { step: 1 }, exponents: &[] };
        assert_eq!(kind.epilogue(CodeRows { site: &site, codes: &mut [], code_row: 0 }).kind(), kind);
    }
}

pub fn gemm_case() -> impl Strategy<Value = GemmCase> {
    let inputs = prop_oneof![prop::sample::select(vec![0usize, 1, 3, 4, 5, 31, 32, 33]), 0..300usize];
    let outputs = prop_oneof![0..50usize, prop::sample::select(vec![16usize, 32, 48, 64, 80, 99])];
    let shape = (prop_oneof![0..10usize, 0..40usize], inputs, outputs, prop_oneof![0..3usize, 0..300usize]);
    let codes = (prop::sample::select(&CODES[..]), prop::sample::select(&CODES[..]));
    let end = (prop::sample::select(EpilogueKind::ALL), codec());
    (any::<u64>(), shape, codes, end, any::<[bool; 2]>(), 0..20usize, 0..3usize).prop_map(
        |(
            seed,
            (rows, inputs, outputs, outliers),
            (codes, weights),
            (end, codec),
            [uncopied, wild],
            surplus,
            missing,
        )| {
            GemmCase {
                seed,
                rows,
                inputs,
                outputs,
                outliers,
                codes,
                weights,
                end,
                codec,
                uncopied,
                wild,
                surplus,
                missing,
            }
        },
    )
}

impl GemmCase {
    fn layer(&self, random: &mut Random) -> Layer {
        let matrix = random.many(self.outputs * self.inputs, |r| self.weights.draw(r));
        let outliers = random.channels(self.outliers, self.inputs);
        let mut layer = Layer::pack(&matrix, self.inputs, self.outputs, &outliers);
        let high = outliers.len().div_ceil(GROUP) * GROUP * PANEL;
        if self.uncopied && outliers.len() < self.inputs {
            let panel_len = panel_groups(self.inputs, outliers.len()) * GROUP * PANEL;
            for panel in layer.weight.chunks_exact_mut(panel_len) {
                panel[..high].iter_mut().for_each(|weight| *weight = random.next() as i8);
            }
        }
        layer.mantissa = random.many(self.outputs, |r| r.next() as u16 | 1 << 15);
        layer.shift = random.many(self.outputs, |r| r.next() as i8);
        layer.bias = random.many(self.outputs, any_magnitude);
        if !self.wild {
            layer.shift = random.many(self.outputs, |r| 20 + r.below(8) as i8);
            // Small enough for lanes.
            layer.bias.iter_mut().for_each(|bias| *bias >>= 3);
        }
        layer
    }

    fn scale(&self, random: &mut Random) -> TokenScale {
        if self.wild {
            TokenScale { mantissa: random.next() as u16, exponent: random.next() as i8 }
        } else if self.seed.is_multiple_of(2) {
            // Rows as alike as a model's, whose exponents differ by a few.
            TokenScale::covering(1 << 8 | random.below(1 << 14) as u32, 0)
        } else {
            TokenScale::covering(any_magnitude(random).unsigned_abs(), 0)
        }
    }
}

pub fn check_gemm(isa: Isa, case: &GemmCase) {
    let mut random = Random(case.seed);
    let layer = case.layer(&mut random);
    let layer = layer.view();
    let codes = random.many(case.rows * layer.row_len(), |r| case.codes.draw(r));
    let scales = random.many(case.rows.saturating_sub(case.missing), |r| case.scale(r));
    let blank = random.many(case.rows * case.outputs + case.surplus, |r| any_magnitude(r) >> r.below(20));
    // Most often a channel for each output and whole rows of codes; else fewer channels, or rows that are too
    // short, or codes that end early.
    let (codec, largest) = case.codec;
    let mut fewer = |count: usize| count - if random.below(4) == 0 { random.below(count + 1) } else { 0 };
    let channels = fewer(case.outputs);
    let code_row = fewer(case.outputs * codec.bytes_per_value()) + case.surplus % 5;
    let bytes = fewer(case.rows * code_row);
    let exponents = random.many(channels, |r| r.below(usize::from(largest) + 1) as u8);
    let site = Site { codec, exponents: &exponents };
    let blank_stream = random.many(bytes, |r| r.next() as u8);
    let by = |isa: Isa, end: EpilogueKind| {
        let (mut out, mut stream) = (blank.clone(), blank_stream.clone());
        let epilogue = end.epilogue(CodeRows { site: &site, codes: &mut stream, code_row });
        (isa.backend().gemm)(&layer, &codes, &scales, epilogue, &mut out);
        (out, stream)
    };
    let found = by(isa, case.end);
    assert_eq!(found, by(Isa::scalar(), case.end));
    if case.end == EpilogueKind::Encode
        && channels == case.outputs
        && case.missing == 0
        && layer.row_len() > 0
    {
        let sums = by(Isa::scalar(), EpilogueKind::Add).0;
        let mut stream = blank_stream.clone();
        let sums = &sums[..case.rows * case.outputs];
        (Isa::scalar().backend().encode)(&site, sums, &mut stream, code_row);
        assert_eq!(found, (blank.clone(), stream), "the sum's codes");
    }
}

/// 1 to 9 rows, every length around the groups of four, every number of columns around the panels of sixteen.
pub fn check_every_small_gemm(isa: Isa) {
    for (rows, inputs) in (1..=9).flat_map(|rows| (0..=9).map(move |inputs| (rows, inputs))) {
        for (outputs, outliers) in [(0, 0), (1, 0), (15, 1), (16, 2), (17, 5), (33, 9)] {
            for (index, codes) in [Codes::Any, Codes::AllLow, Codes::AllHigh].into_iter().enumerate() {
                let seed = (rows * 100 + inputs) as u64;
                let ends = EpilogueKind::ALL;
                let (weights, end) = (codes, ends[(seed as usize + outputs + index) % ends.len()]);
                let codec = (Codec::Wide { step: 3 }, 2);
                check_gemm(
                    isa,
                    &GemmCase {
                        seed,
                        rows,
                        inputs,
                        outputs,
                        outliers,
                        codes,
                        weights,
                        end,
                        codec,
                        uncopied: index == 0,
                        wild: false,
                        surplus: 0,
                        missing: 0,
                    },
                );
            }
        }
    }
}

/// More rows than a pass is for, rows that are worked on in parts, and more codes than are held at a time.
pub fn check_large_gemm(isa: Isa) {
    for (rows, inputs, outliers) in
        [(131, 20, 3), (7, 1100, 40), (7, 1000, 1000), (90, 1310, 0), (80, 1310, 9)]
    {
        for (uncopied, codes) in [(false, Codes::Extremes), (true, Codes::Any)] {
            let seed = (rows * inputs) as u64;
            let codec = (Codec::Wide { step: 3 }, 2);
            let case = GemmCase {
                seed,
                rows,
                inputs,
                outputs: 33,
                outliers,
                codes,
                weights: codes,
                end: EpilogueKind::Store,
                codec,
                uncopied,
                wild: false,
                surplus: 0,
                missing: 0,
            };
            check_gemm(isa, &case);
        }
    }
}

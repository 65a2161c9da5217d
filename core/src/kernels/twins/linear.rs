//! Linear layers and their inputs.

use crate::fixed::TokenScale;
use crate::kernels::Isa;
use crate::kernels::linear::Then;
use crate::kernels::testing::{CODES, Codes, Layer, Random, any_magnitude};
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
    pub then: Then,
    /// Any mantissa, shift, exponent and bias, instead of those of a real layer.
    pub wild: bool,
    /// Values that `out` is longer than its rows; scales that are missing.
    pub surplus: usize,
    pub missing: usize,
}

const THEN: [Then; 5] = [Then::Store, Then::Gelu, Then::Relu, Then::Add, Then::Gate];

pub fn gemm_case() -> impl Strategy<Value = GemmCase> {
    let inputs = prop_oneof![prop::sample::select(vec![0usize, 1, 3, 4, 5, 31, 32, 33]), 0..300usize];
    let outputs = prop_oneof![0..50usize, prop::sample::select(vec![16usize, 32, 48, 64])];
    let shape = (prop_oneof![0..10usize, 0..40usize], inputs, outputs, prop_oneof![0..3usize, 0..300usize]);
    let codes = (prop::sample::select(&CODES[..]), prop::sample::select(&CODES[..]));
    let then = prop::sample::select(&THEN[..]);
    (any::<u64>(), shape, codes, then, any::<bool>(), 0..20usize, 0..3usize).prop_map(
        |(seed, (rows, inputs, outputs, outliers), (codes, weights), then, wild, surplus, missing)| {
            GemmCase { seed, rows, inputs, outputs, outliers, codes, weights, then, wild, surplus, missing }
        },
    )
}

impl GemmCase {
    fn layer(&self, random: &mut Random) -> Layer {
        let matrix = random.many(self.outputs * self.inputs, |r| self.weights.draw(r));
        let outliers = random.channels(self.outliers, self.inputs);
        let mut layer = Layer::pack(&matrix, self.inputs, self.outputs, &outliers);
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
    let blank = random.many(case.rows * case.outputs + case.surplus, |r| r.next() as i32);
    let (mut expected, mut found) = (blank.clone(), blank);
    (Isa::scalar().backend().gemm)(&layer, &codes, &scales, case.then, &mut expected);
    (isa.backend().gemm)(&layer, &codes, &scales, case.then, &mut found);
    assert_eq!(found, expected);
}

/// 1 to 9 rows, every length around the groups of four, every number of columns around the panels of sixteen.
pub fn check_every_small_gemm(isa: Isa) {
    for (rows, inputs) in (1..=9).flat_map(|rows| (0..=9).map(move |inputs| (rows, inputs))) {
        for (outputs, outliers) in [(0, 0), (1, 0), (15, 1), (16, 2), (17, 5), (33, 9)] {
            for (index, codes) in [Codes::Any, Codes::AllLow, Codes::AllHigh].into_iter().enumerate() {
                let seed = (rows * 100 + inputs) as u64;
                let (weights, then) = (codes, THEN[(seed as usize + outputs + index) % THEN.len()]);
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
                        then,
                        wild: false,
                        surplus: 0,
                        missing: 0,
                    },
                );
            }
        }
    }
}

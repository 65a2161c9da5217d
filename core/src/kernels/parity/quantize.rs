//! Linear inputs.

use super::rows::values;
use crate::fixed::TokenScale;
use crate::kernels::Isa;
use crate::kernels::linear::row_len;
use crate::kernels::rows::Rows;
use crate::kernels::testing::Random;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

#[derive(Clone, Debug)]
pub struct QuantizeCase {
    pub values: Vec<i32>,
    pub width: usize,
    /// Values between rows.
    pub between: usize,
    pub outliers: Vec<u16>,
    /// Codes, and scales.
    pub room: [usize; 2],
}

/// Up to 40 rows, each of one style; codes and scales for more of them or fewer. One row may be long.
pub fn quantize_case() -> impl Strategy<Value = QuantizeCase> {
    let width = prop_oneof![prop::sample::select(vec![0usize, 1, 16, 24, 32, 64, 128, 256]), 0..80usize];
    let shape = prop_oneof![2 => (0..40usize, width), 1 => (0..2usize, 0..400usize)];
    let outliers = prop_oneof![Just(0usize), 0..4usize, 0..18usize, 0..400usize];
    (any::<u64>(), shape, prop_oneof![Just(0usize), 0..20usize], outliers, [-3..4isize, -3..4isize]).prop_map(
        |(seed, (rows, width), between, outliers, surplus)| {
            let mut random = Random(seed);
            let values = (0..rows).flat_map(|_| {
                let (seed, style) = (random.next(), random.below(5) as u32);
                values(width + between, seed, style)
            });
            let mut values: Vec<i32> = values.collect();
            // What is between rows need not be after the last.
            values.truncate((rows * (width + between)).saturating_sub(random.below(between + 1)));
            let outliers = random.channels(outliers, width);
            let len = row_len(width, outliers.len());
            let room =
                [(rows * len).saturating_add_signed(surplus[0]), rows.saturating_add_signed(surplus[1])];
            QuantizeCase { values, width, between, outliers, room }
        },
    )
}

pub fn check_quantize_rows(isa: Isa, case: &QuantizeCase) {
    let by = |isa: Isa| {
        let mut codes = vec![-1i8; case.room[0]];
        let mut scales = vec![TokenScale { mantissa: 7, exponent: 7 }; case.room[1]];
        let rows = Rows { values: &case.values, width: case.width, stride: case.width + case.between };
        (isa.backend().quantize_rows)(rows, &case.outliers, &mut codes, &mut scales);
        (codes, scales)
    };
    assert_eq!(by(isa), by(Isa::scalar()));
}

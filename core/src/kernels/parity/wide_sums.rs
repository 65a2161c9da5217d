//! Sums of 64 bits.

use super::rows::values;
use crate::kernels::Isa;
use crate::kernels::rows::Rows;
use crate::kernels::testing::Random;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

#[derive(Clone, Debug)]
pub struct SumsCase {
    pub values: Vec<i32>,
    pub width: usize,
    /// Values between rows.
    pub between: usize,
    pub query: Vec<i32>,
    pub weights: Vec<i32>,
    pub codes: Vec<i16>,
    pub sums: Vec<i64>,
}

/// Values of any magnitude; a query, weights and sums for more of them or fewer.
pub fn sums_case() -> impl Strategy<Value = SumsCase> {
    let surplus = [-2..3isize, -2..3isize, -2..3isize];
    (any::<u64>(), 0..20usize, 0..80usize, 0..9usize, 0..5u32, surplus).prop_map(
        |(seed, rows, width, between, style, surplus)| {
            let mut random = Random(seed ^ 1);
            let [query, weights, sums] = [(width, 0), (rows, 1), (width, 2)]
                .map(|(count, at)| count.saturating_add_signed(surplus[at]));
            SumsCase {
                values: values(rows * (width + between), seed, style),
                width,
                between,
                query: values(query, !seed, style),
                weights: random.many(weights, |r| if r.below(3) == 0 { 0 } else { r.next() as i32 }),
                codes: random.many(rows * width, |r| r.next() as i16),
                sums: random.many(sums, |r| r.next() as i64),
            }
        },
    )
}

pub fn check_wide_sums(isa: Isa, case: &SumsCase) {
    let rows = Rows { values: &case.values, width: case.width, stride: case.width + case.between };
    let by = |isa: Isa| {
        let backend = isa.backend();
        let (mut dots, mut distances) = (vec![1; case.weights.len()], vec![2; case.weights.len()]);
        let (mut weighted, mut codes) = (case.sums.clone(), case.sums.clone());
        (backend.dots)(&case.query, rows, &mut dots);
        (backend.distances)(&case.query, rows, &mut distances);
        (backend.add_weighted)(&case.weights, rows, &mut weighted);
        (backend.add_weighted_codes)(&case.weights, &case.codes, &mut codes);
        [dots, distances, weighted, codes]
    };
    assert_eq!(by(isa), by(Isa::scalar()));
}

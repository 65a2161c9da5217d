//! Products of two matrices of codes.

use crate::fixed::TokenScale;
use crate::kernels::Isa;
use crate::kernels::attention::pack;
use crate::kernels::linear::PANEL;
use crate::kernels::testing::{CODES, Codes, Random, any_magnitude};
use proptest::prelude::*;
use std::vec;

#[derive(Clone, Debug)]
pub struct ProductCase {
    pub seed: u64,
    pub rows: usize,
    pub panels: usize,
    pub width: usize,
    pub codes: [Codes; 2],
    /// Codes that are missing from the end of the rows and of the panels, values from that of `out`.
    pub missing: [usize; 3],
}

pub fn product_case() -> impl Strategy<Value = ProductCase> {
    let width = prop_oneof![0..20usize, (0..160usize).prop_map(|groups| 4 * groups), Just(1028)];
    let codes = prop::array::uniform2(prop::sample::select(&CODES[..]));
    let missing = prop_oneof![3 => Just([0; 3]), 1 => prop::array::uniform3(0..70usize)];
    (any::<u64>(), 0..20usize, 0..6usize, width, codes, missing).prop_map(
        |(seed, rows, panels, width, codes, missing)| ProductCase {
            seed,
            rows,
            panels,
            width,
            codes,
            missing,
        },
    )
}

pub fn check_product(isa: Isa, case: &ProductCase) {
    let mut random = Random(case.seed);
    let columns = case.panels * PANEL;
    let [rows, panels, values] = [case.rows * case.width, columns * case.width, case.rows * columns];
    let [no_rows, no_panels, no_values] = case.missing;
    let rows = random.many(rows.saturating_sub(no_rows), |r| case.codes[0].draw(r));
    let panels = random.many(panels.saturating_sub(no_panels), |r| case.codes[1].draw(r));
    let blank = random.many(values.saturating_sub(no_values), |r| r.next() as i32);
    let (mut expected, mut found) = (blank.clone(), blank);
    (Isa::scalar().backend().product)(&rows, &panels, case.width, &mut expected);
    (isa.backend().product)(&rows, &panels, case.width, &mut found);
    assert_eq!(found, expected);
}

/// 0 to 17 rows and 0 to 3 panels of every small width.
pub fn check_every_small_product(isa: Isa) {
    for (rows, panels) in (0..=17).flat_map(|rows| (0..=3).map(move |panels| (rows, panels))) {
        for width in [0, 4, 8, 12, 16, 20, 36, 64] {
            for codes in [[Codes::Any; 2], [Codes::AllLow; 2], [Codes::AllHigh, Codes::AllLow]] {
                let seed = (1000 * rows + 100 * panels + width) as u64;
                check_product(isa, &ProductCase { seed, rows, panels, width, codes, missing: [0; 3] });
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct UnitCase {
    pub seed: u64,
    pub channels: usize,
    /// Any scales, instead of those of rows of activations.
    pub wild: bool,
    /// Most bits that a product loses.
    pub cut: usize,
}

pub fn unit_case() -> impl Strategy<Value = UnitCase> {
    let channels = prop_oneof![0..70usize, Just(64), Just(128)];
    (any::<u64>(), channels, any::<bool>(), 0..32usize).prop_map(|(seed, channels, wild, cut)| UnitCase {
        seed,
        channels,
        wild,
        cut,
    })
}

pub fn check_common_unit(isa: Isa, case: &UnitCase) {
    let mut random = Random(case.seed);
    let scales = |random: &mut Random| {
        random.many(case.channels, |r| match case.wild {
            true => r.next() as u32,
            false => pack(TokenScale::covering(any_magnitude(r).unsigned_abs(), 0)),
        })
    };
    let (rows, columns) = (scales(&mut random), scales(&mut random));
    let product = random.many(case.channels, |r| r.next() as i32 >> r.below(case.cut + 1));
    let by = |isa: Isa| {
        let mut out = vec![-9; case.channels + 1];
        ((isa.backend().common_unit)(&rows, &columns, &product, &mut out), out)
    };
    assert_eq!(by(isa), by(Isa::scalar()));
}

//! Products of codes against plain sums.

use crate::kernels::attention::key_place;
use crate::kernels::scalar::product::product;
use crate::kernels::testing::Random;
use proptest::prelude::*;
use std::vec;

proptest! {
    #[test]
    fn a_product_is_the_sum_of_products(seed: u64, rows in 0..20usize, panels in 1..4usize, groups in 1..12usize) {
        let (columns, width) = (16 * panels, 4 * groups);
        let mut random = Random(seed);
        let left = random.many(rows * width, |r| r.next() as i8);
        let right = random.many(columns * width, |r| r.next() as i8);
        let mut packed = vec![0; columns * width];
        for (at, &code) in right.iter().enumerate() {
            packed[key_place(at / width, at % width, width)] = code;
        }
        let mut out = vec![99; rows * columns];
        product(&left, &packed, width, &mut out);
        for (at, &found) in out.iter().enumerate() {
            let (m, n) = (at / columns, at % columns);
            let exact: i64 = (0..width).map(|k| i64::from(left[m * width + k]) * i64::from(right[n * width + k])).sum();
            prop_assert_eq!(i64::from(found), exact, "{} {}", m, n);
        }
    }
}

#[test]
fn the_widest_product_fits() {
    // The widest multiple of 4 whose sums can't leave an i32.
    let width = 131_068;
    let mut out = [0; 16];
    product(&vec![-128; width], &vec![-128; 16 * width], width, &mut out);
    assert_eq!(out, [width as i32 * 16_384; 16]);
}

#[test]
fn products_of_nothing_leave_the_output_alone() {
    let mut out = [5; 32];
    product(&[], &[], 0, &mut out);
    product(&[1; 8], &[], 4, &mut out);
    product(&[], &[1; 64], 4, &mut out);
    // Three codes are no row, and fifteen columns no panel.
    product(&[1; 3], &[1; 64], 4, &mut out);
    product(&[1; 4], &[1; 60], 4, &mut out);
    assert_eq!(out, [5; 32]);
    product(&[1; 7], &[1; 64], 4, &mut out);
    assert_eq!((out[..16].to_vec(), out[16..].to_vec()), (vec![4; 16], vec![5; 16]));
}

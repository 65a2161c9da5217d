//! Rows on their way to codes, eight or 32 values at a time, the last of them one by one. Written out, since rows of one head are too short for
//! what compilers make of loops.

mod by;
mod encode;
mod few_outliers;
mod largest;

use crate::kernels::lanes::quantize::Steps;
use crate::kernels::lanes::scales::{ROWS, Scales};
use crate::kernels::rows::Rows;
use core::arch::x86_64::*;
use encode::encode_rows;
use largest::{largest_of_both_of_each, largest_of_each};

super::steps! {
    fn largest_of_each(rows: Rows, count: usize) -> [u32; ROWS];
    fn largest_of_both_of_each(rows: Rows, count: usize, marks: &[i8]) -> [[u32; ROWS]; 2];
    fn encode_rows(rows: Rows, count: usize, by: &Scales, outliers: &[u16], codes: &mut [i8]);
}

/// Values of a vector.
const N: usize = 8;

/// Values that become a vector of codes.
const CODES: usize = 4 * N;

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[i32; N]) -> __m256i {
    // SAFETY: as many values are read.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

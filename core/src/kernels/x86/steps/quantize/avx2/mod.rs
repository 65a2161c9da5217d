//! Rows on their way to codes, eight or 32 values at a time, the last of them one by one. Written out, since
//! rows of one head are too short for what compilers make of loops.

mod by;
mod encode;
mod few_outliers;
mod largest;
mod values;

use crate::kernels::lanes::quantize::Steps;
use crate::kernels::lanes::scales::{ROWS, Scales};
use crate::kernels::rows::Rows;
use encode::encode_rows;
use largest::{largest_of_both_of_each, largest_of_each};

super::steps! {
    fn largest_of_each(rows: Rows, count: usize) -> [u32; ROWS];
    fn largest_of_both_of_each(rows: Rows, count: usize, marks: &[i8]) -> [[u32; ROWS]; 2];
    fn encode_rows(rows: Rows, count: usize, by: &Scales, outliers: &[u16], codes: &mut [i8]);
}

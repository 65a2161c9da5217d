//! Dot products of rows of codes with packed panels.

use crate::kernels::linear::{GROUP, PANEL};
use wide::{i8x16, i16x16, i32x4, i32x8};

/// Columns that one vector of products covers.
const COLUMNS: usize = 4;

/// Dot products of `R` rows with the sixteen columns of a packed part: the specification's `dot_panel` for each row. Rows have
/// equal lengths.
#[inline(always)]
pub fn dot_rows<const R: usize>(rows: [&[i8]; R], weight: &[i8]) -> [[i32; PANEL]; R] {
    let mut acc = [[i32x8::ZERO; PANEL / COLUMNS]; R];
    let mut groups = rows.map(|row| row.as_chunks::<GROUP>().0.iter());
    for weight in weight.as_chunks::<{ GROUP * PANEL }>().0 {
        let (weight, _) = weight.as_chunks::<16>();
        let mut columns = [i16x16::ZERO; PANEL / COLUMNS];
        for (column, &weight) in columns.iter_mut().zip(weight) {
            *column = i16x16::from_i8x16(i8x16::new(weight));
        }
        for (acc, groups) in acc.iter_mut().zip(&mut groups) {
            let Some(&codes) = groups.next() else { continue };
            let codes = i16x16::from_i8x16(broadcast(codes));
            for (acc, &column) in acc.iter_mut().zip(&columns) {
                *acc += codes.dot(column);
            }
        }
    }
    acc.map(sum_pairs)
}

/// Four codes, four times.
#[inline(always)]
fn broadcast(codes: [i8; GROUP]) -> i8x16 {
    bytemuck::cast(i32x4::splat(bytemuck::cast(codes)))
}

/// Every lane pair holds the two halves of a column's sum.
#[inline(always)]
fn sum_pairs(acc: [i32x8; PANEL / COLUMNS]) -> [i32; PANEL] {
    let halves: [[i32; 2]; PANEL] = bytemuck::cast(acc);
    halves.map(|[even, odd]| even.wrapping_add(odd))
}

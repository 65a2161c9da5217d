//! Dot products of rows of codes with packed panels.

use crate::kernels::linear::{GROUP, PANEL};
use wide::{i8x16, i16x16, i32x4, i32x8, u64x4};

/// Columns that one vector of products covers.
const COLUMNS: usize = 4;

/// Dot products of `R` rows with the sixteen columns of a packed part: the specification's `dot_panel` for each row. Rows have
/// equal lengths.
#[inline(always)]
pub fn dot_rows<const R: usize>(rows: [&[i8]; R], weight: &[i8]) -> [[i32; PANEL]; R] {
    let mut sums = Sums::ZERO;
    sums.add(rows, weight);
    sums.finish()
}

/// The unfinished dot products of `R` rows with sixteen columns: every lane pair holds two halves of a column's sum.
pub struct Sums<const R: usize>([[i32x8; PANEL / COLUMNS]; R]);

impl<const R: usize> Sums<R> {
    pub const ZERO: Self = Self([[i32x8::ZERO; PANEL / COLUMNS]; R]);

    /// Adds the products of rows of equal lengths with a packed part.
    #[inline(always)]
    pub fn add(&mut self, rows: [&[i8]; R], weight: &[i8]) {
        let mut groups = rows.map(|row| row.as_chunks::<GROUP>().0.iter());
        for weight in weight.as_chunks::<{ GROUP * PANEL }>().0 {
            let (weight, _) = weight.as_chunks::<16>();
            let mut columns = [i16x16::ZERO; PANEL / COLUMNS];
            for (column, &weight) in columns.iter_mut().zip(weight) {
                *column = i16x16::from_i8x16(i8x16::new(weight));
            }
            for (acc, groups) in self.0.iter_mut().zip(&mut groups) {
                let Some(&codes) = groups.next() else { continue };
                let codes = i16x16::from_i8x16(broadcast(codes));
                for (acc, &column) in acc.iter_mut().zip(&columns) {
                    *acc += codes.dot(column);
                }
            }
        }
    }

    /// All of it times `2^bits`.
    #[inline(always)]
    pub fn shift_left(&mut self, bits: u32) {
        self.0.iter_mut().flatten().for_each(|acc| *acc <<= bits);
    }

    #[inline(always)]
    pub fn finish(self) -> [[i32; PANEL]; R] {
        let mut sums = [[0; PANEL]; R];
        sums.iter_mut().zip(self.0).for_each(|(sums, acc)| *sums = sum_pairs(acc));
        sums
    }
}

/// Four codes, four times.
#[inline(always)]
fn broadcast(codes: [i8; GROUP]) -> i8x16 {
    bytemuck::cast(i32x4::splat(bytemuck::cast(codes)))
}

#[inline(always)]
fn sum_pairs(acc: [i32x8; PANEL / COLUMNS]) -> [i32; PANEL] {
    let [a, b, c, d] = acc;
    bytemuck::cast([sum_two(a, b), sum_two(c, d)])
}

/// The sums of the lane pairs of `a`, then those of `b`. With whole vectors to the end, because compilers gather pairs of i32
/// one by one.
#[inline(always)]
fn sum_two(a: i32x8, b: i32x8) -> [i32; 2 * COLUMNS] {
    let low = u64x4::splat(u32::MAX.into());
    let (wide_a, wide_b): (u64x4, u64x4) = (bytemuck::cast(a), bytemuck::cast(b));
    let a: u64x4 = bytemuck::cast(a + bytemuck::cast::<_, i32x8>(wide_a >> 32u32));
    let b: u64x4 = bytemuck::cast(b + bytemuck::cast::<_, i32x8>(wide_b << 32u32));
    let [a0, b0, a1, b1, a2, b2, a3, b3]: [i32; 8] = bytemuck::cast((a & low) | (b & !low));
    [a0, a1, a2, a3, b0, b1, b2, b3]
}

//! Dot products of rows of codes with packed panels, two inputs at a time.

use crate::fixed::TokenScale;
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL, Panel};
use crate::kernels::portable::{self, Codes, Columns, Products, groups};
use wide::{i8x16, i16x16, i32x4, i32x8, u64x4};

/// Columns that one vector of products covers.
const COLUMNS: usize = 4;

/// Sums of pairs of 16-bit products.
#[derive(Clone, Copy)]
pub struct Pairs;

impl Products for Pairs {
    type Channels<'p> = Panel<'p>;
    type Scales<'s, const R: usize> = &'s [TokenScale; R];

    #[inline(always)]
    fn sums<const R: usize>(self, codes: &Codes<R>, panels: &[Columns], sums: &mut [[[i32; PANEL]; R]]) {
        portable::sums(codes, panels, sums, dots, dots_of_limbs);
    }

    fn channels<'p>(self, panel: &Panel<'p>, _room: u32) -> Panel<'p> {
        *panel
    }

    #[inline(always)]
    fn scales<const R: usize>(self, scales: &[TokenScale; R], _room: u32) -> &[TokenScale; R] {
        scales
    }

    #[inline(always)]
    fn finish<const R: usize>(
        self,
        panel: &Panel,
        sums: &[[i32; PANEL]; R],
        scales: &&[TokenScale; R],
        out: &mut [i32],
        stride: usize,
    ) {
        portable::finish(panel, sums, scales, out, stride);
    }
}

/// Dot products of `R` rows with the sixteen columns of a packed part.
#[inline(always)]
pub fn dots<const R: usize>(rows: [&[i8]; R], weight: &[i8]) -> [[i32; PANEL]; R] {
    let rows = groups(rows);
    add(weight, |r: usize, index: usize| rows[r].get(index).map(widen))
}

/// The same for channels of two limbs, which are one code of 15 bits.
#[inline(always)]
fn dots_of_limbs<const R: usize>(high: [&[i8]; R], low: [&[i8]; R], weight: &[i8]) -> [[i32; PANEL]; R] {
    let (high, low) = (groups(high), groups(low));
    add(weight, |r: usize, index: usize| {
        let (high, low) = (high[r].get(index)?, low[r].get(index)?);
        Some((widen(high) << LIMB_BITS) + widen(low))
    })
}

/// Dot products of `R` rows with the sixteen columns of a packed part: `codes(row, group)`, four times, up to
/// a row's end.
#[inline(always)]
fn add<const R: usize>(weight: &[i8], codes: impl Fn(usize, usize) -> Option<i16x16>) -> [[i32; PANEL]; R] {
    // Every lane pair holds two halves of a column's sum.
    let mut sums = [[i32x8::ZERO; PANEL / COLUMNS]; R];
    for (index, weight) in weight.as_chunks::<{ GROUP * PANEL }>().0.iter().enumerate() {
        let (weight, _) = weight.as_chunks::<16>();
        let mut columns = [i16x16::ZERO; PANEL / COLUMNS];
        for (column, &weight) in columns.iter_mut().zip(weight) {
            *column = i16x16::from_i8x16(i8x16::new(weight));
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let Some(codes) = codes(r, index) else { continue };
            for (sum, &column) in sums.iter_mut().zip(&columns) {
                *sum += codes.dot(column);
            }
        }
    }
    sums.map(sum_pairs)
}

/// Four codes, four times.
#[inline(always)]
fn widen(codes: &[i8; GROUP]) -> i16x16 {
    let four: i8x16 = bytemuck::cast(i32x4::splat(bytemuck::cast(*codes)));
    i16x16::from_i8x16(four)
}

#[inline(always)]
fn sum_pairs(acc: [i32x8; PANEL / COLUMNS]) -> [i32; PANEL] {
    let [a, b, c, d] = acc;
    bytemuck::cast([sum_two(a, b), sum_two(c, d)])
}

/// The sums of the lane pairs of `a`, then those of `b`. With whole vectors to the end, because compilers
/// gather pairs of i32 one by one.
#[inline(always)]
fn sum_two(a: i32x8, b: i32x8) -> [i32; 2 * COLUMNS] {
    let low = u64x4::splat(u32::MAX.into());
    let (wide_a, wide_b): (u64x4, u64x4) = (bytemuck::cast(a), bytemuck::cast(b));
    let a: u64x4 = bytemuck::cast(a + bytemuck::cast::<_, i32x8>(wide_a >> 32u32));
    let b: u64x4 = bytemuck::cast(b + bytemuck::cast::<_, i32x8>(wide_b << 32u32));
    let [a0, b0, a1, b1, a2, b2, a3, b3]: [i32; 8] = bytemuck::cast((a & low) | (b & !low));
    [a0, a1, a2, a3, b0, b1, b2, b3]
}

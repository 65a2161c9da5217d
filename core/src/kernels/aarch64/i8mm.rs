//! The matrix instruction: two rows by two columns by eight inputs.

use super::dotprod::Dotprod;
use super::vector::{load_i8, padded};
use super::{Channels, Mix, Weights, epilogue};
use crate::fixed::TokenScale;
use crate::kernels::attention::Head;
use crate::kernels::backend::Backend;
use crate::kernels::linear::{GROUP, PANEL, Panel};
use crate::kernels::portable::{Products, groups};
use core::arch::aarch64::*;
use core::arch::asm;

/// The backend; to be used where the machine has `smmla` and `sdot`. Four rows' sums are 16 of the 32 registers; with six rows, compilers
/// move accumulators about.
pub static BACKEND: Backend = backend!("i8mm", I8mm::new(), 4, super::dotprod::BACKEND);

/// Proof of `smmla`, and of `sdot`.
#[derive(Clone, Copy)]
struct I8mm(Dotprod);

impl I8mm {
    /// # Safety
    ///
    /// The machine has the features `dotprod` and `i8mm`.
    const unsafe fn new() -> Self {
        // SAFETY: the machine has `dotprod`.
        Self(unsafe { Dotprod::new() })
    }
}

impl Products for I8mm {
    /// Pairs of rows; a single one has no use for the other half of a matrix.
    fn dots<const R: usize>(self, rows: [&[i8]; R], weight: &[i8]) -> [[i32; PANEL]; R] {
        if R.is_multiple_of(2) {
            // SAFETY: `self` proves that the machine has the instructions.
            unsafe { dots(rows, weight) }
        } else {
            self.0.dots(rows, weight)
        }
    }

    #[inline]
    fn finish<const R: usize>(
        self,
        panel: &Panel,
        room: u32,
        sums: &[[i32; PANEL]; R],
        scales: &[TokenScale; R],
        y: &mut [[i32; PANEL]; R],
    ) {
        // SAFETY: NEON is a feature of the target.
        unsafe { epilogue::finish(panel, room, sums, scales, y) }
    }
}

impl Mix for I8mm {
    fn weights(self, scaled: [int16x8_t; 2]) -> [int8x16_t; 2] {
        self.0.weights(scaled)
    }

    /// By `sdot`: it would take more to bring eight keys of a channel together than matrices save.
    fn mix<const R: usize>(self, head: &Head, first: usize, weights: [&[Weights]; R]) -> [Channels; R] {
        self.0.mix(head, first, weights)
    }
}

/// Adds to the four lanes of `sums` the products of two rows of eight codes with two columns: the first row's two sums first.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn multiply(mut sums: int32x4_t, rows: int8x16_t, columns: int8x16_t) -> int32x4_t {
    // SAFETY: the function has the feature; the instruction touches nothing but its operands.
    unsafe {
        asm!(
            "smmla {sums:v}.4s, {rows:v}.16b, {columns:v}.16b",
            sums = inout(vreg) sums,
            rows = in(vreg) rows,
            columns = in(vreg) columns,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Two rows' codes of two groups.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn pair([a, b]: [&[i8; 2 * GROUP]; 2]) -> int8x16_t {
    vcombine_s8(bytemuck::cast(*a), bytemuck::cast(*b))
}

/// Adds the products of pairs of rows with two groups. The sums of a pair lie in the places of its two rows: the first's are
/// columns 0 to 7 of both, the second's columns 8 to 15.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn add_groups<'c, const R: usize>(
    sums: &mut [[int32x4_t; 4]; R],
    codes: impl Fn(usize) -> &'c [i8; 2 * GROUP],
    weights: [&[i8; GROUP * PANEL]; 2],
) {
    let codes: [int8x16_t; R] = core::array::from_fn(|r| pair([codes(r & !1), codes(r | 1)]));
    let weights = weights.map(|weight| weight.as_chunks().0);
    for v in 0..4 {
        let [a, b] = weights.map(|weight| vreinterpretq_s32_s8(load_i8(&weight[v])));
        let columns = [vzip1q_s32(a, b), vzip2q_s32(a, b)].map(|two| vreinterpretq_s8_s32(two));
        for (sums, codes) in sums.as_chunks_mut::<2>().0.iter_mut().zip(codes.as_chunks::<2>().0) {
            for (half, &columns) in columns.iter().enumerate() {
                let sum = &mut sums[v / 2][2 * (v % 2) + half];
                *sum = multiply(*sum, codes[0], columns);
            }
        }
    }
}

/// [`Products::dots`] for an even number of rows, two groups at a time.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn dots<const R: usize>(rows: [&[i8]; R], weight: &[i8]) -> [[i32; PANEL]; R] {
    let (weights, last_weight) = weight.as_chunks::<{ 2 * GROUP * PANEL }>();
    let (rows, last_rows) = (groups(rows), rows.map(|row| row.as_chunks::<8>().1));
    let count = rows.first().map_or(0, |row| row.len().min(weights.len()));
    let (weights, rows) = (&weights[..count], rows.map(|row| &row[..count]));
    let mut sums = [[vdupq_n_s32(0); 4]; R];
    for (index, weight) in weights.iter().enumerate() {
        let [a, b] = bytemuck::cast_ref::<_, [[i8; GROUP * PANEL]; 2]>(weight);
        add_groups(&mut sums, |r| &rows[r][index], [a, b]);
    }
    if let Some(weight) = last_weight.first_chunk() {
        let codes = last_rows.map(|row| padded(row, 0));
        add_groups(&mut sums, |r| &codes[r], [weight, &[0; GROUP * PANEL]]);
    }
    for pair in sums.as_chunks_mut::<2>().0 {
        let split = |v: usize| {
            let [a, b] = [2 * v, 2 * v + 1].map(|at| vreinterpretq_s64_s32(pair[at / 4][at % 4]));
            [vzip1q_s64(a, b), vzip2q_s64(a, b)].map(|row| vreinterpretq_s32_s64(row))
        };
        let columns = [split(0), split(1), split(2), split(3)];
        *pair = [columns.map(|[first, _]| first), columns.map(|[_, second]| second)];
    }
    sums.map(bytemuck::cast)
}

//! The matrix instruction: two rows by two columns by eight inputs.

use super::dotprod::Dotprod;
use super::epilogue::by_neon;
use super::mix::{Mix, OfValues, Weights};
use super::rows::{Rows, above_low};
use super::vector::load_i8;
use crate::kernels::attention::Head;
use crate::kernels::backend::Backend;
use crate::kernels::linear::{GROUP, PANEL};
use crate::kernels::portable::{Codes, Columns, Products};
use core::arch::aarch64::*;
use core::arch::asm;

/// The backend; to be used where the machine has `smmla` and `sdot`.
pub static BACKEND: Backend = backend!("i8mm", I8mm::new(), 6, super::dotprod::BACKEND);

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
    fn sums<const R: usize>(self, codes: &Codes<R>, panels: &[Columns], sums: &mut [[[i32; PANEL]; R]]) {
        if R.is_multiple_of(2) {
            // SAFETY: `self` proves that the machine has the instructions.
            unsafe { multiply(codes, panels, sums) }
        } else {
            self.0.sums(codes, panels, sums)
        }
    }

    by_neon!();
}

impl Mix for I8mm {
    fn weights(self, scaled: [int16x8_t; 2]) -> [int8x16_t; 2] {
        self.0.weights(scaled)
    }

    /// By `sdot`: it would take more to bring eight keys of a channel together than matrices save.
    fn mix<const R: usize>(self, head: &Head, first: usize, weights: [&[Weights]; R]) -> [OfValues; R] {
        self.0.mix(head, first, weights)
    }
}

/// Adds to the four lanes of `sums` the products of two rows of eight codes with two columns: the first row's
/// two sums first.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn matrix(mut sums: int32x4_t, rows: int8x16_t, columns: int8x16_t) -> int32x4_t {
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

/// Adds the products of pairs of rows with two groups. The sums of a pair lie in the places of its two rows:
/// the first's are columns 0 to 7 of both, the second's columns 8 to 15.
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
                *sum = matrix(*sum, codes[0], columns);
            }
        }
    }
}

/// Rows whose sums, eight vectors for each two, are 24 of the 32 registers; the others are three pairs of
/// codes and five vectors of weights.
const ROWS: usize = 6;

/// The products of six rows with the eight columns of half a panel: the columns' two groups are brought
/// together first.
macro_rules! half {
    ($after:literal, $second:literal; $($a:literal $b:literal $c:literal $d:literal from $row:literal),*) => {
        concat!(
            "ldp q3, q4, [{weights}], #", $after, "\n",
            "ldp q5, q6, [{weights}, #", $second, "]\n",
            "zip1 v7.4s, v3.4s, v5.4s\n",
            "zip2 v3.4s, v3.4s, v5.4s\n",
            "zip1 v5.4s, v4.4s, v6.4s\n",
            "zip2 v4.4s, v4.4s, v6.4s\n",
            $(
                "smmla ", $a, ".4s, ", $row, ".16b, v7.16b\n",
                "smmla ", $b, ".4s, ", $row, ".16b, v3.16b\n",
                "smmla ", $c, ".4s, ", $row, ".16b, v5.16b\n",
                "smmla ", $d, ".4s, ", $row, ".16b, v4.16b\n",
            )*
        )
    };
}

/// Adds the products of six rows with pairs of groups, which are as many as of each row, as [`add_groups`]
/// does. In one piece, since compilers would keep sums in memory.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn add_to_six(
    sums: &mut [[int32x4_t; 4]; ROWS],
    rows: [&[[i8; 2 * GROUP]]; ROWS],
    weights: &[[i8; 2 * GROUP * PANEL]],
) {
    if weights.is_empty() || rows.iter().any(|row| row.len() < weights.len()) {
        return;
    }
    // SAFETY: the function has the features. The loop ends after all weights and as much of each row, which
    // is there, and writes nothing but its operands.
    unsafe {
        asm!(
            "2:",
            "ldr d0, [{a}], #8",
            "ldr d1, [{c}], #8",
            "ldr d2, [{e}], #8",
            "ld1 {{v0.d}}[1], [{b}], #8",
            "ld1 {{v1.d}}[1], [{d}], #8",
            "ld1 {{v2.d}}[1], [{f}], #8",
            half!(32, 32; "v8" "v9" "v10" "v11" from "v0", "v16" "v17" "v18" "v19" from "v1", "v24" "v25" "v26" "v27" from "v2"),
            half!(96, -32; "v12" "v13" "v14" "v15" from "v0", "v20" "v21" "v22" "v23" from "v1", "v28" "v29" "v30" "v31" from "v2"),
            "subs {count}, {count}, #1",
            "b.ne 2b",
            weights = inout(reg) weights.as_ptr() => _,
            count = inout(reg) weights.len() => _,
            a = inout(reg) rows[0].as_ptr() => _,
            b = inout(reg) rows[1].as_ptr() => _,
            c = inout(reg) rows[2].as_ptr() => _,
            d = inout(reg) rows[3].as_ptr() => _,
            e = inout(reg) rows[4].as_ptr() => _,
            f = inout(reg) rows[5].as_ptr() => _,
            inout("v8") sums[0][0], inout("v9") sums[0][1], inout("v10") sums[0][2], inout("v11") sums[0][3],
            inout("v12") sums[1][0], inout("v13") sums[1][1], inout("v14") sums[1][2], inout("v15") sums[1][3],
            inout("v16") sums[2][0], inout("v17") sums[2][1], inout("v18") sums[2][2], inout("v19") sums[2][3],
            inout("v20") sums[3][0], inout("v21") sums[3][1], inout("v22") sums[3][2], inout("v23") sums[3][3],
            inout("v24") sums[4][0], inout("v25") sums[4][1], inout("v26") sums[4][2], inout("v27") sums[4][3],
            inout("v28") sums[5][0], inout("v29") sums[5][1], inout("v30") sums[5][2], inout("v31") sums[5][3],
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            options(readonly, nostack),
        );
    }
}

/// [`Products::sums`] for an even number of rows.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn multiply<const R: usize>(codes: &Codes<R>, panels: &[Columns], out: &mut [[[i32; PANEL]; R]]) {
    let (high, low) = (Rows::high(codes), Rows::low(codes));
    for (panel, out) in panels.iter().zip(out) {
        let mut sums = [[vdupq_n_s32(0); 4]; R];
        // In one place, so that the loop is compiled into this function, where sums are registers.
        let first = usize::from(panel.high.is_empty());
        for limb in first..2 {
            if limb > first {
                above_low(&mut sums);
            }
            let (rows, weight) = if limb == 0 { (&high, panel.high) } else { (&low, panel.low) };
            add(&mut sums, rows, weight);
        }
        for (out, pair) in out.as_chunks_mut::<2>().0.iter_mut().zip(sums.as_chunks().0) {
            *out = bytemuck::cast(by_row(pair));
        }
    }
}

/// Adds the products of pairs of rows with a part, two groups at a time.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn add<const R: usize>(sums: &mut [[int32x4_t; 4]; R], rows: &Rows<R, 8>, weight: &[i8]) {
    let (weights, last_weight) = weight.as_chunks::<{ 2 * GROUP * PANEL }>();
    let (weights, chunks) = rows.beside(weights);
    if let (Some(sums), Some(chunks)) = (sums.first_chunk_mut(), chunks.first_chunk())
        && R == ROWS
    {
        add_to_six(sums, *chunks, weights);
    } else {
        for (index, weight) in weights.iter().enumerate() {
            let [a, b] = bytemuck::cast_ref::<_, [[i8; GROUP * PANEL]; 2]>(weight);
            add_groups(sums, |r| &chunks[r][index], [a, b]);
        }
    }
    if let Some(weight) = last_weight.first_chunk() {
        let codes: [_; R] = rows.rest();
        add_groups(sums, |r| &codes[r], [weight, &[0; GROUP * PANEL]]);
    }
}

/// The sums of a pair of rows, each row's by themselves.
#[target_feature(enable = "neon")]
#[inline]
fn by_row(pair: &[[int32x4_t; 4]; 2]) -> [[int32x4_t; 4]; 2] {
    let split = |v: usize| {
        let [a, b] = [2 * v, 2 * v + 1].map(|at| vreinterpretq_s64_s32(pair[at / 4][at % 4]));
        [vzip1q_s64(a, b), vzip2q_s64(a, b)].map(|row| vreinterpretq_s32_s64(row))
    };
    let columns = [split(0), split(1), split(2), split(3)];
    [columns.map(|[first, _]| first), columns.map(|[_, second]| second)]
}

//! Channels of two limbs whose columns serve both, without the dot product: a channel is one code of 15 bits.

use super::rows::Rows;
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use crate::kernels::portable::{Codes, Columns};
use core::arch::aarch64::*;
use core::arch::asm;

/// Codes that are read at a time: two groups.
const TWO: usize = 2 * GROUP;

/// [`Products::sums`](crate::kernels::portable::Products::sums) where a column serves both limbs of a
/// channel, which are one code of 15 bits: 16-bit products are added to the sums of four columns at once.
#[target_feature(enable = "neon")]
#[inline]
pub fn multiply<const R: usize>(codes: &Codes<R>, panels: &[Columns], out: &mut [[[i32; PANEL]; R]]) {
    let (high, low) = (Rows::<R, TWO>::high(codes), Rows::<R, TWO>::low(codes));
    for (panel, out) in panels.iter().zip(out) {
        let (weights, last_weight) = panel.low.as_chunks::<{ TWO * PANEL }>();
        let (weights, highs) = high.beside(weights);
        let (weights, lows) = low.beside(weights);
        let mut sums = [[vdupq_n_s32(0); 4]; R];
        if let (Some(sums), Some(highs), Some(lows)) =
            (sums.first_chunk_mut(), highs.first_chunk(), lows.first_chunk())
            && R == ROWS
        {
            add_to_four(sums, *highs, *lows, weights);
        } else {
            for (index, weight) in weights.iter().enumerate() {
                let codes = core::array::from_fn(|r| join_limbs(&highs[r][index], &lows[r][index]));
                let [a, b] = bytemuck::cast_ref::<_, [[i8; GROUP * PANEL]; 2]>(weight);
                add_group::<R, 0, 1, 2, 3>(&mut sums, &codes, a);
                add_group::<R, 4, 5, 6, 7>(&mut sums, &codes, b);
            }
        }
        if let Some(weight) = last_weight.first_chunk() {
            let (highs, lows) = (high.rest(), low.rest());
            let codes = core::array::from_fn(|r| join_limbs(&highs[r], &lows[r]));
            add_group::<R, 0, 1, 2, 3>(&mut sums, &codes, weight);
        }
        out.iter_mut().zip(sums).for_each(|(out, sums)| *out = bytemuck::cast(sums));
    }
}

/// Rows whose sums, four vectors each, are half of the registers; ten others are their codes, a group's
/// weights and two vectors of widened ones.
const ROWS: usize = 4;

/// The products of four rows with an input's sixteen weights, which are widened first.
macro_rules! input {
    ($weights:literal, $lane:literal) => {
        concat!(
            "sshll v8.8h, ", $weights, ".8b, #0\n",
            "sshll2 v9.8h, ", $weights, ".16b, #0\n",
            input!("v16" "v17" "v18" "v19" from "v0", $lane),
            input!("v20" "v21" "v22" "v23" from "v1", $lane),
            input!("v24" "v25" "v26" "v27" from "v2", $lane),
            input!("v28" "v29" "v30" "v31" from "v3", $lane),
        )
    };
    ($a:literal $b:literal $c:literal $d:literal from $codes:literal, $lane:literal) => {
        concat!(
            "smlal ", $a, ".4s, v8.4h, ", $codes, ".h[", $lane, "]\n",
            "smlal2 ", $b, ".4s, v8.8h, ", $codes, ".h[", $lane, "]\n",
            "smlal ", $c, ".4s, v9.4h, ", $codes, ".h[", $lane, "]\n",
            "smlal2 ", $d, ".4s, v9.8h, ", $codes, ".h[", $lane, "]\n",
        )
    };
}

/// The products of four rows with a group.
macro_rules! group {
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "ld4 {{v4.16b, v5.16b, v6.16b, v7.16b}}, [{weights}], #64\n",
            input!("v4", $a),
            input!("v5", $b),
            input!("v6", $c),
            input!("v7", $d),
        )
    };
}

/// Adds the products of four rows with pairs of groups, which are as many as of each row's limbs, as
/// [`add_group`] does. In one piece, since compilers widen weights too early and keep sums in memory.
#[target_feature(enable = "neon")]
#[inline]
fn add_to_four(
    sums: &mut [[int32x4_t; 4]; ROWS],
    high: [&[[i8; TWO]]; ROWS],
    low: [&[[i8; TWO]]; ROWS],
    weights: &[[i8; TWO * PANEL]],
) {
    if weights.is_empty() || high.iter().chain(&low).any(|row| row.len() < weights.len()) {
        return;
    }
    // SAFETY: the loop ends after all weights and as much of each row, which is there, and writes nothing but
    // its operands.
    unsafe {
        asm!(
            "2:",
            "ldr d0, [{a}], #8",
            "ldr d1, [{b}], #8",
            "ldr d2, [{c}], #8",
            "ldr d3, [{d}], #8",
            "ldr d4, [{e}], #8",
            "ldr d5, [{f}], #8",
            "ldr d6, [{g}], #8",
            "ldr d7, [{h}], #8",
            "sshll v0.8h, v0.8b, #{bits}",
            "sshll v1.8h, v1.8b, #{bits}",
            "sshll v2.8h, v2.8b, #{bits}",
            "sshll v3.8h, v3.8b, #{bits}",
            "saddw v0.8h, v0.8h, v4.8b",
            "saddw v1.8h, v1.8h, v5.8b",
            "saddw v2.8h, v2.8h, v6.8b",
            "saddw v3.8h, v3.8h, v7.8b",
            group!("0", "1", "2", "3"),
            group!("4", "5", "6", "7"),
            "subs {count}, {count}, #1",
            "b.ne 2b",
            bits = const LIMB_BITS,
            weights = inout(reg) weights.as_ptr() => _,
            count = inout(reg) weights.len() => _,
            a = inout(reg) high[0].as_ptr() => _,
            b = inout(reg) high[1].as_ptr() => _,
            c = inout(reg) high[2].as_ptr() => _,
            d = inout(reg) high[3].as_ptr() => _,
            e = inout(reg) low[0].as_ptr() => _,
            f = inout(reg) low[1].as_ptr() => _,
            g = inout(reg) low[2].as_ptr() => _,
            h = inout(reg) low[3].as_ptr() => _,
            inout("v16") sums[0][0], inout("v17") sums[0][1], inout("v18") sums[0][2], inout("v19") sums[0][3],
            inout("v20") sums[1][0], inout("v21") sums[1][1], inout("v22") sums[1][2], inout("v23") sums[1][3],
            inout("v24") sums[2][0], inout("v25") sums[2][1], inout("v26") sums[2][2], inout("v27") sums[2][3],
            inout("v28") sums[3][0], inout("v29") sums[3][1], inout("v30") sums[3][2], inout("v31") sums[3][3],
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _,
            options(readonly, nostack),
        );
    }
}

/// Eight codes of two limbs as one of 15 bits each.
#[target_feature(enable = "neon")]
#[inline]
fn join_limbs(high: &[i8; 2 * GROUP], low: &[i8; 2 * GROUP]) -> int16x8_t {
    let high: int8x8_t = bytemuck::cast(*high);
    vaddw_s8(vshll_n_s8::<{ LIMB_BITS as i32 }>(high), bytemuck::cast(*low))
}

/// Adds the products of the four inputs of a group with the codes in these lanes.
#[target_feature(enable = "neon")]
#[inline]
fn add_group<const R: usize, const A: i32, const B: i32, const C: i32, const D: i32>(
    sums: &mut [[int32x4_t; 4]; R],
    codes: &[int16x8_t; R],
    weight: &[i8; GROUP * PANEL],
) {
    // SAFETY: a group has 64 bytes, four for each column.
    let inputs = unsafe { vld4q_s8(weight.as_ptr()) };
    add_input::<R, A>(sums, codes, inputs.0);
    add_input::<R, B>(sums, codes, inputs.1);
    add_input::<R, C>(sums, codes, inputs.2);
    add_input::<R, D>(sums, codes, inputs.3);
}

/// Adds the products of one input's sixteen weights with the codes in lane `LANE`.
#[target_feature(enable = "neon")]
#[inline]
fn add_input<const R: usize, const LANE: i32>(
    sums: &mut [[int32x4_t; 4]; R],
    codes: &[int16x8_t; R],
    weights: int8x16_t,
) {
    let (first, last) = (vmovl_s8(vget_low_s8(weights)), vmovl_high_s8(weights));
    for (sums, &codes) in sums.iter_mut().zip(codes) {
        sums[0] = vmlal_laneq_s16::<LANE>(sums[0], vget_low_s16(first), codes);
        sums[1] = vmlal_high_laneq_s16::<LANE>(sums[1], first, codes);
        sums[2] = vmlal_laneq_s16::<LANE>(sums[2], vget_low_s16(last), codes);
        sums[3] = vmlal_high_laneq_s16::<LANE>(sums[3], last, codes);
    }
}

//! Linear layers.

use super::vector::{load_i8, load_i32, requantize, store_columns, store_i32};
use super::{Columns, Products};
use crate::fixed::TokenScale;
use crate::kernels::lanes::activation::{Outputs, look_up, put};
use crate::kernels::linear::{GROUP, LIMB_BITS, Linear, PANEL, Panel, Then, rows};
use crate::kernels::scalar::gemm as specification;
use crate::kernels::wide;
use core::arch::aarch64::*;

/// The specification's [`gemm`](crate::kernels::scalar::gemm::gemm), `R` rows at a time.
#[target_feature(enable = "neon")]
pub fn gemm<P: Products, const R: usize>(
    products: P,
    layer: &Linear,
    codes: &[i8],
    scales: &[TokenScale],
    mut then: Then,
    out: &mut [i32],
) {
    let (row_len, outputs) = (layer.row_len(), layer.outputs().max(1));
    let count = rows(codes, row_len).zip(scales).zip(out.chunks_exact(outputs)).count();
    let high_len = layer.high_groups() * GROUP;
    for (index, panel) in layer.panels().enumerate() {
        let column = index * PANEL;
        let mut strip = Strip {
            products,
            panel,
            column,
            row_len,
            high_len,
            codes,
            scales,
            then: &mut then,
            outputs,
            out,
        };
        let mut row = 0;
        while row + R <= count {
            strip.tile::<R>(row);
            row += R;
        }
        while row + 2 <= count {
            strip.tile::<2>(row);
            row += 2;
        }
        if row < count {
            strip.tile::<1>(row);
        }
    }
}

/// All rows by one panel of sixteen columns, the first of which is `column`.
struct Strip<'s, 'o, P> {
    products: P,
    panel: Panel<'s>,
    column: usize,
    row_len: usize,
    high_len: usize,
    codes: &'s [i8],
    scales: &'s [TokenScale],
    then: &'s mut Then<'o>,
    outputs: usize,
    out: &'s mut [i32],
}

impl<P: Products> Strip<'_, '_, P> {
    /// The `R` rows from `row` on.
    #[target_feature(enable = "neon")]
    #[inline]
    fn tile<const R: usize>(&mut self, row: usize) {
        let mut rows = rows(self.codes.get(row * self.row_len..).unwrap_or_default(), self.row_len);
        let rows: [(&[i8], &[i8]); R] = core::array::from_fn(|_| {
            rows.next().unwrap_or_default().split_at_checked(self.high_len).unwrap_or_default()
        });
        let mut sums = self.products.dots(rows.map(|(_, low)| low), self.panel.low);
        if self.high_len > 0 {
            let high = self.products.dots(rows.map(|(high, _)| high), self.panel.high);
            for (sum, high) in sums.iter_mut().flatten().zip(high.into_iter().flatten()) {
                *sum = vaddq_s32(*sum, vshlq_n_s32::<{ LIMB_BITS as i32 }>(high));
            }
        }
        let scales = self.scales.get(row..).unwrap_or_default();
        let out = self.out.get_mut(row * self.outputs..).unwrap_or_default();
        let rows = sums.iter().zip(scales).zip(out.chunks_exact_mut(self.outputs));
        for (row, ((sums, &scale), out)) in (row..).zip(rows) {
            let mut y = [[0; PANEL]];
            finish(&self.panel, sums, scale, &mut y[0]);
            let out = out.get_mut(self.column..).unwrap_or_default();
            let y = Outputs { y: &mut y, at: [row, self.column], channels: self.panel.bias.len() };
            put(self.then, y, out, self.outputs, look_up::<4>, wide::ENCODE);
        }
    }
}

/// The specification's [`finish`](specification::finish).
#[target_feature(enable = "neon")]
#[inline]
fn finish(panel: &Panel, sums: &Columns, scale: TokenScale, out: &mut [i32]) {
    let whole = (panel.mantissa.first_chunk(), panel.shift.first_chunk(), panel.bias.first_chunk());
    let ((Some(mantissa), Some(shift), Some(bias)), Some(out)) = (whole, out.first_chunk_mut()) else {
        let mut acc = [0; PANEL];
        store_columns(&mut acc, sums);
        return specification::finish(panel, &acc, scale, out);
    };
    let (mantissa, left) = (mantissas(mantissa, scale), lefts(shift, scale));
    let bias: &[i32; PANEL] = bias;
    let (bias, out) = (bias.as_chunks().0, out as &mut [i32; PANEL]);
    for (v, (out, bias)) in out.as_chunks_mut().0.iter_mut().zip(bias).enumerate() {
        store_i32(out, vqaddq_s32(requantize(sums[v], mantissa[v], left[v]), load_i32(bias)));
    }
}

/// The products of a row's mantissa and sixteen columns'.
#[target_feature(enable = "neon")]
#[inline]
fn mantissas(columns: &[u16; PANEL], scale: TokenScale) -> Columns {
    let row = u32::from(scale.mantissa & 0x7fff);
    let columns: [uint16x4_t; 4] = bytemuck::cast(*columns);
    columns.map(|four| vreinterpretq_s32_u32(vmulq_n_u32(vmovl_u16(four), row)))
}

/// Sixteen columns' shifts less a row's exponent, to the left; the mantissas are positive, so 63 places to the right leave nothing, too.
#[target_feature(enable = "neon")]
#[inline]
fn lefts(columns: &[i8; PANEL], scale: TokenScale) -> Columns {
    let columns = load_i8(columns);
    let exponent = vdupq_n_s16(scale.exponent.into());
    let clamp = |left| vminq_s16(vmaxq_s16(left, vdupq_n_s16(-64)), vdupq_n_s16(31));
    let a = clamp(vsubq_s16(exponent, vmovl_s8(vget_low_s8(columns))));
    let b = clamp(vsubq_s16(exponent, vmovl_high_s8(columns)));
    [vmovl_s16(vget_low_s16(a)), vmovl_high_s16(a), vmovl_s16(vget_low_s16(b)), vmovl_high_s16(b)]
}

//! Linear layers.

use super::{ENCODE, Products, add_high};
use crate::fixed::TokenScale;
use crate::kernels::lanes::activation::{Outputs, look_up, put};
use crate::kernels::linear::{GROUP, Linear, PANEL, Panel, Then, rows};

/// The specification's [`gemm`](crate::kernels::scalar::gemm::gemm), `R` rows at a time.
#[inline(always)]
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
    let limbs = match row_len / GROUP {
        _ if high_len == 0 => Limbs::Low,
        groups if groups != layer.panel_groups() => Limbs::Shared,
        _ => Limbs::Apart,
    };
    for (index, panel) in layer.panels().enumerate() {
        let mut strip = Strip {
            products,
            panel,
            column: index * PANEL,
            row_len,
            high_len,
            limbs,
            room: layer.room(),
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

/// Where the columns of the high limbs are.
#[derive(Clone, Copy)]
enum Limbs {
    /// There are none.
    Low,
    /// Before those of the low ones.
    Apart,
    /// Those of the low ones serve both.
    Shared,
}

/// All rows by one panel of sixteen columns, the first of which is `column`.
struct Strip<'s, 'o, P> {
    products: P,
    panel: Panel<'s>,
    column: usize,
    row_len: usize,
    high_len: usize,
    limbs: Limbs,
    room: u32,
    codes: &'s [i8],
    scales: &'s [TokenScale],
    then: &'s mut Then<'o>,
    outputs: usize,
    out: &'s mut [i32],
}

impl<P: Products> Strip<'_, '_, P> {
    /// The `R` rows from `row` on.
    #[inline(always)]
    fn tile<const R: usize>(&mut self, row: usize) {
        let mut rows = rows(self.codes.get(row * self.row_len..).unwrap_or_default(), self.row_len);
        let rows: [(&[i8], &[i8]); R] = core::array::from_fn(|_| {
            rows.next().unwrap_or_default().split_at_checked(self.high_len).unwrap_or_default()
        });
        let (high, low) = (rows.map(|(high, _)| high), rows.map(|(_, low)| low));
        let sums = match self.limbs {
            Limbs::Low => self.products.dots(low, self.panel.low),
            Limbs::Apart => {
                let mut sums = self.products.dots(low, self.panel.low);
                add_high(&mut sums, self.products.dots(high, self.panel.high));
                sums
            }
            Limbs::Shared => self.products.dots_of_limbs(high, low, self.panel.low),
        };
        let Some(scales) = self.scales.get(row..).and_then(|scales| scales.first_chunk()) else { return };
        let mut y = [[0; PANEL]; R];
        self.products.finish(&self.panel, self.room, &sums, scales, &mut y);
        let out = self.out.get_mut(row * self.outputs + self.column..).unwrap_or_default();
        let y = Outputs { y: &mut y, at: [row, self.column], channels: self.panel.bias.len() };
        put(self.then, y, out, self.outputs, look_up::<8>, ENCODE);
    }
}

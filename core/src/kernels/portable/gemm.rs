//! Linear layers.

use super::{ENCODE, Products, add_high};
use crate::fixed::TokenScale;
use crate::kernels::lanes::activation::{Outputs, look_up, put};
use crate::kernels::linear::{GROUP, Linear, PANEL, Panel, Then, rows};
use heapless::Vec;

/// Panels that the rows of a tile, once found, are multiplied with.
const PANELS: usize = 4;

/// The specification's [`gemm`](crate::kernels::scalar::gemm::gemm), `R` rows at a time.
#[inline(always)]
pub fn gemm<P: Products, const R: usize>(
    products: P,
    layer: &Linear,
    codes: &[i8],
    scales: &[TokenScale],
    then: Then,
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
    let (columns, room) = (Vec::new(), layer.room());
    let mut strip =
        Strip { products, columns, room, row_len, high_len, limbs, codes, scales, then, outputs, out };
    let mut panels = layer.panels().enumerate().peekable();
    while panels.peek().is_some() {
        let ready = panels.by_ref().take(PANELS).map(|(index, panel)| Columns {
            first: index * PANEL,
            channels: products.channels(&panel, room),
            panel,
        });
        strip.columns = ready.collect();
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

/// The sixteen columns of a panel, or as many as there are in the last.
struct Columns<'s, C> {
    first: usize,
    panel: Panel<'s>,
    channels: C,
}

/// All rows by some panels.
struct Strip<'s, 'o, P: Products> {
    products: P,
    columns: Vec<Columns<'s, P::Channels<'s>>, PANELS>,
    room: u32,
    row_len: usize,
    high_len: usize,
    limbs: Limbs,
    codes: &'s [i8],
    scales: &'s [TokenScale],
    then: Then<'o>,
    outputs: usize,
    out: &'s mut [i32],
}

impl<P: Products> Strip<'_, '_, P> {
    /// The `N` rows from `row` on.
    #[inline(always)]
    fn tile<const N: usize>(&mut self, row: usize) {
        let codes = self.codes.get(row * self.row_len..(row + N) * self.row_len).unwrap_or_default();
        let mut rows = codes.chunks_exact(self.row_len.max(1));
        let rows: [(&[i8], &[i8]); N] = core::array::from_fn(|_| {
            rows.next().unwrap_or_default().split_at_checked(self.high_len).unwrap_or_default()
        });
        let (high, low) = (rows.map(|(high, _)| high), rows.map(|(_, low)| low));
        let Some(scales) = self.scales.get(row..).and_then(|scales| scales.first_chunk()) else { return };
        let scales = self.products.scales::<N>(scales, self.room);
        let (mut sums, mut y) = ([[0; PANEL]; N], [[0; PANEL]; N]);
        for Columns { first, panel, channels } in &self.columns {
            match self.limbs {
                Limbs::Low => self.products.dots(low, panel.low, &mut sums),
                Limbs::Apart => {
                    let mut of_high = [[0; PANEL]; N];
                    self.products.dots(high, panel.high, &mut of_high);
                    self.products.dots(low, panel.low, &mut sums);
                    add_high(&mut sums, &of_high);
                }
                Limbs::Shared => self.products.dots_of_limbs(high, low, panel.low, &mut sums),
            }
            let out = self.out.get_mut(row * self.outputs + first..).unwrap_or_default();
            if panel.bias.len() == PANEL && matches!(self.then, Then::Store) {
                self.products.finish(channels, &sums, &scales, out, self.outputs);
                continue;
            }
            self.products.finish(channels, &sums, &scales, y.as_flattened_mut(), PANEL);
            let y = Outputs { y: &mut y, at: [row, *first], channels: panel.bias.len() };
            put(&mut self.then, y, out, self.outputs, look_up::<8>, ENCODE);
        }
    }
}

//! Linear layers.

use super::{Codes, Columns, ENCODE, PANELS, Products};
use crate::fixed::TokenScale;
use crate::kernels::lanes::activation::{Outputs, look_up, put};
use crate::kernels::linear::{Epilogue, GROUP, Linear, PANEL, rows};
use heapless::Vec;

/// The specification's [`gemm`](crate::kernels::scalar::gemm::gemm), `R` rows at a time.
#[inline(always)]
pub fn gemm<P: Products, const R: usize>(
    products: P,
    layer: &Linear,
    codes: &[i8],
    scales: &[TokenScale],
    epilogue: Epilogue,
    out: &mut [i32],
) {
    let (row_len, outputs) = (layer.row_len(), layer.outputs().max(1));
    let count = rows(codes, row_len).zip(scales).zip(out.chunks_exact(outputs)).count();
    let mut strip = Strip::<_, R> {
        products,
        columns: Vec::new(),
        requantizers: Vec::new(),
        row_len,
        high_len: layer.high_groups() * GROUP,
        shared: row_len / GROUP != layer.panel_groups(),
        room: layer.room(),
        codes,
        scales,
        epilogue,
        outputs,
        out,
        sums: [[[0; PANEL]; R]; PANELS],
        y: [[0; PANEL]; R],
    };
    let mut panels = layer.panels().enumerate().peekable();
    while panels.peek().is_some() {
        (strip.columns, strip.requantizers) = (Vec::new(), Vec::new());
        for (index, panel) in panels.by_ref().take(PANELS) {
            let columns = Columns { high: panel.high, low: panel.low };
            let channels = products.channels(&panel, strip.room);
            let requantizer = Requantizer { first: index * PANEL, count: panel.bias.len(), channels };
            // There is room for as many panels as are taken.
            let _ = (strip.columns.push(columns), strip.requantizers.push(requantizer));
        }
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

/// What is to be done with a panel's sums.
struct Requantizer<C> {
    /// The first channel of sixteen, and how many there are.
    first: usize,
    count: usize,
    channels: C,
}

/// All rows by some panels.
struct Strip<'s, 'o, P: Products, const R: usize> {
    products: P,
    columns: Vec<Columns<'s>, PANELS>,
    requantizers: Vec<Requantizer<P::Channels<'s>>, PANELS>,
    row_len: usize,
    high_len: usize,
    shared: bool,
    room: u32,
    codes: &'s [i8],
    scales: &'s [TokenScale],
    epilogue: Epilogue<'o>,
    outputs: usize,
    out: &'s mut [i32],
    /// Room for a tile's sums, and for one panel's outputs.
    sums: [[[i32; PANEL]; R]; PANELS],
    y: [[i32; PANEL]; R],
}

impl<P: Products, const R: usize> Strip<'_, '_, P, R> {
    /// The `N` rows from `row` on, up to `R` of them.
    #[inline(always)]
    fn tile<const N: usize>(&mut self, row: usize) {
        let codes = self.codes.get(row * self.row_len..(row + N) * self.row_len).unwrap_or_default();
        let Self { row_len, high_len, shared, .. } = *self;
        let codes = Codes { codes, row_len, high_len, shared };
        let Some(scales) = self.scales.get(row..).and_then(|scales| scales.first_chunk()) else { return };
        let scales = self.products.scales::<N>(scales, self.room);
        let sums = self.sums.as_flattened_mut().as_chunks_mut().0;
        self.products.sums(&codes, &self.columns, sums);
        let Some(y) = self.y.first_chunk_mut::<N>() else { return };
        for (Requantizer { first, count, channels }, sums) in self.requantizers.iter().zip(sums) {
            let out = self.out.get_mut(row * self.outputs + first..).unwrap_or_default();
            if *count == PANEL && matches!(self.epilogue, Epilogue::Store) {
                self.products.finish(channels, sums, &scales, out, self.outputs);
                continue;
            }
            self.products.finish(channels, sums, &scales, y.as_flattened_mut(), PANEL);
            let y = Outputs { y, at: [row, *first], channels: *count };
            put(&mut self.epilogue, y, out, self.outputs, look_up::<8>, ENCODE);
        }
    }
}

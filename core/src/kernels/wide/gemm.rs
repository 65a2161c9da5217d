//! Linear layers.

use super::dot::Sums;
use super::{ENCODE, SHIFTS_LANES};
use crate::fixed::TokenScale;
use crate::kernels::lanes::activation::{Outputs, look_up, put};
use crate::kernels::linear::{GROUP, LIMB_BITS, Linear, PANEL, Panel, Then, rows};
use crate::kernels::{lanes, scalar};

/// Rows whose accumulators stay in registers: each takes four vectors of eight lanes.
const ROWS: usize = if cfg!(target_feature = "avx512vl") { 4 } else { 2 };

/// The specification's [`gemm`](crate::kernels::scalar::gemm::gemm).
pub fn gemm(layer: &Linear, codes: &[i8], scales: &[TokenScale], mut then: Then, out: &mut [i32]) {
    let (row_len, outputs) = (layer.row_len(), layer.outputs().max(1));
    let high_len = layer.high_groups() * GROUP;
    for (index, panel) in layer.panels().enumerate() {
        let mut tile = Tile {
            panel: &panel,
            row: 0,
            column: index * PANEL,
            row_len,
            high_len,
            outputs,
            then: &mut then,
        };
        let tiles = scales.chunks(ROWS).zip(out.chunks_mut(ROWS * outputs));
        for (first, (scales, out)) in tiles.enumerate() {
            tile.row = first * ROWS;
            let codes = codes.get(first * ROWS * row_len..).unwrap_or_default();
            match codes.get(..ROWS * row_len) {
                Some(codes) if scales.len() == ROWS && out.len() == ROWS * outputs => {
                    tile.run::<ROWS>(codes, scales, out);
                }
                _ => {
                    let rows = rows(codes, row_len).zip(scales.chunks(1)).zip(out.chunks_exact_mut(outputs));
                    for ((codes, scales), out) in rows {
                        tile.run::<1>(codes, scales, out);
                        tile.row += 1;
                    }
                }
            }
        }
    }
}

/// Some rows by one panel of sixteen columns.
struct Tile<'t, 'o> {
    panel: &'t Panel<'t>,
    /// The first row.
    row: usize,
    column: usize,
    row_len: usize,
    high_len: usize,
    outputs: usize,
    then: &'t mut Then<'o>,
}

impl Tile<'_, '_> {
    #[inline(always)]
    fn run<const R: usize>(&mut self, codes: &[i8], scales: &[TokenScale], out: &mut [i32]) {
        let mut rows = rows(codes, self.row_len);
        let rows: [(&[i8], &[i8]); R] = core::array::from_fn(|_| {
            rows.next().unwrap_or_default().split_at_checked(self.high_len).unwrap_or_default()
        });
        let mut sums = Sums::<R>::ZERO;
        if self.high_len > 0 {
            sums.add(rows.map(|(high, _)| high), self.panel.high);
            sums.shift_left(LIMB_BITS);
        }
        sums.add(rows.map(|(_, low)| low), self.panel.low);
        let rows = sums.finish();
        let rows = rows.iter().zip(scales).zip(out.chunks_exact_mut(self.outputs));
        for (row, ((acc, &scale), out)) in rows.enumerate() {
            let mut y = [[0; PANEL]];
            if SHIFTS_LANES {
                lanes::epilogue::finish(self.panel, acc, scale, &mut y[0]);
            } else {
                scalar::gemm::finish(self.panel, acc, scale, &mut y[0]);
            }
            let out = out.get_mut(self.column..).unwrap_or_default();
            let at = [self.row + row, self.column];
            let y = Outputs { y: &mut y, at, channels: self.panel.bias.len() };
            put(self.then, y, out, self.outputs, look_up::<8>, ENCODE);
        }
    }
}

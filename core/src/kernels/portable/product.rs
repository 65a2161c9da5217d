//! Products of two matrices of codes.

use super::{Codes, Columns, PANELS, Products};
use crate::kernels::linear::PANEL;
use heapless::Vec;

/// The specification's [`product`](crate::kernels::scalar::product::product), `R` rows at a time.
#[inline(always)]
pub fn product<P: Products, const R: usize>(
    products: P,
    rows: &[i8],
    panels: &[i8],
    width: usize,
    out: &mut [i32],
) {
    let width = width.max(1);
    let columns = (panels.len() / (PANEL * width) * PANEL).max(1);
    let count = rows.chunks_exact(width).zip(out.chunks_exact(columns)).count();
    let sums = [[[0; PANEL]; R]; PANELS];
    let mut strip = Strip::<_, R> { products, panels: Vec::new(), first: 0, rows, width, out, columns, sums };
    for (index, panels) in panels.chunks((PANEL * width).saturating_mul(PANELS)).enumerate() {
        strip.panels = panels.chunks_exact(PANEL * width).map(Columns::of).collect();
        strip.first = index * PANELS * PANEL;
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

/// All rows by some panels, whose first column is `first`.
struct Strip<'s, P, const R: usize> {
    products: P,
    panels: Vec<Columns<'s>, PANELS>,
    first: usize,
    rows: &'s [i8],
    width: usize,
    out: &'s mut [i32],
    columns: usize,
    /// Room for a tile's sums.
    sums: [[[i32; PANEL]; R]; PANELS],
}

impl<P: Products, const R: usize> Strip<'_, P, R> {
    /// The `N` rows from `row` on, up to `R` of them.
    #[inline(always)]
    fn tile<const N: usize>(&mut self, row: usize) {
        let rows = Codes::of(self.rows.get(row * self.width..).unwrap_or_default(), self.width);
        let sums = self.sums.as_flattened_mut().as_chunks_mut::<N>().0;
        self.products.sums(&rows, &self.panels, sums);
        for (index, sums) in sums.iter().take(self.panels.len()).enumerate() {
            let at = row * self.columns + self.first + index * PANEL;
            let mut rest = self.out.get_mut(at..).unwrap_or_default();
            for sums in sums {
                let Some((out, after)) = rest.split_first_chunk_mut() else { break };
                *out = *sums;
                rest = after.get_mut(self.columns - PANEL..).unwrap_or_default();
            }
        }
    }
}

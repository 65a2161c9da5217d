//! Products of two matrices of codes.

use super::Products;
use crate::kernels::linear::PANEL;

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
    for (index, panel) in panels.chunks_exact(PANEL * width).enumerate() {
        let mut strip = Strip { products, panel, column: index * PANEL, rows, width, out, columns };
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
struct Strip<'s, P> {
    products: P,
    panel: &'s [i8],
    column: usize,
    rows: &'s [i8],
    width: usize,
    out: &'s mut [i32],
    columns: usize,
}

impl<P: Products> Strip<'_, P> {
    /// The `R` rows from `row` on.
    #[inline(always)]
    fn tile<const R: usize>(&mut self, row: usize) {
        let mut rows = self.rows.get(row * self.width..).unwrap_or_default().chunks_exact(self.width);
        let rows: [&[i8]; R] = core::array::from_fn(|_| rows.next().unwrap_or_default());
        let out = self.out.get_mut(row * self.columns..).unwrap_or_default();
        let mut sums = [[0; PANEL]; R];
        self.products.dots(rows, self.panel, &mut sums);
        for (sums, out) in sums.iter().zip(out.chunks_exact_mut(self.columns)) {
            if let Some(out) = out.get_mut(self.column..).and_then(|out| out.first_chunk_mut()) {
                *out = *sums;
            }
        }
    }
}

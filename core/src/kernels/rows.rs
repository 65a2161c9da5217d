//! Rows of equal length.

use core::iter;

/// Rows that lie at equal distances among other values: row `r` is `values[r * stride..][..width]`. As many
/// as are whole.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'r> {
    /// From the first row's first value to the last row's last, or beyond.
    pub values: &'r [i32],
    /// Values of a row.
    pub width: usize,
    /// Values from one row to the next.
    pub stride: usize,
}

impl<'r> Rows<'r> {
    /// Rows of `width` values, one after another.
    pub const fn new(values: &'r [i32], width: usize) -> Self {
        Self { values, width, stride: width }
    }

    /// The first row; an empty one if there is none.
    pub fn first(&self) -> &'r [i32] {
        self.values.get(..self.width).unwrap_or_default()
    }

    /// Every row in order; no end of them where they are empty and one after another.
    #[inline(always)]
    pub fn iter(&self) -> impl Iterator<Item = &'r [i32]> + use<'r> {
        let Self { values, width, stride } = *self;
        let mut rest = Some(values);
        iter::from_fn(move || {
            let row = rest?.get(..width);
            rest = rest?.get(stride..);
            row
        })
    }

    /// How many there are.
    #[inline(always)]
    pub const fn count(&self) -> usize {
        match self.values.len().checked_sub(self.width) {
            None => 0,
            Some(beyond) => match beyond.checked_div(self.stride) {
                None => usize::MAX,
                Some(others) => others.saturating_add(1),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn rows_lie_where_they_should() {
        let values: Vec<i32> = (0..20).collect();
        for (len, width, stride) in (0..=20).flat_map(|len| (0..8).map(move |w| (len, w, w + len % 4))) {
            let rows = Rows { values: &values[..len], width, stride };
            let starts = (0..=len).step_by(stride.max(1)).filter(|at| at + width <= len);
            let expected: Vec<&[i32]> = starts.map(|at| &values[at..][..width]).collect();
            if stride > 0 {
                assert!(rows.iter().eq(expected.iter().copied()), "{len} {width} {stride}");
                assert_eq!(rows.count(), expected.len());
            } else {
                assert_eq!((rows.iter().nth(1000), rows.count()), (Some(&[][..]), usize::MAX));
            }
        }
    }
}

//! Parts of rows, of lengths that compilers know: whether they are all there is asked once, not for each row.

use crate::kernels::rows::Rows;
use core::marker::PhantomData;

/// The `COUNT` values from `from` on of each of the first `most` rows, as far as they are all there, whatever
/// a row's width.
#[inline(always)]
pub fn row_parts<const COUNT: usize>(rows: Rows<'_>, from: usize, most: usize) -> Parts<'_, i32, COUNT> {
    parts(rows.values, rows.stride, from, most)
}

/// The same for rows of anything, so many values from one to the next.
#[inline(always)]
pub fn parts<T, const COUNT: usize>(
    values: &[T],
    stride: usize,
    from: usize,
    most: usize,
) -> Parts<'_, T, COUNT> {
    let left = most.min(count_of(values, from, COUNT, stride));
    // Beyond the values where there is no row.
    Parts { next: values.as_ptr().wrapping_add(from), stride, left, rows: PhantomData }
}

/// The same for rows to be written, none if they overlap.
#[inline(always)]
pub fn parts_mut<T, const COUNT: usize>(
    values: &mut [T],
    stride: usize,
    from: usize,
    most: usize,
) -> PartsMut<'_, T, COUNT> {
    let left = if stride < COUNT { 0 } else { most.min(count_of(values, from, COUNT, stride)) };
    PartsMut { next: values.as_mut_ptr().wrapping_add(from), stride, left, rows: PhantomData }
}

/// How many rows have so many values from `from` on.
#[inline(always)]
fn count_of<T>(values: &[T], from: usize, count: usize, stride: usize) -> usize {
    let beyond = from.checked_add(count).and_then(|end| values.len().checked_sub(end));
    beyond
        .map_or(0, |beyond| beyond.checked_div(stride).map_or(usize::MAX, |others| others.saturating_add(1)))
}

/// What [`parts`] returns.
pub struct Parts<'r, T, const COUNT: usize> {
    next: *const T,
    stride: usize,
    left: usize,
    rows: PhantomData<&'r [T]>,
}

impl<'r, T, const COUNT: usize> Iterator for Parts<'r, T, COUNT> {
    type Item = &'r [T; COUNT];

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let part = self.next;
        self.next = part.wrapping_add(self.stride);
        // SAFETY: so many rows have their values; an array is aligned as these are. The hint spares a
        // question in each loop.
        Some(unsafe {
            core::hint::assert_unchecked(!part.is_null());
            &*part.cast()
        })
    }
}

/// What [`parts_mut`] returns.
pub struct PartsMut<'r, T, const COUNT: usize> {
    next: *mut T,
    stride: usize,
    left: usize,
    rows: PhantomData<&'r mut [T]>,
}

impl<'r, T, const COUNT: usize> Iterator for PartsMut<'r, T, COUNT> {
    type Item = &'r mut [T; COUNT];

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let part = self.next;
        self.next = part.wrapping_add(self.stride);
        // SAFETY: so many rows have their values, each its own; an array is aligned as these are.
        Some(unsafe {
            core::hint::assert_unchecked(!part.is_null());
            &mut *part.cast()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn parts_are_those_that_are_there() {
        let mut values: Vec<i32> = (0..20).collect();
        let cases = (0..=20).flat_map(|len| (0..8usize).map(move |stride| (len, stride)));
        for ((len, stride), (from, most)) in cases
            .flat_map(|case| [(0, 0), (0, 3), (2, 3), (1, 100), (usize::MAX, 1)].map(|part| (case, part)))
        {
            let rows = Rows { values: &values[..len], width: 0, stride };
            let starts = (0..most).map(|row| from.saturating_add(row * stride));
            let there = starts.map_while(|at| rows.values.get(at..).and_then(<[i32]>::first_chunk));
            let expected: Vec<[i32; 3]> = there.copied().collect();
            let found: Vec<[i32; 3]> = row_parts(rows, from, most).copied().collect();
            assert_eq!(found, expected, "{len} {stride} {from} {most}");
            let written: Vec<[i32; 3]> =
                parts_mut(&mut values[..len], stride, from, most).map(|part| *part).collect();
            let expected = if stride < 3 { Vec::new() } else { expected };
            assert_eq!(written, expected, "{len} {stride} {from} {most}");
        }
    }

    #[test]
    fn rows_beyond_all_addresses_are_none() {
        for stride in [usize::MAX / 2, usize::MAX] {
            assert_eq!(row_parts::<3>(Rows { values: &[1, 2, 3], width: 3, stride }, 0, 9).count(), 1);
            assert_eq!(parts_mut::<i32, 3>(&mut [1, 2, 3], stride, 0, 9).count(), 1);
        }
    }
}

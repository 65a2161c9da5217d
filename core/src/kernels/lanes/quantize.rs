//! Linear inputs: i8 codes with one scale per token.

use super::multiply::Lanes;
use super::scales::{ROWS, Scales};
use crate::fixed::TokenScale;
use crate::kernels::linear::{GROUP, row_len};
use crate::kernels::rows::Rows;
use crate::kernels::scalar;
use crate::kernels::scalar::quantize::limbs;

/// The steps of quantization, for one row each: as compilers vectorise them, or a backend's own.
pub trait Steps: Copy {
    /// The largest magnitude.
    #[inline(always)]
    fn largest(self, values: &[i32]) -> u32 {
        values.iter().fold(0, |largest, value| largest.max(value.unsigned_abs()))
    }

    /// The largest magnitude of each of the first `count` rows.
    #[inline(always)]
    fn largest_of_each(self, rows: Rows, count: usize) -> [u32; ROWS] {
        let mut largest = [0; ROWS];
        let each = largest.iter_mut().zip(rows.iter()).take(count);
        each.for_each(|(largest, values)| *largest = self.largest(values));
        largest
    }

    /// The largest magnitude among the values whose mark is -1, and among those whose mark is 0 or all: an
    /// outlier's scale by a louder ordinary value is less than that value's own, so that this one rules.
    #[inline(always)]
    fn largest_of_both(self, values: &[i32], marks: &[i8]) -> [u32; 2] {
        values.iter().zip(marks).fold([0; 2], |[marked, others], (value, &mark)| {
            let (magnitude, mark) = (value.unsigned_abs(), i32::from(mark).cast_unsigned());
            [marked.max(magnitude & mark), others.max(magnitude & !mark)]
        })
    }

    /// The same for each of the first `count` rows.
    #[inline(always)]
    fn largest_of_both_of_each(self, rows: Rows, count: usize, marks: &[i8]) -> [[u32; ROWS]; 2] {
        let mut largest = [[0; ROWS]; 2];
        for (r, values) in rows.iter().enumerate().take(count.min(ROWS)) {
            [largest[0][r], largest[1][r]] = self.largest_of_both(values, marks);
        }
        largest
    }

    /// Codes of the values that their scale covers; the others' are any.
    #[inline(always)]
    fn encode(self, values: &[i32], by: Lanes, codes: &mut [i8]) {
        codes.iter_mut().zip(values).for_each(|(code, &value)| *code = by.apply(value) as i8);
    }

    /// Codes of as many of the first `count` rows as are best encoded together; how many those are. The rows
    /// have no outliers, and their codes lie one after another.
    #[inline(always)]
    fn encode_together(self, _rows: Rows, _count: usize, _by: &Scales, _codes: &mut [i8]) -> usize {
        0
    }

    /// Two limbs of every value.
    #[inline(always)]
    fn encode_limbs(self, values: &[i32], by: Lanes, high: &mut [i8], low: &mut [i8]) {
        for ((high, low), &value) in high.iter_mut().zip(low).zip(values) {
            (*high, *low) = limbs(by.apply(value));
        }
    }

    /// Codes of the first `count` rows, which lie one after another.
    #[inline(always)]
    fn encode_rows(self, rows: Rows, count: usize, by: &Scales, outliers: &[u16], codes: &mut [i8]) {
        encode_rows(self, rows, count, by, outliers, codes);
    }
}

/// The steps as compilers vectorise them.
#[derive(Clone, Copy)]
pub struct Portable;

impl Steps for Portable {}

/// The specification's [`quantize_rows`](scalar::quantize::quantize_rows): first the scales of some rows side
/// by side, then their codes.
#[inline(always)]
pub fn quantize_rows(
    steps: impl Steps,
    rows: Rows,
    outliers: &[u16],
    codes: &mut [i8],
    scales: &mut [TokenScale],
) {
    let within = outliers.last().is_none_or(|&last| usize::from(last) < rows.width);
    if !within || !outliers.is_sorted_by(|a, b| a < b) {
        return scalar::quantize::quantize_rows(rows, outliers, codes, scales);
    }
    let len = row_len(rows.width, outliers.len());
    let count = rows.count().min(codes.len().checked_div(len).unwrap_or(usize::MAX)).min(scales.len());
    for (tile, scales) in scales.split_at_mut(count).0.chunks_mut(ROWS).enumerate() {
        let first = tile * ROWS;
        let values = rows.values.get(first * rows.stride..).unwrap_or_default();
        let codes = codes.get_mut(first * len..).unwrap_or_default();
        quantize_tile(steps, Rows { values, ..rows }, outliers, codes, scales);
    }
}

/// Up to [`ROWS`] rows, one for each scale.
#[inline(always)]
fn quantize_tile(
    steps: impl Steps,
    rows: Rows,
    outliers: &[u16],
    codes: &mut [i8],
    scales: &mut [TokenScale],
) {
    let width = rows.width;
    let by = if outliers.is_empty() {
        Scales::covering_ordinary(steps.largest_of_each(rows, scales.len()))
    } else if outliers.len() == width {
        Scales::covering_loud(steps.largest_of_each(rows, scales.len()))
    } else {
        // The first row's codes are yet to be written.
        let marks = codes.get_mut(..width).unwrap_or_default();
        mark_ordinary(outliers, marks);
        let [ordinary, loud] = steps.largest_of_both_of_each(rows, scales.len(), marks);
        Scales::covering(ordinary, loud)
    };
    // A whole tile has a length that compilers know.
    match scales.first_chunk_mut::<ROWS>() {
        Some(scales) => by.copy_to(scales),
        None => by.copy_to(scales),
    }
    if row_len(width, outliers.len()) > 0 {
        steps.encode_rows(rows, scales.len(), &by, outliers, codes);
    }
}

/// [`Steps::encode_rows`], row by row.
#[inline(always)]
fn encode_rows(steps: impl Steps, rows: Rows, count: usize, by: &Scales, outliers: &[u16], codes: &mut [i8]) {
    let (width, len) = (rows.width, row_len(rows.width, outliers.len()));
    let done =
        if outliers.is_empty() && len == width { steps.encode_together(rows, count, by, codes) } else { 0 };
    for r in done..count {
        let values = rows.values.get(r * rows.stride..).and_then(|values| values.get(..width));
        let codes = codes.get_mut(r * len..).and_then(|codes| codes.get_mut(..len));
        let (Some(values), Some(codes)) = (values, codes) else { return };
        let by = by.inverse(r);
        let [high, low] = parts(codes, outliers.len(), width);
        if !outliers.is_empty() && outliers.len() == width {
            steps.encode_limbs(values, by, high, low);
            continue;
        }
        // The scale covers all but outliers, whose codes are replaced.
        steps.encode(values, by, low);
        for (high, &channel) in high.iter_mut().zip(outliers) {
            let channel = usize::from(channel);
            if let (Some(&value), Some(low)) = (values.get(channel), low.get_mut(channel)) {
                (*high, *low) = limbs(by.apply(value));
            }
        }
    }
}

/// Where a row's high limbs go, and the others, without what pads them: zeros.
#[inline(always)]
pub fn parts(codes: &mut [i8], outliers: usize, width: usize) -> [&mut [i8]; 2] {
    let (high, low) = codes.split_at_mut(outliers.div_ceil(GROUP) * GROUP);
    [unpadded(high, outliers), unpadded(low, width)]
}

/// The first `count` codes, of so many groups as they need. The last group is cleared, whether or not it is
/// full: it is yet to be written.
#[inline(always)]
fn unpadded(codes: &mut [i8], count: usize) -> &mut [i8] {
    if let Some(last) = codes.last_chunk_mut::<GROUP>() {
        *last = [0; GROUP];
    }
    codes.get_mut(..count).unwrap_or_default()
}

/// -1 for each channel that is not an outlier, else 0.
#[inline(always)]
fn mark_ordinary(outliers: &[u16], marks: &mut [i8]) {
    marks.fill(-1);
    for &outlier in outliers {
        if let Some(mark) = marks.get_mut(usize::from(outlier)) {
            *mark = 0;
        }
    }
}

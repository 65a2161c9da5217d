//! Sums of 64 bits over values of 32, of attention that must not be coarse. They wrap, which sums over values
//! that are small enough never do.

use crate::kernels::rows::Rows;

/// `out[r] = sum over c of query[c] * rows[r][c]`
#[inline(always)]
pub fn dots(query: &[i32], rows: Rows, out: &mut [i64]) {
    for (out, row) in out.iter_mut().zip(rows.iter()) {
        let products = query.iter().zip(row).map(|(&a, &b)| i64::from(a) * i64::from(b));
        *out = products.fold(0, i64::wrapping_add);
    }
}

/// `out[r] = sum over c of (point[c] - rows[r][c])^2`; differences wrap to 32 bits.
#[inline(always)]
pub fn distances(point: &[i32], rows: Rows, out: &mut [i64]) {
    for (out, row) in out.iter_mut().zip(rows.iter()) {
        let differences = point.iter().zip(row).map(|(&a, &b)| i64::from(a.wrapping_sub(b)));
        *out = differences.fold(0, |sum, difference| sum.wrapping_add(difference * difference));
    }
}

/// `sums[c] += sum over r of weights[r] * rows[r][c]`
#[inline(always)]
pub fn add_weighted(weights: &[i32], rows: Rows, sums: &mut [i64]) {
    for (row, &weight) in rows.iter().zip(weights) {
        // Most weights are 0.
        if weight != 0 {
            add(sums, row, weight);
        }
    }
}

/// [`add_weighted`] for rows of codes, one after another and as long as `sums`.
#[inline(always)]
pub fn add_weighted_codes(weights: &[i32], codes: &[i16], sums: &mut [i64]) {
    for (row, &weight) in codes.chunks_exact(sums.len().max(1)).zip(weights) {
        if weight != 0 {
            add(sums, row, weight);
        }
    }
}

#[inline(always)]
fn add<T: Copy + Into<i32>>(sums: &mut [i64], values: &[T], weight: i32) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum = sum.wrapping_add(i64::from(weight) * i64::from(value.into()));
    }
}

//! Piecewise cubics in 32-bit arithmetic.

/// Arguments of a [`Cubic16`] are in `0..DOMAIN`: 24 widths of a fine segment.
#[cfg(any(test, feature = "kernels"))]
pub const DOMAIN: i32 = 24 << OFFSET_BITS;

/// The argument within a segment.
pub(crate) const OFFSET_BITS: u32 = 15;
const OFFSET_MASK: i32 = (1 << OFFSET_BITS) - 1;
/// Segments of the fine half, and as many of the coarse one.
pub(crate) const FINE: i32 = 8;
/// The polynomial's value carries so many bits more than the result.
pub(crate) const GUARD_BITS: u32 = 3;

/// A decaying function on `0..DOMAIN`, as sixteen cubics: eight segments 2^15 wide, then eight 2^16 wide.
///
/// Two widths fit a tail better than one: with sixteen equal segments of the next power of two, the cubics
/// themselves would miss GELU by 1.8 units of 2^-16 and the sigmoid by 2.1, with these by 0.3 and 0.2.
///
/// Within a segment the offset `t` counts **down** from the right end: 0 there, 2^15 - 1 at the left end, one
/// step for each argument in a fine segment and for every second one in a coarse segment. Where a convex
/// function falls, all coefficients are then positive, and truncation can't break monotonicity. With
/// `c = self.c[segment]`,
///
/// `value = c[0] + ((c[1] + ((c[2] + ((c[3]*t) >> 15))*t >> 15))*t >> 15)`, result `(value + 4) >> 3`.
///
/// Every factor of `t` must be below 2^16 in magnitude: then every product fits an i32, and a SIMD kernel
/// needs only 32-bit multiplications and two table permutes for each coefficient. Both tables of this crate
/// keep the bound (tested).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cubic16 {
    /// Coefficients by ascending power, in an eighth of the result's unit.
    pub c: [[i32; 4]; 16],
}

/// The segment of an argument in `0..DOMAIN`, and its offset from the segment's right end, in `0..2^15`.
#[inline(always)]
pub const fn locate(x: i32) -> (usize, i32) {
    let fine = x >> OFFSET_BITS;
    let coarse = (fine >> 1).wrapping_add(FINE / 2);
    if fine < FINE {
        ((fine & 15) as usize, !x & OFFSET_MASK)
    } else {
        ((coarse & 15) as usize, !(x >> 1) & OFFSET_MASK)
    }
}

impl Cubic16 {
    /// The function at `x`, which must be in `0..DOMAIN`; outside it the result is meaningless but defined.
    #[inline(always)]
    pub const fn eval(&self, x: i32) -> i32 {
        let (segment, t) = locate(x);
        polynomial(self.c[segment], t)
    }

    /// The same function, to be evaluated in many places at a time.
    pub(crate) const fn columns(&self) -> CubicColumns {
        let mut columns = [[0; 16]; 4];
        let mut place = 0;
        while place < 64 {
            columns[place % 4][place / 4] = self.c[place / 4][place % 4];
            place += 1;
        }
        CubicColumns(columns)
    }
}

#[inline(always)]
const fn polynomial([c0, c1, c2, c3]: [i32; 4], t: i32) -> i32 {
    let h2 = c2.wrapping_add(c3.wrapping_mul(t) >> OFFSET_BITS);
    let h1 = c1.wrapping_add(h2.wrapping_mul(t) >> OFFSET_BITS);
    let value = c0.wrapping_add(h1.wrapping_mul(t) >> OFFSET_BITS);
    value.wrapping_add(1 << (GUARD_BITS - 1)) >> GUARD_BITS
}

/// A [`Cubic16`]'s coefficients of each power side by side.
pub(crate) struct CubicColumns([[i32; 16]; 4]);

impl CubicColumns {
    /// The function at every `x`. `look_up(column, indices)` is the entry of a column for every index below
    /// 16.
    #[inline(always)]
    pub fn eval<const N: usize>(
        &self,
        x: [i32; N],
        look_up: impl Fn(&[i32; 16], [i32; N]) -> [i32; N],
    ) -> [i32; N] {
        let (mut segments, mut offsets, mut values) = ([0; N], [0; N], x);
        for ((segment, offset), x) in segments.iter_mut().zip(&mut offsets).zip(x) {
            let located = locate(x);
            (*segment, *offset) = (located.0 as i32, located.1);
        }
        let [c0, c1, c2, c3] = &self.0;
        let [c0, c1] = [look_up(c0, segments), look_up(c1, segments)];
        let [c2, c3] = [look_up(c2, segments), look_up(c3, segments)];
        let coefficients = c0.iter().zip(c1).zip(c2).zip(c3);
        for ((value, t), (((&c0, c1), c2), c3)) in values.iter_mut().zip(offsets).zip(coefficients) {
            *value = polynomial([c0, c1, c2, c3], t);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::tables::{GELU_TAIL, SIGMOID_TAIL};

    #[test]
    fn segments_tile_the_domain() {
        let mut previous = (0, 1 << OFFSET_BITS);
        for x in 0..DOMAIN {
            let (segment, t) = locate(x);
            let repeated = segment >= 8 && x & 1 == 1;
            let expected = match previous {
                (s, t) if repeated => (s, t),
                (s, 0) => (s + 1, OFFSET_MASK),
                (s, t) => (s, t - 1),
            };
            assert_eq!((segment, t), expected, "{x}");
            previous = (segment, t);
        }
        assert_eq!(previous, (15, 0));
    }

    #[test]
    fn products_fit_32_bits() {
        for table in [GELU_TAIL, SIGMOID_TAIL] {
            for x in 0..DOMAIN {
                let (segment, t) = locate(x);
                let [_, c1, c2, c3] = table.c[segment];
                let h2 = c2 + (c3.checked_mul(t).expect("c3 * t") >> OFFSET_BITS);
                let h1 = c1 + (h2.checked_mul(t).expect("h2 * t") >> OFFSET_BITS);
                assert!(h1.checked_mul(t).is_some() && h1.abs() < 1 << 16 && h2.abs() < 1 << 16, "{x}");
            }
        }
    }

    #[test]
    fn evaluates_its_polynomial() {
        // On a coarse segment of width 2^16: 8 * (5 + t/2^15 * 3) at any t, truncated in units of an eighth.
        let mut c = [[0; 4]; 16];
        c[9] = [40, 24, 0, 0];
        let table = Cubic16 { c };
        assert_eq!(table.eval((6 << 16) - 1), 5);
        assert_eq!(table.eval(5 << 16), 8);
        assert_eq!(table.eval((5 << 16) + (1 << 15)), 6);
        c[9] = [0, 0, 0, 1 << 14];
        // A cube: at half the segment an eighth of 2^14 / 8.
        assert_eq!(Cubic16 { c }.eval((5 << 16) + (1 << 15) - 2), 256);
    }

    #[test]
    fn anything_outside_is_defined() {
        for x in [i32::MIN, -1, DOMAIN, i32::MAX] {
            let _ = GELU_TAIL.eval(x);
            assert!(locate(x).0 < 16);
        }
    }
}

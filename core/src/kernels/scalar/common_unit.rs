//! The products of triangle multiplication in a unit that the channels of a pair share.

use crate::kernels::attention::unpack;

/// Bits of the largest channel of a product in the unit that its LayerNorm reads.
pub(in crate::kernels) const PRODUCT_BITS: i32 = 22;

/// The scale of a channel's product, from those of its operands: a mantissa of 29 or 30 bits, and an
/// exponent.
#[inline(always)]
const fn product_scale(row: u32, column: u32) -> (i32, i32) {
    let (row, column) = (unpack(row), unpack(column));
    let mantissa = (row.mantissa & 0x7fff) as i32 * (column.mantissa & 0x7fff) as i32;
    (mantissa, row.exponent as i32 + column.exponent as i32)
}

/// Brings the channels of `product` to a common unit, `2^E` times that of a product of two activations, such
/// that the largest has at most 22 bits; returns E. `rows` and `columns` are the operands' scales.
#[inline(always)]
pub fn common_unit(rows: &[u32], columns: &[u32], product: &[i32], out: &mut [i32]) -> i32 {
    let channels = || {
        let scales = rows.iter().zip(columns).map(|(&row, &column)| product_scale(row, column));
        product.iter().zip(scales)
    };
    let magnitude = |value: i32, mantissa: i32| u64::from(value.unsigned_abs()) * u64::from(mantissa as u32);
    // As a number's bits are those of its highest one, the largest channel has as many as all channels in the
    // coarsest unit, one ORed to the other; unless they all vanish there.
    let coarsest = channels().fold(i32::MIN, |most, (_, (_, exponent))| most.max(exponent));
    let any = channels().fold(0, |any, (&value, (mantissa, exponent))| {
        any | (magnitude(value, mantissa) >> (coarsest - exponent).min(63))
    });
    let bits = |magnitude: u64| 64 - magnitude.leading_zeros() as i32;
    let largest = if any != 0 {
        Some(bits(any) + coarsest)
    } else {
        let there = channels().filter(|&(&value, _)| value != 0);
        there.map(|(&value, (mantissa, exponent))| bits(magnitude(value, mantissa)) + exponent).max()
    };
    let unit = largest.map_or(0, |largest| largest - PRODUCT_BITS);
    for (out, (&value, (mantissa, exponent))) in out.iter_mut().zip(channels()) {
        // Requantized. A value that is not 0 has 29 bits or more with its mantissa, so its shift is at least
        // 7 and the result fits; from 62 on it is 0.
        let shift = (unit - exponent).clamp(1, 62);
        *out = ((i64::from(value) * i64::from(mantissa) + (1 << (shift - 1))) >> shift) as i32;
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::{TokenScale, requantize};
    use crate::kernels::attention::pack;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn products_come_to_a_unit_that_holds_the_largest() {
        let packed = |mantissa: u16, exponent: i8| pack(TokenScale { mantissa, exponent });
        let exponents = [-20i8, 3, -28];
        let rows: Vec<u32> =
            exponents.iter().zip(20_000..).map(|(&exponent, mantissa)| packed(mantissa, exponent)).collect();
        let product = [1_000_000, -77, 5];
        let mut out = [0; 3];
        let unit = common_unit(&rows, &[packed(30_000, -10); 3], &product, &mut out);
        let step = libm::exp2(unit.into());
        for (channel, exponent) in exponents.into_iter().enumerate() {
            let scale = (20_000 + channel) as f64 * 30_000.0 * libm::exp2(f64::from(exponent) - 10.0);
            let real = f64::from(product[channel]) * scale;
            assert!((f64::from(out[channel]) * step - real).abs() <= 0.5 * step);
        }
        let largest = out.iter().map(|v| v.unsigned_abs()).max().unwrap();
        assert!((1 << 21..=1 << 22).contains(&largest), "{out:?}");
    }

    #[test]
    fn a_product_of_zeros_stays_zero() {
        let mut out = [7];
        assert_eq!((common_unit(&[0], &[0], &[0], &mut out), out), (0, [0]));
    }

    proptest! {
        #[test]
        fn the_unit_is_that_of_the_largest_channel_and_values_are_requantized(
            channels in prop::collection::vec(
                (
                    prop_oneof![Just(0), -9i32..9, any::<i32>()],
                    [0x4000u16..0x8000, 0x4000..0x8000],
                    [prop_oneof![Just(-45i8), -28i8..=11], prop_oneof![Just(-45i8), -28i8..=11]],
                ),
                1..40,
            ),
        ) {
            let scale = |side: usize| -> Vec<u32> {
                let scale = |c: &(i32, [u16; 2], [i8; 2])| TokenScale { mantissa: c.1[side], exponent: c.2[side] };
                channels.iter().map(|c| pack(scale(c))).collect()
            };
            let product: Vec<i32> = channels.iter().map(|c| c.0).collect();
            let mut out = vec![0; product.len()];
            let unit = common_unit(&scale(0), &scale(1), &product, &mut out);
            let exact = |c: &(i32, [u16; 2], [i8; 2])| {
                (i32::from(c.1[0]) * i32::from(c.1[1]), i32::from(c.2[0]) + i32::from(c.2[1]))
            };
            let bits = channels.iter().filter(|c| c.0 != 0).map(|c| {
                let (mantissa, exponent) = exact(c);
                let magnitude = u64::from(c.0.unsigned_abs()) * mantissa as u64;
                64 - magnitude.leading_zeros() as i32 + exponent
            });
            prop_assert_eq!(unit, bits.max().map_or(0, |bits| bits - PRODUCT_BITS));
            for (c, &out) in channels.iter().zip(&out) {
                let (mantissa, exponent) = exact(c);
                prop_assert_eq!(out, requantize(c.0, mantissa, unit - exponent));
            }
        }
    }
}

//! The epilogue of sixteen accumulators of a linear layer.

use super::multiply::upper;
use crate::fixed::TokenScale;
use crate::kernels::linear::{PANEL, Panel};
use crate::kernels::scalar;

/// The specification's [`finish`](scalar::gemm::finish).
#[inline(always)]
pub fn finish(panel: &Panel, acc: &[i32; PANEL], scale: TokenScale, out: &mut [i32]) {
    if try_finish(panel, acc, scale, out).is_none() {
        scalar::gemm::finish(panel, acc, scale, out);
    }
}

/// `None` where a channel's shift, bias or result is beyond the lanes.
#[inline(always)]
fn try_finish(panel: &Panel, acc: &[i32; PANEL], scale: TokenScale, out: &mut [i32]) -> Option<()> {
    let mantissa: &[u16; PANEL] = panel.mantissa.first_chunk()?;
    let shift: &[i8; PANEL] = panel.shift.first_chunk()?;
    let bias: &[i32; PANEL] = panel.bias.first_chunk()?;
    let out: &mut [i32; PANEL] = out.first_chunk_mut()?;
    // Negative where something is out of range. A mantissa of 16 bits is, and is checked here rather than
    // masked: with a product known to be positive, compilers multiply 64-bit lanes.
    let mut wild = -(i32::from(scale.mantissa) >> 15);
    let mut results = [0; PANEL];
    for n in 0..PANEL {
        let mantissa = i32::from(scale.mantissa).wrapping_mul(i32::from(mantissa[n]));
        let shift = i32::from(shift[n]) - i32::from(scale.exponent);
        // As in `multiply::Lanes`.
        let right = (shift - 32).max(1);
        let left = (right + 32 - shift) as u32;
        let shifted = acc[n].wrapping_shl(left);
        let half = 1i32.wrapping_shl(right as u32 - 1);
        let value = upper(shifted, mantissa).wrapping_add(half).wrapping_shr(right as u32);
        // Whatever bit is lost: only the sign bit of a difference would say nothing of the others.
        let lost = shifted.wrapping_shr(left) ^ acc[n];
        wild |= (lost | lost.wrapping_neg()) | (shift - 3) | (62 - shift);
        // The value is below 2^30.
        wild |= bias[n] ^ (bias[n] << 1);
        results[n] = value.wrapping_add(bias[n]);
    }
    *out = results;
    (wild >= 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, any_magnitude};
    use proptest::prelude::*;

    fn check(seed: u64, wild: bool, channels: usize, room: usize) {
        let mut random = Random(seed);
        let mantissa = random.many(channels, |r| r.next() as u16 | 1 << 15);
        let shift = random.many(channels, |r| if wild { r.next() as i8 } else { 20 + r.below(20) as i8 });
        let bias = random.many(channels, |r| if wild { any_magnitude(r) } else { any_magnitude(r) >> 2 });
        let panel = Panel { high: &[], low: &[], bias: &bias, mantissa: &mantissa, shift: &shift };
        let mut acc = [0; PANEL];
        acc.fill_with(|| if wild { any_magnitude(&mut random) } else { any_magnitude(&mut random) >> 12 });
        let mut scale = TokenScale::covering(1 << 16 | random.next() as u32 >> 12, 0);
        if wild && random.below(2) == 0 {
            scale = TokenScale { mantissa: random.next() as u16, exponent: random.next() as i8 };
        }
        let mut found = std::vec![7; room];
        let mut expected = found.clone();
        finish(&panel, &acc, scale, &mut found);
        scalar::gemm::finish(&panel, &acc, scale, &mut expected);
        assert_eq!(found, expected);
        let results = &mut [0; PANEL];
        let lanes = try_finish(&panel, &acc, scale, results).is_some();
        assert!(lanes || wild || channels < PANEL, "real channels take the lanes");
    }

    /// A sum that loses bits on its way to the left, but not its sign.
    #[test]
    fn lost_bits_are_noticed() {
        let (mantissa, shift, bias) = ([1 << 15; PANEL], [3; PANEL], [0; PANEL]);
        let panel = Panel { high: &[], low: &[], bias: &bias, mantissa: &mantissa, shift: &shift };
        let scale = TokenScale { mantissa: 1 << 14, exponent: 0 };
        for acc in [5, 1 << 28, -5, i32::MAX, i32::MIN, 1] {
            let (mut found, mut expected) = ([0; PANEL], [0; PANEL]);
            finish(&panel, &[acc; PANEL], scale, &mut found);
            scalar::gemm::finish(&panel, &[acc; PANEL], scale, &mut expected);
            assert_eq!(found, expected, "{acc}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn equals_the_specification(seed: u64, wild: bool, channels in 14..=16usize, room in 14..20usize) {
            check(seed, wild, channels, room);
        }
    }
}

//! The columns of outlier channels' high limbs: copies of the channels' own, in whatever a model file has.

use super::widen::{WideGroup, columns};
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use crate::kernels::x86::generic::vectors::Group;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

/// Whether the groups of high limbs are copies of their channels' columns among the `low` ones, and zeros
/// where they have no channel.
#[inline]
#[target_feature(enable = "avx2")]
pub fn are_copied(high: &[Group], low: &[Group], outliers: &[u16]) -> bool {
    let mut same = true;
    for (at, group) in high.iter().enumerate() {
        same &= *group == copies(low, outliers, at);
    }
    same
}

/// Widens the differences of groups of high limbs from what they would be as copies, times 128, which 16 bits
/// hold, and returns them; `part` has room for all.
#[target_feature(enable = "avx2")]
pub fn widen_differences<'p>(
    high: &[Group],
    low: &[Group],
    outliers: &[u16],
    part: &'p mut [MaybeUninit<WideGroup>],
) -> &'p [MaybeUninit<WideGroup>] {
    for (at, (group, wide)) in high.iter().zip(part.iter_mut()).enumerate() {
        const BITS: i32 = LIMB_BITS as i32;
        let [[a, b], [c, d]] = columns(group);
        let [[e, f], [g, h]] = columns(&copies(low, outliers, at));
        wide.write(WideGroup([
            _mm256_slli_epi16::<BITS>(_mm256_sub_epi16(a, e)),
            _mm256_slli_epi16::<BITS>(_mm256_sub_epi16(b, f)),
            _mm256_slli_epi16::<BITS>(_mm256_sub_epi16(c, g)),
            _mm256_slli_epi16::<BITS>(_mm256_sub_epi16(d, h)),
        ]));
    }
    &part[..high.len()]
}

/// Group `at` of the high limbs' columns, as copies of their channels' columns.
#[inline]
#[target_feature(enable = "avx2")]
fn copies(low: &[Group], outliers: &[u16], at: usize) -> Group {
    let mut copies = [0u32; PANEL];
    for (place, &channel) in outliers.iter().skip(GROUP * at).take(GROUP).enumerate() {
        let channel = usize::from(channel);
        let Some(group) = low.get(channel / GROUP) else { continue };
        let columns: [u32; PANEL] = bytemuck::cast(*group);
        let (from, to) = (8 * (channel % GROUP) as u32, 8 * place as u32);
        for (copy, column) in copies.iter_mut().zip(columns) {
            // Bytes of a word are the inputs of a column, the first one lowest.
            *copy |= ((column >> from) & 0xff) << to;
        }
    }
    bytemuck::cast(copies)
}

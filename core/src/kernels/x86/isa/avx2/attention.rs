//! Products of a few queries with sixteen keys, and of as many rows of weights with values.

use super::matrix::{WideCodes, WideGroup, multiply, row, widen, widen_groups};
use crate::kernels::attention::QUERY_TILE;
use crate::kernels::linear::{GROUP, PANEL};
use crate::kernels::scalar::attention::WIDTH_MAX;
use crate::kernels::x86::generic::matrix::Rows;
use crate::kernels::x86::generic::pairs::Pairs;
use crate::kernels::x86::generic::vectors::Group;
use crate::kernels::x86::isa::ymm::{self, Pair};
use core::arch::asm;
use core::mem::MaybeUninit;

/// Rows of a tile.
pub const ROWS: usize = 4;

/// Most groups of a head.
const GROUPS: usize = WIDTH_MAX / GROUP;

/// The products of `R` rows, all of them low limbs, with the groups of a panel; none where they have no room.
#[inline]
#[target_feature(enable = "avx2")]
pub fn dots<const R: usize>(rows: Rows, panel: &[Group]) -> [Pair; R] {
    let mut dots = [ymm::zero(); R];
    let (count, depth) = (rows.count.min(R), rows.groups);
    if depth > GROUPS || panel.len() != depth || count > QUERY_TILE || rows.codes.len() < count * depth {
        return dots;
    }
    let mut codes = [const { MaybeUninit::<WideCodes>::uninit() }; QUERY_TILE * GROUPS];
    let mut part = [const { MaybeUninit::<WideGroup>::uninit() }; GROUPS];
    let codes = &mut codes[..count * depth];
    widen(rows.codes.as_flattened(), codes);
    let part = widen_groups(panel, depth, &mut part);
    for (dots, codes) in dots[..count].chunks_mut(ROWS).zip(codes.chunks(ROWS * depth.max(1))) {
        let mut sums = [const { MaybeUninit::uninit() }; ROWS];
        // SAFETY: all of the codes and groups are widened.
        let sums = unsafe { multiply(codes, depth, part, true, &mut sums[..dots.len()]) };
        for (dots, sums) in dots.iter_mut().zip(sums) {
            *dots = ymm::load(sums);
        }
    }
    dots
}

/// [`Vectors::add_pairs`](crate::kernels::x86::generic::loops::Loops::add_pairs) for four rows and sixteen channels, in one piece of assembly
/// since compilers would keep sums in memory. Nothing is added where a pair has fewer: false.
#[target_feature(enable = "avx2")]
pub fn add_pairs(pairs: Pairs, sums: &mut [Pair; ROWS]) -> bool {
    let Pairs { count, values, row_len, at, weights, stride } = pairs;
    let enough = row_len >= at + 2 * PANEL && values.len() >= count * row_len;
    if count == 0 || !enough || !pairs.have_weights(ROWS) {
        return false;
    }
    let [mut a, mut b, mut c, mut d] = *sums;
    // SAFETY: there are so many pairs of values, with 32 from `at` on, and so many pairs of weights for each row.
    unsafe {
        asm!(
            // The fourth row.
            "lea {b}, [{a} + 2*{stride}]",
            "add {b}, {stride}",
            "2:",
            "vpmovsxbw ymm12, xmmword ptr [{values}]",
            "vpmovsxbw ymm13, xmmword ptr [{values} + 16]",
            row!("ymm0", "ymm1", "{a}", 0),
            row!("ymm2", "ymm3", "{a} + {stride}", 0),
            row!("ymm4", "ymm5", "{a} + 2*{stride}", 0),
            row!("ymm6", "ymm7", "{b}", 0),
            "add {values}, {row_len}",
            "add {a}, 4",
            "add {b}, 4",
            "dec {count}",
            "jnz 2b",
            values = inout(reg) values.as_ptr().add(at) => _,
            row_len = in(reg) row_len,
            count = inout(reg) count => _,
            a = inout(reg) weights.as_ptr() => _,
            b = out(reg) _,
            stride = in(reg) stride * size_of::<i32>(),
            inout("ymm0") a[0], inout("ymm1") a[1], inout("ymm2") b[0], inout("ymm3") b[1],
            inout("ymm4") c[0], inout("ymm5") c[1], inout("ymm6") d[0], inout("ymm7") d[1],
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack, readonly),
        );
    }
    *sums = [a, b, c, d];
    true
}

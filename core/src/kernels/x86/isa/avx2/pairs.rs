//! Products of attention weights with values, in one piece of assembly, since compilers would keep sums in
//! memory.

use super::matrix::row;
use crate::kernels::linear::PANEL;
use crate::kernels::x86::generic::pairs::Pairs;
use crate::kernels::x86::isa::ymm::Pair;
use core::arch::asm;

/// Rows of a tile of [`add_pairs`].
pub const ROWS: usize = 4;

/// The part of [`add_pairs`]' loop for a pair of keys, whose values and weights lie at these places.
macro_rules! pair {
    ($values:literal, $at:literal) => {
        concat!(
            "vpmovsxbw ymm12, xmmword ptr [",
            $values,
            "]\n",
            "vpmovsxbw ymm13, xmmword ptr [",
            $values,
            " + 16]\n",
            row!("ymm0", "ymm1", "{a}", $at),
            row!("ymm2", "ymm3", "{a} + {row}", $at),
            row!("ymm4", "ymm5", "{a} + 2*{row}", $at),
            row!("ymm6", "ymm7", "{a} + {rows}", $at),
        )
    };
}

/// [`Loops::add_pairs`](crate::kernels::x86::generic::loops::Loops::add_pairs) for four rows and sixteen
/// channels. Nothing is added where a pair has fewer: false.
#[target_feature(enable = "avx2")]
pub fn add_pairs(pairs: Pairs, sums: &mut [Pair; ROWS]) -> bool {
    let Pairs { count, values, row_len, at, weights, stride } = pairs;
    let enough = row_len >= at + 2 * PANEL && values.len() >= count * row_len;
    if count == 0 || !enough || !pairs.have_weights(ROWS) {
        return false;
    }
    let [mut a, mut b, mut c, mut d] = *sums;
    // SAFETY: there are so many pairs of values, with 32 from `at` on, and so many pairs of weights for each
    // row.
    unsafe {
        // Four pairs at a time, then one by one.
        asm!(
            "test {fours}, {fours}",
            "jz 3f",
            "2:",
            pair!("{values}", 0),
            pair!("{values} + {row_len}", 4),
            pair!("{values} + 2*{row_len}", 8),
            pair!("{values} + {row_len3}", 12),
            "lea {values}, [{values} + 4*{row_len}]",
            "add {a}, 16",
            "dec {fours}",
            "jnz 2b",
            "3:",
            "test {ones}, {ones}",
            "jz 5f",
            "4:",
            pair!("{values}", 0),
            "add {values}, {row_len}",
            "add {a}, 4",
            "dec {ones}",
            "jnz 4b",
            "5:",
            values = inout(reg) values.as_ptr().add(at) => _,
            row_len = in(reg) row_len,
            row_len3 = in(reg) 3 * row_len,
            fours = inout(reg) count / 4 => _,
            ones = inout(reg) count % 4 => _,
            a = inout(reg) weights.as_ptr() => _,
            row = in(reg) stride * size_of::<i32>(),
            rows = in(reg) 3 * stride * size_of::<i32>(),
            inout("ymm0") a[0], inout("ymm1") a[1], inout("ymm2") b[0], inout("ymm3") b[1],
            inout("ymm4") c[0], inout("ymm5") c[1], inout("ymm6") d[0], inout("ymm7") d[1],
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack, readonly),
        );
    }
    *sums = [a, b, c, d];
    true
}

//! Products of a few queries with sixteen keys, and of as many rows of weights with values.

use super::matrix::{WideCodes, WideGroup, multiply, row, widen, widen_groups};
use crate::kernels::attention::QUERY_TILE;
use crate::kernels::linear::{GROUP, PANEL};
use crate::kernels::scalar::attention::WIDTH_MAX;
use crate::kernels::x86::generic::matrix::Rows;
use crate::kernels::x86::generic::pairs::Pairs;
use crate::kernels::x86::generic::score::{Keys, Scores};
use crate::kernels::x86::isa::ymm::{self, Pair};
use core::arch::asm;
use core::mem::MaybeUninit;

/// Rows of a tile.
pub const ROWS: usize = 4;

/// Most groups of a head.
const GROUPS: usize = WIDTH_MAX / GROUP;

/// [`Loops::score`](crate::kernels::x86::generic::loops::Loops::score) for up to [`QUERY_TILE`] queries: each panel is widened once for all of
/// them. None are made where something is missing: false.
#[target_feature(enable = "avx2")]
pub fn score(queries: Rows, keys: Keys, scores: &mut Scores) -> bool {
    let (rows, depth) = (queries.count, queries.groups);
    let panels = keys.count.div_ceil(PANEL);
    let whole = (1..=GROUPS).contains(&depth)
        && (1..=QUERY_TILE).contains(&rows)
        && panels > 0
        && keys.panels.len() >= panels * depth
        && queries.codes.len() >= rows * depth
        && scores.have_room(rows, (panels - 1) * PANEL);
    if !whole {
        return false;
    }
    let mut codes = [const { MaybeUninit::<WideCodes>::uninit() }; QUERY_TILE * GROUPS];
    let mut part = [const { MaybeUninit::<WideGroup>::uninit() }; GROUPS];
    let codes = &mut codes[..rows * depth];
    widen(queries.codes.as_flattened(), codes);
    for (panel, groups) in keys.panels.chunks_exact(depth).take(panels).enumerate() {
        let key = panel * PANEL;
        let part = widen_groups(groups, depth, &mut part);
        let scales = keys.panel_scales(key);
        for first in (0..rows).step_by(ROWS) {
            let mut sums = [const { MaybeUninit::uninit() }; ROWS];
            let sums = &mut sums[..ROWS.min(rows - first)];
            // SAFETY: all of the codes and groups are widened.
            let sums = unsafe { multiply(&codes[first * depth..], depth, part, true, sums) };
            for (row, sums) in (first..).zip(sums) {
                // SAFETY: all queries have room for all panels.
                unsafe { *scores.place(row, key) = ymm::scaled(ymm::load(sums), &scales) };
            }
        }
    }
    true
}

/// [`Loops::add_pairs`](crate::kernels::x86::generic::loops::Loops::add_pairs) for four rows and sixteen channels, in one piece of assembly
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

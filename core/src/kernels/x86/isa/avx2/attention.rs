//! Products of a few queries with all keys, and of as many rows of weights with values. Both loops are one piece of assembly each, since compilers
//! would keep sums in memory.

use super::matrix::{WideCodes, WideGroup, row, widen, widen_groups};
use crate::kernels::attention::{Head, QUERY_TILE};
use crate::kernels::linear::{GROUP, PANEL};
use crate::kernels::scalar::attention::WIDTH_MAX;
use crate::kernels::x86::generic::pairs::Pairs;
use crate::kernels::x86::generic::vectors::Group;
use crate::kernels::x86::isa::ymm::Pair;
use core::arch::asm;
use core::mem::MaybeUninit;

/// Rows of a tile.
pub const ROWS: usize = 4;

/// Most groups of a head.
const GROUPS: usize = WIDTH_MAX / GROUP;

/// [`Loops::score`](crate::kernels::x86::generic::loops::Loops::score), for up to eight queries; nothing where scores have no room. Queries are
/// widened once, keys a panel at a time.
#[target_feature(enable = "avx2")]
pub fn score(head: &Head, queries: &[i8], stride: usize, scores: &mut [i32]) {
    let (width, depth) = (head.width, head.width / GROUP);
    let count = queries.len() / width.max(1);
    let usual = depth.is_multiple_of(2) && (2..=GROUPS).contains(&depth) && (1..=QUERY_TILE).contains(&count);
    if !usual {
        return;
    }
    let mut codes = [const { MaybeUninit::<WideCodes>::uninit() }; QUERY_TILE * GROUPS];
    let codes = &mut codes[..count * depth];
    widen(queries, codes);
    let mut panel = [const { MaybeUninit::<WideGroup>::uninit() }; GROUPS];
    for block in head.blocks() {
        let panels: &[Group] = block.keys.as_chunks().0;
        let scales = block.of(head.key_scale).chunks(PANEL);
        for ((index, groups), scales) in panels.chunks_exact(depth).enumerate().zip(scales) {
            let panel = widen_groups(groups, depth, &mut panel);
            let padded;
            let scales = match scales.first_chunk() {
                Some(scales) => scales,
                None => {
                    padded = core::array::from_fn(|key| scales.get(key).copied().unwrap_or_default());
                    &padded
                }
            };
            let scores = scores.get_mut(block.first + index * PANEL..).unwrap_or_default();
            if scores.len() < (count - 1) * stride + PANEL {
                return;
            }
            for first in (0..count).step_by(ROWS) {
                let (codes, scores) = (&codes[first * depth..], &mut scores[first * stride..]);
                // SAFETY: the panel and all codes are widened, an even number of groups, at least two; each row has room for sixteen scores.
                unsafe { score_rows(ROWS.min(count - first), codes, panel, scales, stride, scores) };
            }
        }
    }
}

/// The loop for some rows, each with the registers of its sums, the place of its codes and that of its scores.
macro_rules! rows {
    ($codes:ident, $panel:ident, $scales:ident, $stride:ident, $scores:ident;
     $($first:tt $second:tt $row:literal $score:literal),*) => {
        asm!(
            $(
                concat!("vpxor ", $first, ", ", $first, ", ", $first),
                concat!("vpxor ", $second, ", ", $second, ", ", $second),
            )*
            "2:",
            "vmovdqa ymm12, ymmword ptr [{panel}]",
            "vmovdqa ymm13, ymmword ptr [{panel} + 32]",
            concat!($(row!($first, $second, $row, 0)),*),
            "vmovdqa ymm12, ymmword ptr [{panel} + 64]",
            "vmovdqa ymm13, ymmword ptr [{panel} + 96]",
            concat!($(row!($first, $second, $row, 4)),*),
            "vmovdqa ymm12, ymmword ptr [{panel} + 128]",
            "vmovdqa ymm13, ymmword ptr [{panel} + 160]",
            concat!($(row!($first, $second, $row, 8)),*),
            "vmovdqa ymm12, ymmword ptr [{panel} + 192]",
            "vmovdqa ymm13, ymmword ptr [{panel} + 224]",
            concat!($(row!($first, $second, $row, 12)),*),
            "add {panel}, 256",
            "add {a}, 16",
            "dec {groups}",
            "jnz 2b",
            "vpmovsxwd ymm12, xmmword ptr [{scales}]",
            "vpmovsxwd ymm13, xmmword ptr [{scales} + 16]",
            $(
                concat!("vpmulld ", $first, ", ", $first, ", ymm12"),
                concat!("vpmulld ", $second, ", ", $second, ", ymm13"),
                concat!("vmovdqu ymmword ptr [", $score, "], ", $first),
                concat!("vmovdqu ymmword ptr [", $score, " + 32], ", $second),
            )*
            // Registers that fewer rows have no use for.
            "/* {row} {rows} {stride} {strides} */",
            panel = inout(reg) $panel.as_ptr() => _,
            groups = inout(reg) $panel.len() / 2 => _,
            a = inout(reg) $codes.as_ptr() => _,
            row = in(reg) $panel.len() * size_of::<WideCodes>(),
            rows = in(reg) 3 * $panel.len() * size_of::<WideCodes>(),
            scales = in(reg) $scales.as_ptr(),
            scores = in(reg) $scores.as_mut_ptr(),
            stride = in(reg) $stride * size_of::<i32>(),
            strides = in(reg) 3 * $stride * size_of::<i32>(),
            $(out($first) _, out($second) _,)*
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack),
        )
    };
}

/// Four rows' part of [`add_pairs`]' loop, with the pair of weights at this place.
macro_rules! rows_of_weights {
    ($at:literal) => {
        concat!(
            row!("ymm0", "ymm1", "{a}", $at),
            row!("ymm2", "ymm3", "{a} + {row}", $at),
            row!("ymm4", "ymm5", "{a} + 2*{row}", $at),
            row!("ymm6", "ymm7", "{a} + {rows}", $at),
        )
    };
}

/// The scores of four rows with the keys of a panel, or of fewer, one by one.
///
/// # Safety
/// `panel` is written, an even number of groups, at least two; so are as many codes of each row, one after another; each row has room for sixteen
/// scores, `stride` from one another.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn score_rows(
    rows: usize,
    codes: &[MaybeUninit<WideCodes>],
    panel: &[MaybeUninit<WideGroup>],
    scales: &[i16; PANEL],
    stride: usize,
    scores: &mut [i32],
) {
    // SAFETY: the caller's.
    unsafe {
        if rows == ROWS {
            return rows!(
                codes, panel, scales, stride, scores;
                "ymm0" "ymm1" "{a}" "{scores}",
                "ymm2" "ymm3" "{a} + {row}" "{scores} + {stride}",
                "ymm4" "ymm5" "{a} + 2*{row}" "{scores} + 2*{stride}",
                "ymm6" "ymm7" "{a} + {rows}" "{scores} + {strides}"
            );
        }
        for row in 0..rows {
            let (codes, scores) = (&codes[row * panel.len()..], &mut scores[row * stride..]);
            rows!(codes, panel, scales, stride, scores; "ymm0" "ymm1" "{a}" "{scores}");
        }
    }
}

/// [`Loops::add_pairs`](crate::kernels::x86::generic::loops::Loops::add_pairs) for four rows and sixteen channels. Nothing is added
/// where a pair has fewer: false.
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
        // Two pairs at a time, then one.
        asm!(
            "test {twice}, {twice}",
            "jz 3f",
            "2:",
            "vpmovsxbw ymm12, xmmword ptr [{values}]",
            "vpmovsxbw ymm13, xmmword ptr [{values} + 16]",
            rows_of_weights!(0),
            "vpmovsxbw ymm12, xmmword ptr [{values} + {row_len}]",
            "vpmovsxbw ymm13, xmmword ptr [{values} + {row_len} + 16]",
            rows_of_weights!(4),
            "lea {values}, [{values} + 2*{row_len}]",
            "add {a}, 8",
            "dec {twice}",
            "jnz 2b",
            "3:",
            "test {once}, {once}",
            "jz 4f",
            "vpmovsxbw ymm12, xmmword ptr [{values}]",
            "vpmovsxbw ymm13, xmmword ptr [{values} + 16]",
            rows_of_weights!(0),
            "4:",
            values = inout(reg) values.as_ptr().add(at) => _,
            row_len = in(reg) row_len,
            twice = inout(reg) count / 2 => _,
            once = in(reg) count % 2,
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

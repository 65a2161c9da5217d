//! Matrix products of 16-bit codes (`vpmaddwd`): weights are widened once for many rows, codes once for all
//! weights, so that the inner loop only loads, multiplies and adds.
//!
//! Both limbs of an outlier channel become one code of 15 bits, since the column of its high limb is a copy
//! of its own; where it isn't, the high limb is multiplied with the difference, too. Sums are exact in 32
//! bits (modulo 2^32, as the specification's), so that they are the same integers.

use super::outliers;
use super::widen::{WideGroup, columns};
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use crate::kernels::x86::generic::matrix::{Output, PASS_ROWS, Rows, TAKEN_ROWS, prefetch};
use crate::kernels::x86::generic::vectors::Group;
use crate::kernels::x86::isa::ymm::{self, Pair};
use core::arch::asm;
use core::mem::MaybeUninit;
use core::ops::Range;

/// Rows of a tile: with two vectors of sums each, and the operands of their products, they fill the sixteen
/// registers.
pub const TILE_ROWS: usize = 6;

/// Groups of widened codes of a pass, which are read for every panel from a second level cache.
const CODES: usize = (192 << 10) / size_of::<WideCodes>();

/// The same where there are few: a call then touches little memory.
const FEW_CODES: usize = (16 << 10) / size_of::<WideCodes>();

/// Groups of a panel that are widened at a time: half of a first level cache of 32 KiB.
const PART: usize = (16 << 10) / size_of::<WideGroup>();

/// Four codes of a row, widened.
type WideCodes = [i16; GROUP];

/// Products of all rows with all panels, `[panels, panel_groups, 16, 4]`. None are made where a row's codes
/// have no room: false.
#[target_feature(enable = "avx2")]
pub fn products(rows: Rows, panels: &[Group], output: &mut impl Output) -> bool {
    let stride = Shape::of(rows).codes();
    if stride == 0 || stride > CODES {
        return false;
    }
    if rows.count * stride <= FEW_CODES {
        with_room::<FEW_CODES>(rows, panels, output);
    } else {
        with_room::<CODES>(rows, panels, output);
    }
    true
}

/// [`products`] in memory for so many groups of widened codes, which are at least one row's.
#[target_feature(enable = "avx2")]
fn with_room<const ROOM: usize>(rows: Rows, panels: &[Group], output: &mut impl Output) {
    multiply_all(rows, panels, output, &mut [const { MaybeUninit::uninit() }; ROOM]);
}

/// [`products`] with memory for the widened codes of at least one row.
#[target_feature(enable = "avx2")]
fn multiply_all(
    rows: Rows,
    panels: &[Group],
    output: &mut impl Output,
    codes: &mut [MaybeUninit<WideCodes>],
) {
    let shape = Shape::of(rows);
    let stride = shape.codes();
    let mut part = [const { MaybeUninit::uninit() }; PART];
    let mut sums = [const { MaybeUninit::uninit() }; PASS_ROWS];
    // Passes of equal length: none has so few rows that widening weights is what it does.
    let passes = rows.count.div_ceil((codes.len() / stride).clamp(1, PASS_ROWS));
    for pass in 0..passes {
        let (first, end) = (pass * rows.count / passes, (pass + 1) * rows.count / passes);
        let count = end - first;
        widen_rows(rows, shape, &rows.codes[first * rows.groups..end * rows.groups], codes);
        output.rows(first, count);
        for (index, panel) in panels.chunks_exact(rows.panel_groups).enumerate() {
            output.panels(index, 1);
            let (high, low) = panel.split_at(shape.high);
            let copied = outliers::are_copied(high, low, rows.outliers);
            for (from, groups) in (0..).step_by(PART).zip(low.chunks(PART)) {
                let part = widen_groups(groups, panel.len(), &mut part);
                let codes = &codes[shape.high + from..];
                let take = copied && from + groups.len() == low.len();
                // SAFETY: all codes of these rows are widened, and as many groups of the part are; sums are
                // read after those with the first part are written.
                unsafe {
                    multiply_rows(
                        codes,
                        stride,
                        part,
                        from == 0,
                        first..end,
                        &mut sums,
                        take.then_some(&mut *output),
                    )
                };
            }
            if copied {
                continue;
            }
            for (from, groups) in (0..).step_by(PART).zip(high.chunks(PART)) {
                let part =
                    outliers::widen_differences(groups, low, &rows.outliers[GROUP * from..], &mut part);
                let take = from + groups.len() == high.len();
                // SAFETY: as above; there is a first part of the low limbs, which outliers have, too.
                unsafe {
                    multiply_rows(
                        &codes[from..],
                        stride,
                        part,
                        false,
                        first..end,
                        &mut sums,
                        take.then_some(&mut *output),
                    )
                };
            }
        }
    }
}

/// Groups of a row of widened codes.
#[derive(Clone, Copy)]
struct Shape {
    /// High limbs that have columns of their own.
    high: usize,
    /// Codes of both limbs.
    low: usize,
}

impl Shape {
    fn of(rows: Rows) -> Self {
        let low = rows.groups - rows.high;
        Self { high: rows.panel_groups - low, low }
    }

    const fn codes(self) -> usize {
        self.high + self.low
    }
}

/// Multiplies a pass's rows, tile by tile, with a part of a panel, and hands their sums to `output`, if that
/// was the last part.
///
/// # Safety
/// As for [`multiply`], for as many rows as `range` has.
#[inline(always)]
unsafe fn multiply_rows(
    codes: &[MaybeUninit<WideCodes>],
    stride: usize,
    part: &[MaybeUninit<WideGroup>],
    zero: bool,
    range: Range<usize>,
    sums: &mut [MaybeUninit<[i32; PANEL]>; PASS_ROWS],
    output: Option<&mut impl Output>,
) {
    let count = range.len();
    let tiles = count.div_ceil(TILE_ROWS);
    let mut end = 0;
    for tile in 0..tiles {
        let start = end;
        end += count / tiles + usize::from(tile < count % tiles);
        // SAFETY: the caller's.
        unsafe { multiply(&codes[start * stride..], stride, part, zero, &mut sums[start..end]) };
    }
    let Some(output) = output else { return };
    // More rows than a tile has, since asking what is to become of sums takes its time, too.
    for start in (0..count).step_by(TAKEN_ROWS) {
        let sums = &sums[start..count.min(start + TAKEN_ROWS)];
        // SAFETY: all of them are written.
        output.take(range.start + start, 0, unsafe { sums.assume_init_ref() }, &[0; TAKEN_ROWS]);
    }
}

/// Rows of codes, each widened: high limbs that have columns of their own, then both limbs of every channel.
#[target_feature(enable = "avx2")]
fn widen_rows(rows: Rows, shape: Shape, codes: &[[i8; GROUP]], wide: &mut [MaybeUninit<WideCodes>]) {
    if rows.high > shape.high {
        let wide_rows = wide.chunks_exact_mut(shape.codes());
        for (codes, wide) in codes.chunks_exact(rows.groups).zip(wide_rows) {
            let (high, low) = codes.split_at(rows.high);
            let limbs = high.as_flattened().iter().zip(low.as_flattened());
            for (wide, (&high, &low)) in flattened(wide).iter_mut().zip(limbs) {
                wide.write(both(high, low));
            }
        }
        return;
    }
    widen(codes.as_flattened(), wide);
    if rows.high == 0 {
        return;
    }
    let wide_rows = wide.chunks_exact_mut(shape.codes());
    for (codes, wide) in codes.chunks_exact(rows.groups).zip(wide_rows) {
        let (high, low) = codes.as_flattened().split_at(GROUP * rows.high);
        let wide = flattened(&mut wide[shape.high..]);
        for (&channel, &high) in rows.outliers.iter().zip(high) {
            let channel = usize::from(channel);
            if let (Some(wide), Some(&low)) = (wide.get_mut(channel), low.get(channel)) {
                wide.write(both(high, low));
            }
        }
    }
}

/// Both limbs of a channel as one code.
#[inline(always)]
fn both(high: i8, low: i8) -> i16 {
    (i16::from(high) << LIMB_BITS) + i16::from(low)
}

/// Codes of 16 bits.
#[inline(always)]
fn widen(codes: &[i8], wide: &mut [MaybeUninit<WideCodes>]) {
    for (wide, &code) in flattened(wide).iter_mut().zip(codes) {
        wide.write(code.into());
    }
}

/// Codes one by one.
#[inline(always)]
fn flattened(wide: &mut [MaybeUninit<WideCodes>]) -> &mut [MaybeUninit<i16>] {
    // SAFETY: as many places of the same memory, which may or may not be written in both.
    unsafe { core::slice::from_raw_parts_mut(wide.as_mut_ptr().cast(), wide.len() * GROUP) }
}

/// Widens groups, all of which `part` has room for, and returns them. What lies `depth` groups on, in the
/// next panel, is prefetched.
#[target_feature(enable = "avx2")]
fn widen_groups<'p>(
    groups: &[Group],
    depth: usize,
    part: &'p mut [MaybeUninit<WideGroup>],
) -> &'p [MaybeUninit<WideGroup>] {
    for (group, wide) in groups.iter().zip(part.iter_mut()) {
        prefetch((group as *const Group).wrapping_add(depth));
        let [[a, b], [c, d]] = columns(group);
        wide.write(WideGroup([a, b, c, d]));
    }
    &part[..groups.len()]
}

/// A row's part of `tile`'s loop: the products of a pair of its codes with both vectors of columns.
macro_rules! row {
    ($first:literal, $second:literal, $row:literal, $pair:literal) => {
        concat!(
            "vpbroadcastd ymm14, dword ptr [",
            $row,
            " + ",
            $pair,
            "]\n",
            "vpmaddwd ymm15, ymm14, ymm12\n",
            "vpmaddwd ymm14, ymm14, ymm13\n",
            "vpaddd ",
            $first,
            ", ",
            $first,
            ", ymm15\n",
            "vpaddd ",
            $second,
            ", ",
            $second,
            ", ymm14\n",
        )
    };
}

pub(super) use row;

/// The loop for some rows, each with the registers of its sums and the place of its codes. In one piece,
/// since compilers would keep sums in memory.
macro_rules! tile {
    ($codes:ident, $stride:ident, $panel:ident, $sums:ident, $zero:ident; $($index:literal $first:tt $second:tt $row:literal),*) => {{
        let mut acc = [$(start($zero, &$sums[$index])),*];
        asm!(
            "2:",
            "vmovdqa ymm12, ymmword ptr [{panel}]",
            "vmovdqa ymm13, ymmword ptr [{panel} + 32]",
            concat!($(row!($first, $second, $row, 0)),*),
            "vmovdqa ymm12, ymmword ptr [{panel} + 64]",
            "vmovdqa ymm13, ymmword ptr [{panel} + 96]",
            concat!($(row!($first, $second, $row, 4)),*),
            // Displacements of one byte reach what 128 would not.
            "sub {panel}, -128",
            "add {a}, 8",
            "dec {groups}",
            "jnz 2b",
            // Registers that fewer rows have no use for.
            "/* {stride} {three} {five} */",
            panel = inout(reg) $panel.as_ptr() => _,
            groups = inout(reg) $panel.len() => _,
            a = inout(reg) $codes.as_ptr() => _,
            three = in(reg) 3 * $stride,
            five = in(reg) 5 * $stride,
            stride = in(reg) $stride,
            $(inout($first) acc[$index][0], inout($second) acc[$index][1],)*
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack),
        );
        $($sums[$index].write(ymm::store(acc[$index]));)*
    }};
}

/// Sums to begin with.
///
/// # Safety
/// They are written, if they do not begin at zero.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn start(zero: bool, sums: &MaybeUninit<[i32; PANEL]>) -> Pair {
    // SAFETY: the caller's.
    if zero { ymm::zero() } else { ymm::load(unsafe { sums.assume_init_ref() }) }
}

/// The products of rows of codes, `depth` groups from one another, with the groups of a part of a panel,
/// added to `sums` unless these begin at zero. There are at most [`TILE_ROWS`] rows, as many as sums, which
/// it returns.
///
/// # Safety
/// `panel` is written, and as much of each row, and sums that do not begin at zero.
#[inline]
#[target_feature(enable = "avx2")]
pub unsafe fn multiply<'s>(
    codes: &[MaybeUninit<WideCodes>],
    depth: usize,
    panel: &[MaybeUninit<WideGroup>],
    zero: bool,
    sums: &'s mut [MaybeUninit<[i32; PANEL]>],
) -> &'s [[i32; PANEL]] {
    let rows = sums.len();
    if panel.is_empty() || rows == 0 || codes.len() < (rows - 1) * depth + panel.len() {
        return &[];
    }
    let stride = depth * size_of::<WideCodes>();
    // SAFETY: each row has as many codes as the panel has groups.
    unsafe {
        match &mut *sums {
            [_] => tile!(codes, stride, panel, sums, zero; 0 "ymm0" "ymm1" "{a}"),
            [_, _] => tile!(
                codes, stride, panel, sums, zero;
                0 "ymm0" "ymm1" "{a}", 1 "ymm2" "ymm3" "{a} + {stride}"
            ),
            [_, _, _] => tile!(
                codes, stride, panel, sums, zero;
                0 "ymm0" "ymm1" "{a}", 1 "ymm2" "ymm3" "{a} + {stride}", 2 "ymm4" "ymm5" "{a} + 2*{stride}"
            ),
            [_, _, _, _] => tile!(
                codes, stride, panel, sums, zero;
                0 "ymm0" "ymm1" "{a}", 1 "ymm2" "ymm3" "{a} + {stride}", 2 "ymm4" "ymm5" "{a} + 2*{stride}",
                3 "ymm6" "ymm7" "{a} + {three}"
            ),
            [_, _, _, _, _] => tile!(
                codes, stride, panel, sums, zero;
                0 "ymm0" "ymm1" "{a}", 1 "ymm2" "ymm3" "{a} + {stride}", 2 "ymm4" "ymm5" "{a} + 2*{stride}",
                3 "ymm6" "ymm7" "{a} + {three}", 4 "ymm8" "ymm9" "{a} + 4*{stride}"
            ),
            sums => tile!(
                codes, stride, panel, sums, zero;
                0 "ymm0" "ymm1" "{a}", 1 "ymm2" "ymm3" "{a} + {stride}", 2 "ymm4" "ymm5" "{a} + 2*{stride}",
                3 "ymm6" "ymm7" "{a} + {three}", 4 "ymm8" "ymm9" "{a} + 4*{stride}", 5 "ymm10" "ymm11" "{a} + {five}"
            ),
        }
        sums.assume_init_ref()
    }
}

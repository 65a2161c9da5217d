//! Products of a few queries with all keys of a head.
//!
//! Eight keys are widened to 16 bits into eight registers, sixteen channels of them, and stay there for all
//! queries. A query's codes are spread before: a pair of them in every lane of a vector, so that `vpmaddwd`
//! takes them from memory and nothing else is loaded. The loop is one piece of assembly, since compilers
//! would add products to one another first, and keep sums in memory.

use crate::kernels::attention::{Head, QUERY_TILE};
use crate::kernels::linear::{GROUP, PANEL};
use crate::kernels::scalar::attention::WIDTH_MAX;
use core::arch::asm;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

/// Keys whose codes are in registers at a time.
const KEYS: usize = 8;

/// Channels whose codes are in registers at a time, in pairs.
const CHANNELS: usize = 16;

/// Bytes of a group of so many keys: half of a panel's.
const HALF: usize = KEYS * GROUP;

/// Pairs of a query's codes, each in every lane of a vector.
type Spread = [__m256i; CHANNELS / 2];

/// Room for the pairs of as many queries as there may be.
type Room = [MaybeUninit<Spread>; QUERY_TILE * WIDTH_MAX / CHANNELS];

/// [`Loops::score`](crate::kernels::x86::generic::loops::Loops::score), for up to eight queries; nothing
/// where scores have no room.
#[target_feature(enable = "avx2")]
pub fn score(head: &Head, queries: &[i8], stride: usize, scores: &mut [i32]) {
    let width = head.width;
    if !(width.is_multiple_of(CHANNELS / 2) && (CHANNELS / 2..=WIDTH_MAX).contains(&width)) {
        return;
    }
    let mut room: Room = [const { MaybeUninit::uninit() }; _];
    if queries.len() == QUERY_TILE * width {
        return score_rows::<QUERY_TILE>(head, queries, stride, scores, &mut room);
    }
    for (row, query) in queries.chunks_exact(width).enumerate() {
        let scores = scores.get_mut(row * stride..).unwrap_or_default();
        score_rows::<1>(head, query, stride, scores, &mut room);
    }
}

/// [`score`] for `R` queries: eight, or one.
#[inline]
#[target_feature(enable = "avx2")]
fn score_rows<const R: usize>(
    head: &Head,
    queries: &[i8],
    stride: usize,
    scores: &mut [i32],
    room: &mut Room,
) {
    let width = head.width;
    for (part, places) in (0..width.div_ceil(CHANNELS)).zip(room.chunks_exact_mut(R)) {
        for (row, place) in places.iter_mut().enumerate() {
            place.write(spread(&queries[row * width..][..width][part * CHANNELS..]));
        }
    }
    for block in head.blocks() {
        let (whole, rest) = block.of(head.key_scale).as_chunks::<KEYS>();
        let scores = scores.get_mut(block.first..).unwrap_or_default();
        let count = whole.len() + usize::from(!rest.is_empty());
        let enough = scores.len() >= (R - 1) * stride + count * KEYS
            && block.keys.len() >= count.next_multiple_of(PANEL / KEYS) * KEYS * width;
        if !enough {
            return;
        }
        let mut keys = Keys { codes: block.keys.as_ptr(), width, at: 0, scales: whole };
        // SAFETY: the queries are spread; there are as many keys, whose panels are whole, and as many scores
        // in each row.
        unsafe { all_channels::<R>(room, keys, stride, scores) };
        if !rest.is_empty() {
            let mut scales = [0; KEYS];
            scales.iter_mut().zip(rest).for_each(|(to, &scale)| *to = scale);
            (keys.at, keys.scales) = (whole.len(), core::slice::from_ref(&scales));
            // SAFETY: as above.
            unsafe { all_channels::<R>(room, keys, stride, &mut scores[whole.len() * KEYS..]) };
        }
    }
}

/// Keys of a block, [`KEYS`] at a time.
#[derive(Clone, Copy)]
struct Keys<'k> {
    /// The block's, in panels.
    codes: *const i8,
    /// Channels of a key.
    width: usize,
    /// Where they begin.
    at: usize,
    /// As many as there are keys.
    scales: &'k [[i16; KEYS]],
}

/// The pairs of a query's next sixteen channels; of the last eight, which come before zeros.
#[inline]
#[target_feature(enable = "avx2")]
fn spread(query: &[i8]) -> Spread {
    let pairs = if let Some(codes) = query.first_chunk() {
        pairs(*codes)
    } else {
        let mut codes = [0; CHANNELS];
        codes.iter_mut().zip(query).for_each(|(to, &code)| *to = code);
        pairs(codes)
    };
    let mut all = [_mm256_setzero_si256(); CHANNELS / 2];
    all.iter_mut().zip(pairs).for_each(|(all, pair)| *all = _mm256_set1_epi32(pair));
    all
}

/// Codes in pairs: of four neighbours the first and the third, then the second and the fourth, which is what
/// shifts make of keys.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs(codes: [i8; CHANNELS]) -> [i32; CHANNELS / 2] {
    let codes = bytemuck::cast(codes);
    let (first, second) = (_mm_srai_epi16::<8>(_mm_slli_epi16::<8>(codes)), _mm_srai_epi16::<8>(codes));
    bytemuck::cast([_mm_unpacklo_epi32(first, second), _mm_unpackhi_epi32(first, second)])
}

/// The scores of `R` queries with some keys.
///
/// # Safety
/// `R` queries are spread in `room`; there are as many keys as scales, the keys' panels whole, and as many
/// scores in `R` rows.
#[inline(never)]
#[target_feature(enable = "avx2")]
unsafe fn all_channels<const R: usize>(room: &Room, keys: Keys, stride: usize, scores: &mut [i32]) {
    if keys.scales.is_empty() {
        return;
    }
    let (parts, half) = (keys.width / CHANNELS, !keys.width.is_multiple_of(CHANNELS));
    // SAFETY: the caller's; each part has its channels in the keys, and its pairs in the room.
    unsafe {
        for part in 0..parts {
            let pairs = room.as_ptr().add(part * R);
            match (part == 0, part + 1 == parts && !half) {
                (true, true) => channels::<8, true, true, R>(pairs, keys, part, stride, scores),
                (true, false) => channels::<8, true, false, R>(pairs, keys, part, stride, scores),
                (false, false) => channels::<8, false, false, R>(pairs, keys, part, stride, scores),
                (false, true) => channels::<8, false, true, R>(pairs, keys, part, stride, scores),
            }
        }
        let pairs = room.as_ptr().add(parts * R);
        match (half, parts) {
            (false, _) => {}
            (true, 0) => channels::<4, true, true, R>(pairs, keys, parts, stride, scores),
            (true, _) => channels::<4, false, true, R>(pairs, keys, parts, stride, scores),
        }
    }
}

/// A query's part of the loop, with the place of its pairs and that of its scores.
macro_rules! query {
    ($pairs:literal, $scores:literal) => {
        concat!(
            query!(@first "ymm0", "ymm8", $pairs, 0), query!(@first "ymm1", "ymm9", $pairs, 32),
            query!(@more "ymm0", "ymm2", "ymm10", $pairs, 64), query!(@more "ymm1", "ymm3", "ymm11", $pairs, 96),
            ".if {pairs} == 8\n",
            query!(@more "ymm0", "ymm2", "ymm12", $pairs, 128), query!(@more "ymm1", "ymm3", "ymm13", $pairs, 160),
            query!(@more "ymm0", "ymm2", "ymm14", $pairs, 192), query!(@more "ymm1", "ymm3", "ymm15", $pairs, 224),
            ".endif\n",
            "vpaddd ymm0, ymm0, ymm1\n",
            ".if {first} == 0\n",
            "vpaddd ymm0, ymm0, ymmword ptr [", $scores, "]\n",
            ".endif\n",
            ".if {last} == 1\n",
            "vpmulld ymm0, ymm0, ymm7\n",
            ".endif\n",
            "vmovdqu ymmword ptr [", $scores, "], ymm0\n",
        )
    };
    (@first $sum:literal, $keys:literal, $pairs:literal, $at:literal) => {
        concat!("vpmaddwd ", $sum, ", ", $keys, ", ymmword ptr [{a} + 256*", $pairs, " + ", $at, "]\n")
    };
    (@more $sum:literal, $product:literal, $keys:literal, $pairs:literal, $at:literal) => {
        concat!(
            query!(@first $product, $keys, $pairs, $at),
            "vpaddd ", $sum, ", ", $sum, ", ", $product, "\n",
        )
    };
}

/// A group of eight keys, widened: the first and the third channel of each, then the second and the fourth.
macro_rules! group {
    ($first:literal, $second:literal, $at:literal) => {
        concat!(
            "vmovdqu ",
            $second,
            ", ymmword ptr [{keys} + ",
            $at,
            "]\n",
            "vpsllw ",
            $first,
            ", ",
            $second,
            ", 8\n",
            "vpsraw ",
            $second,
            ", ",
            $second,
            ", 8\n",
            "vpsraw ",
            $first,
            ", ",
            $first,
            ", 8\n",
        )
    };
}

/// The loop over keys for some queries, each with the place of its pairs and that of its scores.
macro_rules! queries {
    ($pairs:ident, $keys:ident, $groups:ident, $steps:ident, $stride:ident, $scores:ident; $($place:literal $row:literal),*) => {
        asm!(
            "2:",
            group!("ymm8", "ymm9", 0),
            group!("ymm10", "ymm11", 64),
            ".if {pairs} == 8",
            group!("ymm12", "ymm13", 128),
            group!("ymm14", "ymm15", 192),
            ".endif",
            ".if {last} == 1",
            "vpmovsxwd ymm7, xmmword ptr [{scales}]",
            ".endif",
            $(query!($place, $row),)*
            // To the second half of a panel, or to the first of the next.
            "add {keys}, {step}",
            "xchg {step}, {other}",
            "add {scales}, 16",
            "add {scores}, 32",
            "dec {count}",
            "jnz 2b",
            // Registers that one query has no use for.
            "/* {one} {three} {five} {seven} */",
            pairs = const PAIRS,
            first = const FIRST as usize,
            last = const LAST as usize,
            a = in(reg) $pairs,
            keys = inout(reg) $groups => _,
            step = inout(reg) $steps[0] => _,
            other = inout(reg) $steps[1] => _,
            scales = inout(reg) $keys.scales.as_ptr() => _,
            count = inout(reg) $keys.scales.len() => _,
            scores = inout(reg) $scores.as_mut_ptr() => _,
            one = in(reg) $stride,
            three = in(reg) 3 * $stride,
            five = in(reg) 5 * $stride,
            seven = in(reg) 7 * $stride,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm7") _,
            out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack),
        )
    };
}

/// What `PAIRS` pairs of channels, from the sixteen channels `part` on, give to the scores of `R` queries:
/// the first of a head begin them, to the others they are added, and the last ones are followed by the keys'
/// scales.
///
/// # Safety
/// There are as many pairs of each query; as many scales and scores in each row as keys, at least one; and
/// the keys have these channels.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn channels<const PAIRS: usize, const FIRST: bool, const LAST: bool, const R: usize>(
    pairs: *const MaybeUninit<Spread>,
    keys: Keys,
    part: usize,
    stride: usize,
    scores: &mut [i32],
) {
    let panel = PANEL * keys.width;
    let mut steps = [HALF, panel.wrapping_sub(HALF)];
    let at = keys.at / 2 * panel + keys.at % 2 * HALF + part * PANEL * CHANNELS;
    if keys.at % 2 == 1 {
        steps.reverse();
    }
    let stride = stride * size_of::<i32>();
    // SAFETY: the caller's. The address behind the last key is not read.
    unsafe {
        let groups = keys.codes.add(at);
        if R == QUERY_TILE {
            queries!(
                pairs, keys, groups, steps, stride, scores;
                "0" "{scores}", "1" "{scores} + {one}", "2" "{scores} + 2*{one}", "3" "{scores} + {three}",
                "4" "{scores} + 4*{one}", "5" "{scores} + {five}", "6" "{scores} + 2*{three}",
                "7" "{scores} + {seven}"
            );
        } else {
            queries!(pairs, keys, groups, steps, stride, scores; "0" "{scores}");
        }
    }
}

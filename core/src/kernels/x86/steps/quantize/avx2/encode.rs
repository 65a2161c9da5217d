//! The codes of rows.

use super::by::{By, to_bytes};
use super::few_outliers;
use super::values::{CODES, N};
use crate::kernels::lanes::multiply::Lanes;
use crate::kernels::lanes::quantize::{Portable, Steps, parts};
use crate::kernels::lanes::scales::{ROWS, Scales};
use crate::kernels::linear::{LIMB_BITS, row_len};
use crate::kernels::rows::Rows;
use crate::kernels::x86::steps::rows::{parts_mut, row_parts};
use core::arch::x86_64::*;
use core::array;

/// Channels whose codes are kept until their outliers are known to be written.
const BLOCK: usize = 512;

/// A loop for each kind of rows, so that none asks which it is.
#[target_feature(enable = "avx2")]
pub fn encode_rows(rows: Rows, count: usize, by: &Scales, outliers: &[u16], codes: &mut [i8]) {
    if outliers.is_empty() {
        encode_ordinary(rows, count, by, codes);
    } else if outliers.len() == rows.width {
        encode_limbs(rows, count, by, codes);
    } else if !few_outliers::encode(rows, count, by, outliers, codes) {
        encode_both(rows, count, by, outliers, codes);
    }
}

/// Rows without outliers.
#[target_feature(enable = "avx2")]
fn encode_ordinary(rows: Rows, count: usize, by: &Scales, codes: &mut [i8]) {
    match rows.width {
        32 => return encode_each::<1, 32>(rows, count, by, codes),
        64 => return encode_each::<2, 64>(rows, count, by, codes),
        _ => {}
    }
    let codes = codes.chunks_exact_mut(row_len(rows.width, 0).max(1));
    for (r, (values, codes)) in (0..count.min(ROWS)).zip(rows.iter().zip(codes)) {
        let [_, codes] = parts(codes, 0, rows.width);
        let (vectors, rest) = values.as_chunks::<CODES>();
        let (codes, rest_of_codes) = codes.as_chunks_mut::<CODES>();
        for (values, codes) in vectors.iter().zip(codes) {
            encode_vectors::<true, 1>(array::from_ref(values), By::of_row(by, r), array::from_mut(codes));
        }
        if !rest.is_empty() {
            encode_last(rest, by.inverse(r), rest_of_codes);
        }
    }
}

/// The same for rows of so many vectors, and so many values, as most rows are.
#[inline]
#[target_feature(enable = "avx2")]
fn encode_each<const VECTORS: usize, const COUNT: usize>(
    rows: Rows,
    count: usize,
    by: &Scales,
    codes: &mut [i8],
) {
    let values = row_parts::<COUNT>(rows, 0, count.min(ROWS));
    let codes = parts_mut::<i8, COUNT>(codes, COUNT, 0, count.min(ROWS));
    for ((values, codes), r) in values.zip(codes).zip(0..ROWS) {
        let (values, codes) = (values.as_chunks().0.first_chunk(), codes.as_chunks_mut().0.first_chunk_mut());
        let (Some(values), Some(codes)) = (values, codes) else { return };
        if by.left[r] == 0 {
            encode_vectors::<false, VECTORS>(values, By::of_row(by, r), codes);
        } else {
            encode_vectors::<true, VECTORS>(values, By::of_row(by, r), codes);
        }
    }
}

/// So many vectors of codes.
#[inline]
#[target_feature(enable = "avx2")]
fn encode_vectors<const LEFT: bool, const VECTORS: usize>(
    values: &[[i32; CODES]; VECTORS],
    by: By,
    codes: &mut [[i8; CODES]; VECTORS],
) {
    for vector in 0..VECTORS {
        codes[vector] = bytemuck::cast(to_bytes(by.two_words::<LEFT>(&values[vector])));
    }
}

/// Less than a vector of codes.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn encode_last(values: &[i32], by: Lanes, codes: &mut [i8]) {
    let vectors = By::new(by);
    let ((values, rest), (codes, rest_of_codes)) = (values.as_chunks::<N>(), codes.as_chunks_mut::<N>());
    for (codes, values) in codes.iter_mut().zip(values) {
        let mut padded = [0; CODES];
        padded[..N].copy_from_slice(values);
        let [first, ..]: [[i8; N]; CODES / N] = bytemuck::cast(to_bytes(vectors.two_words::<true>(&padded)));
        *codes = first;
    }
    rest_of_codes.iter_mut().zip(rest).for_each(|(code, &value)| *code = by.apply(value) as i8);
}

/// Rows of outliers alone.
#[target_feature(enable = "avx2")]
fn encode_limbs(rows: Rows, count: usize, by: &Scales, codes: &mut [i8]) {
    let (width, len) = (rows.width, row_len(rows.width, rows.width));
    let codes = codes.chunks_exact_mut(len.max(1));
    for (r, (values, codes)) in (0..count.min(ROWS)).zip(rows.iter().zip(codes)) {
        let [high, low] = parts(codes, width, width);
        let (vectors, rest) = values.as_chunks::<CODES>();
        let (high, rest_of_high) = high.as_chunks_mut::<CODES>();
        let (low, rest_of_low) = low.as_chunks_mut::<CODES>();
        if by.left[r] == 0 {
            limbs_of_vectors::<false>(vectors, By::of_row(by, r), high, low);
        } else {
            limbs_of_vectors::<true>(vectors, By::of_row(by, r), high, low);
        }
        if !rest.is_empty() {
            Portable.encode_limbs(rest, by.inverse(r), rest_of_high, rest_of_low);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn limbs_of_vectors<const LEFT: bool>(
    values: &[[i32; CODES]],
    by: By,
    high: &mut [[i8; CODES]],
    low: &mut [[i8; CODES]],
) {
    const BITS: i32 = LIMB_BITS as i32;
    let half = _mm256_set1_epi16(1 << (LIMB_BITS - 1));
    for ((high, low), values) in high.iter_mut().zip(low).zip(values) {
        // The scale covers all of them: none is beyond what two limbs hold.
        let [a, b] = by.two_words::<LEFT>(values);
        let upper_a = _mm256_srai_epi16::<BITS>(_mm256_add_epi16(a, half));
        let upper_b = _mm256_srai_epi16::<BITS>(_mm256_add_epi16(b, half));
        let under_a = _mm256_sub_epi16(a, _mm256_slli_epi16::<BITS>(upper_a));
        let under_b = _mm256_sub_epi16(b, _mm256_slli_epi16::<BITS>(upper_b));
        *high = bytemuck::cast(to_bytes([upper_a, upper_b]));
        *low = bytemuck::cast(to_bytes([under_a, under_b]));
    }
}

/// Rows of which some channels are outliers.
#[target_feature(enable = "avx2")]
fn encode_both(rows: Rows, count: usize, by: &Scales, outliers: &[u16], codes: &mut [i8]) {
    let (width, len) = (rows.width, row_len(rows.width, outliers.len()));
    let codes = codes.chunks_exact_mut(len.max(1));
    let mut words = [0; BLOCK];
    for (r, (values, codes)) in (0..count.min(ROWS)).zip(rows.iter().zip(codes)) {
        let [high, low] = parts(codes, outliers.len(), width);
        if width <= BLOCK {
            encode_block(values, by, r, &mut words, low);
            split_outliers(outliers, 0, &words, high, low);
        } else {
            encode_blocks(values, by, r, outliers, &mut words, high, low);
        }
    }
}

/// A long row of which some channels are outliers, block by block.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn encode_blocks(
    values: &[i32],
    by: &Scales,
    r: usize,
    mut outliers: &[u16],
    words: &mut [i16; BLOCK],
    mut high: &mut [i8],
    low: &mut [i8],
) {
    let blocks = values.chunks(BLOCK).zip(low.chunks_mut(BLOCK));
    for ((values, low), first) in blocks.zip((0..).step_by(BLOCK)) {
        encode_block(values, by, r, words, low);
        let within = outliers.partition_point(|&outlier| usize::from(outlier) < first + BLOCK);
        let (here, others) = outliers.split_at(within);
        let (of_here, of_others) = high.split_at_mut(within.min(high.len()));
        split_outliers(here, first, words, of_here, low);
        (outliers, high) = (others, of_others);
    }
}

/// Codes of up to [`BLOCK`] values, those of outliers in `words` alone.
#[inline]
#[target_feature(enable = "avx2")]
fn encode_block(values: &[i32], by: &Scales, r: usize, words: &mut [i16; BLOCK], codes: &mut [i8]) {
    let (vectors, rest) = values.as_chunks::<CODES>();
    let (codes, rest_of_codes) = codes.as_chunks_mut::<CODES>();
    if by.left[r] == 0 {
        words_of_vectors::<false>(vectors, By::of_row(by, r), words, codes);
    } else {
        words_of_vectors::<true>(vectors, By::of_row(by, r), words, codes);
    }
    if !rest.is_empty() {
        let lanes = by.inverse(r);
        let words = words.get_mut(vectors.len() * CODES..).unwrap_or_default();
        for ((code, word), &value) in rest_of_codes.iter_mut().zip(words).zip(rest) {
            *word = lanes.apply(value) as i16;
            *code = *word as i8;
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn words_of_vectors<const LEFT: bool>(
    values: &[[i32; CODES]],
    by: By,
    words: &mut [i16; BLOCK],
    codes: &mut [[i8; CODES]],
) {
    for ((codes, words), values) in codes.iter_mut().zip(words.as_chunks_mut::<CODES>().0).zip(values) {
        let [a, b] = by.two_words::<LEFT>(values);
        // In order: the second and third quarters change places.
        *words = bytemuck::cast([
            _mm256_permute4x64_epi64::<0b11_01_10_00>(a),
            _mm256_permute4x64_epi64::<0b11_01_10_00>(b),
        ]);
        *codes = bytemuck::cast(to_bytes([a, b]));
    }
}

/// Both limbs of the outliers' codes, whose channels are those of the block from `first` on.
#[inline]
fn split_outliers(outliers: &[u16], first: usize, words: &[i16; BLOCK], high: &mut [i8], low: &mut [i8]) {
    for (high, &outlier) in high.iter_mut().zip(outliers) {
        let place = usize::from(outlier).wrapping_sub(first);
        if let Some(low) = low.get_mut(place) {
            let word = words[place % BLOCK];
            // The scale covers it: two limbs hold it, and the low one is its last bits with their sign.
            *high = (word.wrapping_add(1 << (LIMB_BITS - 1)) >> LIMB_BITS) as i8;
            *low = ((word << 1) as i8) >> 1;
        }
    }
}

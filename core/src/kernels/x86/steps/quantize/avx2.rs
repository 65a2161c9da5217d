//! Rows on their way to codes, eight or 32 values at a time, the last of them one by one. Written out, since rows of one head are too short for
//! what compilers make of loops.

use crate::kernels::lanes::multiply::Lanes;
use crate::kernels::lanes::quantize::{Portable, Steps, parts};
use crate::kernels::lanes::scales::{ROWS, Scales};
use crate::kernels::linear::{LIMB_BITS, row_len};
use crate::kernels::rows::Rows;
use core::arch::x86_64::*;

super::steps! {
    fn largest_of_each(rows: Rows, count: usize) -> [u32; ROWS];
    fn largest_of_both_of_each(rows: Rows, count: usize, marks: &[i8]) -> [[u32; ROWS]; 2];
    fn encode_rows(rows: Rows, count: usize, by: &Scales, outliers: &[u16], codes: &mut [i8]);
}

/// Values of a vector.
const N: usize = 8;

/// Values that become a vector of codes.
const CODES: usize = 4 * N;

/// Channels whose codes are kept until their outliers are known to be written.
const BLOCK: usize = 512;

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[i32; N]) -> __m256i {
    // SAFETY: as many values are read.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn largest_of_each(rows: Rows, count: usize) -> [u32; ROWS] {
    let mut largest = [_mm256_setzero_si256(); ROWS];
    let each = largest.iter_mut().take(count);
    // Most rows are so long: without a loop.
    match rows.width {
        32 => each.zip(rows.iter()).for_each(|(largest, row)| *largest = magnitudes_of::<4>(row)),
        64 => each.zip(rows.iter()).for_each(|(largest, row)| *largest = magnitudes_of::<8>(row)),
        _ => each.zip(rows.iter()).for_each(|(largest, row)| *largest = magnitudes(row)),
    }
    largest_lanes(largest, count)
}

/// Magnitudes of which one is the largest.
#[inline]
#[target_feature(enable = "avx2")]
fn magnitudes(values: &[i32]) -> __m256i {
    let (values, rest) = values.as_chunks::<N>();
    let mut largest = _mm256_setzero_si256();
    for values in values {
        largest = _mm256_max_epu32(largest, _mm256_abs_epi32(load(values)));
    }
    if !rest.is_empty() {
        largest = _mm256_max_epu32(largest, _mm256_set1_epi32(Portable.largest(rest).cast_signed()));
    }
    largest
}

/// The same for so many vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn magnitudes_of<const VECTORS: usize>(row: &[i32]) -> __m256i {
    let mut largest = _mm256_setzero_si256();
    if let Some(values) = row.as_chunks::<N>().0.first_chunk::<VECTORS>() {
        for values in values {
            largest = _mm256_max_epu32(largest, _mm256_abs_epi32(load(values)));
        }
    }
    largest
}

#[inline]
#[target_feature(enable = "avx2")]
fn largest_of_both_of_each(rows: Rows, count: usize, marks: &[i8]) -> [[u32; ROWS]; 2] {
    let mut marked = [_mm256_setzero_si256(); ROWS];
    let mut all = marked;
    for (values, (marked, all)) in rows.iter().zip(marked.iter_mut().zip(&mut all)).take(count) {
        [*marked, *all] = magnitudes_of_both(values, marks);
    }
    [largest_lanes(marked, count), largest_lanes(all, count)]
}

/// As [`magnitudes`], of the values whose mark is -1, and of all.
#[inline]
#[target_feature(enable = "avx2")]
fn magnitudes_of_both(values: &[i32], marks: &[i8]) -> [__m256i; 2] {
    let ((values, rest), (marks, rest_of_marks)) = (values.as_chunks::<N>(), marks.as_chunks::<N>());
    let (mut marked, mut all) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for (values, marks) in values.iter().zip(marks) {
        let marks = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(bytemuck::cast(*marks))));
        let magnitudes = _mm256_abs_epi32(load(values));
        marked = _mm256_max_epu32(marked, _mm256_and_si256(marks, magnitudes));
        all = _mm256_max_epu32(all, magnitudes);
    }
    if !rest.is_empty() {
        let [first, others] = Portable.largest_of_both(rest, rest_of_marks);
        marked = _mm256_max_epu32(marked, _mm256_set1_epi32(first.cast_signed()));
        all = _mm256_max_epu32(all, _mm256_set1_epi32(first.max(others).cast_signed()));
    }
    [marked, all]
}

/// The largest lane of each of the first `count` vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn largest_lanes(vectors: [__m256i; ROWS], count: usize) -> [u32; ROWS] {
    let mut largest = [_mm256_setzero_si256(); 2];
    for (half, largest) in largest.iter_mut().enumerate() {
        if count > half * N {
            *largest = largest_of_eight(vectors.as_chunks::<N>().0[half]);
        }
    }
    bytemuck::cast(largest)
}

/// The largest lane of each vector. Pairs of vectors become one by interleaving values, then pairs of values, then halves: every step leaves half
/// as many that may be the largest.
#[inline]
#[target_feature(enable = "avx2")]
fn largest_of_eight([a, b, c, d, e, f, g, h]: [__m256i; N]) -> __m256i {
    let by_value = |a, b| _mm256_max_epu32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let by_pair = |a, b| _mm256_max_epu32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let first = by_pair(by_value(a, b), by_value(c, d));
    let last = by_pair(by_value(e, f), by_value(g, h));
    let [low, high] =
        [_mm256_permute2x128_si256::<0x20>(first, last), _mm256_permute2x128_si256::<0x31>(first, last)];
    _mm256_max_epu32(low, high)
}

/// What takes a row to its codes, in vectors.
#[derive(Clone, Copy)]
struct By {
    mantissa: __m256i,
    half: __m256i,
    left: __m128i,
    right: __m128i,
}

impl By {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(by: Lanes) -> Self {
        Self {
            mantissa: _mm256_set1_epi32(by.mantissa),
            half: _mm256_set1_epi32(by.half()),
            left: _mm_cvtsi32_si128(by.left.cast_signed()),
            right: _mm_cvtsi32_si128(by.right.cast_signed()),
        }
    }

    /// What takes row `r` to its codes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of_row(by: &Scales, r: usize) -> Self {
        Self {
            mantissa: _mm256_set1_epi32(by.inverse[r]),
            half: _mm256_set1_epi32(by.half[r]),
            left: _mm_cvtsi32_si128(by.left[r].cast_signed()),
            right: _mm_cvtsi32_si128(by.right[r].cast_signed()),
        }
    }

    /// [`Lanes::apply`] for sixteen values, whose codes have at most 16 bits: in each half of the vector, four of the first and four of the
    /// second. With `LEFT`, values are shifted left first, which few rows need.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn words<const LEFT: bool>(self, a: &[i32; N], b: &[i32; N]) -> __m256i {
        let (mut a, mut b) = (load(a), load(b));
        if LEFT {
            (a, b) = (_mm256_sll_epi32(a, self.left), _mm256_sll_epi32(b, self.left));
        }
        // Upper halves of products of lanes 0 and 2 of both, then of lanes 1 and 3.
        let even = upper_halves(_mm256_mul_epi32(a, self.mantissa), _mm256_mul_epi32(b, self.mantissa));
        let (a, b) = (_mm256_shuffle_epi32::<0b11_11_01_01>(a), _mm256_shuffle_epi32::<0b11_11_01_01>(b));
        let odd = upper_halves(_mm256_mul_epi32(a, self.mantissa), _mm256_mul_epi32(b, self.mantissa));
        let even = _mm256_sra_epi32(_mm256_add_epi32(even, self.half), self.right);
        let odd = _mm256_sra_epi32(_mm256_add_epi32(odd, self.half), self.right);
        _mm256_blend_epi16::<0b1010_1010>(even, _mm256_slli_epi32::<16>(odd))
    }

    /// 32 codes of at most 16 bits, as [`words`](Self::words) has them.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn two_words<const LEFT: bool>(self, values: &[i32; CODES]) -> [__m256i; 2] {
        let [a, b, c, d]: &[[i32; N]; 4] = bytemuck::cast_ref(values);
        [self.words::<LEFT>(a, b), self.words::<LEFT>(c, d)]
    }
}

/// The upper halves of lanes of 64 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn upper_halves(a: __m256i, b: __m256i) -> __m256i {
    let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
    _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(a, b))
}

/// The low bytes of 32 values that fit them, in order again.
#[inline]
#[target_feature(enable = "avx2")]
fn to_bytes([a, b]: [__m256i; 2]) -> __m256i {
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order)
}

/// A loop for each kind of rows, so that none asks which it is.
#[target_feature(enable = "avx2")]
fn encode_rows(rows: Rows, count: usize, by: &Scales, outliers: &[u16], codes: &mut [i8]) {
    if outliers.is_empty() {
        encode_ordinary(rows, count, by, codes);
    } else if outliers.len() == rows.width {
        encode_limbs(rows, count, by, codes);
    } else {
        encode_both(rows, count, by, outliers, codes);
    }
}

/// Rows without outliers.
#[target_feature(enable = "avx2")]
fn encode_ordinary(rows: Rows, count: usize, by: &Scales, codes: &mut [i8]) {
    let codes = codes.chunks_exact_mut(row_len(rows.width, 0).max(1));
    for (r, (values, codes)) in (0..count.min(ROWS)).zip(rows.iter().zip(codes)) {
        let [_, codes] = parts(codes, 0, rows.width);
        let (vectors, rest) = values.as_chunks::<CODES>();
        let (codes, rest_of_codes) = codes.as_chunks_mut::<CODES>();
        if by.left[r] == 0 {
            encode_vectors::<false>(vectors, By::of_row(by, r), codes);
        } else {
            encode_vectors::<true>(vectors, By::of_row(by, r), codes);
        }
        if !rest.is_empty() {
            encode_last(rest, by.inverse(r), rest_of_codes);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn encode_vectors<const LEFT: bool>(values: &[[i32; CODES]], by: By, codes: &mut [[i8; CODES]]) {
    for (codes, values) in codes.iter_mut().zip(values) {
        *codes = bytemuck::cast(to_bytes(by.two_words::<LEFT>(values)));
    }
}

/// Less than a vector of codes.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn encode_last(values: &[i32], by: Lanes, codes: &mut [i8]) {
    let vectors = By::new(by);
    let ((values, rest), (codes, rest_of_codes)) = (values.as_chunks::<N>(), codes.as_chunks_mut::<N>());
    for (codes, values) in codes.iter_mut().zip(values) {
        let words = vectors.words::<true>(values, values);
        // All of the first, then the same again.
        let [first, last, ..]: [[i8; 4]; 8] = bytemuck::cast(to_bytes([words, words]));
        *codes = bytemuck::cast([first, last]);
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

//! Rows of 64, 128 or 256 channels of which up to sixteen are outliers: both limbs from vectors.

use super::by::{By, to_bytes};
use super::values::CODES;
use crate::kernels::lanes::scales::{ROWS, Scales};
use crate::kernels::linear::{GROUP, LIMB_BITS};
use crate::kernels::rows::Rows;
use crate::kernels::x86::steps::rows::row_parts;
use core::arch::x86_64::*;
use core::mem;

/// The most outliers.
const OUTLIERS: usize = 16;

/// Which codes of a vector are outliers.
#[derive(Clone, Copy)]
struct Outliers {
    /// What is left of a code for its high limb, in the order of [`By::two_words`]: nothing where it has
    /// none.
    high: [[i16; 16]; 2],
    /// The shuffle that brings every high limb to its outlier's number, from either half of the vector.
    numbers: [[i8; OUTLIERS]; 2],
}

impl Outliers {
    const NONE: Self = Self { high: [[0; 16]; 2], numbers: [[-1; OUTLIERS]; 2] };

    fn add(&mut self, place: usize, number: usize) {
        // A vector of codes has four of each eight in its first half, and four in its second.
        let (of_eight, half, lane) = (place / 8 % 4, place / 4 % 2, place % 4);
        self.high[of_eight / 2][half * 8 + of_eight % 2 * 4 + lane] = -1 << LIMB_BITS;
        self.numbers[half][number % OUTLIERS] = (of_eight * 4 + lane) as i8;
    }
}

/// Codes of the first `count` rows; false if there are others.
#[inline]
#[target_feature(enable = "avx2")]
pub fn encode(rows: Rows, count: usize, by: &Scales, outliers: &[u16], codes: &mut [i8]) -> bool {
    if outliers.len() > OUTLIERS {
        return false;
    }
    match rows.width {
        64 => encode_rows::<2, 64>(rows, count, by, outliers, codes),
        128 => encode_rows::<4, 128>(rows, count, by, outliers, codes),
        256 => encode_rows::<8, 256>(rows, count, by, outliers, codes),
        _ => return false,
    }
    true
}

/// Rows of so many vectors of codes, and of so many values.
#[target_feature(enable = "avx2")]
fn encode_rows<const VECTORS: usize, const COUNT: usize>(
    rows: Rows,
    count: usize,
    by: &Scales,
    outliers: &[u16],
    codes: &mut [i8],
) {
    let mut of_vectors = [Outliers::NONE; VECTORS];
    for (number, &outlier) in outliers.iter().enumerate() {
        let (vector, place) = (usize::from(outlier) / CODES, usize::from(outlier) % CODES);
        if let Some(of_vector) = of_vectors.get_mut(vector) {
            of_vector.add(place, number);
        }
    }
    let highs_len = outliers.len().div_ceil(GROUP) * GROUP;
    let len = highs_len + COUNT;
    let mut rest = codes;
    for (r, values) in row_parts::<COUNT>(rows, 0, count.min(ROWS)).enumerate() {
        let Some((codes, after)) = mem::take(&mut rest).split_at_mut_checked(len) else { return };
        let (high, low) = codes.split_at_mut(highs_len);
        let low = low.as_chunks_mut::<CODES>().0.first_chunk_mut();
        let (Some(values), Some(low)) = (values.as_chunks::<CODES>().0.first_chunk(), low) else { return };
        rest = after;
        let highs = if by.left[r] == 0 {
            encode_row::<VECTORS, false>(values, By::of_row(by, r), &of_vectors, low)
        } else {
            encode_row::<VECTORS, true>(values, By::of_row(by, r), &of_vectors, low)
        };
        store_highs(highs, high);
    }
}

/// As many groups as there is room for; zeros pad the last. Compilers would call a function to copy them.
#[inline(always)]
fn store_highs(highs: __m128i, room: &mut [i8]) {
    let [a, b, c, d]: [[i8; GROUP]; OUTLIERS / GROUP] = bytemuck::cast(highs);
    match room.as_chunks_mut().0 {
        [first] => *first = a,
        [first, second] => [*first, *second] = [a, b],
        [first, second, third] => [*first, *second, *third] = [a, b, c],
        [first, second, third, last] => [*first, *second, *third, *last] = [a, b, c, d],
        _ => {}
    }
}

/// A row's codes; its outliers' high limbs, in order.
#[inline]
#[target_feature(enable = "avx2")]
fn encode_row<const VECTORS: usize, const LEFT: bool>(
    values: &[[i32; CODES]; VECTORS],
    by: By,
    outliers: &[Outliers; VECTORS],
    codes: &mut [[i8; CODES]; VECTORS],
) -> __m128i {
    const BITS: i32 = LIMB_BITS as i32;
    let half = _mm256_set1_epi16(1 << (LIMB_BITS - 1));
    let mut highs = _mm256_setzero_si256();
    for ((codes, values), outliers) in codes.iter_mut().zip(values).zip(outliers) {
        // The scale covers all of them: none is beyond what its limbs hold.
        let [a, b] = by.two_words::<LEFT>(values);
        let [of_a, of_b]: [__m256i; 2] = bytemuck::cast(outliers.high);
        let high_a = _mm256_and_si256(_mm256_add_epi16(a, half), of_a);
        let high_b = _mm256_and_si256(_mm256_add_epi16(b, half), of_b);
        *codes = bytemuck::cast(to_bytes([_mm256_sub_epi16(a, high_a), _mm256_sub_epi16(b, high_b)]));
        let high = _mm256_packs_epi16(_mm256_srai_epi16::<BITS>(high_a), _mm256_srai_epi16::<BITS>(high_b));
        highs = _mm256_or_si256(highs, _mm256_shuffle_epi8(high, bytemuck::cast(outliers.numbers)));
    }
    _mm_or_si128(_mm256_castsi256_si128(highs), _mm256_extracti128_si256::<1>(highs))
}

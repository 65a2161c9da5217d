//! Gates.

use super::lookup;
use crate::fixed::ACT_FRAC;
use crate::fixed::cubic::{FINE, GUARD_BITS, OFFSET_BITS};
use crate::fixed::tables::SIGMOID_TAIL;
use crate::kernels::{lanes, scalar};
use core::arch::asm;
use core::arch::x86_64::*;

/// Values of a vector.
const N: usize = 8;

/// The specification's [`gate`](scalar::activation::gate).
#[inline]
#[target_feature(enable = "avx2")]
pub fn avx2(x: &mut [i32], gates: &[i32]) {
    let count = x.len().min(gates.len());
    let (x, rest) = x[..count].as_chunks_mut::<N>();
    let (gates, rest_of_gates) = gates[..count].as_chunks::<N>();
    let sigmoid = Sigmoid::new();
    for (x, gates) in x.iter_mut().zip(gates) {
        *x = bytemuck::cast(sigmoid.share(x, gates));
    }
    scalar::activation::gate(rest, rest_of_gates);
}

/// The same.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn avx512(x: &mut [i32], gates: &[i32]) {
    lanes::activation::gate(x, gates, |table, indices| lookup::avx512(table, indices));
}

/// The sigmoid's cubics.
pub struct Sigmoid {
    /// The coefficients of each power, of the fine segments and of the coarse ones.
    columns: &'static [[i32; 2 * N]; 4],
}

impl Sigmoid {
    /// As there, with half a unit of the result in the first.
    const COLUMNS: &[[i32; 2 * N]; 4] = &{
        let mut columns = [[0; 2 * N]; 4];
        let mut place = 0;
        while place < 64 {
            columns[place % 4][place / 4] = SIGMOID_TAIL.c[place / 4][place % 4];
            if place.is_multiple_of(4) {
                columns[0][place / 4] += 1 << (GUARD_BITS - 1);
            }
            place += 1;
        }
        columns
    };

    #[inline(always)]
    pub const fn new() -> Self {
        Self { columns: Self::COLUMNS }
    }

    /// Values times the sigmoids of their gates.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn share(&self, values: &[i32; N], gates: &[i32; N]) -> __m256i {
        // SAFETY: as many values are read.
        let (values, gates) = unsafe {
            (_mm256_loadu_si256(values.as_ptr().cast()), _mm256_loadu_si256(gates.as_ptr().cast()))
        };
        let sigmoids = self.of(gates);
        // Times the upper half of a value, it is whole.
        let lower = _mm256_mullo_epi32(_mm256_and_si256(values, _mm256_set1_epi32(0xffff)), sigmoids);
        let lower = _mm256_add_epi32(lower, _mm256_set1_epi32(1 << (ACT_FRAC - 1)));
        let upper = _mm256_mullo_epi32(_mm256_srai_epi32::<{ ACT_FRAC as i32 }>(values), sigmoids);
        _mm256_add_epi32(upper, _mm256_srli_epi32::<{ ACT_FRAC as i32 }>(lower))
    }

    /// The sigmoids.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(&self, gates: __m256i) -> __m256i {
        const OFFSET: i32 = OFFSET_BITS as i32;
        // A coarse segment is twice as wide: halved and moved, its arguments are those of a fine one, and
        // less than they were.
        let magnitudes = _mm256_abs_epi32(gates);
        let halved =
            _mm256_add_epi32(_mm256_srli_epi32::<1>(magnitudes), _mm256_set1_epi32((FINE / 2) << OFFSET));
        let end = _mm256_set1_epi32((2 * FINE) << OFFSET);
        let places = _mm256_min_epu32(
            _mm256_min_epu32(magnitudes, halved),
            _mm256_sub_epi32(end, _mm256_set1_epi32(1)),
        );
        let offsets = _mm256_andnot_si256(places, _mm256_set1_epi32((1 << OFFSET) - 1));
        let segments = _mm256_srli_epi32::<OFFSET>(places);
        // The bit worth 8 becomes the sign, by which blends choose.
        let coarse = _mm256_slli_epi32::<{ 28 - OFFSET }>(places);
        // Two factors have 16 bits: a sum of one product, and of one of zeros or signs with zeros.
        let value =
            _mm256_srai_epi32::<OFFSET>(_mm256_madd_epi16(self.look_up::<3>(segments, coarse), offsets));
        let value = _mm256_add_epi32(self.look_up::<2>(segments, coarse), value);
        let value = _mm256_srai_epi32::<OFFSET>(_mm256_madd_epi16(value, offsets));
        let value = _mm256_add_epi32(self.look_up::<1>(segments, coarse), value);
        let value = _mm256_srai_epi32::<OFFSET>(_mm256_mullo_epi32(value, offsets));
        let value = _mm256_add_epi32(self.look_up::<0>(segments, coarse), value);
        let tails = _mm256_srai_epi32::<{ GUARD_BITS as i32 }>(value);
        let others = _mm256_sub_epi32(_mm256_set1_epi32(1 << ACT_FRAC), tails);
        let [others, tails, gates] = [others, tails, gates].map(|lanes| _mm256_castsi256_ps(lanes));
        _mm256_castps_si256(_mm256_blendv_ps(others, tails, gates))
    }

    /// The coefficients of a power. From memory, as compilers don't: registers are for other constants.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn look_up<const POWER: usize>(&self, segments: __m256i, coarse: __m256i) -> __m256i {
        let coefficients;
        // SAFETY: both halves of the column are read.
        unsafe {
            asm!(
                "vpermd {columns}, {segments}, ymmword ptr [{table} + {at}]",
                "vpermd {coefficients}, {segments}, ymmword ptr [{table} + {at} + 32]",
                "vblendvps {coefficients}, {columns}, {coefficients}, {coarse}",
                table = in(reg) self.columns.as_ptr(),
                at = const POWER * size_of::<[i32; 2 * N]>(),
                segments = in(ymm_reg) segments,
                coarse = in(ymm_reg) coarse,
                columns = out(ymm_reg) _,
                coefficients = out(ymm_reg) coefficients,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        coefficients
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::sigmoid;

    #[test]
    fn factors_have_sixteen_bits() {
        for [_, _, c2, c3] in SIGMOID_TAIL.c {
            for t in [0, (1 << OFFSET_BITS) - 1] {
                let value = c2 + ((c3 * t) >> OFFSET_BITS);
                assert!([c3, value].iter().all(|&factor| i32::from(factor as i16) == factor), "{c2} {c3}");
            }
        }
    }

    #[test]
    fn every_sigmoid_that_is_not_an_end() {
        if !std::is_x86_feature_detected!("avx2") {
            return;
        }
        let check = |gates: [i32; N]| {
            // SAFETY: the machine has the features.
            let found: [i32; N] = unsafe { bytemuck::cast(Sigmoid::new().of(bytemuck::cast(gates))) };
            assert_eq!(found, gates.map(sigmoid), "{gates:?}");
        };
        for first in (-(13 << 16)..13 << 16).step_by(N) {
            check(core::array::from_fn(|lane| first + lane as i32));
        }
        check([i32::MIN, i32::MIN + 1, i32::MAX, 0, -1, 1, 1 << 30, -(1 << 30)]);
    }
}

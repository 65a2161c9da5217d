//! AVX-512 VNNI: groups of four 8-bit products in 512-bit vectors (`vpdpbusd`).

use super::vectors::{Channels, Group, Vectors};
use crate::fixed::TokenScale;
use crate::kernels::Backend;
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use core::arch::x86_64::*;

/// The backend; to be used where the machine has these instructions.
pub static BACKEND: Backend =
    backend!("avx512_vnni", Avx512Vnni, "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni");

/// The proof that the machine has the features.
#[derive(Clone, Copy)]
pub struct Avx512Vnni(());

impl Vectors for Avx512Vnni {
    const ROWS: usize = 14;
    const PANELS: usize = 2;
    const PANELS_OF_FEW_ROWS: usize = 4;
    type Sums = __m512i;
    type Columns = __m512i;
    type Codes = __m512i;

    #[inline(always)]
    fn zero(self) -> __m512i {
        // SAFETY: the machine has the features.
        unsafe { _mm512_setzero_si512() }
    }

    /// Columns are taken as unsigned, 128 more than they are, because rows are read once for many columns.
    #[inline(always)]
    fn columns(self, group: &Group) -> __m512i {
        // SAFETY: the machine has the features, and a group has 64 bytes.
        unsafe { _mm512_xor_si512(_mm512_loadu_si512(group.as_ptr().cast()), _mm512_set1_epi8(i8::MIN)) }
    }

    #[inline(always)]
    fn codes(self, codes: [i8; GROUP]) -> __m512i {
        // SAFETY: the machine has the features.
        unsafe { _mm512_set1_epi32(bytemuck::cast(codes)) }
    }

    #[inline(always)]
    fn add(self, sums: __m512i, columns: __m512i, codes: __m512i) -> __m512i {
        // SAFETY: the machine has the features.
        unsafe { _mm512_dpbusd_epi32(sums, columns, codes) }
    }

    #[inline(always)]
    fn excess(self, codes: &[i8]) -> i32 {
        let (vectors, rest) = codes.as_chunks::<64>();
        // SAFETY: the machine has the features, and every chunk has 64 bytes.
        let sum = unsafe {
            let mut sums = _mm512_setzero_si512();
            for vector in vectors {
                let vector = _mm512_loadu_si512(vector.as_ptr().cast());
                sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(i8::MIN), vector);
            }
            _mm512_reduce_add_epi32(sums)
        };
        rest.iter().fold(sum, |sum, &code| sum.wrapping_add(i32::from(code) << 7))
    }

    #[inline(always)]
    fn shift_limb(self, sums: __m512i) -> __m512i {
        // SAFETY: the machine has the features.
        unsafe { _mm512_slli_epi32::<LIMB_BITS>(sums) }
    }

    #[inline(always)]
    fn finish(self, sums: __m512i, excess: i32) -> [i32; PANEL] {
        // SAFETY: the machine has the features; both types have 64 bytes, any of which are allowed.
        unsafe { core::mem::transmute(_mm512_sub_epi32(sums, _mm512_set1_epi32(excess))) }
    }

    #[inline(always)]
    fn requantize(self, acc: &[i32; PANEL], channels: &Channels, row: TokenScale) -> [i32; PANEL] {
        // SAFETY: the machine has the features; arrays of sixteen i32 and vectors have 64 bytes, any of which are allowed.
        unsafe {
            let load = |values: &[i32; PANEL]| _mm512_loadu_si512(values.as_ptr().cast());
            let acc = load(acc);
            let mantissa = _mm512_set1_epi32(i32::from(row.mantissa & 0x7fff));
            let mantissa = _mm512_mullo_epi32(load(&channels.mantissa), mantissa);
            let exponent = _mm512_set1_epi32(i32::from(row.exponent));
            let shift = _mm512_sub_epi32(load(&channels.shift_less_one), exponent);
            // Even columns, then odd ones: products of 64 bits, one place too many, half added with the last.
            let odd = |vector| _mm512_srli_epi64::<32>(vector);
            let one = _mm512_set1_epi64(1);
            let even_shift = _mm512_and_si512(shift, _mm512_set1_epi64(0xffff_ffff));
            let even = _mm512_srav_epi64(_mm512_mul_epi32(acc, mantissa), even_shift);
            let even = _mm512_srai_epi64::<1>(_mm512_add_epi64(even, one));
            let odd = _mm512_srav_epi64(_mm512_mul_epi32(odd(acc), odd(mantissa)), odd(shift));
            let odd = _mm512_srai_epi64::<1>(_mm512_add_epi64(odd, one));
            let values = _mm512_mask_shuffle_epi32::<0b10_10_00_00>(even, 0xaaaa, odd);
            core::mem::transmute(_mm512_add_epi32(values, load(&channels.bias)))
        }
    }
}

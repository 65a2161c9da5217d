//! AVX-512 VNNI: groups of four 8-bit products in 512-bit vectors (`vpdpbusd`).

mod loops;
mod softmax;

use crate::kernels::backend::Backend;
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use crate::kernels::x86::generic::vectors::{Channels, Group, RowScale, UPPER, Vectors};
use crate::kernels::x86::steps::multiply::upper_512;
use core::arch::asm;
use core::arch::x86_64::*;

/// The backend; to be used where the machine has these instructions.
pub static BACKEND: Backend = backend!(
    "avx512_vnni",
    Avx512Vnni,
    8,
    avx512,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni"
);

/// The proof that the machine has the features.
#[derive(Clone, Copy)]
pub struct Avx512Vnni(());

impl Vectors for Avx512Vnni {
    const ROWS: usize = 14;
    const PANELS: usize = 2;
    const PANELS_OF_FEW_ROWS: usize = 4;
    const VALUES: usize = 2;
    type Sums = __m512i;
    type Columns = __m512i;
    type Codes = __m512i;
    type Values = __m512i;
    type Context = __m512i;

    #[inline(always)]
    fn zero(self) -> __m512i {
        // SAFETY: the machine has the features.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn less(self, excess: i32) -> __m512i {
        // SAFETY: the machine has the features.
        unsafe { _mm512_set1_epi32(excess.wrapping_neg()) }
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

    /// Compilers would read the codes of all rows first, and keep sums in memory meanwhile.
    #[inline(always)]
    fn add_to_both(self, sums: [__m512i; 2], columns: [__m512i; 2], codes: &[i8; GROUP]) -> [__m512i; 2] {
        // SAFETY: the machine has the features.
        unsafe { add_to_both(sums, columns, codes) }
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
    fn finish(self, sums: __m512i) -> [i32; PANEL] {
        // SAFETY: both types have 64 bytes, any of which are allowed.
        unsafe { core::mem::transmute(sums) }
    }

    #[inline(always)]
    fn values(self, values: &[i8]) -> __m512i {
        // SAFETY: the machine has the features; as many bytes are read as the slice is known to have.
        unsafe {
            match values.first_chunk::<32>() {
                Some(values) => _mm512_cvtepi8_epi16(_mm256_loadu_si256(values.as_ptr().cast())),
                None => match values.first_chunk::<16>() {
                    Some(values) => {
                        _mm512_cvtepi8_epi16(_mm256_castsi128_si256(_mm_loadu_si128(values.as_ptr().cast())))
                    }
                    None => _mm512_setzero_si512(),
                },
            }
        }
    }

    #[inline(always)]
    fn no_values(self) -> __m512i {
        self.zero()
    }

    #[inline(always)]
    fn add_values(self, context: __m512i, values: __m512i, weights: [i16; 2]) -> __m512i {
        // SAFETY: the machine has the features.
        unsafe { dpwssd(context, values, _mm512_set1_epi32(bytemuck::cast(weights))) }
    }

    #[inline(always)]
    fn context(self, context: __m512i) -> [i32; PANEL] {
        // SAFETY: both types have 64 bytes, any of which are allowed.
        unsafe { core::mem::transmute(context) }
    }

    #[inline(always)]
    fn requantize<const RIGHT: bool>(
        self,
        acc: &[i32; PANEL],
        excess: i32,
        channels: &Channels,
        row: RowScale,
        out: &mut [i32; PANEL],
    ) -> bool {
        // SAFETY: the machine has the features; arrays of sixteen i32 and vectors have 64 bytes, any of which
        // are allowed.
        unsafe {
            let load = |values: &[i32; PANEL]| _mm512_loadu_si512(values.as_ptr().cast());
            let acc = _mm512_sub_epi32(load(acc), _mm512_set1_epi32(excess));
            let mantissa = _mm512_mullo_epi32(load(&channels.mantissa), _mm512_set1_epi32(row.mantissa));
            let shift = _mm512_sub_epi32(load(&channels.shift), _mm512_set1_epi32(row.exponent));
            // Differences below 0 become 0: shifts have 16 bits.
            let upper = _mm512_set1_epi32(UPPER);
            let left = if RIGHT { _mm512_subs_epu16(upper, shift) } else { _mm512_sub_epi32(upper, shift) };
            let shifted = _mm512_sllv_epi32(acc, left);
            let lost = _mm512_cmpneq_epi32_mask(_mm512_srav_epi32(shifted, left), acc);
            let values = upper_512(shifted, mantissa);
            let values =
                if RIGHT { _mm512_srav_epi32(values, _mm512_subs_epu16(shift, upper)) } else { values };
            let values = _mm512_add_epi32(values, load(&channels.bias));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_srai_epi32::<1>(values));
            lost == 0
        }
    }
}

/// Adds the products of four codes with the columns of two panels.
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_to_both([mut a, mut b]: [__m512i; 2], columns: [__m512i; 2], codes: &[i8; GROUP]) -> [__m512i; 2] {
    let _each: __m512i;
    // SAFETY: the instructions read these registers and the four codes, and write these registers; the
    // features are enabled.
    unsafe {
        asm!(
            "vpbroadcastd {codes}, dword ptr [{at}]",
            "vpdpbusd {a}, {first}, {codes}",
            "vpdpbusd {b}, {second}, {codes}",
            a = inout(zmm_reg) a, b = inout(zmm_reg) b, first = in(zmm_reg) columns[0], second = in(zmm_reg) columns[1],
            at = in(reg) codes, codes = out(zmm_reg) _each, options(pure, readonly, nostack, preserves_flags)
        );
    }
    [a, b]
}

/// `vpdpwssd`, which compilers make two instructions of.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn dpwssd(mut sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: the instruction reads and writes only these registers, and the feature is enabled.
    unsafe {
        asm!("vpdpwssd {}, {}, {}", inout(zmm_reg) sums, in(zmm_reg) a, in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

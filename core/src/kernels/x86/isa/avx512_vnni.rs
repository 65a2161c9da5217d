//! AVX-512 VNNI: groups of four 8-bit products in 512-bit vectors (`vpdpbusd`).

use crate::fixed::EXP2_COEFFICIENTS;
use crate::kernels::attention::Temperature;
use crate::kernels::backend::Backend;
use crate::kernels::linear::{GROUP, LIMB_BITS, PANEL};
use crate::kernels::x86::generic::matrix::{Rows, dots};
use crate::kernels::x86::generic::pairs::Pairs;
use crate::kernels::x86::generic::vectors::{Channels, Group, RowScale, UPPER, Vectors};
use crate::kernels::x86::generic::weigh::{KEYS, Weighing, Weights};
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
    type Dots = __m512i;
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
    fn finish_scaled(self, sums: __m512i, scales: &[i32; PANEL]) -> [i32; PANEL] {
        // SAFETY: the machine has the features; arrays of sixteen i32 and vectors have 64 bytes, any of which are allowed.
        unsafe {
            let scales = _mm512_loadu_si512(scales.as_ptr().cast());
            core::mem::transmute(_mm512_mullo_epi32(sums, scales))
        }
    }

    #[inline(always)]
    fn dots<const R: usize, const P: usize>(
        self,
        rows: Rows,
        panels: &[Group],
        excess: &[i32; R],
    ) -> [[__m512i; P]; R] {
        let mut sums = [[self.zero(); P]; R];
        for (sums, &excess) in sums.iter_mut().zip(excess) {
            *sums = [self.less(excess); P];
        }
        let Rows { codes, groups, panel_groups, .. } = rows;
        let whole =
            groups > 0 && panel_groups == groups && codes.len() >= R * groups && panels.len() >= P * groups;
        match <&mut [__m512i; 16]>::try_from(sums.as_flattened_mut()) {
            // SAFETY: the machine has the features; there are eight rows and two panels of so many groups, at least one.
            Ok(of_both) if R == 8 && P == 2 && whole => unsafe {
                *of_both = add_rows(codes, panels, groups, *of_both);
            },
            _ => sums = dots(self, rows, panels, excess),
        }
        sums
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
    fn add_pairs<const R: usize, const W: usize>(self, pairs: Pairs, sums: &mut [[__m512i; W]; R]) {
        let Pairs { count, values, row_len, at, .. } = pairs;
        let whole = count > 0
            && at + 2 * PANEL <= row_len
            && values.len() >= count * row_len
            && pairs.have_weights(8);
        match <&mut [__m512i; 8]>::try_from(sums.as_flattened_mut()) {
            // SAFETY: the machine has the features; there is a pair, each has 32 values from `at` on, and eight rows have weights for it.
            Ok(sums) if R == 8 && whole => unsafe { add_pairs(pairs, sums) },
            _ => pairs.add(self, sums),
        }
    }

    #[inline(always)]
    fn context(self, context: __m512i) -> [i32; PANEL] {
        // SAFETY: both types have 64 bytes, any of which are allowed.
        unsafe { core::mem::transmute(context) }
    }

    #[inline(always)]
    fn weigh<const R: usize>(self, rows: Weighing, temperatures: Option<&[Temperature; R]>) -> [u32; R] {
        // SAFETY: the machine has the features.
        unsafe { weigh(rows, temperatures) }
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
        // SAFETY: the machine has the features; arrays of sixteen i32 and vectors have 64 bytes, any of which are allowed.
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

/// [`Vectors::weigh`]. Largest scores are found for all rows first, and sums added up last, so that rows don't wait for their own.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn weigh<const R: usize>(mut rows: Weighing, temperatures: Option<&[Temperature; R]>) -> [u32; R] {
    let mut largest = [_mm512_set1_epi32(i32::MIN); R];
    for (row, largest) in largest.iter_mut().enumerate() {
        for scores in rows.row(row).0.as_chunks::<PANEL>().0 {
            // SAFETY: as many scores are read.
            *largest = _mm512_max_epi32(*largest, unsafe { _mm512_loadu_si512(scores.as_ptr().cast()) });
        }
    }
    let largest = of_each(largest, |a, b| _mm512_max_epi32(a, b));
    let last_scales = &rows.last_scales();
    let mut sums = [_mm512_setzero_si512(); R];
    for (row, (sum, largest)) in sums.iter_mut().zip(largest).enumerate() {
        let largest = _mm512_set1_epi32(largest);
        // A loop for each, so that neither asks which it is.
        *sum = if let Some(temperatures) = temperatures {
            let Temperature { factor, shift } = temperatures[row];
            let (shift, factor) =
                (_mm_cvtsi32_si128(i32::from(shift.min(31))), _mm512_set1_epi16(factor as i16));
            weigh_row(&mut rows, row, last_scales, largest, |low, high| {
                let t = saturated_halves(_mm512_srl_epi32(low, shift), _mm512_srl_epi32(high, shift));
                mulhuw(_mm512_adds_epu16(t, _mm512_set1_epi16(1)), factor)
            })
        } else {
            weigh_row(&mut rows, row, last_scales, largest, |low, high| {
                saturated_halves(rounded_logit(low), rounded_logit(high))
            })
        };
    }
    of_each(sums, |a, b| _mm512_add_epi32(a, b)).map(i32::cast_unsigned)
}

/// One row's weights, whose exponents `exponents` makes of differences to the largest score, and their sums.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn weigh_row(
    rows: &mut Weighing,
    row: usize,
    last_scales: &Weights,
    largest: __m512i,
    exponents: impl Fn(__m512i, __m512i) -> __m512i,
) -> __m512i {
    let (keys, value_scale) = (rows.keys, rows.value_scale);
    let (scores, weights) = rows.row(row);
    let (weights, _) = weights.as_chunks_mut::<KEYS>();
    let scores = scores.as_mut_ptr();
    let mut sums = _mm512_setzero_si512();
    let mut weigh = |at: usize, weights: &mut Weights, scales: &Weights, keys: __mmask32| {
        // SAFETY: there are as many scores as weights, and both in their arrays and in the scales so many for each `at`; scaled weights go where
        // scores have been read.
        unsafe {
            let low = _mm512_sub_epi32(largest, _mm512_loadu_si512(scores.add(at * KEYS).cast()));
            let high = _mm512_sub_epi32(largest, _mm512_loadu_si512(scores.add(at * KEYS + 16).cast()));
            let weight = _mm512_maskz_mov_epi16(keys, exp2_neg(exponents(low, high)));
            _mm512_storeu_si512(weights.as_mut_ptr().cast(), weight);
            sums = dpwssd(sums, weight, _mm512_set1_epi16(1));
            let scaled = _mm512_mulhrs_epi16(weight, _mm512_loadu_si512(scales.as_ptr().cast()));
            _mm512_storeu_si512(scores.add(at * KEYS / 2).cast(), scaled);
        }
    };
    let (scales, _) = value_scale[..keys].as_chunks::<KEYS>();
    for (at, (weights, scales)) in weights.iter_mut().zip(scales).enumerate() {
        weigh(at, weights, scales, __mmask32::MAX);
    }
    if let Some(weights) = weights.get_mut(scales.len()) {
        weigh(scales.len(), weights, last_scales, (1 << (keys % KEYS)) - 1);
    }
    sums
}

/// What `of_two` makes of all lanes of each vector. Pairs of vectors become one by interleaving values, then pairs of values, then quarters: every
/// step leaves half as many.
#[inline]
#[target_feature(enable = "avx512f")]
fn of_each<const R: usize>(vectors: [__m512i; R], of_two: impl Fn(__m512i, __m512i) -> __m512i) -> [i32; R] {
    const { assert!(R > 0 && R <= 8) };
    let (mut four, mut two) = ([_mm512_setzero_si512(); 4], [_mm512_setzero_si512(); 2]);
    for (index, four) in four.iter_mut().enumerate() {
        let [a, b] = [vectors[2 * index % R], vectors[(2 * index + 1) % R]];
        *four = of_two(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    }
    for (two, [a, b]) in two.iter_mut().zip(four.as_chunks::<2>().0) {
        *two = of_two(_mm512_unpacklo_epi64(*a, *b), _mm512_unpackhi_epi64(*a, *b));
    }
    let quarters = |a, b| {
        let first = _mm512_shuffle_i32x4::<0b10_00_10_00>(a, b);
        of_two(first, _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b))
    };
    let halves = quarters(two[0], two[1]);
    // SAFETY: the types have equal sizes, and any bytes are allowed.
    let each: [i32; 16] = unsafe { core::mem::transmute(quarters(halves, halves)) };
    core::array::from_fn(|row| each[row])
}

/// [`exp2_neg`](crate::fixed::exp2_neg) in every lane.
#[target_feature(enable = "avx512f,avx512bw")]
fn exp2_neg(t: __m512i) -> __m512i {
    let [a, b, c, d] = EXP2_COEFFICIENTS.map(|coefficient| _mm512_set1_epi16(coefficient as i16));
    let f = _mm512_slli_epi16::<5>(t);
    let inner = _mm512_sub_epi16(c, _mm512_mulhi_epu16(f, d));
    let slope = _mm512_sub_epi16(b, _mm512_mulhi_epu16(f, inner));
    let mantissa = _mm512_sub_epi16(a, _mm512_mulhi_epu16(f, slope));
    let shifted = srlvw(mantissa, _mm512_srli_epi16::<11>(t));
    _mm512_avg_epu16(shifted, _mm512_setzero_si512())
}

/// Adds the products of four codes with the columns of two panels.
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_to_both([mut a, mut b]: [__m512i; 2], columns: [__m512i; 2], codes: &[i8; GROUP]) -> [__m512i; 2] {
    let _each: __m512i;
    // SAFETY: the instructions read these registers and the four codes, and write these registers; the features are enabled.
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

/// Adds the products of eight rows with two panels of as many groups, at least one; each row's sums lie together. Compilers would compute each
/// row's address and load its codes apart from its products.
///
/// # Safety
/// There are so many groups of each.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_rows(
    codes: &[[i8; GROUP]],
    panels: &[Group],
    groups: usize,
    sums: [__m512i; 16],
) -> [__m512i; 16] {
    let [
        mut a,
        mut b,
        mut c,
        mut d,
        mut e,
        mut f,
        mut g,
        mut h,
        mut i,
        mut j,
        mut k,
        mut l,
        mut m,
        mut n,
        mut o,
        mut p,
    ] = sums;
    let stride = groups * GROUP;
    let (_first, _second): (__m512i, __m512i);
    // SAFETY: reads so many groups of each row and panel; the features are enabled.
    unsafe {
        asm!(
            "2:",
            "vpxord {first}, {sign}, zmmword ptr [{panels}]",
            "vpxord {second}, {sign}, zmmword ptr [{panels} + {other}]",
            "vpdpbusd {a}, {first}, dword ptr [{codes}]{{1to16}}",
            "vpdpbusd {b}, {second}, dword ptr [{codes}]{{1to16}}",
            "vpdpbusd {c}, {first}, dword ptr [{codes} + {stride}]{{1to16}}",
            "vpdpbusd {d}, {second}, dword ptr [{codes} + {stride}]{{1to16}}",
            "vpdpbusd {e}, {first}, dword ptr [{codes} + 2 * {stride}]{{1to16}}",
            "vpdpbusd {f}, {second}, dword ptr [{codes} + 2 * {stride}]{{1to16}}",
            "vpdpbusd {g}, {first}, dword ptr [{codes} + {three}]{{1to16}}",
            "vpdpbusd {h}, {second}, dword ptr [{codes} + {three}]{{1to16}}",
            "vpdpbusd {i}, {first}, dword ptr [{codes} + 4 * {stride}]{{1to16}}",
            "vpdpbusd {j}, {second}, dword ptr [{codes} + 4 * {stride}]{{1to16}}",
            "vpdpbusd {k}, {first}, dword ptr [{codes} + {five}]{{1to16}}",
            "vpdpbusd {l}, {second}, dword ptr [{codes} + {five}]{{1to16}}",
            "vpdpbusd {m}, {first}, dword ptr [{codes} + 2 * {three}]{{1to16}}",
            "vpdpbusd {n}, {second}, dword ptr [{codes} + 2 * {three}]{{1to16}}",
            "vpdpbusd {o}, {first}, dword ptr [{codes} + {seven}]{{1to16}}",
            "vpdpbusd {p}, {second}, dword ptr [{codes} + {seven}]{{1to16}}",
            "add {codes}, 4",
            "add {panels}, 64",
            "dec {count}",
            "jnz 2b",
            a = inout(zmm_reg) a, b = inout(zmm_reg) b, c = inout(zmm_reg) c, d = inout(zmm_reg) d,
            e = inout(zmm_reg) e, f = inout(zmm_reg) f, g = inout(zmm_reg) g, h = inout(zmm_reg) h,
            i = inout(zmm_reg) i, j = inout(zmm_reg) j, k = inout(zmm_reg) k, l = inout(zmm_reg) l,
            m = inout(zmm_reg) m, n = inout(zmm_reg) n, o = inout(zmm_reg) o, p = inout(zmm_reg) p,
            first = out(zmm_reg) _first, second = out(zmm_reg) _second, sign = in(zmm_reg) _mm512_set1_epi8(i8::MIN),
            codes = inout(reg) codes.as_ptr() => _, panels = inout(reg) panels.as_ptr() => _,
            count = inout(reg) groups => _, other = in(reg) groups * size_of::<Group>(), stride = in(reg) stride,
            three = in(reg) 3 * stride, five = in(reg) 5 * stride, seven = in(reg) 7 * stride, options(readonly, nostack)
        );
    }
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// Adds the products of at least one pair of keys, each with 32 values from `pairs.at` on, for eight rows with weights for all of them. Compilers
/// would compute each weight's address and load it apart from its product.
///
/// # Safety
/// The pairs are as above.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn add_pairs(pairs: Pairs, sums: &mut [__m512i; 8]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *sums;
    let stride = pairs.stride * size_of::<i32>();
    let _both: __m512i;
    // SAFETY: reads 32 values of each pair, and as many weights of each row as there are pairs; the features are enabled.
    unsafe {
        asm!(
            ".p2align 5",
            "2:",
            "vpmovsxbw {both}, ymmword ptr [{values}]",
            "vpdpwssd {a}, {both}, dword ptr [{weights}]{{1to16}}",
            "vpdpwssd {b}, {both}, dword ptr [{weights} + {stride}]{{1to16}}",
            "vpdpwssd {c}, {both}, dword ptr [{weights} + 2 * {stride}]{{1to16}}",
            "vpdpwssd {d}, {both}, dword ptr [{weights} + {three}]{{1to16}}",
            "vpdpwssd {e}, {both}, dword ptr [{weights} + 4 * {stride}]{{1to16}}",
            "vpdpwssd {f}, {both}, dword ptr [{weights} + {five}]{{1to16}}",
            "vpdpwssd {g}, {both}, dword ptr [{weights} + 2 * {three}]{{1to16}}",
            "vpdpwssd {h}, {both}, dword ptr [{weights} + {seven}]{{1to16}}",
            "add {weights}, 4",
            "add {values}, {row_len}",
            "dec {count}",
            "jnz 2b",
            a = inout(zmm_reg) a, b = inout(zmm_reg) b, c = inout(zmm_reg) c, d = inout(zmm_reg) d,
            e = inout(zmm_reg) e, f = inout(zmm_reg) f, g = inout(zmm_reg) g, h = inout(zmm_reg) h,
            both = out(zmm_reg) _both, weights = inout(reg) pairs.weights.as_ptr() => _,
            values = inout(reg) pairs.values.as_ptr().add(pairs.at) => _, row_len = in(reg) pairs.row_len,
            count = inout(reg) pairs.count => _, stride = in(reg) stride, three = in(reg) 3 * stride,
            five = in(reg) 5 * stride, seven = in(reg) 7 * stride, options(readonly, nostack)
        );
    }
    *sums = [a, b, c, d, e, f, g, h];
}

/// `vpdpwssd`, which compilers make two instructions of.
#[target_feature(enable = "avx512f,avx512vnni")]
fn dpwssd(mut sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: the instruction reads and writes only these registers, and the feature is enabled.
    unsafe {
        asm!("vpdpwssd {}, {}, {}", inout(zmm_reg) sums, in(zmm_reg) a, in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// `vpmulhuw`, which compilers make products of 32 bits of where a factor is the same in all lanes.
#[target_feature(enable = "avx512f,avx512bw")]
fn mulhuw(a: __m512i, b: __m512i) -> __m512i {
    let upper;
    // SAFETY: the instruction reads and writes only these registers, and the feature is enabled.
    unsafe {
        asm!("vpmulhuw {}, {}, {}", out(zmm_reg) upper, in(zmm_reg) a, in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    upper
}

/// `vpsrlvw`, whose zeros for shifts above 15 compilers take two instructions more for.
#[target_feature(enable = "avx512f,avx512bw")]
fn srlvw(values: __m512i, shifts: __m512i) -> __m512i {
    let shifted;
    // SAFETY: the instruction reads and writes only these registers, and the feature is enabled.
    unsafe {
        asm!("vpsrlvw {}, {}, {}", out(zmm_reg) shifted, in(zmm_reg) values, in(zmm_reg) shifts,
            options(pure, nomem, nostack, preserves_flags));
    }
    shifted
}

/// Numbers below 2^31 in order, those above 65535 as that.
#[target_feature(enable = "avx512f,avx512bw")]
fn saturated_halves(low: __m512i, high: __m512i) -> __m512i {
    let in_order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
    _mm512_permutexvar_epi64(in_order, _mm512_packus_epi32(low, high))
}

/// The difference of logits in units of 2^-11, rounded half up; from 65535 on, at least that.
#[target_feature(enable = "avx512f")]
fn rounded_logit(difference: __m512i) -> __m512i {
    let difference = _mm512_min_epu32(difference, _mm512_set1_epi32(1 << 21));
    _mm512_srli_epi32::<5>(_mm512_add_epi32(difference, _mm512_set1_epi32(16)))
}

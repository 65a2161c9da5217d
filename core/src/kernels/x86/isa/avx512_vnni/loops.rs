//! The loops: those of eight queries in one piece of assembly.

use super::Avx512Vnni;
use super::softmax::softmax;
use crate::kernels::attention::{Head, Temperature};
use crate::kernels::linear::{GROUP, PANEL};
use crate::kernels::x86::generic::loops::{Dots, Loops};
use crate::kernels::x86::generic::matrix::{Rows, dots};
use crate::kernels::x86::generic::pairs::Pairs;
use crate::kernels::x86::generic::score::score;
use crate::kernels::x86::generic::softmax::SoftmaxRows;
use crate::kernels::x86::generic::vectors::{Group, Vectors};
use core::arch::asm;
use core::arch::x86_64::*;

impl Dots for Avx512Vnni {
    type Dots = __m512i;

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
            // SAFETY: the machine has the features; there are eight rows and two panels of so many groups, at
            // least one.
            Ok(of_both) if R == 8 && P == 2 && whole => unsafe {
                *of_both = add_rows(codes, panels, groups, *of_both);
            },
            _ => sums = dots(self, rows, panels, excess),
        }
        sums
    }

    #[inline(always)]
    fn scaled(self, dots: __m512i, scales: &[i32; PANEL]) -> [i32; PANEL] {
        // SAFETY: the machine has the features; arrays of sixteen i32 and vectors have 64 bytes, any of which
        // are allowed.
        unsafe {
            let scales = _mm512_loadu_si512(scales.as_ptr().cast());
            core::mem::transmute(_mm512_mullo_epi32(dots, scales))
        }
    }
}

impl Loops for Avx512Vnni {
    #[inline(always)]
    fn score<const R: usize>(self, head: &Head, queries: &[i8], stride: usize, scores: &mut [i32]) {
        score::<Self, R>(self, head, queries, stride, scores);
    }

    #[inline(always)]
    fn add_pairs<const R: usize, const W: usize>(self, pairs: Pairs, sums: &mut [[__m512i; W]; R]) {
        let Pairs { count, values, row_len, at, .. } = pairs;
        let whole = count > 0
            && at + 2 * PANEL <= row_len
            && values.len() >= count * row_len
            && pairs.have_weights(8);
        match <&mut [__m512i; 8]>::try_from(sums.as_flattened_mut()) {
            // SAFETY: the machine has the features; there is a pair, each has 32 values from `at` on, and
            // eight rows have weights for it.
            Ok(sums) if R == 8 && whole => unsafe { add_pairs(pairs, sums) },
            _ => pairs.add(self, sums),
        }
    }

    #[inline(always)]
    fn softmax<const R: usize>(self, rows: SoftmaxRows, temperatures: Option<&[Temperature; R]>) -> [u32; R] {
        // SAFETY: the machine has the features.
        unsafe { softmax(rows, temperatures) }
    }
}

/// Adds the products of eight rows with two panels of as many groups, at least one; each row's sums lie
/// together. Compilers would compute each row's address and load its codes apart from its products.
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

/// Adds the products of at least one pair of keys, each with 32 values from `pairs.at` on, for eight rows
/// with weights for all of them. Compilers would compute each weight's address and load it apart from its
/// product.
///
/// # Safety
/// The pairs are as above.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn add_pairs(pairs: Pairs, sums: &mut [__m512i; 8]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *sums;
    let stride = pairs.stride * size_of::<i32>();
    let _both: __m512i;
    // SAFETY: reads 32 values of each pair, and as many weights of each row as there are pairs; the features
    // are enabled.
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

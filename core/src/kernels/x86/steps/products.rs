//! Products of 64 bits.

use core::arch::asm;
use core::arch::x86_64::__m256i;

/// The eight values from `AT` on times the even lanes of a factor: products of even values, then of odd ones.
/// Each reads memory by itself, as compilers don't: an instruction less.
#[inline]
#[target_feature(enable = "avx2")]
pub fn products<const AT: usize, const COUNT: usize>(values: &[i32; COUNT], factor: __m256i) -> [__m256i; 2] {
    const { assert!(AT + 8 <= COUNT, "eight values") };
    let (even, odd);
    // SAFETY: there are eight values.
    unsafe {
        asm!(
            "vpmuldq {even}, {factor}, ymmword ptr [{values} + {at}]",
            "vmovshdup {odd}, ymmword ptr [{values} + {at}]",
            "vpmuldq {odd}, {odd}, {factor}",
            values = in(reg) values.as_ptr(),
            at = const AT * size_of::<i32>(),
            factor = in(ymm_reg) factor,
            even = out(ymm_reg) even,
            odd = out(ymm_reg) odd,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    [even, odd]
}

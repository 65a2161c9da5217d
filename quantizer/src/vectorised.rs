//! Loops over floats with the widest vectors that the processor has.

use pulp::{Arch, Simd, WithSimd};

struct Loop<F>(F);

impl<R, F: FnOnce() -> R> WithSimd for Loop<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        (self.0)()
    }
}

/// Runs `work` as compiled for this processor rather than for the oldest. It gives the same bits: no
/// operation is fused or reordered.
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(Loop(work))
}

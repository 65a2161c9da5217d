//! The steps of quantization in vectors.

/// The proof that the machine has the features, whose [`Steps`](crate::kernels::lanes::quantize::Steps) are
/// these functions of a module.
macro_rules! steps {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)?;)*) => {
        /// The proof that the machine has the features.
        #[derive(Clone, Copy)]
        pub struct Proof(pub ());

        impl Steps for Proof {
            $(#[inline(always)]
            fn $name(self, $($argument: $type),*) $(-> $out)? {
                // SAFETY: the value is the proof that the machine has the features.
                unsafe { $name($($argument),*) }
            })*
        }
    };
}
use steps;

pub mod avx2;
pub mod avx512;

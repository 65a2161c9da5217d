//! The steps of quantization in vectors.

/// The proof that the machine has the features, whose [`Steps`](crate::kernels::lanes::quantize::Steps) are a module's functions.
macro_rules! steps {
    (and $($more:tt)*) => {
        $crate::kernels::x86::quantize::steps! {
            $($more)*
            fn largest(values: &[i32]) -> u32;
            fn largest_marked(values: &[i32], marks: &[i8]) -> u32;
            fn encode(values: &[i32], by: Lanes, codes: &mut [i8]);
            fn encode_limbs(values: &[i32], by: Lanes, high: &mut [i8], low: &mut [i8]);
        }
    };
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

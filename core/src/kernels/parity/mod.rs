//! Every backend equals the specification, bit for bit.
//!
//! The properties are functions over an [`Isa`]; the macro stamps them on each backend. A new backend is one
//! more name in [`parity!`]'s list; one that this machine can't run has nothing to check here.

mod attention;
mod linear;
mod product;
mod quantize;
mod rows;
mod wide_sums;

use super::Isa;
use proptest::prelude::*;

macro_rules! parity {
    ($($backend:ident),*) => {
        /// The backends that are held to the specification.
        const STAMPED: &[&str] = &[$(stringify!($backend)),*];

        $(mod $backend {
            use super::*;

            fn isa() -> Isa {
                Isa::by_name(stringify!($backend)).unwrap_or(Isa::scalar())
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(400))]

                #[test]
                fn gemm(case in linear::gemm_case()) {
                    linear::check_gemm(isa(), &case);
                }

                #[test]
                fn quantize_rows(case in quantize::quantize_case()) {
                    quantize::check_quantize_rows(isa(), &case);
                }

                #[test]
                fn attention(case in attention::attention_case()) {
                    attention::check_attention(isa(), &case);
                }

                #[test]
                fn contact(case in attention::contact_case()) {
                    attention::check_contact(isa(), &case);
                }

                #[test]
                fn layer_norm(case in rows::norm_case()) {
                    rows::check_layer_norm(isa(), &case);
                }

                #[test]
                fn product(case in product::product_case()) {
                    product::check_product(isa(), &case);
                }

                #[test]
                fn common_unit(case in product::unit_case()) {
                    product::check_common_unit(isa(), &case);
                }

                #[test]
                fn gate_and_rotary(case in rows::row_case()) {
                    rows::check_gate(isa(), &case);
                    rows::check_rotary(isa(), &case);
                }

                #[test]
                fn wide_sums(case in wide_sums::sums_case()) {
                    wide_sums::check_wide_sums(isa(), &case);
                }

                #[test]
                fn transpose(case in rows::transpose_case()) {
                    rows::check_turn(isa(), &case);
                }

                #[test]
                fn encode_and_decode(case in rows::codec_case()) {
                    rows::check_codec(isa(), &case);
                }
            }

            #[test]
            fn gemm_of_every_small_shape() {
                linear::check_every_small_gemm(isa());
            }

            #[test]
            fn gemm_of_large_shapes() {
                linear::check_large_gemm(isa());
            }

            #[test]
            fn product_of_every_small_shape() {
                product::check_every_small_product(isa());
            }

            #[test]
            fn rows_as_far_apart_as_can_be() {
                rows::check_far_rows(isa());
            }

            #[test]
            fn attention_of_every_width() {
                attention::check_every_width(isa());
            }

            #[test]
            fn attention_of_the_largest_sums() {
                attention::check_largest_sums(isa());
            }
        })*
    };
}

cfg_select! {
    target_arch = "x86_64" => { parity!(wide, avx2, avx_vnni, avx512_vnni); }
    target_arch = "aarch64" => { parity!(wide, neon, dotprod, i8mm); }
    target_arch = "wasm32" => { parity!(wide, simd128); }
    _ => { parity!(wide); }
}

#[test]
fn every_backend_is_stamped() {
    for isa in Isa::all() {
        assert!(isa == Isa::scalar() || STAMPED.contains(&isa.name()), "{} has no parity test", isa.name());
    }
    assert_eq!(Isa::all().next(), Some(Isa::scalar()));
    assert_eq!(Isa::all().last(), Some(Isa::best()));
    assert_eq!(Isa::by_name("wide"), Some(Isa::wide()));
    assert_eq!(Isa::by_name("WIDE"), None);
}

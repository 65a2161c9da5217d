//! Activation functions against f64 and against their definitions.

use crate::kernels::scalar::activation::{gate, multiply, relu};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_gate_multiplies_by_a_sigmoid(x: i32, opening: i32, (a, b) in (0..32u32, 8..32u32)) {
        let (x, opening) = (x >> a, opening >> b);
        let mut found = [x];
        gate(&mut found, &[opening]);
        let exact = f64::from(x) / (1.0 + libm::exp(-f64::from(opening) / 65536.0));
        // The sigmoid's worst error, and half a unit of the product's rounding.
        let bound = 0.5 + f64::from(x).abs() * 1.23e-5 + 1e-6;
        prop_assert!((f64::from(found[0]) - exact).abs() <= bound, "{x} {opening} {found:?} {exact}");
    }

    #[test]
    fn relu_is_the_larger_of_a_value_and_zero(x: i32) {
        let mut found = [x];
        relu(&mut found);
        prop_assert_eq!(found[0], if x > 0 { x } else { 0 });
    }
}

#[test]
fn gates_that_are_open_closed_and_half_open() {
    let ends = [i32::MIN, -3, 0, 1, 3, i32::MAX];
    let by = |opening: i32| {
        let mut x = ends;
        gate(&mut x, &[opening; 6]);
        x
    };
    assert_eq!(by(i32::MAX), ends);
    assert_eq!(by(i32::MIN), [0; 6]);
    // Half up: -3 / 2 is -1, 1 / 2 is 1.
    assert_eq!(by(0), [i32::MIN / 2, -1, 0, 1, 2, 1 << 30]);
}

#[test]
fn values_without_a_gate_stay() {
    let mut x = [8, 8, 8];
    gate(&mut x, &[0]);
    assert_eq!(x, [4, 8, 8]);
    gate(&mut x, &[i32::MIN; 9]);
    assert_eq!(x, [0; 3]);
}

#[test]
fn products_of_activations_round_half_up_and_saturate() {
    assert_eq!(multiply(3 << 15, 5 << 16), 15 << 15);
    assert_eq!([multiply(1, 1 << 15), multiply(-1, 1 << 15), multiply(1, (1 << 15) - 1)], [1, 0, 0]);
    assert_eq!([multiply(i32::MIN, i32::MIN), multiply(i32::MIN, i32::MAX)], [i32::MAX, i32::MIN]);
}

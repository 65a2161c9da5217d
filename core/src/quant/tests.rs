//! Bounds of the codecs, for any ranges, breakpoints, split, exponent and value.

use super::*;
use proptest::prelude::*;

/// Any legal piecewise codec together with an exponent that keeps its levels in range.
fn piecewise() -> impl Strategy<Value = (Piecewise, u8)> {
    let counts = (0..256i32, 0..256i32, 0..256i32, 0..256i32)
        .prop_map(|(p, q, r, s)| {
            // Four random shares of at most 255 levels beside the zero level.
            let sum = (p + q + r + s).max(1);
            let share = |v: i32| v * 255 / sum;
            [share(p), share(q), share(r), share(s)]
        })
        .boxed();
    let steps = [1..4000i32, 1..4000i32, 1..4000i32];
    (counts, steps, 0..=3u8).prop_map(|(counts, steps, e)| (Piecewise::new(counts, steps).unwrap(), e))
}

fn bound(codec: &Piecewise, x: i32, e: u8) -> i64 {
    let [step_neg, step_mid, step_pos] = codec.steps().map(|s| i64::from(s) << e);
    let (low, high) = codec.range();
    let (mid_low, mid_high) = codec.breakpoints();
    let scaled = |v: i32| i64::from(v) << e;
    let x = i64::from(x);
    if x < scaled(low) {
        scaled(low) - x
    } else if x > scaled(high) {
        x - scaled(high)
    } else if x < scaled(mid_low) {
        step_neg / 2
    } else if x > scaled(mid_high) {
        step_pos / 2
    } else {
        step_mid / 2
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn error_is_at_most_half_the_step_of_the_values_own_region((codec, e) in piecewise(), x in any::<i32>(), near in -3_000_000..3_000_000i32) {
        for x in [x, near] {
            let error = (i64::from(codec.decode(codec.encode(x, e), e)) - i64::from(x)).abs();
            prop_assert!(error <= bound(&codec, x, e), "x {x} error {error} bound {}", bound(&codec, x, e));
        }
    }

    #[test]
    fn encode_is_monotone((codec, e) in piecewise(), x in -3_000_000..3_000_000i32, d in 0..100_000i32) {
        prop_assert!(codec.encode(x, e) <= codec.encode(x + d, e));
    }

    #[test]
    fn every_code_is_reachable_and_stable((codec, e) in piecewise()) {
        for code in 0..codec.levels() {
            let value = codec.decode(code as u8, e);
            prop_assert_eq!(i32::from(codec.encode(value, e)), code);
        }
    }

    #[test]
    fn wide_codes_keep_half_a_step(step in 1..256i32, e in 0..1u8, x in -9_000_000..9_000_000i32) {
        let codec = Codec::Wide { step };
        let decoded = i64::from(codec.decode(codec.encode(x, e), e));
        let limit = (i64::from(step) * 32767) << e;
        let error = (decoded - i64::from(x)).abs();
        prop_assert!(error <= (i64::from(step) << e) / 2 || i64::from(x).abs() > limit && decoded.abs() == limit);
    }

    #[test]
    fn records_round_trip((codec, _) in piecewise()) {
        let codec = Codec::Piecewise(codec);
        prop_assert_eq!(Codec::from_record(&codec.to_record(8), 0), Ok(codec));
    }

    #[test]
    fn any_record_is_either_refused_or_safe(record in any::<[i32; 8]>(), small in prop::array::uniform8(-2..300i32), x in any::<i32>(), code in any::<i16>(), e in any::<u8>()) {
        for record in [record, small] {
            if let Ok(codec) = Codec::from_record(&record, e) {
                codec.encode(x, e);
                codec.decode(code, e);
            }
        }
    }
}

#[test]
fn six_and_four_bit_codecs_use_fewer_levels() {
    let record = [6, 5, 26, 26, 6, 400, 20, 500];
    let codec = Codec::from_record(&record, 2).unwrap();
    assert_eq!(codec.to_record(6), record);
    assert_eq!(
        Codec::from_record(&[4, 5, 26, 26, 6, 400, 20, 500], 2),
        Err(CodecError("more levels than the bits hold"))
    );
}

#[test]
fn uniform_is_the_codec_without_tails() {
    let Codec::Piecewise(uniform) = Codec::from_record(&[8, 0, 127, 127, 0, 0, 10, 0], 0).unwrap() else {
        panic!("8 bits are piecewise");
    };
    assert_eq!((uniform.encode(1274, 0), uniform.decode(254, 0)), (254, 1270));
    assert_eq!((uniform.encode(-5, 0), uniform.encode(-4, 0), uniform.encode(i32::MIN, 0)), (126, 127, 0));
}

//! Any codec record is refused or keeps its promise: every value is stored to within half a step of its own
//! region, larger values never get smaller codes, and what is read back is stored as itself.
#![no_main]

use foldpoint_core::Isa;
use foldpoint_core::quant::{Codec, STREAM_MAX, Site};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Too few bytes for a record are nothing to check.
    let _ = check(&mut Unstructured::new(data));
});

fn check(input: &mut Unstructured) -> Result<()> {
    let mut record: [i32; Codec::RECORD_LEN] = input.arbitrary()?;
    // No fuzzer finds four counts that add up to 256 among 2^128: most records are folded into range.
    if input.arbitrary()? {
        record[0] = [4, 6, 8, 16][input.int_in_range(0..=3usize)?];
        record[1..5].iter_mut().for_each(|count| *count = count.rem_euclid(80));
        record[5..].iter_mut().for_each(|step| *step = step.rem_euclid(1 << 17));
    }
    let exponent: u8 = input.arbitrary()?;
    let Ok(codec) = Codec::from_record(&record, exponent) else { return Ok(()) };
    let mut values = vec![0, STREAM_MAX, -STREAM_MAX, i32::MIN, i32::MAX];
    while let Ok(value) = input.arbitrary::<i32>() {
        values.extend([value, value >> 8, value >> 16]);
        if input.is_empty() {
            break;
        }
    }
    values.sort_unstable();
    let mut previous = None;
    for &value in &values {
        let code = codec.encode(value, exponent);
        let decoded = codec.decode(code, exponent);
        let error = i64::from(decoded).abs_diff(value.into());
        assert!(error <= bound(&codec, value.into(), exponent), "{codec:?} {exponent} {value} {decoded}");
        assert_eq!(codec.encode(decoded, exponent), code, "{codec:?} {exponent} {value}");
        assert!(previous <= Some(code), "{codec:?} {exponent} {value}");
        assert!(decoded.unsigned_abs() <= STREAM_MAX.unsigned_abs());
        previous = Some(code);
    }
    rows(&codec, exponent, &values);
    Ok(())
}

/// The largest error of `x`: half a step (which may be odd: half a unit more is rounded down), or the
/// distance to the outermost level.
fn bound(codec: &Codec, x: i64, exponent: u8) -> u64 {
    let (low, high, step) = match codec {
        Codec::Wide { step } => (-32767 * i64::from(*step), 32767 * i64::from(*step), *step),
        Codec::Piecewise(codec) => {
            let ((low, high), (mid_low, mid_high)) = (codec.range(), codec.breakpoints());
            let [step_neg, step_mid, step_pos] = codec.steps();
            let step = if x < i64::from(mid_low) << exponent {
                step_neg
            } else if x > i64::from(mid_high) << exponent {
                step_pos
            } else {
                step_mid
            };
            (low.into(), high.into(), step)
        }
    };
    let beyond = (x - (high << exponent)).max((low << exponent) - x);
    if beyond > 0 { beyond as u64 } else { (i64::from(step) << exponent) as u64 / 2 }
}

/// A row is its values, on every backend.
fn rows(codec: &Codec, exponent: u8, values: &[i32]) {
    let exponents = vec![exponent; values.len()];
    let site = Site { codec: *codec, exponents: &exponents };
    for isa in Isa::all() {
        let mut codes = vec![0; values.len() * codec.bytes_per_value()];
        let code_row = codes.len();
        (isa.backend().encode)(&site, values, &mut codes, code_row);
        let mut decoded = vec![0; values.len()];
        (isa.backend().decode)(&site, &codes, code_row, &mut decoded);
        for (&value, &decoded) in values.iter().zip(&decoded) {
            assert_eq!(decoded, codec.decode(codec.encode(value, exponent), exponent), "{}", isa.name());
        }
    }
}

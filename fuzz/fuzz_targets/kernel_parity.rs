//! Linear layers, attention, contact maps and products of codes on arbitrary values and shapes: every backend
//! gives the specification's bits.
#![no_main]

use foldpoint_core::Isa;
use foldpoint_core::fixed::{Multiplier, TokenScale};
use foldpoint_core::kernels::attention::{
    ContactWeight, Head, Logits, QUERY_TILE, RowTile, Temperature, bias_factor, pack, unpack,
};
use foldpoint_core::kernels::linear::{CodeRows, EpilogueKind, Linear, row_len};
use foldpoint_core::quant::{Codec, Site};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    // Too few bytes for a shape are nothing to run.
    let _ = match input.arbitrary::<u8>().unwrap_or(0) % 3 {
        0 => attention(&mut input),
        1 => linear(&mut input),
        _ => product(&mut input),
    };
});

/// The rest of the input, over and over: large tensors from few bytes.
fn repeated<T>(input: &Unstructured, count: usize, mut value: impl FnMut(u8, usize) -> T) -> Vec<T> {
    let bytes = input.peek_bytes(input.len()).filter(|bytes| !bytes.is_empty()).unwrap_or(&[0]);
    bytes.iter().cycle().take(count).enumerate().map(|(at, &byte)| value(byte, at)).collect()
}

fn linear(input: &mut Unstructured) -> Result<()> {
    let (rows, inputs) = (input.int_in_range(0..=20)?, input.int_in_range(0..=300)?);
    let outputs = input.int_in_range(0..=70usize)?;
    let outliers: Vec<u16> = match input.int_in_range(0..=40u16)? {
        0 => Vec::new(),
        step => (0..inputs as u16).step_by(step.into()).collect(),
    };
    let mut scales = Vec::new();
    for _ in 0..rows {
        let [low, high, exponent] = input.arbitrary()?;
        scales.push(TokenScale { mantissa: u16::from_le_bytes([low, high]), exponent: exponent as i8 });
    }
    let row = row_len(inputs, outliers.len());
    let weight =
        repeated(input, outputs.div_ceil(16) * 16 * row, |byte, at| byte.rotate_left(at as u32) as i8);
    let codes = repeated(input, rows * row, |byte, at| byte.wrapping_add(at as u8) as i8);
    let bias = repeated(input, outputs, |byte, at| i32::from(byte as i8) << (at % 25));
    let mantissa = repeated(input, outputs, |byte, at| 1 << 15 | u16::from(byte) << (at % 8));
    let shift = repeated(input, outputs, |byte, _| byte as i8);
    let row_sum = vec![0; outputs];
    let layer = Linear::from_parts(&weight, &bias, &mantissa, &shift, &row_sum, &outliers, inputs)
        .expect("legal by construction");
    let exponents = repeated(input, outputs, |byte, _| byte % 4);
    let wide = [16, 0, 0, 0, 0, 0, 1 + i32::from(input.arbitrary::<u8>()? % 32), 0];
    let piecewise = [8, 60, 40, 70, 80, 900, 20, 700];
    let record = if input.arbitrary()? { wide } else { piecewise };
    let codec = Codec::from_record(&record, 3).expect("legal by construction");
    let site = Site { codec, exponents: &exponents };
    let code_row = outputs * codec.bytes_per_value() + input.int_in_range(0..=3)?;
    for kind in EpilogueKind::ALL {
        same(|isa| {
            let (mut out, mut stream) = (vec![7 << 20; rows * outputs + 3], vec![9; rows * code_row]);
            let epilogue = kind.epilogue(CodeRows { site: &site, codes: &mut stream, code_row });
            (isa.backend().gemm)(&layer, &codes, &scales, epilogue, &mut out);
            (out, stream)
        });
    }
    same(|isa| {
        let mut codes = vec![1; row];
        let values = repeated(input, inputs, |byte, at| i32::from(byte as i8) << (at % 25));
        let scale = isa.backend().quantize_row(&values, &outliers, &mut codes);
        (codes, pack(scale))
    });
    Ok(())
}

fn attention(input: &mut Unstructured) -> Result<()> {
    let width = 8 * input.int_in_range(1..=32usize)?;
    let (keys, rows) = (input.int_in_range(1..=700usize)?, input.int_in_range(1..=QUERY_TILE)?);
    let block_rows = 16 * input.int_in_range(1..=6)?;
    let constant = Multiplier { mantissa: input.arbitrary()?, shift: input.arbitrary()? };
    let mut temperatures = [Temperature::default(); QUERY_TILE];
    for temperature in &mut temperatures {
        let (query, key) = (unpack(input.arbitrary()?), unpack(input.arbitrary()?));
        *temperature = Temperature::new(query, key, constant);
    }
    let mut factors = [constant; QUERY_TILE];
    for factor in &mut factors {
        *factor = bias_factor(unpack(input.arbitrary()?), unpack(input.arbitrary()?), constant);
    }
    let (biased, bias_stride) = (input.arbitrary()?, keys + input.int_in_range(0..=2usize)?);
    let value_max = unpack(input.arbitrary()?);
    let contact = ContactWeight { weight: input.arbitrary()?, shift: input.arbitrary()? };
    let (len, stride) = (block_rows * width, keys.next_multiple_of(32));
    let blocks =
        repeated(input, keys.div_ceil(block_rows) * 2 * len, |byte, at| byte.wrapping_mul(at as u8 | 1));
    let key_scale = repeated(input, keys, |byte, at| (i16::from(byte) * 2 + at as i16 % 2).min(511));
    let value_scale = repeated(input, keys, |byte, at| i16::from(byte >> 1) << 8 | at as i16 % 256);
    let queries = repeated(input, rows * width, |byte, at| byte.rotate_right(at as u32) as i8);
    let bias = repeated(input, rows * bias_stride, |byte, at| i32::from(byte as i8) << (at % 25));
    let logits = if biased {
        Logits::Biased { factors: &factors[..rows], bias: &bias, bias_stride }
    } else {
        Logits::Plain(&temperatures[..rows])
    };
    let head = Head {
        blocks: &blocks,
        block_len: 2 * len,
        keys_at: 0,
        values_at: len,
        block_rows,
        width,
        keys,
        key_scale: &key_scale,
        value_scale: &value_scale,
        value_max,
    };
    same(|isa| {
        // What is in the memory before must not matter.
        let garbage = isa.name().len() as i32;
        let (mut scores, mut weights) =
            (vec![i32::MAX / garbage; rows * stride], vec![garbage as i16; rows * stride]);
        let (mut sums, mut out) = (vec![0; rows], vec![0; rows * width]);
        let tile = RowTile {
            queries: &queries,
            logits,
            scores: &mut scores,
            weights: &mut weights,
            stride,
            sums: &mut sums,
            out: &mut out,
            out_stride: width,
        };
        (isa.backend().attention)(&head, tile);
        let (mut row, mut columns) = (vec![0; keys], vec![0; keys]);
        let total = (isa.backend().contact)(&weights[..keys], sums[0], contact, &mut row, &mut columns);
        assert!(total.abs_diff(65536) <= keys.div_ceil(2) as u32 + 2);
        (weights, sums, out, row, columns)
    });
    Ok(())
}

fn product(input: &mut Unstructured) -> Result<()> {
    let (rows, panels) = (input.int_in_range(0..=20usize)?, input.int_in_range(0..=5usize)?);
    let width = 4 * input.int_in_range(0..=200usize)?;
    let codes = repeated(input, rows * width, |byte, at| byte.wrapping_add(at as u8) as i8);
    let columns = repeated(input, panels * 16 * width, |byte, at| byte.rotate_left(at as u32) as i8);
    same(|isa| {
        let mut out = vec![7; rows * panels * 16 + 3];
        (isa.backend().product)(&codes, &columns, width, &mut out);
        out
    });
    Ok(())
}

/// Holds every backend's result to the specification's.
fn same<T: PartialEq + std::fmt::Debug>(run: impl Fn(Isa) -> T) {
    let expected = run(Isa::scalar());
    for isa in Isa::all() {
        assert_eq!(run(isa), expected, "{}", isa.name());
    }
}

//! What tests of operations need: random weights, as tensors of a model file and as the real numbers that
//! these stand for; an executor; memory full of dirt.

use crate::executor::{Executor, PairWork, chunks};
use crate::fixed::ACT_FRAC;
use crate::format::testing::Tensors;
use crate::kernels::testing::{Layer, Random};
use crate::quant::Codec;
use std::format;
use std::vec;
use std::vec::Vec;

/// A Linear in real numbers.
#[derive(Clone, Debug)]
pub struct RealLinear {
    /// `[outputs, inputs]`
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
}

impl RealLinear {
    /// The outputs for one row.
    pub fn of(&self, x: &[f64]) -> Vec<f64> {
        let rows = self.weight.chunks_exact(x.len()).zip(&self.bias);
        rows.map(|(row, bias)| bias + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()).collect()
    }
}

/// A LayerNorm in real numbers.
#[derive(Clone, Debug)]
pub struct RealNorm {
    pub gain: Vec<f64>,
    pub bias: Vec<f64>,
}

impl RealNorm {
    /// The outputs for one row.
    pub fn of(&self, x: &[f64], epsilon: f64) -> Vec<f64> {
        let count = x.len() as f64;
        let mean = x.iter().sum::<f64>() / count;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        let scale = 1.0 / libm::sqrt(variance + epsilon);
        let channels = x.iter().zip(self.gain.iter().zip(&self.bias));
        channels.map(|(x, (gain, bias))| (x - mean) * scale * gain + bias).collect()
    }
}

/// Draws weights of about the size of a real model's.
pub struct Builder {
    pub random: Random,
    pub tensors: Tensors,
}

impl Builder {
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), tensors: Tensors::default() }
    }

    /// A Linear with weights of standard deviation 1 / sqrt(inputs), some of whose channels have two limbs;
    /// the output is `down` bits coarser than the input.
    pub fn linear(
        &mut self,
        name: &str,
        [inputs, outputs]: [usize; 2],
        down: i8,
        outliers: usize,
    ) -> RealLinear {
        let outliers = |random: &mut Random| random.channels(outliers, inputs);
        self.linear_of(name, [inputs, outputs], down, outliers)
    }

    /// As [`linear`](Self::linear), with the channels that have two limbs.
    pub fn linear_of(
        &mut self,
        name: &str,
        [inputs, outputs]: [usize; 2],
        down: i8,
        outliers: impl FnOnce(&mut Random) -> Vec<u16>,
    ) -> RealLinear {
        let random = &mut self.random;
        let matrix = random.many(inputs * outputs, |r| (r.normal() * 40.0) as i8);
        let mut layer = Layer::pack(&matrix, inputs, outputs, &outliers(random));
        let unit = 1.0 / (40.0 * libm::sqrt(inputs as f64));
        let shift = 15 - libm::ilogb(unit);
        layer.mantissa = random
            .many(outputs, |r| (libm::ldexp(unit * (1.0 + r.normal() / 10.0), shift) as u16).max(1 << 15));
        layer.shift = vec![shift as i8 + down; outputs];
        layer.bias = random.many(outputs, |r| (r.normal() * libm::ldexp(0.1, 16 - i32::from(down))) as i32);
        self.put(name, &layer);
        let row = |(row, &mantissa): (&[i8], &u16)| {
            let scale = libm::ldexp(f64::from(mantissa), -shift);
            row.iter().map(move |&code| f64::from(code) * scale).collect::<Vec<f64>>()
        };
        let bias = |&bias: &i32| libm::ldexp(f64::from(bias), i32::from(down) - ACT_FRAC as i32);
        RealLinear {
            weight: matrix.chunks_exact(inputs).zip(&layer.mantissa).flat_map(row).collect(),
            bias: layer.bias.iter().map(bias).collect(),
        }
    }

    fn put(&mut self, name: &str, layer: &Layer) {
        let (outputs, groups) = (layer.bias.len(), layer.view().panel_groups());
        let tensors = &mut self.tensors;
        tensors.put(&format!("{name}.weight"), &[outputs.div_ceil(16), groups, 16, 4], &layer.weight);
        tensors.put(&format!("{name}.bias"), &[outputs], &layer.bias);
        tensors.put(&format!("{name}.mantissa"), &[outputs], &layer.mantissa);
        tensors.put(&format!("{name}.shift"), &[outputs], &layer.shift);
        tensors.put(&format!("{name}.rowsum"), &[outputs], &layer.row_sum);
        tensors.put(&format!("{name}.outliers"), &[layer.outliers.len()], &layer.outliers);
    }

    /// A LayerNorm.
    pub fn norm(&mut self, name: &str, width: usize) -> RealNorm {
        let one = f64::from(1 << 20);
        let gain = self.random.many(width, |r| ((1.0 + r.normal() / 5.0) * one) as i32);
        let bias = self.random.many(width, |r| (r.normal() * 5000.0) as i32);
        self.tensors.put(&format!("{name}.gain"), &[width], &gain);
        self.tensors.put(&format!("{name}.bias"), &[width], &bias);
        let real = |values: &[i32], frac: i32| {
            values.iter().map(|&value| libm::ldexp(f64::from(value), -frac)).collect::<Vec<f64>>()
        };
        RealNorm { gain: real(&gain, 20), bias: real(&bias, ACT_FRAC as i32) }
    }

    /// How a stream of `width` channels is stored at a site, by the codec's record; exponents are 0 or 1.
    pub fn site(&mut self, name: &str, width: usize, record: &[i32; Codec::RECORD_LEN]) {
        let exponents = self.random.many(width, |r| r.below(2) as u8);
        assert!(Codec::from_record(record, 1).is_ok());
        self.tensors.put(name, &[record.len()], record);
        self.tensors.put(&format!("{name}.exponent"), &[width], &exponents);
    }
}

/// Three workers that take the chunks from the last to the first.
pub struct Backwards;

impl Executor for Backwards {
    fn workers(&self) -> usize {
        3
    }

    fn for_each_pair(&self, data: [&mut [u8]; 2], sizes: [usize; 2], scratch: &mut [u8], work: &PairWork) {
        let part = (scratch.len() / 3).max(1);
        for (index, chunk) in chunks(data, sizes).collect::<Vec<_>>().into_iter().rev() {
            let scratch = scratch.chunks_exact_mut(part).nth(index % 3).unwrap_or_default();
            work(index, chunk, scratch);
        }
    }
}

/// Runs `run` in `bytes` bytes of garbage that start at a multiple of 64.
pub fn with_memory<T>(bytes: usize, run: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut memory = Random(bytes as u64).many(bytes + 64, |r| r.next() as u8);
    let at = memory.as_ptr().addr().next_multiple_of(64) - memory.as_ptr().addr();
    run(&mut memory[at..at + bytes])
}

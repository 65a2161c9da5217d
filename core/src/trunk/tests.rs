//! Operations on pairs against the same in real numbers; the halves of an operation; independence of
//! backends, workers and what memory held before.

use super::addends::Addends;
use super::memory::PairMemory;
use super::pair_transition;
use super::shape::{Setting, Shape};
use super::testing::{
    FRAC, Factors, NARROW, RealAttention, RealMultiplication, RealTransition, WIDE, decibels, format, pairs,
    real, shape, turned,
};
use super::transpose::transpose;
use super::triangle_attention::TriangleAttention;
use super::triangle_multiplication::{Direction, TriangleMultiplication};
use crate::arena::{Arena, ArenaError, bytes_of};
use crate::executor::{Executor, Serial};
use crate::format::ModelFile;
use crate::kernels::Isa;
use crate::nn::Context;
use crate::nn::feed_forward::{Activation, FeedForward};
use crate::nn::stream::{Formats, Stream, StreamFormat};
use crate::nn::testing::{Backwards, Builder, with_memory};
use std::vec;
use std::vec::Vec;

const HEADS: usize = 2;
const HEAD_WIDTH: usize = 8;
const WIDTH: usize = HEADS * HEAD_WIDTH;

/// Below, at and above the sizes of panels and tiles.
const SIZES: [usize; 6] = [1, 2, 3, 16, 20, 33];

/// Bytes of a stored row, more than any site here takes.
const CODE_ROW: usize = 2 * WIDTH + 3;

/// What an operation works in: records of pairs, scratch.
type Operation<'o> = dyn Fn(&Setting, &mut [u8], &mut [u8], &mut [u8]) -> Result<(), ArenaError> + 'o;

/// What `operation` makes of `codes`: by every backend, on one worker and on three, the same.
fn everywhere(shape: &Shape, codes: &[u8], operation: &Operation) -> Vec<u8> {
    let run = |isa: Isa, executor: &dyn Executor| {
        let setting = Setting { context: Context { backend: isa.backend(), executor }, shape };
        let bytes = bytes_of(|counter| PairMemory::take(counter, shape, executor.workers())).unwrap();
        let mut codes = codes.to_vec();
        with_memory(bytes, |memory| {
            let mut arena = Arena::new(memory).unwrap();
            let memory = PairMemory::take(&mut arena, shape, executor.workers()).unwrap();
            operation(&setting, &mut codes, memory.records, memory.scratch).unwrap();
        });
        codes
    };
    let found = run(Isa::scalar(), &Serial);
    for isa in Isa::all() {
        assert!(run(isa, &Backwards) == found, "{isa:?}");
    }
    found
}

/// Random pairs at a site of 16 bits, an operation on them, and what it should have added.
struct Case<'a> {
    shape: Shape,
    formats: Formats<'a>,
    codes: Vec<u8>,
}

impl<'a> Case<'a> {
    fn new(file: &ModelFile<'a>, shape: Shape) -> Self {
        let formats = Formats {
            before: format(file, "before", &shape, CODE_ROW),
            after: format(file, "after", &shape, CODE_ROW),
        };
        let codes = pairs(shape.residues as u64, &shape, &formats.before);
        Self { shape, formats, codes }
    }

    /// The pairs, in real numbers.
    fn pairs(&self) -> Vec<f64> {
        real(&self.shape, &self.formats.before, &self.codes)
    }

    /// Decibels of what was added above what of it differs from `exact`.
    fn decibels(&self, found: &[u8], exact: &[f64]) -> f64 {
        let found = real(&self.shape, &self.formats.after, found);
        let added: Vec<f64> = found.iter().zip(self.pairs()).map(|(after, before)| after - before).collect();
        decibels(&added, exact)
    }
}

/// Sites of 16 bits around an operation.
fn wide_sites(to: &mut Builder) {
    for name in ["before", "after"] {
        to.site(name, WIDTH, &WIDE);
    }
}

#[test]
fn triangle_attention_equals_its_definition() {
    for (outliers, bound) in [(WIDTH, 40.0), (2, 36.0)] {
        for residues in SIZES {
            let shape = shape(residues, HEADS, HEAD_WIDTH, CODE_ROW);
            let mut weights = Builder::new(residues as u64);
            wide_sites(&mut weights);
            let exact = RealAttention::draw(&mut weights, "a", &shape, outliers);
            let file = weights.tensors.file();
            let file = ModelFile::parse(file.0.bytes()).unwrap();
            let attention = TriangleAttention::load(&file, "a", HEADS, WIDTH).unwrap();
            let case = Case::new(&file, shape);
            let found = everywhere(&case.shape, &case.codes, &|on, pair, records, scratch| {
                attention.run(on, &case.formats, pair, records, scratch)
            });
            let close = case.decibels(&found, &exact.of(&case.pairs(), residues));
            assert!(close > bound, "{residues} residues, {outliers} outliers: {close} dB");
        }
    }
}

#[test]
fn triangle_multiplication_equals_its_definition() {
    for (outliers, bound) in [(WIDTH, 40.0), (2, 36.0)] {
        for residues in SIZES {
            let shape = shape(residues, HEADS, HEAD_WIDTH, CODE_ROW);
            let mut weights = Builder::new(residues as u64);
            wide_sites(&mut weights);
            let exact = RealMultiplication::draw(&mut weights, "m", &shape, outliers);
            let file = weights.tensors.file();
            let file = ModelFile::parse(file.0.bytes()).unwrap();
            let load = |direction| TriangleMultiplication::load(&file, "m", direction, WIDTH).unwrap();
            let case = Case::new(&file, shape);
            let outgoing = load(Direction::Outgoing);
            let found = everywhere(&case.shape, &case.codes, &|on, pair, records, scratch| {
                outgoing.run(on, &case.formats, pair, records, scratch)
            });
            let close = case.decibels(&found, &exact.of(&case.pairs(), residues));
            assert!(close > bound, "outgoing, {residues} residues, {outliers} outliers: {close} dB");

            // Incoming: sum over k of a[k, i] b[k, j], with the gate of (i, j).
            let incoming = load(Direction::Incoming);
            let turn = |pair: &mut [u8]| transpose(pair, residues, CODE_ROW);
            let found = everywhere(&case.shape, &case.codes, &|on, pair, records, scratch| {
                turn(pair);
                incoming.run(on, &case.formats, pair, records, scratch)?;
                turn(pair);
                Ok(())
            });
            let straight = exact.factors(&case.pairs());
            let Factors { a, b, .. } = exact.factors(&turned(&case.pairs(), residues, WIDTH));
            let sums = exact.product(&Factors { a, b, gate: straight.gate }, residues);
            let close = case.decibels(&found, &sums);
            assert!(close > bound, "incoming, {residues} residues, {outliers} outliers: {close} dB");
        }
    }
}

#[test]
fn a_transition_of_pairs_equals_its_definition() {
    for (outliers, bound) in [(WIDTH, 64.0), (2, 38.0)] {
        for residues in SIZES {
            let shape = shape(residues, HEADS, HEAD_WIDTH, CODE_ROW);
            let mut weights = Builder::new(residues as u64);
            wide_sites(&mut weights);
            let exact = RealTransition::draw(&mut weights, "t", WIDTH, outliers);
            let file = weights.tensors.file();
            let file = ModelFile::parse(file.0.bytes()).unwrap();
            let transition = FeedForward::load(&file, "t", [WIDTH, 4 * WIDTH], Activation::Relu).unwrap();
            let case = Case::new(&file, shape);
            let found = everywhere(&case.shape, &case.codes, &|on, pair, _, scratch| {
                pair_transition::run(on, &transition, &case.formats, pair, scratch)
            });
            let close = case.decibels(&found, &exact.of(&case.pairs()));
            assert!(close > bound, "{residues} residues, {outliers} outliers: {close} dB");
        }
    }
}

/// Both operations that read some pairs and add to others.
enum Halves<'a> {
    Attention(TriangleAttention<'a>),
    Multiplication(TriangleMultiplication<'a>),
}

impl Halves<'_> {
    fn in_place(
        &self,
        on: &Setting,
        formats: &Formats,
        pair: &mut [u8],
        [records, scratch]: [&mut [u8]; 2],
    ) -> Result<(), ArenaError> {
        match self {
            Self::Attention(attention) => attention.run(on, formats, pair, records, scratch),
            Self::Multiplication(product) => product.run(on, formats, pair, records, scratch),
        }
    }

    /// Reads `pair`, spoils it by `spoil`, and adds.
    fn apart(
        &self,
        on: &Setting,
        addends: Addends,
        (pair, format): (&mut [u8], StreamFormat),
        sums: &mut [u8],
        [records, scratch]: [&mut [u8]; 2],
    ) -> Result<(), ArenaError> {
        match self {
            Self::Attention(attention) => {
                let read = attention.read(on, &Stream { codes: pair, format }, records, scratch)?;
                pair.fill(0x55);
                attention.add(on, &read, addends, sums, scratch)
            }
            Self::Multiplication(product) => {
                let read = product.read(on, &Stream { codes: pair, format }, records, scratch)?;
                pair.fill(0x55);
                product.add(on, read, addends, sums, scratch)
            }
        }
    }
}

/// The codes of all rows, without what lies behind them.
fn rows_of(codes: &[u8], code_row: usize, bytes: usize) -> Vec<u8> {
    codes.chunks_exact(code_row).flat_map(|row| row[..bytes].to_vec()).collect()
}

#[test]
fn what_reads_pairs_can_add_to_others() {
    /// Bytes of a row of sums.
    const SUMS_ROW: usize = WIDTH + 5;
    for residues in SIZES {
        let shape = shape(residues, HEADS, HEAD_WIDTH, CODE_ROW);
        let mut weights = Builder::new(7 + residues as u64);
        weights.site("before", WIDTH, &WIDE);
        weights.site("after", WIDTH, &NARROW);
        RealAttention::draw(&mut weights, "a", &shape, 3);
        RealMultiplication::draw(&mut weights, "m", &shape, 0);
        let file = weights.tensors.file();
        let file = ModelFile::parse(file.0.bytes()).unwrap();
        let case = Case::new(&file, shape);
        let elsewhere = Formats { after: format(&file, "after", &case.shape, SUMS_ROW), ..case.formats };
        let attention = TriangleAttention::load(&file, "a", HEADS, WIDTH).unwrap();
        let product = TriangleMultiplication::load(&file, "m", Direction::Outgoing, WIDTH).unwrap();
        for operation in [Halves::Attention(attention), Halves::Multiplication(product)] {
            let expected = everywhere(&case.shape, &case.codes, &|on, pair, records, scratch| {
                operation.in_place(on, &case.formats, pair, [records, scratch])
            });
            let expected = rows_of(&expected, CODE_ROW, WIDTH);

            // The addends lie elsewhere, and so do the sums.
            let dirt = vec![0xa5; residues * residues * SUMS_ROW];
            let found = everywhere(&case.shape, &dirt, &|on, sums, records, scratch| {
                let addends = Addends { formats: &elsewhere, codes: Some(&case.codes) };
                let mut pair = case.codes.clone();
                let pair = (&mut pair[..], case.formats.before);
                operation.apart(on, addends, pair, sums, [records, scratch])
            });
            assert!(rows_of(&found, SUMS_ROW, WIDTH) == expected, "{residues} residues, elsewhere");

            // The sums take the addends' place, which isn't that of the pairs.
            let found = everywhere(&case.shape, &case.codes, &|on, sums, records, scratch| {
                let addends = Addends { formats: &case.formats, codes: None };
                let mut pair = case.codes.clone();
                let pair = (&mut pair[..], case.formats.before);
                operation.apart(on, addends, pair, sums, [records, scratch])
            });
            assert!(rows_of(&found, CODE_ROW, WIDTH) == expected, "{residues} residues, in place");
        }
    }
}

#[test]
fn weights_that_read_the_same_rows_must_have_the_same_outliers() {
    let shape = shape(1, HEADS, HEAD_WIDTH, CODE_ROW);
    let mut weights = Builder::new(FRAC.into());
    RealAttention::draw(&mut weights, "a", &shape, 3);
    RealMultiplication::draw(&mut weights, "m", &shape, 3);
    weights.linear("a.bias", [WIDTH, HEADS], 0, 2);
    weights.linear("m.gate", [WIDTH, WIDTH], 0, 2);
    let file = weights.tensors.file();
    let file = ModelFile::parse(file.0.bytes()).unwrap();
    let attention = TriangleAttention::load(&file, "a", HEADS, WIDTH).unwrap_err();
    let product = TriangleMultiplication::load(&file, "m", Direction::Outgoing, WIDTH).unwrap_err();
    assert!(std::format!("{attention}").contains("bias and projections have other outliers"));
    assert!(std::format!("{product}").contains("gate and projections have other outliers"));
}

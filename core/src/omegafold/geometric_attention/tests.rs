//! A layer against the same in real numbers; that other readings of it are told apart; independence of
//! backends, workers and what memory held before; names of tensors.

use super::{GeometricAttention, LayerFormats};
use crate::arena::{Arena, bytes_of};
use crate::executor::{Executor, Serial};
use crate::format::{FormatError, MAX_NAME_BYTES, ModelFile};
use crate::kernels::Isa;
use crate::nn::Context;
use crate::nn::testing::{Backwards, Builder, with_memory};
use crate::trunk::memory::PairMemory;
use crate::trunk::shape::{Setting, Shape};
use crate::trunk::testing::{
    Factors, NARROW, RealAttention, RealMultiplication, WIDE, decibels, format, pairs, real, shape, turned,
};
use std::vec::Vec;

const HEADS: usize = 2;
const HEAD_WIDTH: usize = 8;
const WIDTH: usize = HEADS * HEAD_WIDTH;

/// Below, at and above the sizes of panels and tiles.
const SIZES: [usize; 6] = [1, 2, 3, 16, 20, 33];

/// Bytes of a stored pair, and of one within the layer: more than any site here takes, and other ones.
const CODE_ROWS: [usize; 2] = [2 * WIDTH + 1, 2 * WIDTH + 6];

/// The layer that is tried.
const BLOCK: usize = 49;
const LAYER: usize = 1;

/// The four operations of a layer in real numbers.
struct Real {
    start: RealAttention,
    end: RealAttention,
    straight: RealMultiplication,
    turned: RealMultiplication,
}

impl Real {
    fn draw(to: &mut Builder, shape: &Shape, outliers: usize) -> Self {
        let name = |part: &str| std::format!("fold.trunk.{BLOCK}.geometric.{LAYER}.{part}");
        Self {
            start: RealAttention::draw(to, &name("attention_start"), shape, outliers),
            end: RealAttention::draw(to, &name("attention_end"), shape, outliers),
            straight: RealMultiplication::draw(to, &name("product"), shape, outliers),
            turned: RealMultiplication::draw(to, &name("product_turned"), shape, outliers),
        }
    }

    /// What is added to the pairs, without the second product.
    fn but_turned_product(&self, pairs: &[f64], residues: usize) -> Vec<f64> {
        let mirrored = turned(pairs, residues, WIDTH);
        let ending = turned(&self.end.of(&mirrored, residues), residues, WIDTH);
        let parts = [self.start.of(pairs, residues), self.straight.of(pairs, residues), ending];
        (0..pairs.len()).map(|at| parts.iter().map(|part| part[at]).sum()).collect()
    }

    /// What is added to the pairs.
    fn of(&self, pairs: &[f64], residues: usize) -> Vec<f64> {
        let product = self.turned.of(&turned(pairs, residues, WIDTH), residues);
        sum(&self.but_turned_product(pairs, residues), &product)
    }
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// A layer of random weights.
struct Case<'a> {
    layer: GeometricAttention<'a>,
    formats: LayerFormats<'a>,
    shape: Shape,
    codes: Vec<u8>,
}

impl<'a> Case<'a> {
    fn new(file: &ModelFile<'a>, shape: Shape) -> Self {
        let [pair_row, middle_row] = CODE_ROWS;
        let formats = LayerFormats {
            before: format(file, "before", &shape, pair_row),
            middle: format(file, "middle", &shape, middle_row),
            after: format(file, "after", &shape, pair_row),
        };
        let codes = pairs(shape.residues as u64, &shape, &formats.before);
        let layer =
            GeometricAttention { file: *file, block: BLOCK, layer: LAYER, heads: HEADS, width: WIDTH };
        Self { layer, formats, shape, codes }
    }

    fn run(&self, isa: Isa, executor: &dyn Executor) -> Vec<u8> {
        let Self { shape, layer, formats, .. } = self;
        let workers = executor.workers();
        let setting = Setting { context: Context { backend: isa.backend(), executor }, shape };
        let middle_bytes = shape.residues * shape.residues * CODE_ROWS[1];
        let bytes = bytes_of(|counter| PairMemory::take(counter, shape, workers)).unwrap();
        let mut codes = self.codes.clone();
        with_memory(middle_bytes, |middle| {
            with_memory(bytes, |memory| {
                let mut arena = Arena::new(memory).unwrap();
                let mut memory = PairMemory::take(&mut arena, shape, workers).unwrap();
                layer.run(&setting, formats, [&mut codes, middle], &mut memory).unwrap();
            });
        });
        codes
    }

    /// What is added to the pairs: by every backend, on one worker and on three, the same.
    fn added(&self) -> Vec<f64> {
        let found = self.run(Isa::scalar(), &Serial);
        for isa in Isa::all() {
            assert!(self.run(isa, &Backwards) == found, "{isa:?}");
        }
        let after = real(&self.shape, &self.formats.after, &found);
        after.iter().zip(self.pairs()).map(|(after, before)| after - before).collect()
    }

    /// The pairs before the layer.
    fn pairs(&self) -> Vec<f64> {
        real(&self.shape, &self.formats.before, &self.codes)
    }
}

fn builder(seed: usize, after: &[i32; 8]) -> Builder {
    let mut weights = Builder::new(seed as u64);
    for (name, record) in [("before", &WIDE), ("middle", &WIDE), ("after", after)] {
        weights.site(name, WIDTH, record);
    }
    weights
}

#[test]
fn a_layer_equals_its_definition() {
    for (outliers, after, bound) in [(WIDTH, WIDE, 40.0), (2, WIDE, 36.0), (WIDTH, NARROW, 30.0)] {
        for residues in SIZES {
            let shape = shape(residues, HEADS, HEAD_WIDTH, CODE_ROWS[0]);
            let mut weights = builder(residues, &after);
            let exact = Real::draw(&mut weights, &shape, outliers);
            let file = weights.tensors.file();
            let file = ModelFile::parse(file.0.bytes()).unwrap();
            let case = Case::new(&file, shape);
            let close = decibels(&case.added(), &exact.of(&case.pairs(), residues));
            assert!(close > bound, "{residues} residues, {outliers} outliers: {close} dB");
        }
    }
}

/// What the layer might be taken for, and is not.
#[test]
fn other_readings_are_told_apart() {
    const FAR: f64 = 20.0;
    let residues = 20;
    let shape = shape(residues, HEADS, HEAD_WIDTH, CODE_ROWS[0]);
    let mut weights = builder(1, &WIDE);
    let exact = Real::draw(&mut weights, &shape, WIDTH);
    let file = weights.tensors.file();
    let file = ModelFile::parse(file.0.bytes()).unwrap();
    let case = Case::new(&file, shape);
    let (found, pairs) = (case.added(), case.pairs());
    let rest = exact.but_turned_product(&pairs, residues);
    let mirrored = turned(&pairs, residues, WIDTH);
    let turned_factors = exact.turned.factors(&mirrored);
    let with = |factors: Factors| sum(&rest, &exact.turned.product(&factors, residues));
    assert!(decibels(&found, &with(turned_factors.clone())) > FAR);

    let own_gate = exact.turned.factors(&pairs).gate;
    let of_incoming_edges = with(Factors { gate: own_gate, ..turned_factors.clone() });
    assert!(decibels(&found, &of_incoming_edges) < FAR, "the gate of the pair, not of the mirrored one");

    let Factors { a, b, gate } = turned_factors.clone();
    let exchanged = with(Factors { a: b, b: a, gate });
    assert!(decibels(&found, &exchanged) < FAR, "a and b exchanged");

    let product = exact.turned.product(&turned_factors, residues);
    let back = sum(&rest, &turned(&product, residues, WIDTH));
    assert!(decibels(&found, &back) < FAR, "the product transposed back");

    let first = sum(&pairs, &exact.start.of(&pairs, residues));
    let second = sum(&first, &exact.straight.of(&first, residues));
    let third = sum(&second, &exact.turned.of(&turned(&second, residues, WIDTH), residues));
    let ending = exact.end.of(&turned(&third, residues, WIDTH), residues);
    let fourth = sum(&third, &turned(&ending, residues, WIDTH));
    let in_turns: Vec<f64> = fourth.iter().zip(&pairs).map(|(after, before)| after - before).collect();
    assert!(decibels(&found, &in_turns) < FAR, "each operation reads what the one before gave");
}

#[test]
fn tensors_have_the_names_that_a_file_can_hold() {
    let shape = shape(1, HEADS, HEAD_WIDTH, CODE_ROWS[0]);
    let mut weights = builder(1, &WIDE);
    Real::draw(&mut weights, &shape, 3);
    let tensors = weights.tensors;
    // The largest numbers that a configuration allows.
    let more = "fold.trunk.255.geometric.15.".len() - "fold.trunk.49.geometric.1.".len();
    assert!(tensors.0.keys().all(|name| name.len() + more <= MAX_NAME_BYTES));
    let check = |file: &ModelFile| {
        GeometricAttention { file: *file, block: BLOCK, layer: LAYER, heads: HEADS, width: WIDTH }.check()
    };
    let file = tensors.file();
    // Three channels have two limbs, in groups of four.
    assert_eq!(check(&ModelFile::parse(file.0.bytes()).unwrap()), Ok(WIDTH + 4));
    for name in tensors.0.keys().filter(|name| name.starts_with("fold.")) {
        let mut fewer = tensors.clone();
        fewer.0.remove(name);
        let file = fewer.file();
        let file = ModelFile::parse(file.0.bytes()).unwrap();
        assert_eq!(check(&file), Err(FormatError::missing_tensor(name)));
    }
}

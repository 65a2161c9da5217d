//! A random MSA and random pairs, and a block's operations on them.

use super::real::RealMsa;
use crate::arena::{Arena, bytes_of};
use crate::executor::Executor;
use crate::format::ModelFile;
use crate::format::testing::{File, Tensors};
use crate::kernels::Isa;
use crate::kernels::testing::Random;
use crate::nn::Context;
use crate::nn::stream::{Formats, Stream, StreamFormat};
use crate::nn::testing::{Builder, with_memory};
use crate::quant::Site;
use crate::trunk::msa::memory::Memory;
use crate::trunk::msa::msa_attention::MsaAttention;
use crate::trunk::msa::outer_product::OuterProduct;
use crate::trunk::msa::shape::{Setting, Shape};
use crate::trunk::shape::{self, Representation};
use crate::trunk::testing::{FRAC, WIDE, shape as trunk_shape};
use std::vec;
use std::vec::Vec;

/// The block.
pub const NAME: &str = "fold.trunk.7";

/// Sizes of an MSA.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub residues: usize,
    pub rows: usize,
    pub heads: usize,
    pub pair_width: usize,
    pub outer: usize,
}

/// Channels of a head.
const HEAD_WIDTH: usize = 8;

impl Sizes {
    pub const fn width(&self) -> usize {
        self.heads * HEAD_WIDTH
    }

    /// Bytes of a stored row of the MSA: more than any site takes.
    const fn code_row(&self) -> usize {
        2 * self.width() + 3
    }

    pub fn trunk(&self) -> shape::Shape {
        let shape = trunk_shape(self.residues, self.heads, HEAD_WIDTH, self.code_row());
        let code_row = 2 * self.pair_width + 1;
        let pair = Representation { width: self.pair_width, code_row, ..shape.pair };
        shape::Shape { pair, quantized_pair: 2 * self.pair_width, ..shape }
    }

    pub fn shape<'s>(&self, trunk: &'s shape::Shape) -> Shape<'s> {
        Shape { trunk, rows: self.rows, outer_width: self.outer }
    }

    /// Random weights, and what they are in real numbers.
    pub fn draw(&self, seed: u64) -> (Tensors, RealMsa) {
        let mut builder = Builder::new(seed);
        let real = RealMsa::draw(&mut builder, NAME, self.heads, [self.width(), self.pair_width, self.outer]);
        // Eight bits of the pairs, since the MSA is what is looked at.
        for name in ["msa.0", "msa.1", "msa.2"] {
            builder.site(name, self.width(), &WIDE);
        }
        builder.site("pair.0", self.pair_width, &WIDE);
        builder.site("pair.1", self.pair_width, &WIDE);
        (builder.tensors, real)
    }
}

/// Stored representations, and which entries of the MSA are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// `[residues, rows]`
    pub msa: Vec<u8>,
    pub pair: Vec<u8>,
    /// `[rows, residues]`
    pub kept: Vec<u8>,
}

/// Sizes, weights, and what is stored.
pub struct Case {
    pub sizes: Sizes,
    pub file: File,
    pub real: RealMsa,
    pub stored: Stored,
}

/// What the operations left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// After attention within rows, of each entry; empty of those that are masked.
    pub updated: Vec<Vec<i32>>,
    /// After all else, codes.
    pub msa: Vec<u8>,
    /// After the outer product of that, codes.
    pub pair: Vec<u8>,
}

impl Case {
    /// `keeps` says of a row and a residue whether the entry is kept, as it likes.
    pub fn new(seed: u64, sizes: Sizes, mut keeps: impl FnMut(&mut Random, usize, usize) -> bool) -> Self {
        let (tensors, real) = sizes.draw(seed);
        let mut random = Random(seed ^ 0x5bd1);
        let Sizes { residues, rows, .. } = sizes;
        let places: Vec<_> = (0..rows).flat_map(|row| (0..residues).map(move |i| (row, i))).collect();
        let kept = places.iter().map(|&(row, i)| u8::from(keeps(&mut random, row, i))).collect();
        let trunk = sizes.trunk();
        let msa = random.many(residues * rows * trunk.sequence.code_row, |r| r.next() as u8);
        let pair = random.many(residues * residues * trunk.pair.code_row, |r| r.next() as u8);
        let mut case = Self { sizes, file: tensors.file(), real, stored: Stored { msa, pair, kept } };
        case.store(&mut random);
        case
    }

    /// Numbers of standard deviation 1 in both representations.
    fn store(&mut self, random: &mut Random) {
        let Self { sizes, file, stored, .. } = self;
        let file = ModelFile::parse(file.0.bytes()).unwrap();
        let trunk = sizes.trunk();
        let backend = Isa::scalar().backend();
        let both = [(&mut stored.msa, "msa.0", trunk.sequence), (&mut stored.pair, "pair.0", trunk.pair)];
        for (codes, name, of) in both {
            let count = codes.len() / of.code_row * of.width;
            let values = random.many(count, |r| libm::ldexp(r.normal(), FRAC as i32) as i32);
            format(&file, name, &of).encode(backend, &values, codes);
        }
    }

    pub fn keeps(&self, row: usize, residue: usize) -> bool {
        self.stored.kept[row * self.sizes.residues + residue] != 0
    }

    /// Rows of codes in real numbers.
    pub fn decoded(&self, name: &str, codes: &[u8]) -> Vec<Vec<f64>> {
        let file = ModelFile::parse(self.file.0.bytes()).unwrap();
        let trunk = self.sizes.trunk();
        let of = if name.starts_with("msa") { trunk.sequence } else { trunk.pair };
        let mut values = vec![0; codes.len() / of.code_row * of.width];
        format(&file, name, &of).decode(Isa::scalar().backend(), codes, &mut values);
        values.chunks_exact(of.width).map(real).collect()
    }

    /// Runs everything by a backend and an executor, in exactly the planned memory, full of dirt.
    pub fn run(&self, isa: Isa, executor: &dyn Executor) -> Done {
        run(&self.file, self.sizes, &self.stored, isa, executor)
    }
}

/// As [`Case::run`].
pub fn run(file: &File, sizes: Sizes, stored: &Stored, isa: Isa, executor: &dyn Executor) -> Done {
    let file = ModelFile::parse(file.0.bytes()).unwrap();
    let trunk = sizes.trunk();
    let shape = sizes.shape(&trunk);
    let context = Context { backend: isa.backend(), executor };
    let on = Setting { context, shape: &shape, kept: &stored.kept };
    let Sizes { heads, pair_width, outer, .. } = sizes;
    let widths = [sizes.width(), pair_width];
    let attention = MsaAttention::load(&file, NAME, heads, widths).unwrap();
    let product = OuterProduct::load(&file, NAME, [sizes.width(), outer, pair_width], FRAC).unwrap();
    let msa_formats = ["msa.0", "msa.1", "msa.2"].map(|name| format(&file, name, &trunk.sequence));
    let [before, between, after] = msa_formats;
    let formats = [Formats { before, after: between }, Formats { before: between, after }];
    let [pair_before, pair_after] = ["pair.0", "pair.1"].map(|name| format(&file, name, &trunk.pair));
    let Stored { mut msa, mut pair, .. } = stored.clone();
    let bytes = bytes_of(|counter| Memory::take(counter, &shape, executor.workers())).unwrap();
    let updated = with_memory(bytes, |memory| {
        let mut arena = Arena::new(memory).unwrap();
        let mut memory = Memory::take(&mut arena, &shape, executor.workers()).unwrap();
        let stream = Stream { codes: &pair, format: pair_before };
        attention.run(&on, &formats, &mut msa, &stream, &mut memory).unwrap();
        let kept = memory.kept.read(&shape);
        let updated = Stream { codes: memory.updated, format: between };
        let places = (0..sizes.rows).flat_map(|row| (0..sizes.residues).map(move |i| (row, i)));
        let decoded = places.map(|(row, residue)| {
            let place = kept.find(row, residue as u32)?;
            let mut x = vec![0; sizes.width()];
            updated.decode(Isa::scalar().backend(), place, &mut x);
            Some(x)
        });
        decoded.map(Option::unwrap_or_default).collect()
    });
    with_memory(bytes, |memory| {
        let mut arena = Arena::new(memory).unwrap();
        let mut memory = Memory::take(&mut arena, &shape, executor.workers()).unwrap();
        let stream = Stream { codes: &msa, format: after };
        let formats = Formats { before: pair_before, after: pair_after };
        product.run(&on, &stream, &formats, &mut pair, &mut memory).unwrap();
    });
    Done { updated, msa, pair }
}

/// How a representation is stored at a site.
pub fn format<'a>(file: &ModelFile<'a>, name: &str, of: &Representation) -> StreamFormat<'a> {
    StreamFormat { site: Site::load(file, name, of.width).unwrap(), code_row: of.code_row }
}

/// Values of a representation in real numbers.
pub fn real(values: &[i32]) -> Vec<f64> {
    values.iter().map(|&value| libm::ldexp(f64::from(value), -(FRAC as i32))).collect()
}

//! What a cycle starts from, against the definition in real numbers.

use super::*;
use crate::executor::{Executor, Serial};
use crate::kernels::Isa;
use crate::kernels::testing::Random;
use crate::nn::testing::{Backwards, Builder, RealNorm, with_memory};
use crate::omegafold::config::tests::RELEASE_1;
use crate::quant::{Codec, Site};
use std::vec;
use std::vec::Vec;

const WIDTHS: [usize; 2] = [16, 24];
const FRAC: u32 = 12;
const EPSILON: f64 = 1e-5;

/// Codec of 16 bits: to ±16 at least, in steps of 2 or 4 units.
const WIDE: [i32; Codec::RECORD_LEN] = [16, 0, 0, 0, 0, 0, 2, 0];

/// Codec of 8 bits.
const NARROW: [i32; Codec::RECORD_LEN] = [8, 20, 107, 107, 20, 900, 100, 1000];

const CONFIG: Config = Config {
    node_width: WIDTHS[0],
    pair_width: WIDTHS[1],
    position_bins: 3,
    node_frac: FRAC,
    pair_frac: FRAC,
    epsilon_node: 168,
    epsilon_pair: 168,
    ..RELEASE_1
};

/// Units of a representation.
fn real(value: i32) -> f64 {
    libm::ldexp(f64::from(value), -(FRAC as i32))
}

/// What the language model says, in this test: any numbers that follow from what it is of.
fn feature(kind: u64, row: usize, residue: usize, channel: usize) -> i32 {
    let seed = [row, residue, channel].into_iter().fold(kind, |seed, part| (seed << 16) ^ part as u64);
    (Random(seed).next() as i32) >> 17
}

/// The tensors, and what they stand for.
struct Model {
    file: crate::format::testing::File,
    norms: [RealNorm; 2],
    /// Distances, both types, positions.
    tables: [Vec<i32>; 4],
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut builder = Builder::new(seed);
        let norms = [
            builder.norm("fold.recycling.node_norm", WIDTHS[0]),
            builder.norm("fold.recycling.pair_norm", WIDTHS[1]),
        ];
        let mut table = |name: &str, rows: usize| {
            let values = builder.random.many(rows * WIDTHS[1], |r| (r.normal() * 4000.0) as i32);
            builder.tensors.put(name, &[rows, WIDTHS[1]], &values);
            values
        };
        let tables = [
            table("fold.recycling.distances", 16),
            table("fold.embedding.row_types", 21),
            table("fold.embedding.column_types", 21),
            table("fold.embedding.positions", 7),
        ];
        for (kind, width) in ["node", "pair"].into_iter().zip(WIDTHS) {
            builder.site(&std::format!("{kind}.before"), width, &NARROW);
            builder.site(&std::format!("{kind}.after"), width, &WIDE);
        }
        Self { file: builder.tensors.file(), norms, tables }
    }
}

/// A sequence with glycines and X, places of its residues, and both representations of the cycle before.
struct Case {
    rows: usize,
    residues: Vec<Residue>,
    places: Vec<[i32; 3]>,
    /// Codes, `[residues, rows]` and `[residues, residues]`.
    codes: [Vec<u8>; 2],
}

/// Bytes of a stored row, more than any site here takes.
const fn code_row(kind: usize) -> usize {
    2 * WIDTHS[kind] + 3
}

impl Case {
    fn new(seed: u64, residues: usize, rows: usize) -> Self {
        let random = &mut Random(seed);
        let byte = |r: &mut Random| r.next() as u8;
        Self {
            rows,
            residues: random.many(residues, |r| Residue::from_index(r.below(21)).unwrap()),
            // Within some 20 angstroms: all bins occur.
            places: random.many(residues, |r| [0; 3].map(|_| (r.normal() * 450_000.0) as i32)),
            codes: [
                random.many(residues * rows * code_row(0), byte),
                random.many(residues * residues * code_row(1), byte),
            ],
        }
    }

    /// Both representations after [`Recycling::node`] and [`Recycling::pair`].
    fn run(&self, model: &ModelFile, again: bool, isa: Isa, executor: &dyn Executor) -> [Vec<i32>; 2] {
        let recycling = Recycling::load(model, &CONFIG).unwrap();
        let context = &Context { backend: isa.backend(), executor };
        let format = |kind: usize, name: &str| StreamFormat {
            site: Site::load(model, name, WIDTHS[kind]).unwrap(),
            code_row: code_row(kind),
        };
        let turns = ["node", "pair"].into_iter().enumerate().map(|(kind, name)| Turn {
            before: again.then(|| format(kind, &std::format!("{name}.before"))),
            after: format(kind, &std::format!("{name}.after")),
        });
        let turns: Vec<Turn> = turns.collect();
        let features = |kind: usize| {
            move |row: usize, first: usize, out: &mut [i32], scratch: &mut [u8]| {
                assert_eq!(scratch.len(), 100);
                scratch.fill(0x5a);
                for (residue, out) in (first..).zip(out.chunks_exact_mut(WIDTHS[kind])) {
                    (0..).zip(out).for_each(|(channel, out)| {
                        *out = feature(kind as u64, row, residue, channel);
                    });
                }
                Ok(())
            }
        };
        let [mut node, mut pair] = self.codes.clone();
        with_memory(recycling.bytes(100, context.workers()).unwrap(), |scratch| {
            let features = [features(0), features(1)];
            let work = Work {
                features: &features[0],
                features_bytes: 100,
                codes: &mut node,
                scratch: &mut *scratch,
            };
            recycling.node(context, self.rows, &turns[0], work).unwrap();
            let geometry = Geometry { residues: &self.residues, places: &self.places };
            let work = Work { features: &features[1], features_bytes: 100, codes: &mut pair, scratch };
            recycling.pair(context, &geometry, &turns[1], work).unwrap();
        });
        let decoded = [node, pair].into_iter().enumerate().map(|(kind, codes)| {
            let mut values = vec![0; codes.len() / code_row(kind) * WIDTHS[kind]];
            turns[kind].after.decode(context.backend, &codes, &mut values);
            values
        });
        let [node, pair] = decoded.collect::<Vec<_>>().try_into().unwrap();
        [node, pair]
    }

    /// The LayerNorm of a stored row of the cycle before, or of zeros.
    fn recycled(&self, model: &Model, file: &ModelFile, kind: usize, row: usize, again: bool) -> Vec<f64> {
        let mut values = vec![0; WIDTHS[kind]];
        if again {
            let site = Site::load(file, ["node.before", "pair.before"][kind], WIDTHS[kind]).unwrap();
            let format = StreamFormat { site, code_row: code_row(kind) };
            let codes = &self.codes[kind][row * code_row(kind)..];
            format.decode(Isa::scalar().backend(), codes, &mut values);
        }
        let values: Vec<f64> = values.into_iter().map(real).collect();
        model.norms[kind].of(&values, EPSILON)
    }

    /// The definition.
    fn exact(&self, model: &Model, file: &ModelFile, again: bool) -> [Vec<f64>; 2] {
        let count = self.residues.len();
        let mut node = Vec::new();
        for (residue, row) in (0..count).flat_map(|residue| (0..self.rows).map(move |row| (residue, row))) {
            let recycled = match row {
                0 => self.recycled(model, file, 0, residue * self.rows, again),
                _ => vec![0.0; WIDTHS[0]],
            };
            node.extend((0..).zip(recycled).map(|(c, x)| x + real(feature(0, row, residue, c))));
        }
        let mut pair = Vec::new();
        for (i, j) in (0..count).flat_map(|i| (0..count).map(move |j| (i, j))) {
            let squares = (0..3).map(|axis| {
                let offset = f64::from(self.places[i][axis]) - f64::from(self.places[j][axis]);
                offset * offset / 65536.0 / 65536.0
            });
            let distance = libm::sqrt(squares.sum());
            let breaks = (0..15).filter(|&k| distance > 3.25 + 1.25 * f64::from(k)).count();
            let offset = (j as i64 - i as i64).clamp(-3, 3) + 3;
            let [first, second] = [i, j].map(|index| self.residues[index].index());
            let rows = [if again { breaks } else { 0 }, first, second, offset as usize];
            let recycled = self.recycled(model, file, 1, i * count + j, again);
            pair.extend((0..).zip(recycled).map(|(c, x)| {
                let tables =
                    model.tables.iter().zip(rows).map(|(table, row)| real(table[row * WIDTHS[1] + c]));
                x + real(feature(1, i, j, c)) + tables.sum::<f64>()
            }));
        }
        [node, pair]
    }
}

#[test]
fn both_representations_start_as_defined_whatever_runs_them() {
    for (seed, (residues, rows)) in (0..).zip([(1, 1), (2, 3), (3, 2), (16, 2), (33, 1), (40, 4)]) {
        let (model, case) = (Model::new(seed), Case::new(seed + 100, residues, rows));
        let file = ModelFile::parse(model.file.0.bytes()).unwrap();
        for again in [false, true] {
            let found = case.run(&file, again, Isa::scalar(), &Serial);
            let exact = case.exact(&model, &file, again);
            for (kind, (found, exact)) in found.iter().zip(&exact).enumerate() {
                assert_eq!(found.len(), exact.len());
                let difference =
                    found.iter().zip(exact).map(|(&a, b)| (real(a) - b).abs()).fold(0.0, f64::max);
                // Half a step of 4 units, half a unit of rounding, and LayerNorm's error.
                assert!(difference < real(3), "{residues} residues, {rows} rows, {kind}: {difference}");
            }
            for isa in Isa::all() {
                assert!(case.run(&file, again, isa, &Backwards) == found, "{isa:?}");
            }
        }
    }
}

#[test]
fn memory_that_is_too_small_is_refused() {
    let (model, case) = (Model::new(9), Case::new(9, 5, 2));
    let file = ModelFile::parse(model.file.0.bytes()).unwrap();
    let recycling = Recycling::load(&file, &CONFIG).unwrap();
    let context = &Context { backend: Isa::best().backend(), executor: &Serial };
    let site = Site::load(&file, "node.after", WIDTHS[0]).unwrap();
    let turn = Turn { before: None, after: StreamFormat { site, code_row: code_row(0) } };
    let bytes = recycling.bytes(100, 1).unwrap();
    with_memory(bytes, |memory| {
        let mut run = |bytes: usize| {
            let (mut codes, scratch) = (case.codes[0].clone(), &mut memory[..bytes]);
            let features = |_: usize, _: usize, out: &mut [i32], _: &mut [u8]| {
                out.fill(0);
                Ok(())
            };
            let work = Work { features: &features, features_bytes: 100, codes: &mut codes, scratch };
            recycling.node(context, case.rows, &turn, work)
        };
        assert_eq!(run(bytes), Ok(()));
        assert_eq!(run(64), Err(ArenaError::WrongChunk));
    });
}

#[test]
fn tensors_that_can_not_be_used_are_refused() {
    let model = Model::new(1);
    let file = ModelFile::parse(model.file.0.bytes()).unwrap();
    let load = |config: &Config| Recycling::load(&file, config).map(|_| ());
    assert_eq!(load(&CONFIG), Ok(()));
    for config in [
        Config { node_width: 17, ..CONFIG },
        Config { pair_width: 17, ..CONFIG },
        Config { position_bins: 4, ..CONFIG },
    ] {
        assert!(load(&config).is_err());
    }
    let mut builder = Builder::new(0);
    builder.norm("fold.recycling.node_norm", WIDTHS[0]);
    builder.norm("fold.recycling.pair_norm", WIDTHS[1]);
    builder.tensors.put("fold.recycling.distances", &[16, WIDTHS[1]], &[(1 << 23) + 1; 16 * WIDTHS[1]]);
    let file = builder.tensors.file();
    let file = ModelFile::parse(file.0.bytes()).unwrap();
    let expected = FormatError::bad_value("fold.recycling.distances", "a value exceeds 2^23 units");
    assert_eq!(Recycling::load(&file, &CONFIG).map(|_| ()), Err(expected));
}

#[test]
fn positions_are_clamped() {
    assert_eq!([position(0, 1, 32), position(1, 0, 32), position(5, 5, 32)], [33, 31, 32]);
    assert_eq!([position(0, 700, 32), position(700, 0, 32)], [64, 0]);
    assert_eq!([position(0, 32, 32), position(32, 0, 32), position(0, 3, 3)], [64, 0, 6]);
}

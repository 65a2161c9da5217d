//! Attention against the same in f64, ranges, and the plan of the memory.

use std::vec;
use std::vec::Vec;

use super::angle_resnet::unit;
use super::config::{Config, Representations};
use super::invariant_point_attention::{Query, Scores, attend};
use super::memory::{Memory, PairRow, PairRows, PairScratch, ROWS, ResidueScratch, Shape};
use super::pair_rows::make_bias;
use super::projections::{HeadShape, POINT_MAX};
use crate::arena::{Arena, ArenaError, Source, bytes_of};
use crate::fixed::Multiplier;
use crate::geometry::{Frame, ONE, Rigid};
use crate::kernels::Isa;
use crate::kernels::testing::{Layer, Random};
use proptest::prelude::*;

const TO_POINTS: Multiplier = Multiplier { mantissa: 1, shift: 4 };

const CONFIG: Config = Config {
    iterations: 2,
    own_weights: false,
    pair_input: true,
    width: 24,
    pair_width: 7,
    heads: 3,
    head_width: 5,
    query_points: 2,
    value_points: 3,
    transition_layers: 1,
    resnet_blocks: 1,
    resnet_width: 10,
    pair_frac: 11,
    point_epsilon: 43,
    torsion_epsilon: 43,
    // About 0.2 and 2^-32 to 2^-16.
    scalar_weight: Multiplier { mantissa: 1_700_000_000, shift: 49 },
    translation_scale: Multiplier { mantissa: 5 << 28, shift: 31 },
};

/// 0.1 to 0.4 times 2^-16.
const POINT_WEIGHTS: [i32; 6] = [1 << 30, 48, (1 << 30) + (1 << 28), 49, 1_900_000_000, 50];

/// With weights for each iteration, no Linear on the trunk's pairs, and norms of points without an epsilon,
/// as OmegaFold has it.
const OWN: Config = Config { own_weights: true, pair_input: false, point_epsilon: 0, ..CONFIG };

const TRUNK: Representations = Representations {
    sequence_width: 40,
    sequence_frac: 14,
    pair_width: 16,
    pair_frac: 13,
    pair_epsilon: 671,
};

const WORKERS: usize = 2;

const fn shape(residues: usize) -> Shape {
    Shape { residues, trunk: TRUNK, config: CONFIG }
}

/// The same of a structure module with weights for each iteration.
const fn own_shape(residues: usize) -> Shape {
    Shape { residues, trunk: Representations { pair_width: OWN.pair_width, ..TRUNK }, config: OWN }
}

fn plan(shape: &Shape) -> Result<usize, ArenaError> {
    bytes_of(|counter| Memory::take(counter, shape, WORKERS))
}

/// `bytes` bytes at a multiple of 64, full of dirt.
fn aligned(memory: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    memory.resize(bytes + 64, 0xa5);
    let offset = memory.as_ptr().align_offset(64);
    &mut memory[offset..offset + bytes]
}

/// What attention of all residues reads.
struct Case {
    projections: Vec<i32>,
    frames: Vec<Frame>,
    codes: Vec<i16>,
    bias: Vec<i32>,
}

impl Case {
    /// From a source of values below 2^31 in magnitude, cut to the given magnitudes.
    fn new(residues: usize, mut random: impl FnMut(i32) -> i32, value: i32) -> Self {
        let mut many = |count: usize, most: i32| (0..count).map(|_| random(most)).collect::<Vec<_>>();
        let frames = (0..residues).map(|_| {
            let parts = many(6, 1 << 20);
            Frame::IDENTITY.update([parts[0], parts[1], parts[2]], [parts[3], parts[4], parts[5]])
        });
        let frames = frames.collect();
        Self {
            frames,
            projections: many(residues * CONFIG.projections(), value),
            codes: many(residues * residues * CONFIG.pair_width, 32_767).iter().map(|&v| v as i16).collect(),
            bias: many(residues * residues * CONFIG.heads, 1 << 17),
        }
    }

    fn rigid(&self, residue: usize) -> Rigid {
        self.frames[residue].rigid(TO_POINTS)
    }

    /// Means of values and points, then of pairs, of every residue.
    fn attended(&self) -> Vec<(Vec<i32>, Vec<i32>)> {
        self.attended_by(&shape(self.frames.len()))
    }

    fn attended_by(&self, shape: &Shape) -> Vec<(Vec<i32>, Vec<i32>)> {
        let residues = self.frames.len();
        let heads = HeadShape::new(&CONFIG);
        let len = shape.record_len();
        let mut records = vec![0; residues * len];
        for (residue, record) in records.chunks_exact_mut(len).enumerate() {
            heads.store(&self.projections[residue * len..][..len], &self.rigid(residue), record);
        }
        let mut memory = Vec::new();
        let bytes = bytes_of(|counter| ResidueScratch::take(counter, shape)).unwrap();
        let mut arena = Arena::new(aligned(&mut memory, bytes)).unwrap();
        let mut scratch = ResidueScratch::take(&mut arena, shape).unwrap();
        let scores = Scores { scalar_weight: CONFIG.scalar_weight, point_weights: &POINT_WEIGHTS };
        let attend_to_all = |residue: usize| {
            let row = residue % ROWS;
            let frame = &self.rigid(residue);
            let (codes, bias) = (residues * CONFIG.pair_width, residues * CONFIG.heads);
            let query = Query {
                records: &records,
                residue,
                frame,
                codes: &self.codes[residue * codes..][..codes],
                bias: &self.bias[residue * bias..][..bias],
            };
            attend(Isa::best().backend(), shape, &scores, &query, row, &mut scratch.attention);
            let (points, pairs) = (CONFIG.output_part(0), CONFIG.heads * CONFIG.pair_width);
            (
                scratch.attention.points[row * points..][..points].to_vec(),
                scratch.attention.pairs[row * pairs..][..pairs].to_vec(),
            )
        };
        (0..residues).map(attend_to_all).collect()
    }

    /// Projection `index` of a residue.
    fn value(&self, residue: usize, index: usize) -> f64 {
        f64::from(self.projections[residue * CONFIG.projections() + index]) / 65536.0
    }

    /// A point of the part of the projections that starts at `from` and holds `count` points, in the world.
    fn point(&self, residue: usize, from: usize, count: usize, index: usize) -> [f64; 3] {
        let local = [0, 1, 2].map(|axis| self.value(residue, from + axis * count + index));
        let Rigid { rotation, translation } = self.rigid(residue);
        [0, 1, 2].map(|i| {
            let row = rotation.rows()[i].map(|v| f64::from(v) / f64::from(ONE));
            row[0] * local[0] + row[1] * local[1] + row[2] * local[2] + f64::from(translation[i]) / 65536.0
        })
    }

    /// The same as [`attended`](Self::attended), as the definition says it, for one residue and head: values,
    /// points in the residue's frame with their norms, pairs.
    fn expected(&self, i: usize, head: usize) -> (Vec<f64>, Vec<[f64; 4]>, Vec<f64>) {
        let Config { heads, head_width: width, query_points, value_points, pair_width, .. } = CONFIG;
        let residues = self.frames.len();
        let own_points = 3 * heads * width;
        let other_points = own_points + 3 * heads * query_points;
        let all = heads * (query_points + value_points);
        let other =
            |j: usize, p: usize| self.point(j, other_points, all, head * (query_points + value_points) + p);
        let real = |m: Multiplier| libm::ldexp(f64::from(m.mantissa), -m.shift);
        let point_weight = libm::ldexp(f64::from(POINT_WEIGHTS[2 * head]), -POINT_WEIGHTS[2 * head + 1]);
        let key = |j: usize, c: usize| self.value(j, heads * width + head * 2 * width + c);
        let logit = |j: usize| {
            let product: f64 = (0..width).map(|c| self.value(i, head * width + c) * key(j, c)).sum();
            let squared = |p: usize| {
                let own = self.point(i, own_points, heads * query_points, head * query_points + p);
                own.iter().zip(other(j, p)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
            };
            let distances: f64 = (0..query_points).map(squared).sum();
            let bias = f64::from(self.bias[(i * heads + head) * residues + j]) / 65536.0;
            (real(CONFIG.scalar_weight) * product - point_weight * distances) * 65536.0 + bias
        };
        let logits: Vec<f64> = (0..residues).map(logit).collect();
        let largest = logits.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = logits.iter().map(|l| libm::exp2(l - largest)).collect();
        let sum: f64 = weights.iter().sum();
        let mean = |value: &dyn Fn(usize) -> f64| {
            weights.iter().enumerate().map(|(j, w)| w / sum * value(j)).sum::<f64>()
        };
        let values = (0..width).map(|c| mean(&|j| key(j, width + c))).collect();
        let points = (0..value_points).map(|p| {
            let world = [0, 1, 2].map(|axis| mean(&|j| other(j, query_points + p)[axis]));
            let Rigid { rotation, translation } = self.rigid(i);
            let moved = [0, 1, 2].map(|k| world[k] - f64::from(translation[k]) / 65536.0);
            let column = |c: usize| {
                (0..3).map(|r| f64::from(rotation.rows()[r][c]) / f64::from(ONE) * moved[r]).sum::<f64>()
            };
            let local = [column(0), column(1), column(2)];
            let square: f64 = local.iter().map(|v| v * v).sum();
            [local[0], local[1], local[2], libm::sqrt(square + 1e-8)]
        });
        let code = |j: usize, c: usize| f64::from(self.codes[(i * residues + j) * pair_width + c]) / 2048.0;
        let pairs = (0..pair_width).map(|c| mean(&|j| code(j, c))).collect();
        (values, points.collect(), pairs)
    }
}

fn random(seed: u64) -> impl FnMut(i32) -> i32 {
    let mut state = seed | 1;
    move |most| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as i64 % (2 * i64::from(most) + 1) - i64::from(most)) as i32
    }
}

proptest! {
    #[test]
    fn attention_equals_its_definition(residues in 1..20usize, seed: u64) {
        let case = Case::new(residues, random(seed), 3 << 16);
        let Config { heads, head_width, value_points, pair_width, .. } = CONFIG;
        // Scores are sums of numbers rounded to 2^-16, each of which is 1.1e-5 of a weight, and points lie on
        // a grid of 2^-16: a mean is off by what the weights are off, times the largest number there is to
        // take the mean of.
        let close = |found: i32, exact: f64, largest: f64, what: &str| {
            let error = (f64::from(found) - exact * 65536.0).abs();
            prop_assert!(error <= 2.0 + largest * 4.0, "{what}: {found} instead of {}", exact * 65536.0);
            Ok(())
        };
        for (i, (points, pairs)) in case.attended().iter().enumerate() {
            for head in 0..heads {
                let (values, exact_points, exact_pairs) = case.expected(i, head);
                for (c, &exact) in values.iter().enumerate() {
                    close(points[head * head_width + c], exact, 3.0, "value")?;
                }
                for (p, exact) in exact_points.iter().enumerate() {
                    for (part, &exact) in exact.iter().enumerate() {
                        let at = heads * head_width + part * heads * value_points + head * value_points + p;
                        close(points[at], exact, 8.0, "point")?;
                    }
                }
                for (c, &exact) in exact_pairs.iter().enumerate() {
                    close(pairs[head * pair_width + c], exact, 16.0, "pair")?;
                }
            }
        }
    }

    #[test]
    fn torsions_have_length_one(sin in -(1 << 20)..1 << 20i32, cos in 1000..1 << 20i32) {
        let [s, c] = unit([sin, cos], 43).map(|v| f64::from(v) / f64::from(ONE));
        let norm = libm::hypot(f64::from(sin), f64::from(cos));
        prop_assert!((s - f64::from(sin) / norm).abs() < 3e-9 && (c - f64::from(cos) / norm).abs() < 3e-9);
    }
}

/// Every value at an end of its range: nothing overflows, and means stay within what they are means of.
#[test]
fn extremes_are_defined() {
    for (seed, ends) in [[i32::MIN, i32::MAX], [i32::MAX, i32::MAX], [i32::MIN, 0]].into_iter().enumerate() {
        let mut source = random(seed as u64 + 77);
        let mut case = Case::new(11, &mut source, 1);
        let mut end = |_: &i32| ends[(source(1) == 0) as usize];
        case.projections = case.projections.iter().map(&mut end).collect();
        case.bias = case.bias.iter().map(&mut end).collect();
        case.codes = case.codes.iter().map(|_| end(&0) as i16).collect();
        let far = Frame::IDENTITY.update([1 << 20, -3 << 20, i32::MAX], [i32::MIN, i32::MAX, 0]);
        case.frames[3] = far;
        for (points, pairs) in case.attended() {
            let (values, points) = points.split_at(CONFIG.heads * CONFIG.head_width);
            assert!(values.iter().all(|v| v.unsigned_abs() <= 1 << 26));
            assert!(points.iter().all(|p| p.unsigned_abs() <= 4 * POINT_MAX.unsigned_abs()));
            assert!(pairs.iter().all(|p| p.unsigned_abs() <= 1 << 20));
        }
    }
    assert_eq!(unit([0, 0], 0), [0, 0]);
    assert_eq!(unit([i32::MIN, 0], 0), [-ONE, 0]);
    let _ = (unit([i32::MIN, i32::MIN], u64::MAX), unit([1, -1], u64::MAX));
}

#[test]
fn memory_is_taken_as_it_is_planned() {
    for residues in [1, 7, 8, 33] {
        for shape in [shape(residues), own_shape(residues)] {
            let planned = plan(&shape).unwrap();
            let mut bytes = Vec::new();
            let bytes = aligned(&mut bytes, planned);
            let few = &mut bytes[..planned - 64];
            assert!(Memory::take(&mut Arena::new(few).unwrap(), &shape, WORKERS).is_err());
            let mut arena = Arena::new(bytes).unwrap();
            let memory = Memory::take(&mut arena, &shape, WORKERS).unwrap();
            assert_eq!(arena.take::<u8>(1), Err(ArenaError::TooSmall { needed: 64, given: 0 }));
            assert_eq!(memory.states.len(), residues * shape.state_len());
            assert_eq!(shape.states(memory.states).count(), residues);
            let scratch = memory.scratch.len() / WORKERS;
            for (index, scratch) in memory.scratch.chunks_exact_mut(scratch).enumerate() {
                assert!(index < WORKERS);
                assert!(PairScratch::take(&mut Arena::new(scratch).unwrap(), &shape).is_ok());
                assert!(ResidueScratch::take(&mut Arena::new(scratch).unwrap(), &shape).is_ok());
            }
            let row = memory.pairs.len() / residues;
            for (index, chunk) in memory.pairs.chunks_exact_mut(row).enumerate() {
                let PairRow { codes, bias } = PairRow::take(&mut Arena::new(chunk).unwrap(), &shape).unwrap();
                codes.fill(index as i16);
                bias.fill(1000 + index as i32);
            }
            let rows = PairRows::new(&shape, memory.pairs).unwrap();
            let PairRow { codes, bias } = rows.of(residues - 1).unwrap();
            assert_eq!(codes, vec![residues as i16 - 1; residues * CONFIG.pair_width]);
            let biases = if shape.config.own_weights { 0 } else { residues * CONFIG.heads };
            assert_eq!(bias, vec![999 + residues as i32; biases]);
            assert!(rows.of(residues).is_err());
        }
    }
    assert_eq!(plan(&shape(usize::MAX / 3)), Err(ArenaError::TooLarge));
    assert_eq!(plan(&own_shape(usize::MAX / 3)), Err(ArenaError::TooLarge));
}

/// A Linear from pairs to heads, every channel in two limbs, and its weights, unit 2^-6.
fn bias_layer(random: &mut Random) -> (Layer, Vec<i8>) {
    let (inputs, outputs) = (CONFIG.pair_width, CONFIG.heads);
    let matrix = random.many(inputs * outputs, |r| r.next() as i8);
    let mut layer = Layer::pack(&matrix, inputs, outputs, &(0..inputs as u16).collect::<Vec<u16>>());
    layer.shift = vec![15 + 6; outputs];
    layer.bias = random.many(outputs, |r| (r.normal() * 30_000.0) as i32);
    (layer, matrix)
}

#[test]
fn a_bias_made_of_the_codes_is_that_of_the_pairs() {
    let mut random = Random(5);
    for residues in [1, 2, 31, 32, 33, 70] {
        let shape = own_shape(residues);
        let (layer, matrix) = bias_layer(&mut random);
        let codes = random.many(residues * CONFIG.pair_width, |r| r.next() as i16);
        let made = |isa: Isa| {
            let mut memory = Vec::new();
            let bytes = bytes_of(|counter| ResidueScratch::take(counter, &shape)).unwrap();
            let mut arena = Arena::new(aligned(&mut memory, bytes)).unwrap();
            let ResidueScratch { mut tile, mut pair_bias, .. } =
                ResidueScratch::take(&mut arena, &shape).unwrap();
            make_bias(isa.backend(), &shape, &layer.view(), &codes, &mut tile, &mut pair_bias);
            pair_bias.row.to_vec()
        };
        let found = made(Isa::scalar());
        assert_eq!(found.len(), CONFIG.heads * residues);
        Isa::all().for_each(|isa| assert_eq!(made(isa), found, "{isa:?}"));
        for (at, &found) in found.iter().enumerate() {
            let (head, pair) = (at / residues, at % residues);
            let row = &codes[pair * CONFIG.pair_width..][..CONFIG.pair_width];
            let weights = &matrix[head * CONFIG.pair_width..];
            // A code is 32 activation units.
            let values = row.iter().map(|&code| f64::from(code) * 32.0);
            let sum: f64 = values.clone().zip(weights).map(|(x, &w)| x * f64::from(w) / 64.0).sum();
            let largest = values.fold(0.0, |largest: f64, x| largest.max(x.abs()));
            // A channel is off by half a step of 15 bits, which weighs at most two.
            let bound = largest / 16_319.0 * 1.01 * CONFIG.pair_width as f64 + 1.0;
            let exact = sum + f64::from(layer.bias[head]);
            assert!((f64::from(found) - exact).abs() <= bound, "{found} {exact} {bound}");
        }
    }
}

/// Without an epsilon a point at its residue's origin has no norm, and others have theirs.
#[test]
fn norms_of_points_have_the_epsilon_that_the_shape_says() {
    let mut case = Case::new(1, random(9), 3 << 16);
    case.frames[0] = Frame::IDENTITY;
    let at = |case: &mut Case, value: i32| {
        let points = 3 * CONFIG.heads * (CONFIG.head_width + CONFIG.query_points);
        case.projections[points..].fill(value);
    };
    let norms = |case: &Case, config: Config| {
        let (points, _) = case.attended_by(&Shape { config, ..shape(1) }).remove(0);
        points[points.len() - CONFIG.heads * CONFIG.value_points..].to_vec()
    };
    let count = CONFIG.heads * CONFIG.value_points;
    at(&mut case, 0);
    assert_eq!(norms(&case, Config { point_epsilon: 0, ..CONFIG }), vec![0; count]);
    assert_eq!(norms(&case, Config { point_epsilon: 43, ..CONFIG }), vec![6; count]);
    at(&mut case, 1 << 16);
    assert_eq!(norms(&case, Config { point_epsilon: 0, ..CONFIG }), vec![113_511; count]);
}

//! Every head against its definition in f64 on the same integer logits; independence of backends, threads and
//! memory.

use super::aligned_error::Scores;
use super::pairs::ToLogits;
use super::*;
use crate::arena::ArenaError;
use crate::chains::LINKER;
use crate::executor::{Executor, Serial};
use crate::fixed::TokenScale;
use crate::kernels::Isa;
use crate::kernels::linear::Epilogue;
use crate::kernels::testing::{Layer, Random};
use crate::nn::testing::{Backwards, with_memory};
use crate::nn::{Context, Norm};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const STATE_WIDTH: usize = 20;
const PAIR_WIDTH: usize = 12;
const PAIR_FRAC: u32 = 13;

fn to_logits(layer: &Layer) -> ToLogits<'_> {
    ToLogits { linear: layer.view(), pair_frac: PAIR_FRAC }
}

fn context(isa: Isa, executor: &dyn Executor) -> Context<'_> {
    Context { backend: isa.backend(), executor }
}

/// Logits of a standard deviation of about 3.
fn layer(random: &mut Random, inputs: usize, outputs: usize) -> Layer {
    let matrix = random.many(inputs * outputs, |r| (r.normal() * 40.0) as i8);
    let all: Vec<u16> = (0..inputs as u16).collect();
    let mut layer = Layer::pack(&matrix, inputs, outputs, &all);
    layer.shift = vec![15 + 6; outputs];
    layer.bias = random.many(outputs, |r| (r.normal() * 30_000.0) as i32);
    layer
}

/// Logits of one row in activation units, by the scalar kernels.
fn logits(layer: &Layer, row: &[i32]) -> Vec<i32> {
    let backend = Isa::scalar().backend();
    let linear = layer.view();
    let mut codes = vec![0; linear.row_len()];
    let scales: [TokenScale; 1] = [backend.quantize_row(row, linear.outliers(), &mut codes)];
    let mut out = vec![0; linear.outputs()];
    (backend.gemm)(&linear, &codes, &scales, Epilogue::Store, &mut out);
    out
}

/// The mean of `value` over the softmax of logits in units of 2^-16 log2.
fn expectation(logits: &[i32], value: impl Fn(usize) -> f64) -> f64 {
    let largest = f64::from(*logits.iter().max().unwrap());
    let share = |&logit: &i32| libm::exp2((f64::from(logit) - largest) / 65536.0);
    let total: f64 = logits.iter().map(share).sum();
    logits.iter().enumerate().map(|(bin, logit)| share(logit) * value(bin)).sum::<f64>() / total
}

fn worst(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    pairs.map(|(found, exact)| (found - exact).abs()).fold(0.0, f64::max)
}

#[test]
fn plddt_is_the_mean_of_the_bins_centres() {
    let random = &mut Random(1);
    let layer = layer(random, STATE_WIDTH, ATOM_TYPES * PLDDT_BINS);
    let gain = random.many(STATE_WIDTH, |r| ((1.0 + r.normal() / 5.0) * f64::from(1 << 20)) as i32);
    let bias = random.many(STATE_WIDTH, |r| (r.normal() * 5000.0) as i32);
    let norm = Norm { gain: &gain, bias: &bias };
    let head = Plddt { norm, linear: layer.view(), epsilon: 42_950 };
    for residues in [1, 7, 8, 21] {
        let state = random.many(residues * STATE_WIDTH, |r| (r.normal() * 100_000.0) as i32);
        let run = |isa: Isa, executor: &dyn Executor| {
            let mut out = vec![[7; ATOM_TYPES]; residues];
            let context = context(isa, executor);
            let bytes = head.bytes(executor.workers()).unwrap();
            with_memory(bytes, |memory| {
                head.run(&state, &mut out, memory, &context).unwrap();
                let few = head.run(&state[1..], &mut vec![[7; ATOM_TYPES]; residues], memory, &context);
                assert_eq!(few, Err(ArenaError::WrongChunk));
                let short = head.run(&state, &mut [], &mut memory[..bytes - 64], &context);
                assert_eq!(short, Err(ArenaError::TooSmall { needed: bytes, given: bytes - 64 }));
            });
            out
        };
        let found = run(Isa::scalar(), &Serial);
        for isa in Isa::all() {
            assert_eq!(run(isa, &Backwards), found);
        }
        let center = |bin: usize| (bin as f64 + 0.5) / 50.0;
        for (found, state) in found.iter().zip(state.chunks(STATE_WIDTH)) {
            let mut normed = [0; STATE_WIDTH];
            Isa::scalar().backend().layer_norm(state, &gain, &bias, 42_950, &mut normed);
            let logits = logits(&layer, &normed);
            let exact = logits.chunks(PLDDT_BINS).map(|logits| expectation(logits, center));
            let error = worst(found.iter().map(|&v| f64::from(v) / 65536.0).zip(exact));
            assert!(error <= 1.4e-5, "{error}");
        }
    }
}

#[test]
fn a_certain_atom_has_its_bins_plddt() {
    let certain = |bin: usize| {
        let mut logits = [0; PLDDT_BINS];
        logits[bin] = 1000 << 16;
        mean_of_bins(&logits)
    };
    assert_eq!([certain(0), certain(24), certain(49)], [655, 32113, 64881]);
    assert_eq!(mean_of_bins(&[0; PLDDT_BINS]), 32768);
}

/// d0 of a protein of `residues`, angstroms.
fn d0(residues: usize) -> f64 {
    1.24 * libm::cbrt(residues.max(19) as f64 - 15.0) - 1.8
}

/// What an error in bin `bin` adds to a TM-score.
fn score(bin: usize, residues: usize) -> f64 {
    let ratio = (bin as f64 + 0.5) / 2.0 / d0(residues);
    1.0 / (1.0 + ratio * ratio)
}

#[test]
fn scores_are_those_of_the_definition_for_every_length() {
    let mut largest = 0.0;
    for residues in (0..2000).chain([4096, 16_384]) {
        let scores = Scores::new(residues as u64);
        for bin in 0..PAIR_BINS {
            let mut logits = [0; PAIR_BINS];
            logits[bin] = 1000 << 16;
            let found = libm::ldexp(scores.expected(&logits).score as f64, -30);
            largest = f64::max(largest, (found - score(bin, residues)).abs());
        }
    }
    // The root's last place weighs most where d0 is smallest.
    assert!((1e-7..4e-6).contains(&largest), "{largest}");
    assert_eq!(Scores::new(0).expected(&[0; 64]).score, Scores::new(19).expected(&[0; 64]).score);
    assert!(Scores::new(u64::MAX).expected(&[0; 64]).score > 1 << 29);
}

#[test]
fn a_certain_pair_has_its_bins_error() {
    let scores = Scores::new(100);
    let certain = |bin: usize| {
        let mut logits = [0; PAIR_BINS];
        logits[bin] = 1000 << 16;
        f64::from(scores.expected(&logits).error) / 2048.0
    };
    assert_eq!([certain(0), certain(1), certain(63)], [0.25, 0.75, 31.75]);
}

/// A random pair representation, its row function's data.
fn pair_rows(random: &mut Random, residues: usize) -> Vec<i32> {
    random.many(residues * residues * PAIR_WIDTH, |r| (r.normal() * 12_000.0) as i32)
}

/// Logits of all pairs, `[residues * residues][64]`.
fn pair_logits(layer: &Layer, values: &[i32]) -> Vec<Vec<i32>> {
    let act = |row: &[i32]| row.iter().map(|&x| x << (16 - PAIR_FRAC)).collect::<Vec<i32>>();
    values.chunks(PAIR_WIDTH).map(|row| logits(layer, &act(row))).collect()
}

/// Errors in angstroms, pTM, ipTM and the scores of pairs of `count` chains by their definitions.
fn exact_confidence(logits: &[Vec<i32>], chains: &[u16], count: u16) -> (Vec<f64>, f64, f64, Vec<f64>) {
    let residues = chains.len();
    let counted = chains.iter().filter(|&&c| c != LINKER).count();
    let errors = logits.iter().map(|row| expectation(row, |bin| (bin as f64 + 0.5) / 2.0)).collect();
    let best = |wanted: &dyn Fn(usize, usize) -> bool| {
        (0..residues)
            .filter(|&i| chains[i] != LINKER)
            .map(|i| {
                let terms: Vec<f64> = (0..residues)
                    .filter(|&j| chains[j] != LINKER && wanted(i, j))
                    .map(|j| expectation(&logits[i * residues + j], |bin| score(bin, counted)))
                    .collect();
                terms.iter().sum::<f64>() / terms.len().max(1) as f64
            })
            .fold(0.0, f64::max)
    };
    let pairs = (0..count).flat_map(|a| (0..count).map(move |b| (a, b)));
    let of_pair = |(a, b)| best(&|i, j| chains[i] == a && chains[j] == b);
    (errors, best(&|_, _| true), best(&|i, j| chains[i] != chains[j]), pairs.map(of_pair).collect())
}

#[test]
fn aligned_errors_and_tm_scores_are_those_of_the_definition() {
    let random = &mut Random(2);
    let layer = layer(random, PAIR_WIDTH, PAIR_BINS);
    let head = AlignedError { to_logits: to_logits(&layer) };
    let two = |a: usize, linker: usize, b: usize| [vec![0; a], vec![LINKER; linker], vec![1; b]].concat();
    let three = [two(7, 3, 25), vec![LINKER; 3], vec![2; 40]].concat();
    for chains in
        [vec![3], vec![0; 33], vec![0; 66], two(20, 0, 1), two(9, 5, 30), three, two(0, 3, 4), two(0, 2, 0)]
    {
        let residues = chains.len();
        let values = pair_rows(random, residues);
        let rows = |i: usize, out: &mut [i32]| {
            let row = residues * PAIR_WIDTH;
            out.copy_from_slice(&values[i * row..][..row]);
        };
        const CHAINS: usize = 3;
        let run = |isa: Isa, executor: &dyn Executor, wanted: bool| {
            let mut errors = vec![9; residues * residues];
            let mut chain_scores = vec![9; if wanted { CHAINS * CHAINS } else { 0 }];
            let pairs = Pairs { residues, rows: &rows };
            let count = if wanted { CHAINS } else { 0 };
            let bytes = head.bytes(residues, executor.workers(), wanted, count).unwrap();
            let scores = with_memory(bytes, |memory| {
                let errors = wanted.then_some(&mut errors[..]);
                let wanted = PairScores { errors, chain_scores: &mut chain_scores };
                head.run(&pairs, Chains(&chains), wanted, memory, &context(isa, executor))
            });
            (scores.unwrap(), errors, chain_scores)
        };
        let (scores, errors, chain_scores) = run(Isa::scalar(), &Serial, true);
        for isa in Isa::all() {
            assert_eq!(run(isa, &Backwards, true), (scores, errors.clone(), chain_scores.clone()));
            assert_eq!(run(isa, &Serial, false), (scores, vec![9; residues * residues], vec![]));
        }
        let (exact_errors, ptm, iptm, exact_pairs) =
            exact_confidence(&pair_logits(&layer, &values), &chains, CHAINS as u16);
        let found = chain_scores.iter().map(|&s| f64::from(s) / 65536.0);
        let error = worst(found.zip(exact_pairs));
        assert!(error <= 2e-5, "{error}");
        if chains.iter().all(|&chain| chain == 0) {
            assert_eq!(
                chain_scores,
                [scores.ptm, 0, 0, 0, 0, 0, 0, 0, 0],
                "one chain's pTM is that of the whole"
            );
        }
        if chains.iter().all(|chain| [0, 1, LINKER].contains(chain)) {
            let between = chain_scores[1].max(chain_scores[3]);
            assert_eq!(scores.iptm.unwrap_or(0), between, "of two chains the better direction is the ipTM");
        }
        let error = worst(errors.iter().map(|&e| f64::from(e) / 2048.0).zip(exact_errors));
        assert!(error <= 5e-4, "{error}");
        let several = chains.contains(&0) && chains.contains(&1);
        assert_eq!(scores.iptm.is_some(), several);
        let found = [scores.ptm, scores.iptm.unwrap_or(0)].map(|s| f64::from(s) / 65536.0);
        let error = worst(found.into_iter().zip([ptm, if several { iptm } else { 0.0 }]));
        assert!(error <= 2e-5, "{error}");
    }
}

#[test]
fn a_distogram_is_the_mean_of_both_directions() {
    let random = &mut Random(3);
    let layer = layer(random, PAIR_WIDTH, PAIR_BINS);
    let head = Distogram { to_logits: to_logits(&layer) };
    for residues in [1, 2, 35] {
        let values = pair_rows(random, residues);
        let rows = |i: usize, out: &mut [i32]| {
            let row = residues * PAIR_WIDTH;
            out.copy_from_slice(&values[i * row..][..row]);
        };
        let run = |isa: Isa, executor: &dyn Executor| {
            let mut out = vec![9; residues * residues * PAIR_BINS];
            let bytes = head.bytes(residues, executor.workers()).unwrap();
            let pairs = Pairs { residues, rows: &rows };
            let context = context(isa, executor);
            with_memory(bytes, |memory| head.run(&pairs, &mut out, memory, &context)).unwrap();
            out
        };
        let found = run(Isa::scalar(), &Serial);
        for isa in Isa::all() {
            assert_eq!(run(isa, &Backwards), found);
        }
        let logits = pair_logits(&layer, &values);
        for (pair, found) in found.chunks(PAIR_BINS).enumerate() {
            let (a, b) = (&logits[pair], &logits[pair % residues * residues + pair / residues]);
            let exact = a.iter().zip(b).map(|(a, b)| (a + b + 1).div_euclid(2));
            assert!(found.iter().copied().eq(exact), "{pair}");
        }
    }
}

proptest! {
    #[test]
    fn any_logits_have_an_expectation(
        logits in prop::collection::vec(prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX)], 64),
        residues: u64,
    ) {
        let plddt = mean_of_bins(&logits[..PLDDT_BINS]);
        prop_assert!((655..=64_881).contains(&plddt));
        let expected = Scores::new(residues).expected(&logits);
        prop_assert!((512..=65_024).contains(&expected.error));
        prop_assert!(expected.score <= 1 << 30);
    }

    #[test]
    fn any_logits_are_symmetrised(logits in prop::collection::vec(any::<i32>(), 3 * 3 * 64)) {
        let mut mean = logits;
        distogram::symmetrise(&mut mean, 3);
        let at = |i: usize, j: usize| &mean[(3 * i + j) * PAIR_BINS..][..PAIR_BINS];
        prop_assert!((0..9).all(|pair| at(pair / 3, pair % 3) == at(pair % 3, pair / 3)));
    }
}

//! What must not change the result: the backend, the executor, the memory, and whether the sequence is run
//! with its pseudo-MSA or before it.

use super::model::{Model, TINY};
use super::{Given, Outputs, compute, try_compute};
use crate::executor::{Executor, PairWork, Serial, chunks};
use crate::kernels::Isa;
use crate::omegafold::config::Config;
use crate::omegafold::language_model::RunError;
use core::ops::ControlFlow;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Workers that take the chunks from the last to the first, one after another.
struct Backwards(usize);

impl Executor for Backwards {
    fn workers(&self) -> usize {
        self.0
    }

    fn for_each_pair(&self, data: [&mut [u8]; 2], sizes: [usize; 2], scratch: &mut [u8], work: &PairWork) {
        let part = (scratch.len() / self.0).max(1);
        for (index, chunk) in chunks(data, sizes).collect::<Vec<_>>().into_iter().rev() {
            let scratch = scratch.chunks_exact_mut(part).nth(index % self.0).unwrap_or_default();
            work(index, chunk, scratch);
        }
    }
}

#[test]
fn every_backend_and_number_of_workers_gives_the_same_bits() {
    let odd = Config { value_width: 80, query_width: 40, width: 33, ..TINY };
    for (seed, config, residues, rows) in
        [(1, TINY, 70, 5), (2, odd, 41, 3), (3, TINY, 2, 15), (4, TINY, 130, 0)]
    {
        let model = Model::random(seed, config);
        let given = Given::drawn(seed, residues, rows, 1);
        let expected = compute(&model, &given, Isa::scalar(), &Serial);
        for (isa, workers) in Isa::all().zip([1, 3, 8].into_iter().cycle()) {
            let found = compute(&model, &given, isa, &Backwards(workers));
            assert!(found == expected, "{} {workers}", isa.name());
        }
        for workers in [2, 5, 64] {
            let found = compute(&model, &given, Isa::best(), &Backwards(workers));
            assert!(found == expected, "{workers}");
        }
    }
}

/// The part of `all` that belongs to row `row` of `rows`.
fn of_row(all: &[i32], row: usize, rows: usize) -> &[i32] {
    all.chunks_exact(all.len() / rows).nth(row).unwrap()
}

#[test]
fn the_sequence_can_be_run_once_before_all_rows_below() {
    let model = Model::random(3, TINY);
    for residues in [1, 7, 40] {
        let sequence = Given::drawn(3, residues, 0, 0);
        let alone = compute(&model, &sequence, Isa::best(), &Serial);
        for cycle in 0..3 {
            let together = Given::drawn(3, residues, 15, cycle);
            let expected = compute(&model, &together, Isa::best(), &Backwards(3));
            let below = Given {
                kept: together.kept[residues..].to_vec(),
                before: Some(alone.maps.clone()),
                ..together.clone()
            };
            let found = compute(&model, &below, Isa::best(), &Serial);
            assert_eq!(
                (&found.maps, found.unit, &found.pair),
                (&expected.maps, expected.unit, &expected.pair)
            );
            assert_eq!(of_row(&expected.states, 0, 16), alone.states);
            assert_eq!(of_row(&expected.node, 0, 16), alone.node);
            for row in 1..16 {
                assert_eq!(of_row(&found.states, row - 1, 15), of_row(&expected.states, row, 16));
            }
        }
        // Without rows below it is all there is.
        let none = Given { kept: vec![], before: Some(alone.maps.clone()), ..sequence };
        let found = compute(&model, &none, Isa::best(), &Serial);
        assert_eq!((found.maps, found.unit, found.pair), (alone.maps, alone.unit, alone.pair));
    }
}

#[test]
fn a_row_depends_on_no_other() {
    let model = Model::random(4, TINY);
    let given = Given::drawn(4, 12, 15, 0);
    let all = compute(&model, &given, Isa::best(), &Serial);
    let last = Given { kept: given.kept[15 * 12..].to_vec(), ..given.clone() };
    let found = compute(&model, &last, Isa::best(), &Serial);
    assert_eq!(found.states, of_row(&all.states, 15, 16));
    // Each map is the sum over the rows.
    let mut sums = [0; 12];
    for row in given.rows() {
        let one = Given { kept: row.to_vec(), ..given.clone() };
        let one: Outputs = compute(&model, &one, Isa::best(), &Serial);
        sums.iter_mut().zip(one.map(5, 2, 12)).for_each(|(sum, of_row)| *sum += of_row);
    }
    let codec = all.unit.codec;
    let coded: Vec<i32> = sums.iter().map(|&sum| codec.decode(codec.encode(sum as u32))).collect();
    assert_eq!(all.map(5, 2, 12), coded);
}

#[test]
fn masked_residues_are_never_attended_to_and_rows_without_any_other_attend_to_all_alike() {
    let model = Model::random(5, TINY);
    let kept = vec![1, 0, 1, 1, 0];
    let given = Given { types: vec![3, 1, 20, 0, 8], kept, before: None };
    let found = compute(&model, &given, Isa::best(), &Serial);
    let none = compute(&model, &Given { kept: vec![0; 5], ..given.clone() }, Isa::best(), &Serial);
    for (i, layer) in (0..5).flat_map(|i| (0..3).map(move |layer| (i, layer))) {
        let map = found.map(i, layer, 5);
        assert!(map[1] == 0 && map[4] == 0 && map[0].min(map[2]).min(map[3]) > 0, "{map:?}");
        // 15-bit weights: their sum may be off by some units of 2^-16.
        assert!((map.iter().sum::<i32>() - 65_536).abs() < 8, "{map:?}");
        assert_eq!(none.map(i, layer, 5), [13_107; 5]);
    }
    assert_eq!(none.unit.epsilon, 0);
}

#[test]
fn what_does_not_fit_is_refused_and_the_hook_can_stop() {
    let model = Model::random(6, TINY);
    let go_on = |given: &Given| {
        try_compute(&model, given, Isa::best(), &Serial, &mut |_| ControlFlow::Continue(())).map(|_| ())
    };
    let given = Given::drawn(6, 5, 2, 0);
    assert_eq!(go_on(&given), Ok(()));
    let empty = Given { types: vec![], kept: vec![], before: None };
    assert_eq!(go_on(&empty), Err(RunError::EmptyInput));
    let wrong = Given { kept: vec![1; 14], ..given.clone() };
    assert_eq!(go_on(&wrong), Err(RunError::WrongLengths { residues: 5, kept: 14, before: 0 }));
    let before = Given { before: Some(vec![0; 74]), ..given.clone() };
    assert_eq!(go_on(&before), Err(RunError::WrongLengths { residues: 5, kept: 15, before: 74 }));
    let many = Given { kept: vec![1; 5 * 257], ..given.clone() };
    assert_eq!(go_on(&many), Err(RunError::TooManyRows { rows: 257, limit: 256 }));
    let token = Given { types: vec![0, 20, 21, 0, 0], ..given.clone() };
    assert_eq!(go_on(&token), Err(RunError::NoResidue { index: 2 }));
    for last in 0..3 {
        let mut seen = vec![];
        let stopped = try_compute(&model, &given, Isa::best(), &Serial, &mut |layer| {
            seen.push(layer);
            if layer == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((stopped, seen), (Err(RunError::Stopped), (0..=last).collect()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// Any payload is refused or runs, and runs the same on the specification.
    #[test]
    fn tensors_with_any_values_run_or_are_refused(seed: u64, residues in 1..20usize, tensor: usize, zeros: bool) {
        let mut model = Model::random(1, TINY);
        let mut random = crate::kernels::testing::Random(seed);
        let place = tensor % model.tensors.0.len();
        let payload = model.tensors.0.values_mut().nth(place).unwrap();
        payload.bytes.iter_mut().for_each(|byte| *byte = if zeros { 0 } else { random.next() as u8 });
        let given = Given::drawn(seed, residues, 3, 0);
        let by = |isa: Isa| {
            try_compute(&model, &given, isa, &Serial, &mut |_| ControlFlow::Continue(()))
        };
        prop_assert!(by(Isa::best()) == by(Isa::scalar()));
    }
}

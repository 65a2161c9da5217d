//! The operations against the same in real numbers; what masks leave alone; independence of backends, workers
//! and what memory held before; files with any values.

mod case;
mod real;

use super::memory::Memory;
use super::shape::{ROWS_MAX, Shape};
use crate::arena::{Arena, ArenaError, bytes_of};
use crate::executor::Serial;
use crate::format::{FormatError, ModelFile};
use crate::kernels::Isa;
use crate::kernels::testing::Random;
use crate::nn::testing::{Backwards, with_memory};
use crate::trunk::msa::msa_attention::MsaAttention;
use crate::trunk::msa::outer_product::OuterProduct;
use crate::trunk::testing::{FRAC, decibels};
use case::{Case, Done, NAME, Sizes, real, run};
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

const SMALL: Sizes = Sizes { residues: 9, rows: 16, heads: 2, pair_width: 16, outer: 4 };

/// Below, at and above the sizes of panels and tiles and the bits of a word, and widths that fill no panel.
const SIZES: [Sizes; 9] = [
    Sizes { residues: 1, ..SMALL },
    Sizes { residues: 2, ..SMALL },
    Sizes { residues: 3, rows: 1, ..SMALL },
    Sizes { residues: 24, ..SMALL },
    Sizes { residues: 32, rows: 2, heads: 1, pair_width: 24, outer: 3 },
    Sizes { residues: 33, rows: 5, heads: 3, pair_width: 8, outer: 1 },
    Sizes { residues: 45, rows: 17, ..SMALL },
    Sizes { residues: 7, rows: 40, heads: 4, pair_width: 40, outer: 8 },
    Sizes { residues: 70, rows: 16, heads: 8, pair_width: 32, outer: 16 },
];

/// Keeps row 0, of the others seven of eight residues; the last row is masked where there are some.
fn mostly(random: &mut Random, sizes: Sizes, row: usize) -> bool {
    row == 0 || (row + 1 < sizes.rows && random.below(8) > 0)
}

fn cases() -> impl Iterator<Item = Case> {
    let new = |(seed, sizes)| Case::new(seed, sizes, |random, row, _| mostly(random, sizes, row));
    (1..).zip(SIZES).map(new)
}

/// What of the numbers differs from what it was before, one after another.
fn added<'d>(after: impl Iterator<Item = &'d [f64]>, before: impl Iterator<Item = &'d [f64]>) -> Vec<f64> {
    after.zip(before).flat_map(|(after, before)| after.iter().zip(before).map(|(a, b)| a - b)).collect()
}

/// How much larger what is added is than its error, in decibels: at least so much in every case, most of
/// which comes from codes of 8 bits.
const WITHIN_ROWS: f64 = 38.0;
const WITHIN_COLUMNS: f64 = 40.2;
const OUTER_PRODUCT: f64 = 37.7;

fn assert_least(found: &[f64], bound: f64) {
    let least = found.iter().copied().fold(f64::INFINITY, f64::min);
    assert!((bound..bound + 1.0).contains(&least), "{found:?}");
}

#[test]
fn attention_within_rows_is_near_real_numbers() {
    let mut near = Vec::new();
    for case in cases() {
        let Sizes { residues, rows, .. } = case.sizes;
        let before = case.decoded("msa.0", &case.stored.msa);
        let biases: Vec<_> =
            case.decoded("pair.0", &case.stored.pair).iter().map(|pair| case.real.bias(pair)).collect();
        let (mut found, mut exact) = (Vec::new(), Vec::new());
        let Done { updated, .. } = case.run(Isa::best(), &Serial);
        for row in 0..rows {
            let kept: Vec<usize> = (0..residues).filter(|&i| case.keeps(row, i)).collect();
            let entries: Vec<&[f64]> = kept.iter().map(|i| &*before[i * rows + row]).collect();
            let bias = |head: usize, q: usize, k: usize| biases[kept[q] * residues + kept[k]][head];
            exact.extend(case.real.rows.of(&entries, bias).concat());
            let after: Vec<Vec<f64>> = kept.iter().map(|i| real(&updated[row * residues + i])).collect();
            found.extend(added(after.iter().map(|x| &**x), entries.iter().copied()));
        }
        near.push(decibels(&found, &exact));
    }
    assert_least(&near, WITHIN_ROWS);
}

#[test]
fn attention_within_columns_and_transition_are_near_real_numbers() {
    let mut near = Vec::new();
    for case in cases() {
        let Sizes { residues, rows, .. } = case.sizes;
        let Done { updated, msa, .. } = case.run(Isa::best(), &Serial);
        let before: Vec<Vec<f64>> = updated.iter().map(|x| real(x)).collect();
        let after = case.decoded("msa.2", &msa);
        let (mut found, mut exact) = (Vec::new(), Vec::new());
        for i in 0..residues {
            let kept: Vec<usize> = (0..rows).filter(|&row| case.keeps(row, i)).collect();
            let entries: Vec<&[f64]> = kept.iter().map(|row| &*before[row * residues + i]).collect();
            for (x, update) in entries.iter().zip(case.real.columns.of(&entries, |_, _, _| 0.0)) {
                let sum: Vec<f64> = x.iter().zip(&update).map(|(x, update)| x + update).collect();
                let transition = case.real.transition(&sum);
                exact.extend(update.iter().zip(transition).map(|(update, more)| update + more));
            }
            let after = kept.iter().map(|row| &*after[i * rows + row]);
            found.extend(added(after, entries.iter().copied()));
        }
        near.push(decibels(&found, &exact));
    }
    assert_least(&near, WITHIN_COLUMNS);
}

#[test]
fn the_outer_product_is_near_real_numbers() {
    let mut near = Vec::new();
    for case in cases() {
        let Sizes { residues, rows, .. } = case.sizes;
        let Done { msa, pair, .. } = case.run(Isa::best(), &Serial);
        let sides: Vec<_> = case.decoded("msa.2", &msa).iter().map(|x| case.real.sides(x)).collect();
        let [before, after] =
            [("pair.0", &case.stored.pair), ("pair.1", &pair)].map(|(name, codes)| case.decoded(name, codes));
        let mut exact = Vec::new();
        for (i, j) in (0..residues).flat_map(|i| (0..residues).map(move |j| (i, j))) {
            let both = (0..rows).filter(|&row| case.keeps(row, i) && case.keeps(row, j));
            let both = both.map(|row| (&*sides[i * rows + row].0, &*sides[j * rows + row].1));
            exact.extend(case.real.outer_product(&both.collect::<Vec<_>>()));
        }
        let found = added(after.iter().map(|x| &**x), before.iter().map(|x| &**x));
        near.push(decibels(&found, &exact));
    }
    assert_least(&near, OUTER_PRODUCT);
}

#[test]
fn every_backend_and_number_of_workers_computes_the_same() {
    for case in cases() {
        let expected = case.run(Isa::scalar(), &Serial);
        for isa in Isa::all() {
            assert!(case.run(isa, &Backwards) == expected, "{isa:?} {:?}", case.sizes);
        }
    }
}

/// Whole rows and whole columns that are masked, row 0 among them; everything; nothing.
const PATTERNS: [fn(usize, usize) -> bool; 6] = [
    |row, residue| row % 3 != 1 && residue % 5 != 2,
    |row, _| row == 0,
    |row, residue| row == 15 && residue == 8,
    |row, residue| (row < 8) == (residue < 4),
    |_, _| false,
    |_, _| true,
];

#[test]
fn what_is_masked_is_left_alone_and_matters_to_nothing() {
    for (seed, pattern) in (50..).zip(PATTERNS) {
        let case = Case::new(seed, SMALL, |_, row, residue| pattern(row, residue));
        let found = case.run(Isa::best(), &Serial);
        let Sizes { residues, rows, .. } = SMALL;
        let code_row = SMALL.trunk().sequence.code_row;
        let masked: Vec<usize> = (0..residues * rows)
            .filter(|entry| !case.keeps(entry % rows, entry / rows))
            .flat_map(|entry| entry * code_row..(entry + 1) * code_row)
            .collect();
        let mut changed = case.stored.clone();
        let mut random = Random(seed);
        masked.iter().for_each(|&byte| changed.msa[byte] = random.next() as u8);
        let other = run(&case.file, SMALL, &changed, Isa::best(), &Backwards);
        assert!(masked.iter().all(|&byte| found.msa[byte] == case.stored.msa[byte]));
        assert!(masked.iter().all(|&byte| other.msa[byte] == changed.msa[byte]));
        let mut restored = other.clone();
        masked.iter().for_each(|&byte| restored.msa[byte] = found.msa[byte]);
        assert!(restored == found, "pattern {}", seed - 50);
    }
}

/// Which byte says that an entry is kept is all the same, and where there is none, it is masked.
#[test]
fn any_byte_but_0_keeps_an_entry() {
    let mut case = Case::new(3, SMALL, |random, row, _| row < 12 && mostly(random, SMALL, row));
    let expected = case.run(Isa::best(), &Serial);
    assert!((0..SMALL.residues).any(|i| case.keeps(11, i)));
    let mut random = Random(1);
    case.stored.kept.iter_mut().for_each(|kept| *kept *= 1 + random.below(255) as u8);
    assert!(case.run(Isa::best(), &Serial) == expected);
    case.stored.kept.truncate(12 * SMALL.residues);
    assert!(case.run(Isa::best(), &Serial) == expected);
}

/// The bias is divided, too: without weights it is all that pairs get.
#[test]
fn the_outer_products_bias_is_divided_by_the_rows_in_common() {
    let mut case = Case::new(8, SMALL, |_, row, residue| row >= residue);
    let (mut tensors, _) = SMALL.draw(8);
    for part in ["weight", "bias", "rowsum"] {
        let name = std::format!("{NAME}.outer_product.weights.{part}");
        tensors.0.get_mut(&name).unwrap().bytes.fill(0);
    }
    let bias: Vec<i32> = tensors.get(&std::format!("{NAME}.outer_product.bias"));
    case.file = tensors.file();
    let found = case.run(Isa::best(), &Serial);
    let [before, after] = [("pair.0", &case.stored.pair), ("pair.1", &found.pair)]
        .map(|(name, codes)| case.decoded(name, codes));
    for (pair, (before, after)) in before.iter().zip(&after).enumerate() {
        let rows = SMALL.rows - (pair / SMALL.residues).max(pair % SMALL.residues);
        for ((before, after), &bias) in before.iter().zip(after).zip(&bias) {
            let exact = f64::from(bias) / (rows as f64 + 0.001);
            let error = libm::ldexp(after - before, FRAC as i32) - exact;
            // Half a unit, and half a step of the codec, which is 2 or 4 units.
            assert!(error.abs() <= 2.5, "{rows} rows, {bias}: {error}");
        }
    }
}

#[test]
fn memory_is_taken_as_it_is_planned() {
    for (workers, sizes) in SIZES.into_iter().flat_map(|sizes| [1, 3].map(|workers| (workers, sizes))) {
        let trunk = sizes.trunk();
        let shape = sizes.shape(&trunk);
        let planned = bytes_of(|counter| Memory::take(counter, &shape, workers)).unwrap();
        with_memory(planned, |bytes| {
            let short = Memory::take(&mut Arena::new(&mut bytes[..planned - 64]).unwrap(), &shape, workers);
            assert!(matches!(short, Err(ArenaError::TooSmall { .. })));
            assert!(Memory::take(&mut Arena::new(bytes).unwrap(), &shape, workers).is_ok());
        });
    }
    let trunk = SMALL.trunk();
    let plan = |shape: Shape| bytes_of(|counter| Memory::take(counter, &shape, 1));
    let shape = SMALL.shape(&trunk);
    assert!(plan(Shape { rows: ROWS_MAX, outer_width: 256, ..shape }).is_ok());
    for rows in [ROWS_MAX + 1, usize::MAX] {
        assert_eq!(plan(Shape { rows, ..shape }), Err(ArenaError::TooLarge));
    }
    assert_eq!(plan(Shape { outer_width: 257, ..shape }), Err(ArenaError::TooLarge));
    let far = crate::trunk::shape::Shape { residues: usize::MAX / 64, ..trunk };
    assert_eq!(plan(Shape { trunk: &far, ..shape }), Err(ArenaError::TooLarge));
}

#[test]
fn every_tensor_is_needed() {
    let (tensors, _) = SMALL.draw(1);
    let mut needed = 0;
    for name in tensors.0.keys().filter(|name| name.starts_with(NAME)) {
        let mut without = tensors.clone();
        without.0.remove(name);
        let file = without.file();
        let file = ModelFile::parse(file.0.bytes()).unwrap();
        let attention = MsaAttention::load(&file, NAME, SMALL.heads, [SMALL.width(), SMALL.pair_width]);
        let widths = [SMALL.width(), SMALL.outer, SMALL.pair_width];
        let product = OuterProduct::load(&file, NAME, widths, FRAC);
        let errors = [attention.err(), product.err()];
        let missing: Vec<&FormatError> = errors.iter().flatten().collect();
        assert_eq!(missing, [&FormatError::missing_tensor(name)]);
        needed += 1;
    }
    // Norms of the bias, of both attentions, the transition and the outer product; Linears: 1, 2 and 2, 2, 2;
    // the outer product's bias.
    assert_eq!(needed, 5 * 2 + 9 * 6 + 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever weights and codes are, all backends agree and nothing panics.
    #[test]
    fn any_values_are_computed_with(seed: u64, which in 0..SIZES.len(), wild in 0..3usize) {
        let sizes = SIZES[which];
        let mut random = Random(seed);
        let (mut tensors, _) = sizes.draw(seed);
        for (name, payload) in &mut tensors.0 {
            let part = name.rsplit('.').next().map(String::from).unwrap_or_default();
            let fixed = ["outliers", "exponent", "0", "1", "2"].contains(&&*part);
            if fixed || random.below(3) < wild {
                continue;
            }
            payload.bytes.iter_mut().for_each(|byte| *byte = random.next() as u8);
            if part == "mantissa" {
                payload.bytes.chunks_exact_mut(2).for_each(|mantissa| mantissa[1] |= 0x80);
            }
        }
        let mut case = Case::new(seed, sizes, |random, _, _| random.below(3) > 0);
        case.file = tensors.file();
        case.stored.msa.iter_mut().for_each(|byte| *byte = random.next() as u8);
        case.stored.pair.iter_mut().for_each(|byte| *byte = random.next() as u8);
        let expected = case.run(Isa::scalar(), &Serial);
        prop_assert!(case.run(Isa::best(), &Backwards) == expected);
    }
}

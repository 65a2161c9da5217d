//! Files that lack something, and files with any values.

use super::model::{CONFIG_SMALL, random_model};
use super::{ALL, compute, sequence};
use crate::esm::{Config, LanguageModel, RunError};
use crate::executor::Serial;
use crate::format::testing::Tensors;
use crate::format::{DType, FormatError, ModelFile};
use crate::kernels::Isa;
use crate::kernels::testing::Random;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

fn fault(tensors: &Tensors) -> FormatError {
    let file = tensors.file();
    let file = ModelFile::parse(file.0.bytes()).unwrap();
    LanguageModel::load(&file).expect_err("a bad model is refused")
}

/// The tensor that an error is about.
fn named(error: &FormatError) -> String {
    match error {
        FormatError::MissingTensor { tensor }
        | FormatError::WrongType { tensor, .. }
        | FormatError::WrongShape { tensor, .. }
        | FormatError::BadValue { tensor, .. } => tensor.as_str().into(),
        other => panic!("{other} names no tensor"),
    }
}

#[test]
fn every_tensor_is_needed() {
    let tensors = random_model(1, CONFIG_SMALL);
    // Configuration, embedding, rotary, 3 sites of 2, 6 norms of 2, 10 layers of 6, 2 of the contact head.
    assert_eq!(tensors.0.len(), 3 + 6 + 12 + 60 + 2);
    for name in tensors.0.keys() {
        let mut without = tensors.clone();
        without.0.remove(name);
        assert_eq!(fault(&without), FormatError::missing_tensor(name));
    }
}

#[test]
fn every_type_and_shape_is_checked() {
    let tensors = random_model(1, CONFIG_SMALL);
    for (name, payload) in &tensors.0 {
        let mut changed = tensors.clone();
        let other = DType::ALL.into_iter().find(|t| *t != payload.dtype && t.size() == payload.dtype.size());
        // No type is as long as i64, which no tensor has.
        changed.0.get_mut(name).unwrap().dtype = other.unwrap();
        let error = fault(&changed);
        assert!(matches!(error, FormatError::WrongType { .. }) && named(&error) == *name, "{name}: {error}");

        for (dim, &extent) in payload.dims.iter().enumerate() {
            let mut changed = tensors.clone();
            let payload = changed.0.get_mut(name).unwrap();
            payload.dims[dim] = extent + 5;
            let bytes = payload.dims.iter().product::<usize>() * payload.dtype.size();
            payload.bytes.resize(bytes, 0);
            let error = fault(&changed);
            // More outliers need a wider weight.
            let expected = name.replace(".outliers", ".weight");
            assert!(matches!(error, FormatError::WrongShape { .. }), "{name}: {error}");
            assert_eq!(named(&error), expected);
        }
        let mut changed = tensors.clone();
        let payload = changed.0.get_mut(name).unwrap();
        if payload.dims.len() < 4 {
            payload.dims.insert(0, 1);
            let error = fault(&changed);
            assert!(
                matches!(error, FormatError::WrongShape { .. }) && named(&error) == *name,
                "{name}: {error}"
            );
        }
    }
}

#[test]
fn values_that_can_not_be_used_are_refused() {
    let refused = |name: &str, about: &str, change: &dyn Fn(&mut Tensors)| {
        let mut tensors = random_model(1, CONFIG_SMALL);
        change(&mut tensors);
        let error = fault(&tensors);
        assert!(matches!(error, FormatError::BadValue { .. }), "{name}: {error}");
        assert_eq!(named(&error), about);
    };
    let set = |tensors: &mut Tensors, name: &str, at: usize, bytes: &[u8]| {
        tensors.0.get_mut(name).unwrap().bytes[at..at + bytes.len()].copy_from_slice(bytes);
    };
    let config = |record: usize, value: u32| {
        refused("lm.config", "lm.config", &|t| set(t, "lm.config", 4 * record, &value.to_le_bytes()));
    };
    // Heads, flags, stream_frac, mask token, temperature mantissa and shift, the reserved value.
    for (record, value) in [(3, 5), (3, 0), (5, 15), (6, 17), (8, 256), (13, 1), (14, 128), (15, 1)] {
        config(record, value);
    }
    let linear = "lm.layers.1.ffn.down";
    refused("mantissa", linear, &|t| set(t, "lm.layers.1.ffn.down.mantissa", 20, &[0, 0]));
    refused("outlier", linear, &|t| set(t, "lm.layers.1.ffn.down.outliers", 18, &[96, 0]));
    refused("order", linear, &|t| set(t, "lm.layers.1.ffn.down.outliers", 18, &[0, 0]));
    refused("embedding", "lm.embedding", &|t| set(t, "lm.embedding", 3, &[1]));
    refused("codec", "lm.residual.2", &|t| set(t, "lm.residual.2", 0, &[9]));
    refused("step", "lm.residual.2", &|t| set(t, "lm.residual.2", 24, &[0; 4]));
    refused("exponent", "lm.residual.2", &|t| set(t, "lm.residual.2.exponent", 7, &[17]));
    refused("exponent", "lm.residual.1", &|t| set(t, "lm.residual.1.exponent", 7, &[8]));
    refused("weight", "lm.contact.weight", &|t| set(t, "lm.contact.weight", 3, &[0x41]));
    refused("shift", "lm.contact.param", &|t| set(t, "lm.contact.param", 0, &[4]));
    refused("shift", "lm.contact.param", &|t| set(t, "lm.contact.param", 0, &[31]));
}

#[test]
fn layer_numbers_of_any_size_are_looked_for() {
    let mut tensors = random_model(1, CONFIG_SMALL);
    tensors.put("lm.config", &[16], &Config { layers: 3, ..CONFIG_SMALL }.to_record());
    let error = fault(&tensors);
    // Seven maps instead of six are the first thing that a third layer lacks.
    assert_eq!(named(&error), "lm.contact.weight");
    tensors.put("lm.contact.weight", &[9], &[0i16; 9]);
    assert_eq!(fault(&tensors), FormatError::missing_tensor("lm.layers.2.attention.norm.gain"));
}

/// Overwrites some bytes of some tensors.
fn damage(tensors: &mut Tensors, seed: u64) {
    let mut random = Random(seed);
    for _ in 0..1 + random.below(4) {
        let target = random.below(tensors.0.len());
        let Some(payload) = tensors.0.values_mut().nth(target) else { continue };
        let style = random.below(3);
        let unit = payload.dtype.size();
        let count = payload.bytes.len() / unit;
        for _ in 0..[1, 3, count][style] {
            let value = match random.below(4) {
                0 => [0; 8],
                1 => [0xff; 8],
                // The smallest and largest of each type.
                2 => (1u64 << (8 * unit - 1)).wrapping_sub(random.below(2) as u64).to_le_bytes(),
                _ => random.next().to_le_bytes(),
            };
            let at = random.below(count) * unit;
            if let Some(place) = payload.bytes.get_mut(at..at + unit) {
                place.copy_from_slice(&value[..unit]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every arithmetic overflow is a panic in this build.
    #[test]
    fn any_values_are_refused_or_run(seed: u64, residues in 1..40usize) {
        let mut tensors = random_model(1, CONFIG_SMALL);
        damage(&mut tensors, seed);
        let file = tensors.file();
        let tokens = sequence(seed, residues);
        let runs: Vec<_> =
            Isa::all().map(|isa| compute(&file, &tokens, ALL, isa, &Serial)).collect();
        for run in &runs {
            prop_assert_eq!(run, &runs[0]);
            // The configuration may no longer promise a head.
            prop_assert!(matches!(run, Ok(_) | Err(RunError::Format(_) | RunError::NoContactHead | RunError::NoLmHead)), "{run:?}");
        }
    }
}

#[test]
fn most_damage_runs() {
    // So that the property above is about passes and not about refusals.
    let ran = (0..100).filter(|&seed| {
        let mut tensors = random_model(1, CONFIG_SMALL);
        damage(&mut tensors, seed);
        compute(&tensors.file(), &sequence(seed, 3), ALL, Isa::best(), &Serial).is_ok()
    });
    assert!((40..100).contains(&ran.count()));
}

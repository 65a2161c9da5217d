//! Files that lack something, or hold what can't be used.

use super::model::{Model, TINY};
use crate::format::testing::Tensors;
use crate::format::{FormatError, ModelFile};
use crate::omegafold::config::Config;
use crate::omegafold::embedding::Embedding;
use crate::omegafold::language_model::LanguageModel;
use std::string::String;

fn load(tensors: &Tensors, config: &Config) -> Result<usize, FormatError> {
    let file = tensors.file();
    let file = ModelFile::parse(file.0.bytes()).unwrap();
    let code_bytes = LanguageModel::open(&file, config)?.check()?;
    Embedding::load(&file, config)?;
    Ok(code_bytes)
}

#[test]
fn every_tensor_is_needed() {
    let Model { tensors, config, .. } = Model::random(1, TINY);
    assert_eq!(load(&tensors, &config), Ok(2));
    // Embedding, rotary; 4 sites of 2; 3 layers of a norm of 2, three Linears of 6, two more; 3 norms, 2 Linears.
    assert_eq!(tensors.0.len(), 2 + 8 + 3 * (2 + 18 + 2) + 6 + 12);
    for name in tensors.0.keys() {
        let mut without = tensors.clone();
        without.0.remove(name);
        assert_eq!(load(&without, &config), Err(FormatError::missing_tensor(name)));
    }
}

#[test]
fn values_that_can_not_be_used_are_refused() {
    let refused = |about: &str, change: &dyn Fn(&mut Tensors)| {
        let Model { mut tensors, config, .. } = Model::random(1, TINY);
        change(&mut tensors);
        match load(&tensors, &config) {
            Err(FormatError::BadValue { tensor, .. }) => assert_eq!(String::from(tensor.as_str()), about),
            other => panic!("{about}: {other:?}"),
        }
    };
    let set = |tensors: &mut Tensors, name: &str, at: usize, bytes: &[u8]| {
        tensors.0.get_mut(name).unwrap().bytes[at..at + bytes.len()].copy_from_slice(bytes);
    };
    refused("lm.embedding", &|t| set(t, "lm.embedding", 3, &[1]));
    refused("lm.residual.3", &|t| set(t, "lm.residual.3", 0, &[9]));
    refused("lm.layers.1.gate", &|t| {
        let outliers = t.0["lm.layers.1.gate.outliers"].bytes.clone();
        let other =
            (0..32).find(|&channel| !outliers.iter().step_by(2).any(|&o| u16::from(o) == channel)).unwrap();
        // One that keeps the order.
        let mut changed: std::vec::Vec<u16> = t.get("lm.layers.1.gate.outliers");
        changed[0] = other;
        changed.sort_unstable();
        t.put("lm.layers.1.gate.outliers", &[3], &changed);
    });
    refused("lm.layers.2.output", &|t| set(t, "lm.layers.2.output.mantissa", 2, &[0, 0]));
    refused("fold.embedding.pair", &|t| set(t, "fold.embedding.pair.outliers", 4, &[3, 0]));
}

#[test]
fn values_that_are_not_whole_panels_are_refused() {
    let config = Config { value_width: 24, query_width: 8, ..TINY };
    let Model { tensors, config, .. } = Model::random(1, config);
    let expected =
        FormatError::bad_value("lm.layers.0.projections", "values must have a multiple of 16 channels");
    assert_eq!(load(&tensors, &config), Err(expected));
}

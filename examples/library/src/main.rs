//! Foldpoint's core as a library, with nothing between: read a model file, plan the memory, run, print
//! contacts.
//!
//! `cargo run --release -p example-library -- models/default.fpm
//! MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG`

use anyhow::{Context, bail};
use foldpoint_core::alphabet;
use foldpoint_core::esm::{LanguageModel, Request};
use foldpoint_core::format::ModelFile;
use foldpoint_core::{AlignedBytes, Runtime};

/// Contacts printed.
const SHOWN: usize = 10;

/// Contacts between residues closer in sequence than this are trivial.
const SEPARATION: usize = 6;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(sequence)) = (arguments.next(), arguments.next()) else {
        bail!("expected a model file and a sequence");
    };

    // Core reads tensors in place, and places its working memory, at multiples of 64 bytes.
    let bytes = AlignedBytes::copy_of(&std::fs::read(&path).with_context(|| path.clone())?);
    let file = ModelFile::parse(bytes.bytes()).with_context(|| path.clone())?;
    file.verify().with_context(|| path.clone())?;
    let model = LanguageModel::load(&file).with_context(|| path.clone())?;

    let tokens = tokenize(&sequence)?;
    let (request, runtime) = (Request::default().contacts(true), Runtime::serial());
    let mut arena = AlignedBytes::zeroed(model.arena_bytes(tokens.len(), &request, &runtime)?);
    let outputs = model.run(&tokens, &request, arena.bytes_mut(), &runtime)?;

    let contacts = outputs.contacts.context("the model has no contact head")?;
    for (i, j, probability) in strongest(contacts, sequence.len()) {
        println!("{:5} {:5}  {:.3}", i + 1, j + 1, f64::from(probability) / 65_536.0);
    }
    Ok(())
}

/// Tokens of a sequence of upper-case letters.
fn tokenize(sequence: &str) -> anyhow::Result<Vec<u8>> {
    let strange = sequence.bytes().find(|&letter| alphabet::token(letter).is_none());
    if let Some(letter) = strange {
        bail!("{:?} is no residue", char::from(letter));
    }
    Ok(alphabet::tokens(sequence.as_bytes()).collect())
}

/// The most probable pairs of the map `[length, length]`.
fn strongest(contacts: &[u16], length: usize) -> Vec<(usize, usize, u16)> {
    let pairs = (0..length).flat_map(|i| (i + SEPARATION..length).map(move |j| (i, j)));
    let mut pairs: Vec<_> = pairs.map(|(i, j)| (i, j, contacts[i * length + j])).collect();
    pairs.sort_by_key(|&(.., probability)| std::cmp::Reverse(probability));
    pairs.truncate(SHOWN);
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_tokens() {
        assert_eq!(tokenize("LAO").unwrap(), [0, 4, 5, 28, 2]);
        assert!(tokenize("L-").is_err());
    }

    #[test]
    fn the_strongest_pairs_come_first_and_near_ones_never() {
        let length = 8;
        let mut contacts = vec![0; length * length];
        contacts[1] = 9;
        contacts[7] = 5;
        contacts[6] = 3;
        assert_eq!(strongest(&contacts, length), [(0, 7, 5), (0, 6, 3), (1, 7, 0)]);
    }
}

//! Token dropout, contact maps and logits.

use super::model::{CONFIG_SMALL, random_model};
use super::{ALL, compute, sequence};
use crate::executor::Serial;
use crate::kernels::Isa;
use crate::quant::Codec;

/// Layer 0 is the embedding times 0.88 / (1 - masked / tokens), rounded, stored in the first site's codec;
/// zero for a mask.
#[test]
fn embeddings_are_scaled_by_the_share_of_masked_tokens() {
    let tensors = random_model(1, CONFIG_SMALL);
    let tokens = [0, 5, 32, 7, 8, 32, 20, 2];
    let found = compute(&tensors.file(), &tokens, ALL, Isa::best(), &Serial).unwrap();
    let embedding: std::vec::Vec<i32> = tensors.get("lm.embedding");
    let exponents: std::vec::Vec<u8> = tensors.get("lm.residual.0.exponent");
    let record: [i32; 8] = tensors.get("lm.residual.0").try_into().unwrap();
    let codec = Codec::from_record(&record, 1).unwrap();
    for (layer, token, values) in found.hidden.iter().filter(|row| row.0 == 0) {
        let id = usize::from(tokens[*token]);
        for (c, &found) in values.iter().enumerate() {
            let x = f64::from(embedding[id * 48 + c]) * 0.88 / (1.0 - 2.0 / 8.0);
            let x = if id == 32 { 0 } else { libm::round(x) as i32 };
            let stored = codec.decode(codec.encode(x, exponents[c]), exponents[c]);
            assert_eq!(found, stored << 4, "layer {layer} token {token} channel {c}");
        }
    }
}

#[test]
fn a_sequence_of_masks_runs() {
    let file = random_model(1, CONFIG_SMALL).file();
    for residues in [1, 38] {
        let tokens = [&[0][..], &std::vec![32; residues], &[2]].concat();
        let found = compute(&file, &tokens, ALL, Isa::best(), &Serial).unwrap();
        let masks = found.hidden.iter().filter(|row| row.0 == 0 && (1..=residues).contains(&row.1));
        assert_eq!(masks.filter(|row| row.2 == [0; 48]).count(), residues);
    }
}

#[test]
fn contact_maps_are_symmetric_and_not_constant() {
    let file = random_model(2, CONFIG_SMALL).file();
    for residues in [1, 2, 17, 96, 150] {
        let found = compute(&file, &sequence(9, residues), ALL, Isa::best(), &Serial).unwrap();
        let map = found.contacts.unwrap();
        for i in 0..residues {
            for j in 0..residues {
                assert_eq!(map[i * residues + j], map[j * residues + i], "{i} {j}");
            }
        }
        assert!(residues == 1 || map.iter().any(|&p| p != map[0]), "{residues} residues");
    }
}

//! A fingerprint of integer outputs: equal exactly when every bit is.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::engine::Prediction;
use crate::fold::FoldPrediction;

/// A SHA-256 value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

/// Of all integers of a prediction, little-endian: contacts, logits, hidden states.
pub fn of_prediction(prediction: &Prediction) -> Digest {
    let mut hash = Sha256::new();
    hash.update((prediction.length as u64).to_le_bytes());
    let mut part = |values: &mut dyn Iterator<Item = i32>, count: usize| {
        hash.update((count as u64).to_le_bytes());
        for value in values {
            hash.update(value.to_le_bytes());
        }
    };
    let contacts = prediction.contacts.as_deref().unwrap_or_default();
    part(&mut contacts.iter().map(|&p| i32::from(p)), contacts.len());
    let logits = prediction.logits.as_deref().unwrap_or_default();
    part(&mut logits.iter().copied(), logits.len());
    for layer in &prediction.hidden {
        part(&mut layer.iter().copied(), layer.len());
    }
    Digest(hash.finalize().into())
}

/// Of all integers of a structure, little-endian: atoms, pLDDT, predicted aligned errors, pTM, ipTM; of
/// OmegaFold also the cycle that is the result, and the confidence in it.
pub fn of_fold(folded: &FoldPrediction) -> Digest {
    let mut hash = Sha256::new();
    hash.update((folded.atoms.len() as u64).to_le_bytes());
    folded.atoms.iter().flatten().flatten().for_each(|x| hash.update(x.to_le_bytes()));
    folded.plddt.iter().flatten().for_each(|x| hash.update(x.to_le_bytes()));
    let errors = folded.aligned_error.as_deref().unwrap_or_default();
    hash.update((errors.len() as u64).to_le_bytes());
    errors.iter().for_each(|x| hash.update(x.to_le_bytes()));
    hash.update(folded.ptm.unwrap_or_default().to_le_bytes());
    // A score has 16 bits, so this is no score.
    hash.update(folded.iptm.map_or(u32::MAX, u32::from).to_le_bytes());
    if let Some(best) = folded.best_cycle {
        hash.update((best.number as u64).to_le_bytes());
        hash.update(best.confidence.to_le_bytes());
    }
    Digest(hash.finalize().into())
}

/// Of digests in order.
pub fn of_all(digests: impl IntoIterator<Item = Digest>) -> Digest {
    let mut hash = Sha256::new();
    for digest in digests {
        hash.update(digest.0);
    }
    Digest(hash.finalize().into())
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::BestCycle;

    #[test]
    fn every_bit_counts() {
        let a = Prediction {
            length: 2,
            contacts: Some(vec![1, 2, 2, 1]),
            logits: None,
            hidden: vec![vec![5, 6]],
        };
        let mut b = a.clone();
        assert_eq!(of_prediction(&a), of_prediction(&b));
        b.hidden[0][1] ^= 1;
        assert_ne!(of_prediction(&a), of_prediction(&b));
        let moved = Prediction { logits: Some(vec![5, 6]), hidden: vec![], ..a.clone() };
        assert_ne!(of_prediction(&a), of_prediction(&moved));
        let [x, y] = [of_prediction(&a), of_prediction(&b)];
        assert_ne!(of_all([x, y]), of_all([y, x]));
    }

    #[test]
    fn every_bit_of_a_structure_counts() {
        let a =
            FoldPrediction { atoms: vec![[[1; 3]; 14]], plddt: vec![[2; 37]], ..FoldPrediction::default() };
        let changed: [fn(&mut FoldPrediction); 7] = [
            |f| f.atoms[0][13][2] ^= 1,
            |f| f.plddt[0][36] ^= 1,
            |f| f.aligned_error = Some(vec![0]),
            |f| f.ptm = Some(1),
            |f| f.iptm = Some(u16::MAX),
            |f| f.best_cycle = Some(BestCycle { number: 1, confidence: 0 }),
            |f| f.best_cycle = Some(BestCycle { number: 1, confidence: 1 }),
        ];
        let digests = changed.map(|change| {
            let mut b = a.clone();
            change(&mut b);
            of_fold(&b).to_string()
        });
        let all: std::collections::HashSet<_> =
            digests.into_iter().chain([of_fold(&a).to_string()]).collect();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn it_is_sha_256() {
        let nothing = of_all([]).to_string();
        assert_eq!(nothing, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}

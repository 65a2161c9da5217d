//! The FASTA reader on arbitrary bytes: it may refuse them, it must not panic, and what it accepts is clean.
#![no_main]

use std::collections::HashSet;

use fasta::{Batch, MASK, read};
use foldpoint_core::alphabet::{RESIDUES, STANDARD};
use libfuzzer_sys::fuzz_target;

const MAX_LEN: usize = 100;

fuzz_target!(|data: &[u8]| {
    check(&read(data, "fuzz", MAX_LEN));
    // With a header that is right, what follows is deflate.
    check(&read(&[&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], data].concat()[..], "fuzz", MAX_LEN));
});

fn check(batch: &Batch) {
    assert!(!(batch.sequences.is_empty() && batch.rejected.is_empty() && batch.failures.is_empty()));
    let mut stems = HashSet::new();
    let mut text = String::new();
    for sequence in &batch.sequences {
        assert!(sequence.residues.iter().all(|&r| RESIDUES[..=STANDARD].contains(&r) || r == MASK));
        assert!((1..=MAX_LEN).contains(&sequence.residues.len()));
        assert!(sequence.chains().all(|chain| !chain.is_empty()));
        assert_eq!(sequence.chain_lengths.iter().sum::<usize>(), sequence.residues.len());
        assert_eq!(sequence.mask.is_some(), sequence.residues.contains(&MASK));
        assert!(stems.insert(sequence.stem.to_lowercase()) && sequence.stem.len() <= 200);
        let chains: Vec<_> = sequence.chains().map(String::from_utf8_lossy).collect();
        text += &format!(">{}\n{}\n", sequence.stem, chains.join(":"));
    }
    for error in &batch.rejected {
        assert!(error.place.line >= 1 && stems.insert(error.stem.to_lowercase()), "{error}");
    }
    if batch.sequences.is_empty() {
        return;
    }
    let again = read(text.as_bytes(), "again", MAX_LEN);
    let residues = |batch: &Batch| -> Vec<_> {
        batch.sequences.iter().map(|s| (s.residues.clone(), s.chain_lengths.clone())).collect()
    };
    assert_eq!(residues(&again), residues(batch));
}

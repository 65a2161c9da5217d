//! Mutations as they are written: `A12V`, several joined by `:`.

use foldpoint_core::alphabet::{RESIDUES, STANDARD};

/// A residue that is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mutation {
    /// The letter of the wild type.
    pub from: u8,
    /// Its place in the sequence, from 0.
    pub at: usize,
    /// The letter that is there instead.
    pub to: u8,
}

/// Why a text isn't a variant of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MutationError {
    /// Not written as a mutation.
    #[error(
        "`{0}` is no mutation; expected a residue, its number and another residue, such as A12V, and `:` between several"
    )]
    Unreadable(String),
    /// A stop instead of a residue.
    #[error("`{0}` is a stop, which a language model has no probability for")]
    Stop(String),
    /// A letter that is none of the 20 amino acids.
    #[error("`{text}` has {letter}, which is none of the 20 amino acids")]
    NoAminoAcid {
        /// The mutation.
        text: String,
        /// Its letter.
        letter: char,
    },
    /// There is no such residue.
    #[error("`{text}` is outside the sequence, whose residues have the numbers {first} to {last}")]
    Outside {
        /// The mutation.
        text: String,
        /// Number of the first residue.
        first: i64,
        /// Number of the last residue.
        last: i64,
    },
    /// The sequence has another residue there.
    #[error("`{text}`: residue {number} of the sequence is {found}")]
    WildType {
        /// The mutation.
        text: String,
        /// The residue's number.
        number: i64,
        /// The residue in the sequence.
        found: char,
    },
    /// A residue is changed more than once.
    #[error("`{text}`: residue {number} is changed twice")]
    Twice {
        /// The mutation that comes second.
        text: String,
        /// The residue's number.
        number: i64,
    },
}

/// The mutations of `text`, one after another, in `sequence` (upper-case letters), whose first residue has
/// the number `offset`. Letters may be lower case. A residue may be "changed" into what it is.
///
/// ```
/// # use std_runner::variants::{Mutation, parse};
/// assert_eq!(parse("K24M", 24, b"KV"), Ok(vec![Mutation { from: b'K', at: 0, to: b'M' }]));
/// ```
///
/// # Errors
/// The first mutation that isn't one of the sequence.
pub fn parse(text: &str, offset: i64, sequence: &[u8]) -> Result<Vec<Mutation>, MutationError> {
    let mut mutations: Vec<Mutation> = Vec::new();
    for part in text.trim().split(':') {
        let mutation = parse_one(part.trim(), offset, sequence)?;
        if mutations.iter().any(|other| other.at == mutation.at) {
            let number = offset.saturating_add(mutation.at as i64);
            return Err(MutationError::Twice { text: part.trim().into(), number });
        }
        mutations.push(mutation);
    }
    Ok(mutations)
}

fn parse_one(text: &str, offset: i64, sequence: &[u8]) -> Result<Mutation, MutationError> {
    let unreadable = || MutationError::Unreadable(text.into());
    let mut letters = text.chars();
    let (from, to) = letters.next().zip(letters.next_back()).ok_or_else(unreadable)?;
    let number = letters.as_str();
    let digits = number.strip_prefix('-').unwrap_or(number);
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '*';
    if !is_letter(from)
        || !is_letter(to)
        || digits.is_empty()
        || !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(unreadable());
    }
    let number: i64 = number.parse().map_err(|_| unreadable())?;
    if to == '*' {
        return Err(MutationError::Stop(text.into()));
    }
    let amino_acid = |letter: char| {
        let upper = letter.to_ascii_uppercase();
        let found = RESIDUES[..STANDARD].iter().copied().find(|&residue| char::from(residue) == upper);
        found.ok_or_else(|| MutationError::NoAminoAcid { text: text.into(), letter })
    };
    let to = amino_acid(to)?;
    let last = offset.saturating_add(sequence.len() as i64 - 1);
    let outside = || MutationError::Outside { text: text.into(), first: offset, last };
    let at = number.checked_sub(offset).and_then(|at| usize::try_from(at).ok()).ok_or_else(outside)?;
    let found = *sequence.get(at).ok_or_else(outside)?;
    if !from.eq_ignore_ascii_case(&char::from(found)) {
        return Err(MutationError::WildType { text: text.into(), number, found: found.into() });
    }
    Ok(Mutation { from: amino_acid(from)?, at, to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEQUENCE: &[u8] = b"HPETLVKVX";

    fn said(text: &str) -> String {
        parse(text, 24, SEQUENCE).expect_err(text).to_string()
    }

    #[test]
    fn one_and_several() {
        let mutation = |from, at, to| Mutation { from, at, to };
        assert_eq!(parse("H24C", 24, SEQUENCE), Ok(vec![mutation(b'H', 0, b'C')]));
        assert_eq!(
            parse(" p25a:V31d ", 24, SEQUENCE),
            Ok(vec![mutation(b'P', 1, b'A'), mutation(b'V', 7, b'D')])
        );
        assert_eq!(parse("H0H", 0, SEQUENCE), Ok(vec![mutation(b'H', 0, b'H')]), "a residue as it is");
        assert_eq!(parse("P-2A", -3, SEQUENCE), Ok(vec![mutation(b'P', 1, b'A')]), "of an expression tag");
    }

    #[test]
    fn mistakes_are_told_apart() {
        for text in [
            "",
            "H",
            "HC",
            "24",
            "H24",
            "H2x4C",
            "p.His24Cys",
            "H+24C",
            "H99999999999999999999C",
            "WT",
            "H24C:",
            "é",
        ] {
            assert!(said(text).contains("is no mutation; expected"), "{text}: {}", said(text));
        }
        assert_eq!(said("H24*"), "`H24*` is a stop, which a language model has no probability for");
        assert_eq!(said("H24B"), "`H24B` has B, which is none of the 20 amino acids");
        let outside = "is outside the sequence, whose residues have the numbers 24 to 32";
        for text in ["H23C", "H33C", "H-1C", "H9223372036854775807C"] {
            assert_eq!(said(text), format!("`{text}` {outside}"));
        }
        assert_eq!(said("H24C:E25A"), "`E25A`: residue 25 of the sequence is P");
        assert_eq!(said("H24C:H24D"), "`H24D`: residue 24 is changed twice");
        assert_eq!(said("X32A"), "`X32A` has X, which is none of the 20 amino acids");
    }

    proptest! {
        #[test]
        fn any_text(text: String, offset: i64) {
            let _ = parse(&text, offset, SEQUENCE);
        }

        #[test]
        fn what_is_written_is_read(at in 0..8usize, to in 0..20usize, offset in -1000..1000i64) {
            let mutation = Mutation { from: SEQUENCE[at], at, to: RESIDUES[to] };
            let text = format!("{}{}{}", char::from(mutation.from), offset + at as i64, char::from(mutation.to));
            prop_assert_eq!(parse(&text, offset, SEQUENCE), Ok(vec![mutation]));
        }
    }
}

//! The ESM alphabet: from residue letters to token numbers.

/// Token put before every sequence.
pub const CLS: u8 = 0;
/// Token put after every sequence.
pub const EOS: u8 = 2;
/// Number of the first residue token; those before it are `<cls>`, `<pad>`, `<eos>` and `<unk>`.
pub const FIRST_RESIDUE: u8 = 4;
/// Residue letters in the order of their tokens, from [`FIRST_RESIDUE`] on. The first 20 are the standard amino acids.
pub const RESIDUES: &[u8] = b"LAGVSERTIDPKQNFYMHWCXBUZO";
/// How many of [`RESIDUES`] are standard amino acids.
pub const STANDARD: usize = 20;
/// All tokens in order, as they are named in ESM checkpoints.
pub const TOKENS: [&str; 33] = [
    "<cls>", "<pad>", "<eos>", "<unk>", "L", "A", "G", "V", "S", "E", "R", "T", "I", "D", "P", "K", "Q", "N",
    "F", "Y", "M", "H", "W", "C", "X", "B", "U", "Z", "O", ".", "-", "<null_1>", "<mask>",
];

/// Token of an upper-case residue letter, `None` for anything else.
pub fn token(letter: u8) -> Option<u8> {
    let place = RESIDUES.iter().position(|&r| r == letter)?;
    Some(FIRST_RESIDUE + u8::try_from(place).ok()?)
}

/// Tokens of a sequence with `<cls>` before and `<eos>` after it; letters outside the alphabet become X.
pub fn tokenize(residues: &[u8]) -> Vec<u8> {
    const X: u8 = FIRST_RESIDUE + STANDARD as u8;
    let mut tokens = Vec::with_capacity(residues.len() + 2);
    tokens.push(CLS);
    tokens.extend(residues.iter().map(|&r| token(r).unwrap_or(X)));
    tokens.push(EOS);
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_token_names_agree() {
        for &letter in RESIDUES {
            let t = token(letter).expect("a residue has a token");
            assert_eq!(TOKENS[usize::from(t)].as_bytes(), [letter]);
        }
        assert_eq!(token(b'J'), None);
        assert_eq!(token(b'l'), None);
    }

    #[test]
    fn tokens_of_a_peptide() {
        assert_eq!(tokenize(b"MKX"), [0, 20, 15, 24, 2]);
        assert_eq!(tokenize(b""), [0, 2]);
    }
}

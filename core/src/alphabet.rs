//! The ESM alphabet: from residue letters to token numbers.

use core::iter::once;

/// Token put before every sequence.
pub const CLS: u8 = 0;
/// Token that fills up batches elsewhere; no run takes it.
pub const PAD: u8 = 1;
/// Token put after every sequence.
pub const EOS: u8 = 2;
/// Number of the first residue token; those before it are `<cls>`, `<pad>`, `<eos>` and `<unk>`.
pub const FIRST_RESIDUE: u8 = 4;
/// Residue letters in the order of their tokens, from [`FIRST_RESIDUE`] on. The first 20 are the standard
/// amino acids, the next is X.
pub const RESIDUES: &[u8] = b"LAGVSERTIDPKQNFYMHWCXBUZO";
/// How many of [`RESIDUES`] are standard amino acids.
pub const STANDARD: usize = 20;
/// Token of X, a residue of unknown type.
pub const X: u8 = FIRST_RESIDUE + STANDARD as u8;
/// Token of a masked residue.
pub const MASK: u8 = 32;
/// The letter that stands for [`MASK`].
pub const MASK_LETTER: u8 = b'_';
/// All tokens in order, as they are named in ESM checkpoints.
pub const TOKENS: [&str; 33] = [
    "<cls>", "<pad>", "<eos>", "<unk>", "L", "A", "G", "V", "S", "E", "R", "T", "I", "D", "P", "K", "Q", "N",
    "F", "Y", "M", "H", "W", "C", "X", "B", "U", "Z", "O", ".", "-", "<null_1>", "<mask>",
];

/// Token of an upper-case residue letter or of [`MASK_LETTER`], `None` for anything else.
pub fn token(letter: u8) -> Option<u8> {
    if letter == MASK_LETTER {
        return Some(MASK);
    }
    let place = RESIDUES.iter().position(|&r| r == letter)?;
    Some(FIRST_RESIDUE + u8::try_from(place).ok()?)
}

/// Letter of a residue's token, `None` for any other token.
pub fn letter(token: u8) -> Option<u8> {
    RESIDUES.get(usize::from(token.checked_sub(FIRST_RESIDUE)?)).copied()
}

/// Tokens of a sequence with `<cls>` before and `<eos>` after it; letters outside the alphabet become X.
pub fn tokens(residues: &[u8]) -> impl Iterator<Item = u8> {
    once(CLS).chain(residues.iter().map(|&r| token(r).unwrap_or(X))).chain(once(EOS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_token_names_agree() {
        for &residue in RESIDUES {
            let t = token(residue).expect("a residue has a token");
            assert_eq!(TOKENS[usize::from(t)].as_bytes(), [residue]);
            assert_eq!(letter(t), Some(residue));
        }
        assert_eq!(TOKENS[usize::from(MASK)], "<mask>");
        assert_eq!(TOKENS[usize::from(X)], "X");
        assert_eq!((token(b'J'), token(b'l'), token(b'-')), (None, None, None));
        assert_eq!(
            (letter(CLS), letter(EOS), letter(29), letter(MASK), letter(255)),
            (None, None, None, None, None)
        );
    }

    #[test]
    fn tokens_of_a_peptide() {
        assert!(tokens(b"MK_X").eq([0, 20, 15, 32, 24, 2]));
        assert!(tokens(b"J").eq([0, 24, 2]));
        assert!(tokens(b"").eq([0, 2]));
    }
}

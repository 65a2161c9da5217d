//! From letters to residues, as OmegaFold reads them.

use crate::geometry::Residue;

/// The residue of an upper-case letter: one of the 20 amino acids or X; B is read as D, Z as E and U as C.
/// `None` for any other letter: those that ESM's alphabet has besides (O) and J among them.
pub fn residue(letter: u8) -> Option<Residue> {
    let letter = match letter {
        b'B' => b'D',
        b'Z' => b'E',
        b'U' => b'C',
        other => other,
    };
    (0..).map_while(Residue::from_index).find(|residue| residue.letter() == char::from(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_the_original_in_its_order() {
        for (index, &letter) in b"ARNDCQEGHILKMFPSTWYVX".iter().enumerate() {
            assert_eq!(residue(letter).map(Residue::index), Some(index));
        }
        assert_eq!([b'B', b'Z', b'U'].map(residue), [b'D', b'E', b'C'].map(residue));
        let refused = (0..=255u8).filter(|&letter| residue(letter).is_none());
        assert!(refused.filter(u8::is_ascii_uppercase).eq(*b"JO"));
        assert_eq!([b'-', b'*', b'a', b' ', 0].map(residue), [None; 5]);
    }
}

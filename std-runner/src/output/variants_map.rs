//! Scores of a protein's single substitutions as a picture: a column a residue, a row an amino acid.

use std::io::{self, Write};

use super::picture::{INK, LAST_SHADE, Picture, text_width};

/// The amino acids in the order of rows: by what they are like.
pub const AMINO_ACIDS: &[u8; 20] = b"AVILMFYWCGPSTNQHDEKR";

/// Anchor colours at equal distances (ColorBrewer "RdBu"): the least probable substitutions are red, those as
/// probable as the wild type white, more probable ones blue.
const COLOURS: [[u8; 3]; 7] = [
    [178, 24, 43],
    [239, 138, 98],
    [253, 219, 199],
    [255, 255, 255],
    [209, 229, 240],
    [103, 169, 207],
    [33, 102, 172],
];
const WHITE: u8 = LAST_SHADE / 2;
const ROW: usize = 12;
const MARGIN_LEFT: usize = 12;
const MARGIN_TOP: usize = 16;
const MARGIN_END: usize = 6;
/// A picture is about so wide, if columns of 4 to 12 pixels allow it.
const WIDTH: usize = 1600;

/// Writes `scores`, a row of [`AMINO_ACIDS`] for each of `residues` (letters), as a PNG; what the sequence has
/// itself is a dot, what has no score is empty. The colours' ends are the largest score and its negative.
/// Numbers begin with `first`.
///
/// # Errors
/// The writer's, or [`io::ErrorKind::InvalidInput`] if `scores` aren't as many.
pub fn variants_png(
    out: &mut dyn Write,
    residues: &[u8],
    scores: &[Option<f64>],
    first: i64,
) -> io::Result<()> {
    if residues.is_empty() || scores.len() != residues.len() * AMINO_ACIDS.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not 20 scores for each residue"));
    }
    let column = (WIDTH / residues.len()).clamp(4, 12);
    let height = ROW * AMINO_ACIDS.len();
    let width = MARGIN_LEFT + column * residues.len() + MARGIN_END;
    let mut picture = Picture::new(width, MARGIN_TOP + height + MARGIN_END);
    (0..MARGIN_TOP + height + MARGIN_END).for_each(|y| (0..width).for_each(|x| picture.set(x, y, WHITE)));
    let largest = scores.iter().flatten().fold(f64::MIN_POSITIVE, |largest, score| largest.max(score.abs()));
    for (index, score) in scores.iter().enumerate() {
        let (residue, kind) = (index / AMINO_ACIDS.len(), index % AMINO_ACIDS.len());
        let (left, top) = (MARGIN_LEFT + column * residue, MARGIN_TOP + ROW * kind);
        if AMINO_ACIDS[kind] == residues[residue] {
            let middle = (left + column / 2, top + ROW / 2);
            (0..2).for_each(|y| (0..2).for_each(|x| picture.set(middle.0 - x, middle.1 - y, INK)));
        } else if let Some(score) = score {
            let shade = ((score / largest + 1.0) / 2.0 * f64::from(LAST_SHADE)).round() as u8;
            (0..ROW).for_each(|y| (0..column).for_each(|x| picture.set(left + x, top + y, shade)));
        }
    }
    for (kind, &letter) in AMINO_ACIDS.iter().enumerate() {
        picture.write(&char::from(letter).to_string(), 4, MARGIN_TOP + ROW * kind + 3);
    }
    for (residue, number) in (first..).take(residues.len()).enumerate().filter(|(_, number)| number % 10 == 0)
    {
        let (middle, text) = (MARGIN_LEFT + column * residue + column / 2, number.to_string());
        picture.write(&text, middle.saturating_sub(text_width(&text) / 2), 4);
        (MARGIN_TOP - 5..MARGIN_TOP - 1).for_each(|y| picture.set(middle, y, INK));
    }
    picture.png(out, &COLOURS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_where_its_residue_and_amino_acid_meet() {
        let residues = [b'A'; 30];
        let mut scores = vec![None; 600];
        // D of residue 2, and V of the last one.
        scores[2 * 20 + 16] = Some(-3.0);
        scores[29 * 20 + 1] = Some(1.0);
        let mut bytes = Vec::new();
        variants_png(&mut bytes, &residues, &scores, 24).expect("in memory");
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("it fits")];
        let width = reader.next_frame(&mut pixels).expect("a picture").width as usize;
        let pixel = |x: usize, y: usize| &pixels[(y * width + x) * 3..][..3];
        let of =
            |residue: usize, kind: usize| pixel(MARGIN_LEFT + 12 * residue + 6, MARGIN_TOP + 12 * kind + 6);
        assert_eq!(of(2, 16), COLOURS[0]);
        assert_eq!(of(29, 1), [209, 229, 240], "a third of the way to blue");
        assert_eq!(of(5, 5), [255; 3]);
        assert_eq!(of(7, 0), [60; 3], "the sequence itself");
        assert!(variants_png(&mut Vec::new(), &residues, &scores[1..], 1).is_err());
        assert!(variants_png(&mut Vec::new(), b"", &[], 1).is_err());
    }
}

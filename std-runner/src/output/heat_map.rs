//! A contact map as a picture: white for probability 0 to dark blue for 1, with residue numbers on both axes.

use std::io::{self, Write};

use super::picture::{INK, LAST_SHADE, Picture, text_width};

/// Anchor colours at equal distances (ColorBrewer "Blues", beginning with white).
const BLUES: [[u8; 3]; 6] =
    [[255, 255, 255], [198, 219, 239], [107, 174, 214], [33, 113, 181], [8, 69, 148], [3, 30, 80]];
/// Maps shorter than this many pixels are enlarged.
const SMALLEST_SIDE: usize = 480;
const LONGEST_ENLARGED: usize = 320;
/// Pixels of the shortest side of a residue in a map that is enlarged at all.
const RESIDUE_PIXELS: usize = 4;
const MARGIN_LEFT: usize = 30;
const MARGIN_TOP: usize = 18;
const MARGIN_END: usize = 8;
const TICK: usize = 4;

/// Writes probabilities `[L, L]` (0 to 1, row-major) as a PNG; L is the sum of the chains' lengths. Residue 1
/// is at the top left; a residue takes at least 4 pixels up to 320 residues, then one or two. Lines part the
/// chains, each of which is numbered from 1.
///
/// # Errors
/// The writer's, or [`io::ErrorKind::InvalidInput`] if `probabilities` does not fill the square.
pub fn contact_png(out: &mut dyn Write, probabilities: &[f32], chains: &[usize]) -> io::Result<()> {
    let length: usize = chains.iter().sum();
    if length == 0 || probabilities.len() != length * length {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the contact map is not square"));
    }
    draw(probabilities, chains).png(out, &BLUES)
}

/// Pixels for one residue.
fn scale(length: usize) -> usize {
    match length {
        0..=LONGEST_ENLARGED => SMALLEST_SIDE.div_ceil(length.max(1)).max(RESIDUE_PIXELS),
        _ if length <= 2 * LONGEST_ENLARGED => 2,
        _ => 1,
    }
}

fn draw(probabilities: &[f32], chains: &[usize]) -> Picture {
    let length = chains.iter().sum();
    let scale = scale(length);
    // The residue of each row and column of pixels; none where a line parts two chains.
    let mut places: Vec<Option<usize>> = Vec::new();
    let mut residues = 0..length;
    for (number, &chain) in chains.iter().enumerate() {
        places.extend((number > 0).then_some(None));
        places.extend(residues.by_ref().take(chain).flat_map(|i| std::iter::repeat_n(Some(i), scale)));
    }
    let side = places.len();
    let width = MARGIN_LEFT + side + MARGIN_END;
    let height = MARGIN_TOP + side + MARGIN_END;
    let mut picture = Picture::new(width, height);
    for (y, row) in places.iter().enumerate() {
        for (x, column) in places.iter().enumerate() {
            let value = match (row, column) {
                (Some(i), Some(j)) => {
                    let p = probabilities[i * length + j].clamp(0.0, 1.0);
                    (p * f32::from(LAST_SHADE)).round() as u8
                }
                _ => INK,
            };
            picture.set(MARGIN_LEFT + x, MARGIN_TOP + y, value);
        }
    }
    for i in 0..side + 2 {
        for edge in [MARGIN_LEFT - 1, MARGIN_LEFT + side] {
            picture.set(edge, MARGIN_TOP - 1 + i, INK);
        }
        for edge in [MARGIN_TOP - 1, MARGIN_TOP + side] {
            picture.set(MARGIN_LEFT - 1 + i, edge, INK);
        }
    }
    let step = tick_step(scale);
    let mut start = 0;
    for &chain in chains {
        for number in (step..=chain).step_by(step) {
            tick(&mut picture, number, start + (number - 1) * scale + scale / 2);
        }
        start += chain * scale + 1;
    }
    picture
}

/// Marks a place of both axes with a number.
fn tick(picture: &mut Picture, number: usize, middle: usize) {
    for i in 2..=TICK {
        picture.set(MARGIN_LEFT - i, MARGIN_TOP + middle, INK);
        picture.set(MARGIN_LEFT + middle, MARGIN_TOP - i, INK);
    }
    let text = number.to_string();
    let text_width = text_width(&text);
    picture.write(&text, MARGIN_LEFT - TICK - 3 - text_width, (MARGIN_TOP + middle).saturating_sub(2));
    picture.write(&text, (MARGIN_LEFT + middle).saturating_sub(text_width / 2), MARGIN_TOP - TICK - 8);
}

/// Residues from one axis number to the next, at least 40 pixels apart.
fn tick_step(scale: usize) -> usize {
    [5, 10, 20, 50].into_iter().find(|step| step * scale >= 40).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("it fits")];
        let info = reader.next_frame(&mut pixels).expect("a picture");
        (info.width, info.height, pixels)
    }

    #[test]
    fn shades_lie_where_the_contacts_are() {
        let length = 50;
        let mut map = vec![0.0; length * length];
        map[3 * length + 40] = 1.0;
        let mut bytes = Vec::new();
        contact_png(&mut bytes, &map, &[length]).expect("in memory");
        let (width, _, pixels) = decode(&bytes);
        let pixel = |x: usize, y: usize| &pixels[(y * width as usize + x) * 3..][..3];
        let centre = |i: usize| i * scale(length) + scale(length) / 2;
        assert_eq!(pixel(MARGIN_LEFT + centre(40), MARGIN_TOP + centre(3)), BLUES[5]);
        assert_eq!(pixel(MARGIN_LEFT + centre(3), MARGIN_TOP + centre(40)), BLUES[0]);
    }

    #[test]
    fn lines_part_chains_and_hide_no_residue() {
        // 100 residues in three chains: 5 pixels each.
        let chains = [1, 59, 40];
        let mut bytes = Vec::new();
        contact_png(&mut bytes, &[1.0; 100 * 100], &chains).expect("in memory");
        let (width, _, pixels) = decode(&bytes);
        let pixel = |x: usize, y: usize| &pixels[(y * width as usize + x) * 3..][..3];
        let line = |at: usize| [5, 5 + 1 + 59 * 5].contains(&at);
        for y in 0..502 {
            for x in 0..502 {
                let expected = if line(x) || line(y) { [60; 3] } else { BLUES[5] };
                assert_eq!(pixel(MARGIN_LEFT + x, MARGIN_TOP + y), expected, "{x} {y}");
            }
        }
        assert_eq!(pixel(MARGIN_LEFT + 502, MARGIN_TOP), [60; 3], "the frame");
        assert_eq!(width as usize, MARGIN_LEFT + 502 + MARGIN_END);
    }

    #[test]
    fn every_length_gives_a_picture() {
        for length in [1, 2, 9, 119, 120, 121, 320, 321, 641, 1100] {
            let mut bytes = Vec::new();
            contact_png(&mut bytes, &vec![0.3; length * length], &[length]).expect("in memory");
            let (width, height, _) = decode(&bytes);
            assert!(width as usize >= length + MARGIN_LEFT && height as usize >= length + MARGIN_TOP);
            assert!(length > 320 || scale(length) >= 4);
        }
        assert!(contact_png(&mut Vec::new(), &[], &[]).is_err());
        assert!(contact_png(&mut Vec::new(), &[0.0; 5], &[2]).is_err());
    }
}

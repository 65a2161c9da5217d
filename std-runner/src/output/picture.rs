//! A picture of a few colours, with numbers and letters.

use std::io::{self, Write};

/// Palette entries 0 to `LAST_SHADE` are shades; [`INK`] is for lines and text.
pub const LAST_SHADE: u8 = 254;
/// Of lines and text.
pub const INK: u8 = 255;

/// Rows of the digits, `-` and the 20 amino acids' letters, three bits each, the leftmost bit highest.
#[rustfmt::skip]
const FONT: [(u8, [u8; 5]); 31] = [
    (b'0', [7, 5, 5, 5, 7]), (b'1', [2, 6, 2, 2, 7]), (b'2', [7, 1, 7, 4, 7]), (b'3', [7, 1, 7, 1, 7]),
    (b'4', [5, 5, 7, 1, 1]), (b'5', [7, 4, 7, 1, 7]), (b'6', [7, 4, 7, 5, 7]), (b'7', [7, 1, 2, 2, 2]),
    (b'8', [7, 5, 7, 5, 7]), (b'9', [7, 5, 7, 1, 7]), (b'-', [0, 0, 7, 0, 0]),
    (b'A', [2, 5, 7, 5, 5]), (b'C', [3, 4, 4, 4, 3]), (b'D', [6, 5, 5, 5, 6]), (b'E', [7, 4, 6, 4, 7]),
    (b'F', [7, 4, 6, 4, 4]), (b'G', [3, 4, 5, 5, 3]), (b'H', [5, 5, 7, 5, 5]), (b'I', [7, 2, 2, 2, 7]),
    (b'K', [5, 5, 6, 5, 5]), (b'L', [4, 4, 4, 4, 7]), (b'M', [5, 7, 7, 5, 5]), (b'N', [6, 5, 5, 5, 5]),
    (b'P', [6, 5, 6, 4, 4]), (b'Q', [2, 5, 5, 6, 3]), (b'R', [6, 5, 6, 5, 5]), (b'S', [3, 4, 2, 1, 6]),
    (b'T', [7, 2, 2, 2, 2]), (b'V', [5, 5, 5, 5, 2]), (b'W', [5, 5, 7, 7, 5]), (b'Y', [5, 5, 2, 2, 2]),
];

/// Pixels, each an entry of the palette.
pub struct Picture {
    width: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// All of shade 0.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, pixels: vec![0; width * height] }
    }

    /// Colours a pixel; outside the picture nothing.
    pub fn set(&mut self, x: usize, y: usize, value: u8) {
        if x < self.width
            && let Some(pixel) = self.pixels.get_mut(y * self.width + x)
        {
            *pixel = value;
        }
    }

    /// Writes digits and letters, from the upper left corner on.
    pub fn write(&mut self, text: &str, x: usize, y: usize) {
        for (place, letter) in text.bytes().enumerate() {
            let rows = FONT.iter().find(|(of, _)| *of == letter).map_or([0; 5], |(_, rows)| *rows);
            for (row, bits) in rows.iter().enumerate() {
                for column in (0..3).filter(|c| bits >> (2 - c) & 1 == 1) {
                    self.set(x + 4 * place + column, y + row, INK);
                }
            }
        }
    }

    /// Writes the picture as a PNG, its shades between `anchors`, which lie at equal distances.
    ///
    /// # Errors
    /// The writer's, or [`io::ErrorKind::InvalidInput`] for a picture that is too large for the format.
    pub fn png(&self, out: &mut dyn Write, anchors: &[[u8; 3]]) -> io::Result<()> {
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidInput, "too large for a picture");
        let width = u32::try_from(self.width).map_err(too_large)?;
        let height = u32::try_from(self.pixels.len() / self.width.max(1)).map_err(too_large)?;
        let mut encoder = png::Encoder::new(out, width, height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(palette(anchors));
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(())
    }
}

/// Width of a text in pixels.
pub fn text_width(text: &str) -> usize {
    (4 * text.len()).saturating_sub(1)
}

fn palette(anchors: &[[u8; 3]]) -> Vec<u8> {
    let mut colours = Vec::with_capacity(256 * 3);
    for shade in 0..=LAST_SHADE {
        let place = f32::from(shade) / f32::from(LAST_SHADE) * (anchors.len() - 1) as f32;
        let low = (place as usize).min(anchors.len() - 2);
        let part = place - low as f32;
        for (a, b) in anchors[low].into_iter().zip(anchors[low + 1]) {
            let (a, b) = (f32::from(a), f32::from(b));
            colours.push((a + (b - a) * part).round() as u8);
        }
    }
    colours.extend([60, 60, 60]);
    colours
}

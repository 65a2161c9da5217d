//! The stored residual stream.

use crate::quant::{Codec, Site};

/// Decodes rows of codes (u8, or little-endian i16 for 16-bit sites), one every `code_row` bytes, to stream
/// units: `x` is `[rows, channels]`. Where the last rows are short, their first channels are decoded.
#[inline(always)]
pub fn decode(site: &Site, codes: &[u8], code_row: usize, x: &mut [i32]) {
    let rows = x.chunks_mut(site.exponents.len().max(1)).zip(codes.chunks(code_row.max(1)));
    rows.for_each(|(x, codes)| decode_row(site, codes, x));
}

/// Encodes rows of stream units to codes; the reverse of [`decode`].
#[inline(always)]
pub fn encode(site: &Site, x: &[i32], codes: &mut [u8], code_row: usize) {
    let rows = x.chunks(site.exponents.len().max(1)).zip(codes.chunks_mut(code_row.max(1)));
    rows.for_each(|(x, codes)| encode_row(site, x, codes));
}

#[inline(always)]
fn decode_row(site: &Site, codes: &[u8], x: &mut [i32]) {
    let channels = x.iter_mut().zip(site.exponents);
    match &site.codec {
        Codec::Piecewise(codec) => {
            channels.zip(codes).for_each(|((x, &e), &code)| *x = codec.decode(code, e));
        }
        wide @ Codec::Wide { .. } => channels.zip(codes.as_chunks::<2>().0).for_each(|((x, &e), code)| {
            *x = wide.decode(i16::from_le_bytes(*code), e);
        }),
    }
}

/// Encodes one row.
#[inline(always)]
pub fn encode_row(site: &Site, x: &[i32], codes: &mut [u8]) {
    let channels = x.iter().zip(site.exponents);
    match &site.codec {
        Codec::Piecewise(codec) => {
            channels.zip(codes).for_each(|((&x, &e), code)| *code = codec.encode(x, e));
        }
        wide @ Codec::Wide { .. } => {
            channels.zip(codes.as_chunks_mut::<2>().0).for_each(|((&x, &e), code)| {
                *code = wide.encode(x, e).to_le_bytes();
            });
        }
    }
}

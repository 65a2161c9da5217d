//! The stored residual stream.

use crate::quant::{Codec, Site};

/// Decodes a row of codes (u8, or little-endian i16 for 16-bit sites) to stream units.
#[inline(always)]
pub fn decode(site: &Site, codes: &[u8], x: &mut [i32]) {
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

/// Encodes a row of stream units to codes; the reverse of [`decode`].
#[inline(always)]
pub fn encode(site: &Site, x: &[i32], codes: &mut [u8]) {
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

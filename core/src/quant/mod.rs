//! Codecs of the residual stream: how a value that LayerNorm will read is stored.
//!
//! A stream is stored in one code per value and decoded to an integer in stream units. [`Codec`] is one
//! interface over the piecewise linear codec (8, 6 or 4 bits; uniform is the case without tails) and plain
//! 16-bit codes. The channel exponent `e` of a value scales the whole codec by `2^e`.

mod piecewise;

pub use piecewise::Piecewise;
pub(crate) use piecewise::{Step, VALUE_MAX};

use crate::fixed::saturate::to_i32;
use crate::format::{FormatError, ModelFile};

/// Decoded values never exceed this magnitude, so that LayerNorm's sums of squares fit 64 bits.
pub const STREAM_MAX: i32 = 1 << 23;

/// The largest channel exponent.
pub const EXPONENT_MAX: u8 = 16;

/// How one residual site stores its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// One byte a value, dense centre and sparse tails.
    Piecewise(Piecewise),
    /// Two bytes a value, uniform: `value = code * step`.
    Wide {
        /// Stream units between neighbouring codes.
        step: i32,
    },
}

/// A codec record that can't be used; says which rule it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("codec: {0}")]
pub struct CodecError(pub &'static str);

impl Codec {
    /// Fields of the record in the model file: bits, n_neg, a, b, n_pos, step_neg, step_mid, step_pos.
    pub const RECORD_LEN: usize = 8;

    /// Reads a record; `max_exponent` is the largest channel exponent that will be used with it.
    pub fn from_record(record: &[i32; Self::RECORD_LEN], max_exponent: u8) -> Result<Self, CodecError> {
        let &[bits, n_neg, a, b, n_pos, step_neg, step_mid, step_pos] = record;
        if max_exponent > EXPONENT_MAX {
            return Err(CodecError("a channel exponent exceeds 16"));
        }
        match bits {
            1..=8 => {
                let codec = Piecewise::new([n_neg, a, b, n_pos], [step_neg, step_mid, step_pos])?;
                if codec.levels() > 1 << bits {
                    return Err(CodecError("more levels than the bits hold"));
                }
                let (low, high) = codec.range();
                if (i64::from(high.max(-low)) << max_exponent) > i64::from(STREAM_MAX) {
                    return Err(CodecError("a level exceeds 2^23 stream units"));
                }
                Ok(Self::Piecewise(codec))
            }
            16 if step_mid < 1 => Err(CodecError("the step must be at least 1")),
            16 if ((i64::from(step_mid) * 32767) << max_exponent) > i64::from(STREAM_MAX) => {
                Err(CodecError("a level exceeds 2^23 stream units"))
            }
            16 => Ok(Self::Wide { step: step_mid }),
            _ => Err(CodecError("the width must be 1 to 8 or 16 bits")),
        }
    }

    /// The record that [`from_record`](Self::from_record) reads, storing `bits` (ignored for 16-bit codes).
    #[cfg(any(test, feature = "kernels"))]
    pub fn to_record(self, bits: i32) -> [i32; Self::RECORD_LEN] {
        match self {
            Self::Piecewise(p) => {
                let ([n_neg, a, b, n_pos], [step_neg, step_mid, step_pos]) = (p.counts(), p.steps());
                [bits, n_neg, a, b, n_pos, step_neg, step_mid, step_pos]
            }
            Self::Wide { step } => [16, 0, 32767, 32767, 0, 0, step, 0],
        }
    }

    /// Bytes that one stored value takes.
    pub const fn bytes_per_value(&self) -> usize {
        match self {
            Self::Piecewise(_) => 1,
            Self::Wide { .. } => 2,
        }
    }

    /// The code nearest to `x` stream units on a channel with exponent `e`.
    #[inline]
    pub fn encode(&self, x: i32, e: u8) -> i16 {
        match self {
            Self::Piecewise(p) => i16::from(p.encode(x, e)),
            Self::Wide { step } => {
                let step = i64::from(*step) << e.min(EXPONENT_MAX);
                let code = (i64::from(x.unsigned_abs()) + step / 2) / step;
                let code = code.min(32767) as i16;
                if x < 0 { -code } else { code }
            }
        }
    }

    /// The value of a code in stream units.
    #[inline]
    pub fn decode(&self, code: i16, e: u8) -> i32 {
        match self {
            Self::Piecewise(p) => p.decode(code as u8, e),
            Self::Wide { step } => to_i32((i64::from(code) * i64::from(*step)) << e.min(EXPONENT_MAX)),
        }
    }
}

/// A residual site of a model: its codec and the exponents of its channels.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The codec.
    pub codec: Codec,
    /// One exponent a channel.
    pub exponents: &'a [u8],
}

impl<'a> Site<'a> {
    /// Reads `{name}` and `{name}.exponent` for a stream of `channels` channels.
    pub fn load(file: &ModelFile<'a>, name: &str, channels: usize) -> Result<Self, FormatError> {
        let record = file.i32s(name, &[Codec::RECORD_LEN])?;
        let exponents = file.part::<u8>(name, "exponent", &[channels])?;
        let largest = exponents.iter().copied().max().unwrap_or(0);
        let mut fields = [0; Codec::RECORD_LEN];
        fields.iter_mut().zip(record).for_each(|(field, &value)| *field = value);
        let codec = Codec::from_record(&fields, largest)
            .map_err(|CodecError(what)| FormatError::bad_value(name, what))?;
        Ok(Self { codec, exponents })
    }
}

#[cfg(test)]
mod tests;

//! Element types of stored tensors, and their values as f32.

use std::fmt;

use half::{bf16, f16};

/// The type of a stored tensor's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision; rounded to f32 when read.
    F64,
    /// Anything else, which no weight of a supported model is made of.
    Other,
}

impl Element {
    /// Bytes of one value; `None` for [`Element::Other`].
    pub fn size(self) -> Option<usize> {
        match self {
            Self::F16 | Self::Bf16 => Some(2),
            Self::F32 => Some(4),
            Self::F64 => Some(8),
            Self::Other => None,
        }
    }

    /// Little-endian `bytes` as f32 values; `None` for [`Element::Other`]. A rest shorter than one value is
    /// dropped.
    pub fn decode(self, bytes: &[u8]) -> Option<Vec<f32>> {
        Some(match self {
            Self::F16 => values(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => values(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Self::F32 => values(bytes, f32::from_le_bytes),
            Self::F64 => values(bytes, |b| f64::from_le_bytes(b) as f32),
            Self::Other => return None,
        })
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Other => "values of another type",
        })
    }
}

fn values<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_type_decodes_to_the_same_values() {
        let expected = vec![0.0, -1.5, 0.25, 1024.0];
        let f16s: Vec<u8> = expected.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let bf16s: Vec<u8> = expected.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
        let f32s: Vec<u8> = expected.iter().flat_map(|v| v.to_le_bytes()).collect();
        let f64s: Vec<u8> = expected.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        for (element, bytes) in
            [(Element::F16, f16s), (Element::Bf16, bf16s), (Element::F32, f32s), (Element::F64, f64s)]
        {
            assert_eq!(bytes.len(), expected.len() * element.size().unwrap());
            assert_eq!(element.decode(&bytes), Some(expected.clone()), "{element}");
        }
        assert_eq!(Element::Other.decode(&[0; 8]), None);
    }
}

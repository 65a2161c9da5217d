//! Arrays of floats as `.npy` and `.safetensors`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use half::f16;
use npyz::WriterBuilder as _;
use safetensors::tensor::{Dtype, TensorView};

/// Writes a C-ordered array of f32, or of f16 rounded to the nearest if `half`, in NumPy's format.
///
/// # Errors
/// The writer's, or [`io::ErrorKind::InvalidInput`] if `values` does not fill `shape`.
pub fn npy(out: &mut dyn Write, shape: &[usize], values: &[f32], half: bool) -> io::Result<()> {
    check(shape, values)?;
    if half {
        write_npy(out, shape, values.iter().map(|&v| f16::from_f32(v)))
    } else {
        write_npy(out, shape, values.iter().copied())
    }
}

fn write_npy<T: npyz::AutoSerialize>(
    out: &mut dyn Write,
    shape: &[usize],
    values: impl Iterator<Item = T>,
) -> io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(out).begin_nd()?;
    writer.extend(values)?;
    writer.finish()
}

/// Named arrays: shape and values.
pub type Tensors<V = Vec<f32>> = BTreeMap<String, (Vec<usize>, V)>;

/// Writes named arrays as a safetensors file, in f32 or, if `half`, f16.
///
/// # Errors
/// As [`npy`].
pub fn safetensors<V: AsRef<[f32]>>(out: &mut dyn Write, tensors: &Tensors<V>, half: bool) -> io::Result<()> {
    let mut encoded = Vec::with_capacity(tensors.len());
    for (name, (shape, values)) in tensors {
        let values = values.as_ref();
        check(shape, values)?;
        let bytes: Cow<[u8]> = if half {
            values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect()
        } else {
            // Core runs on little-endian machines alone.
            Cow::Borrowed(bytemuck::cast_slice(values))
        };
        encoded.push((name, shape, bytes));
    }
    let dtype = if half { Dtype::F16 } else { Dtype::F32 };
    let mut views = Vec::with_capacity(encoded.len());
    for (name, shape, bytes) in &encoded {
        let view = TensorView::new(dtype, (*shape).clone(), bytes).map_err(io::Error::other)?;
        views.push((name.as_str(), view));
    }
    out.write_all(&::safetensors::serialize(views, None).map_err(io::Error::other)?)
}

fn check(shape: &[usize], values: &[f32]) -> io::Result<()> {
    if shape.iter().product::<usize>() == values.len() {
        Ok(())
    } else {
        let message = format!("{} values do not fill the shape {shape:?}", values.len());
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npy_is_read_back() {
        let values = [0.5f32, -1.0, 2.0, 3.25, 1e-3, 7.0];
        let mut bytes = Vec::new();
        npy(&mut bytes, &[2, 3], &values, false).expect("in memory");
        let file = npyz::NpyFile::new(&bytes[..]).expect("an npy file");
        assert_eq!(file.shape(), [2, 3]);
        assert_eq!(file.into_vec::<f32>().expect("f32"), values);
        bytes.clear();
        npy(&mut bytes, &[6], &values, true).expect("in memory");
        let file = npyz::NpyFile::new(&bytes[..]).expect("an npy file");
        assert_eq!(file.into_vec::<f16>().expect("f16"), values.map(f16::from_f32));
        assert!(npy(&mut bytes, &[7], &values, true).is_err());
    }

    #[test]
    fn safetensors_are_read_back() {
        let tensors = BTreeMap::from([
            ("layer.2".to_owned(), (vec![2, 2], vec![1.0f32, 2.0, 3.0, 4.0])),
            ("mean.2".to_owned(), (vec![2], vec![2.0, 3.0])),
        ]);
        let mut bytes = Vec::new();
        safetensors(&mut bytes, &tensors, false).expect("in memory");
        let file = ::safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let tensor = file.tensor("layer.2").expect("written");
        assert_eq!((tensor.shape(), tensor.dtype()), (&[2, 2][..], Dtype::F32));
        assert_eq!(tensor.data()[4..8], 2.0f32.to_le_bytes());
        assert_eq!(file.len(), 2);
    }
}

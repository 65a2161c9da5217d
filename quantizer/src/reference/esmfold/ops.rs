//! The operations that folding needs besides those of the language model.

use candle_core::{Device, Tensor};

use crate::reference::ReferenceError;

/// The rows of `table` with these numbers: `[rows, width]`.
pub fn lookup(table: &Tensor, rows: &[u32]) -> Result<Tensor, ReferenceError> {
    Ok(table.index_select(&Tensor::from_slice(rows, rows.len(), &Device::Cpu)?, 0)?)
}

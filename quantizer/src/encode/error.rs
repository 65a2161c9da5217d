//! What can't be encoded.

use foldpoint_core::format::FormatError;

use crate::checkpoint::CheckpointError;
use crate::reference::ReferenceError;
use crate::work::WorkError;
use crate::writer::WriteError;

/// Why a checkpoint can't be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The checkpoint can't be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The float model can't be loaded.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A tensor can't be laid out.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A tensor name is too long.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The shape is one that inference refuses.
    #[error("this model can't run in integers: {0}")]
    Shape(&'static str),
    /// A value is beyond its fixed-point format.
    #[error("{tensor}: the value {value} is outside what the integer format holds ({limit})")]
    OutOfRange {
        /// The tensor.
        tensor: String,
        /// The value.
        value: f64,
        /// The largest magnitude.
        limit: f64,
    },
    /// A site was never seen in calibration.
    #[error("{0} has no calibration values")]
    NotCalibrated(String),
    /// Calibration values of a Linear's input are no numbers.
    #[error("the float model's values in calibration are no finite numbers")]
    Samples,
    /// What is done can't be kept or read back.
    #[error(transparent)]
    Work(#[from] WorkError),
}

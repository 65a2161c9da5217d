//! The model in the binary.

/// Its bytes, if the crate is built with the feature `embedded-model`.
#[cfg(feature = "embedded-model")]
pub const BYTES: Option<&'static [u8]> = Some(foldpoint_core::include_model!("../../../models/default.fpm"));

/// No bytes: the crate is built without the feature `embedded-model`.
#[cfg(not(feature = "embedded-model"))]
pub const BYTES: Option<&'static [u8]> = None;

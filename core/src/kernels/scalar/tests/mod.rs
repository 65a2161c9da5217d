//! The specification against independent definitions.

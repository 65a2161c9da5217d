//! What stands between Foldpoint's core and a user: files, memory, threads.
//!
//! The `foldpoint` command is made of these parts; a Rust program can use them as well. Core computes; here bytes are
//! mapped, sequences read, and integers decoded into the numbers that other tools expect.

pub mod accuracy;
pub mod arena;
pub mod batch;
pub mod complex;
pub mod confidence;
pub mod contact_map;
pub mod digest;
pub mod embedding;
pub mod engine;
pub mod executor;
pub mod fold;
pub mod memory_limit;
pub mod model;
pub mod output;
pub mod published;
pub mod sanity;
pub mod task;
mod wakeup;

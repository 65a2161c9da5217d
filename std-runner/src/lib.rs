//! What stands between Foldpoint's core and a user: models wherever their bytes are, memory, threads, and
//! integers decoded into the numbers and files that other tools expect.
//!
//! The `foldpoint` command is made of these parts; other programs can use them as well. Bytes go in,
//! predictions come out:
//! ```
//! use fasta::Sequence;
//! use foldpoint_core::{Isa, Serial};
//! use std_runner::arena::Arena;
//! use std_runner::fold::EsmFold;
//! use std_runner::model::Model;
//! use std_runner::output::structure;
//! use std_runner::task::Task;
//!
//! # const MODEL: &[u8] = include_bytes!("../../examples/bare-metal/tiny.fpm");
//! let model = Model::from_bytes("model.fpm", MODEL)?;
//! model.verify()?;
//! let engine = EsmFold { model: model.folding_model()?, isa: Isa::best(), passes: 1, aligned_error: false };
//! let sequence = Sequence::from_residues("peptide", b"MKVLAAGIVG".to_vec());
//! let prediction = engine.run(&sequence, &mut Arena::default(), &Serial, &|_| {})?;
//! let mut pdb = Vec::new();
//! structure::pdb(&mut pdb, &prediction.model(&sequence))?;
//! assert!(String::from_utf8(pdb)?.contains("ATOM      1  N   MET A   1 "));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! All are on by default. Without any there are no threads, no files and no terminal, so that a Python module
//! or a web page can use it.
//! - `mmap`: [`Model::open`](model::Model) maps a model file.
//! - `store`: `Model::find` takes a name of one of the user's models, too; takes `mmap` with it.
//! - `threads`: batches of sequences on a pool of threads, within the machine's memory.
//! - `embedded-model`: `models/default.fpm` is built in.
//! - `cli`: the `foldpoint` command; takes `store` and `threads` with it.

pub mod arena;
#[cfg(feature = "threads")]
pub mod batch;
#[cfg(feature = "threads")]
pub mod clock;
pub mod complex;
pub mod confidence;
pub mod contact_map;
pub mod digest;
pub mod embedding;
pub mod engine;
pub mod everything;
#[cfg(feature = "threads")]
pub mod executor;
pub mod fold;
#[cfg(feature = "threads")]
pub mod memory_limit;
pub mod model;
pub mod output;
pub mod published;
pub mod sanity;
pub mod task;
pub mod variants;
#[cfg(feature = "threads")]
mod wakeup;
pub mod work;
mod workers;

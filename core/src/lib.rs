//! ESM-2, ESMFold and OmegaFold in integer arithmetic: from amino acids to contact map, embeddings and
//! coordinates.
//!
//! `no_std`, no heap, no float: a model file is a read-only byte slice, an input is a token slice, all
//! working memory is one arena that the caller hands in, and everything between is integers. Any
//! little-endian machine (it doesn't compile for others), any number of workers and any instruction set give
//! the same bits. No input, however damaged or hostile, makes it panic: everything is a typed error. The
//! arithmetic is specified in `docs/ARITHMETIC.md`, the file format in `docs/FORMAT.md` of the repository.
//!
//! # Contacts
//! With the feature `std`, for `AlignedBytes` (`foldpoint-core = { version = "0.1", features = ["std"] }` in
//! `[dependencies]`):
#![cfg_attr(feature = "std", doc = "```")]
#![cfg_attr(not(feature = "std"), doc = "```ignore")]
//! use foldpoint_core::esm::{LanguageModel, Request};
//! use foldpoint_core::{AlignedBytes, Runtime, alphabet, format::ModelFile, include_model};
//!
//! let file = ModelFile::parse(include_model!("../../models/default.fpm"))?;
//! let model = LanguageModel::load(&file)?;
//! let tokens: Vec<u8> = alphabet::tokens(b"NLYIQWLKDGGPSSGRPPPS").collect();
//! let (request, runtime) = (Request::default().contacts(true), Runtime::serial());
//! let mut arena = AlignedBytes::zeroed(model.arena_bytes(tokens.len(), &request, &runtime)?);
//! let contacts = model.run(&tokens, &request, arena.bytes_mut(), &runtime)?.contacts.unwrap_or_default();
//! assert_eq!(contacts.len(), 20 * 20); // probabilities, unit 2^-16
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A structure
//! With the feature `std`, too:
#![cfg_attr(feature = "std", doc = "```")]
#![cfg_attr(not(feature = "std"), doc = "```ignore")]
//! use foldpoint_core::esmfold::{FoldingModel, Input, Request};
//! use foldpoint_core::{AlignedBytes, Runtime, alphabet, format::ModelFile, include_model, units};
//!
//! let file = ModelFile::parse(include_model!("../../models/default.fpm"))?;
//! let model = FoldingModel::load(&file)?;
//! let tokens: Vec<u8> = alphabet::tokens(b"NLYIQWLKDGGPSSGRPPPS").collect();
//! let input = Input { tokens: &tokens, residue_index: &Vec::from_iter(0..20), chains: &[0; 20] };
//! let (request, runtime) = (Request::default().passes(1), Runtime::serial());
//! // Of residues, where the language model counts tokens, `<cls>` and `<eos>` among them.
//! let mut arena = AlignedBytes::zeroed(model.arena_bytes(20, &request, &runtime)?);
//! let structure = model.run(&input, &request, arena.bytes_mut(), &runtime)?;
//! let [_n, ca, ..] = structure.atoms[0]; // atom14: N, CA, C, O, CB ...
//! let angstroms = ca.map(|x| f64::from(x) / f64::from(1 << units::COORDINATE_FRAC));
//! assert!(angstroms.iter().all(|x| x.abs() < 100.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Bare metal
//! Without a heap the model lies in flash, and the arena is a static; `examples/bare-metal` runs this on a
//! Cortex-M4 and on RISC-V. How many bytes of stack each call takes beside the arena is in `docs/MEMORY.md`.
//! ```
//! use foldpoint_core::esm::{LanguageModel, Request};
//! use foldpoint_core::{Aligned, Runtime, format::ModelFile, include_model};
//!
//! static MODEL: &[u8] = include_model!("../../examples/bare-metal/tiny.fpm");
//!
//! fn contact(arena: &mut Aligned<[u8; 65_536]>) -> Option<u16> {
//!     let model = LanguageModel::load(&ModelFile::parse(MODEL).ok()?).ok()?;
//!     let request = Request::default().contacts(true);
//!     let outputs = model.run(&[0, 20, 15, 4, 2], &request, &mut arena.0, &Runtime::serial()).ok()?;
//!     outputs.contacts?.get(2).copied() // residues 0 and 2 of three
//! }
//! # assert!(contact(&mut Aligned([0; 65_536])).is_some());
//! ```
//!
//! # Instruction sets
//! [`Isa::best`] is the best one of the machine with the feature `std`; without it there is no way to ask the
//! machine, and it is the best of those that the crate is compiled for (`-C target-cpu`, `-C
//! target-feature`). [`Isa::detection`] says which of both it was, [`Isa::by_name`] names one.
//!
//! # Features
//! All are off by default.
//! - `std`: the machine is asked which instruction sets it has, and there is `AlignedBytes`, aligned memory
//!   on the heap.
//! - `kernels`: what benches, tests and writers of model files use of the engine itself is public too:
//!   `fixed`, `arena`, `quant`, `kernels`, `nn`, `structure` and `heads`. Nothing holds for those from one
//!   version to the next.
//!
//! The least version of Rust that compiles it is 1.95.
//!
//! # Where things lie
//! [`esm`] is the language model, [`esmfold`] folding; both read a [`mod@format`] file and take tokens of the
//! [`alphabet`]. [`omegafold`] folds without ESM-2: it takes [`geometry::Residue`]s. [`units`] are those of
//! results, [`geometry`] has the amino acids' atoms, [`chains`] joins those of a complex, [`executor`] is how
//! a caller's threads come in. `docs/ARCHITECTURE.md` of the repository has the whole house.
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

mod aligned;
pub mod alphabet;
#[cfg(not(feature = "kernels"))]
mod arena;
#[cfg(feature = "kernels")]
pub mod arena;
pub mod chains;
pub mod esm;
pub mod esmfold;
pub mod executor;
#[cfg(not(feature = "kernels"))]
mod fixed;
#[cfg(feature = "kernels")]
pub mod fixed;
pub mod format;
pub mod geometry;
#[cfg(not(feature = "kernels"))]
mod heads;
#[cfg(feature = "kernels")]
pub mod heads;
#[cfg(not(feature = "kernels"))]
mod kernels;
#[cfg(feature = "kernels")]
pub mod kernels;
#[cfg(not(feature = "kernels"))]
mod nn;
#[cfg(feature = "kernels")]
pub mod nn;
pub mod omegafold;
#[cfg(not(feature = "kernels"))]
mod quant;
#[cfg(feature = "kernels")]
pub mod quant;
mod runtime;
#[cfg(not(feature = "kernels"))]
mod structure;
#[cfg(feature = "kernels")]
pub mod structure;
mod trunk;
pub mod units;

pub use aligned::Aligned;
#[cfg(any(test, feature = "std"))]
pub use aligned::AlignedBytes;
pub use arena::{ALIGN, ArenaError};
pub use executor::{Executor, Serial};
pub use fixed::Multiplier;
pub use kernels::{Detection, Isa};
pub use runtime::Runtime;

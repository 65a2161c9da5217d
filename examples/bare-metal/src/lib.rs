//! What runs on the board, and on any other machine: a small random model in the binary, one sequence, working memory
//! that was set aside at link time.
//!
//! Both the board and the machine that you read this on print the same two checksums.
#![no_std]
#![deny(unsafe_code)]

use core::fmt;

use foldpoint_core::esm2::{LanguageModel, RunError, Want};
use foldpoint_core::format::{FormatError, ModelFile, checksum};
use foldpoint_core::{Isa, Serial};

/// Bytes of working memory: at least what `LanguageModel::plan` says for the example's sequence.
pub const ARENA_BYTES: usize = 96 * 1024;

/// Working memory, placed as core needs it.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Arena(pub [u8; ARENA_BYTES]);

impl Arena {
    /// Zeros, which a static of this value takes no room in the binary for.
    pub const fn new() -> Self {
        Self([0; ARENA_BYTES])
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

/// A model file must start at a multiple of 64 bytes.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

/// Written by `cargo run -p foldpoint-tests --bin random-model`; 2 layers of 32 channels.
static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!("../tiny.fpm"));

/// Trp-cage (PDB 1L2Y).
const SEQUENCE: &[u8; 20] = b"NLYIQWLKDGGPSSGRPPPS";

/// ESM's residues; their tokens count from 4.
const RESIDUES: &[u8] = b"LAGVSERTIDPKQNFYMHWC";

const CLS: u8 = 0;
const EOS: u8 = 2;

/// CRC-32 of the little-endian outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksums {
    /// Of the contact map, `[20, 20]` u16.
    pub contacts: u32,
    /// Of the logits, `[22, 33]` i32.
    pub logits: u32,
}

impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "contacts {:08x} logits {:08x}", self.contacts, self.logits)
    }
}

/// Why there are no checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The model can't be used.
    #[error(transparent)]
    Model(#[from] FormatError),
    /// The pass can't be run.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Bytes of the model file.
pub fn model() -> &'static [u8] {
    &MODEL.0
}

/// Runs the model over the sequence.
///
/// # Errors
/// [`Error`], if the model file or the memory isn't what this example was built with.
pub fn run(arena: &mut Arena, isa: Isa) -> Result<Checksums, Error> {
    let file = ModelFile::parse(model())?;
    file.verify()?;
    let model = LanguageModel::load(&file)?;
    let want = Want { contacts: true, logits: true, ..Want::default() };
    let outputs = model.run(&tokens(), want, &mut arena.0, isa, &Serial, &mut |_| {})?;
    let contacts = bytemuck::cast_slice(outputs.contacts.unwrap_or_default());
    let logits = bytemuck::cast_slice(outputs.logits.unwrap_or_default());
    #[cfg(feature = "float-canary")]
    canary::add_floats();
    Ok(Checksums { contacts: checksum(contacts), logits: checksum(logits) })
}

fn tokens() -> [u8; SEQUENCE.len() + 2] {
    let mut tokens = [EOS; SEQUENCE.len() + 2];
    let token = |residue| RESIDUES.iter().position(|&r| r == residue).map_or(EOS, |index| 4 + index as u8);
    for (token_of, &residue) in tokens.iter_mut().skip(1).zip(SEQUENCE) {
        *token_of = token(residue);
    }
    if let Some(first) = tokens.first_mut() {
        *first = CLS;
    }
    tokens
}

#[cfg(feature = "float-canary")]
mod canary {
    use core::hint::black_box;

    /// The operation that no binary of this project may hold.
    pub fn add_floats() {
        black_box(black_box(1.0f32) + black_box(2.0f32));
    }
}

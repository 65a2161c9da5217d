//! What runs on the board, and on any other machine: a small random model in the binary, one sequence, whose
//! contact map, logits and structure are computed in working memory that was set aside at link time.
//!
//! Both the board and the machine that you read this on print the same checksums.
#![no_std]
#![deny(unsafe_code)]

use core::fmt;
use core::hint::black_box;

use foldpoint_core::alphabet;
use foldpoint_core::esm::{LanguageModel, Request, RunError};
use foldpoint_core::esmfold::{self, FoldingModel};
use foldpoint_core::format::{FormatError, ModelFile, checksum};
use foldpoint_core::{Aligned, Isa, Runtime, Serial, include_model};

/// Bytes of working memory: at least what `arena_bytes` says for the example's sequence.
pub const ARENA_BYTES: usize = 100 * 1024;

/// Working memory, placed as core needs it.
pub type Arena = Aligned<[u8; ARENA_BYTES]>;

/// Zeros, which a static of this value takes no room in the binary for.
pub const EMPTY: Arena = Aligned([0; ARENA_BYTES]);

/// Written by `cargo run -p foldpoint-tests --bin random-model`; 2 layers of 32 channels, 2 trunk blocks.
static MODEL: &[u8] = include_model!("../tiny.fpm");

/// Trp-cage (PDB 1L2Y).
const SEQUENCE: &[u8; 20] = b"NLYIQWLKDGGPSSGRPPPS";

/// CRC-32 of the little-endian outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksums {
    /// Of the contact map, `[20, 20]` u16.
    pub contacts: u32,
    /// Of the logits, `[22, 33]` i32.
    pub logits: u32,
    /// Of the atoms' coordinates, `[20, 14, 3]` i32.
    pub atoms: u32,
    /// Of their pLDDT, `[20, 37]` u16.
    pub plddt: u32,
}

impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contacts, logits, atoms, plddt } = self;
        write!(f, "contacts {contacts:08x} logits {logits:08x} atoms {atoms:08x} plddt {plddt:08x}")
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
    /// The sequence can't be folded.
    #[error(transparent)]
    Fold(#[from] esmfold::RunError),
    /// What follows would overrun the stack.
    #[error("the stack has {given} bytes, and the program takes up to {needed}")]
    SmallStack {
        /// Bytes that are needed.
        needed: usize,
        /// Bytes that the memory map has.
        given: usize,
    },
    /// No [`Part`] has the name that was given.
    #[error("no part is called so")]
    NoPart,
}

/// Bytes of the model file.
pub fn model() -> &'static [u8] {
    MODEL
}

/// One entry point of core, with all that has to come before it: what it takes of the stack is measured by
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing but the program's own frames.
    Nothing,
    /// `LanguageModel::load`
    LanguageModel,
    /// `LanguageModel::run` for contacts.
    Contacts,
    /// `LanguageModel::run` for logits.
    Logits,
    /// `FoldingModel::load`
    FoldingModel,
    /// `FoldingModel::run`, two passes.
    Fold,
}

impl Part {
    /// The part that is called this, if there is one.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "nothing" => Some(Self::Nothing),
            "language-model" => Some(Self::LanguageModel),
            "contacts" => Some(Self::Contacts),
            "logits" => Some(Self::Logits),
            "folding-model" => Some(Self::FoldingModel),
            "fold" => Some(Self::Fold),
            _ => None,
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`Error`], if the model file or the memory isn't what this example was built with.
    pub fn run(self, arena: &mut Arena, isa: Isa) -> Result<(), Error> {
        match self {
            Self::Nothing => {}
            Self::LanguageModel => load_language_model()?,
            Self::Contacts => {
                language_model(&Request::default().contacts(true), arena, isa)?;
            }
            Self::Logits => {
                language_model(&Request::default().logits(true), arena, isa)?;
            }
            Self::FoldingModel => load_folding_model()?,
            Self::Fold => {
                fold(arena, isa)?;
            }
        }
        Ok(())
    }
}

/// Runs the model over the sequence.
///
/// # Errors
/// [`Error`], if the model file or the memory isn't what this example was built with.
pub fn run(arena: &mut Arena, isa: Isa) -> Result<Checksums, Error> {
    ModelFile::parse(model())?.verify()?;
    let (contacts, logits) = language_model(&Request::default().contacts(true).logits(true), arena, isa)?;
    let (atoms, plddt) = fold(arena, isa)?;
    #[cfg(feature = "float-canary")]
    canary::add_floats();
    Ok(Checksums { contacts, logits, atoms, plddt })
}

#[inline(never)]
fn load_language_model() -> Result<(), FormatError> {
    let file = ModelFile::parse(model())?;
    black_box(LanguageModel::load(&file).as_ref()).map(drop).map_err(|&error| error)
}

#[inline(never)]
fn load_folding_model() -> Result<(), FormatError> {
    let file = ModelFile::parse(model())?;
    black_box(FoldingModel::load(&file).as_ref()).map(drop).map_err(|&error| error)
}

/// Contact map and logits. Never inlined, so that it and [`fold`] are not on the stack at the same time.
#[inline(never)]
fn language_model(request: &Request, arena: &mut Arena, isa: Isa) -> Result<(u32, u32), Error> {
    let model = LanguageModel::load(&ModelFile::parse(model())?)?;
    let outputs = model.run(&tokens(), request, &mut arena.0, &Runtime::new(isa, &Serial))?;
    let contacts = bytemuck::cast_slice(outputs.contacts.unwrap_or_default());
    let logits = bytemuck::cast_slice(outputs.logits.unwrap_or_default());
    Ok((checksum(contacts), checksum(logits)))
}

/// Atoms and their pLDDT, after two passes.
#[inline(never)]
fn fold(arena: &mut Arena, isa: Isa) -> Result<(u32, u32), Error> {
    let model = FoldingModel::load(&ModelFile::parse(model())?)?;
    let mut residue_index = [0; SEQUENCE.len()];
    residue_index.iter_mut().zip(0..).for_each(|(number, place)| *number = place);
    let chains = [0; SEQUENCE.len()];
    let input = esmfold::Input { tokens: &tokens(), residue_index: &residue_index, chains: &chains };
    let request = esmfold::Request::default().passes(2);
    let structure = model.run(&input, &request, &mut arena.0, &Runtime::new(isa, &Serial))?;
    let atoms = bytemuck::cast_slice(structure.atoms.as_flattened().as_flattened());
    let plddt = bytemuck::cast_slice(structure.plddt.as_flattened());
    Ok((checksum(atoms), checksum(plddt)))
}

fn tokens() -> [u8; SEQUENCE.len() + 2] {
    let mut tokens = [0; SEQUENCE.len() + 2];
    tokens.iter_mut().zip(alphabet::tokens(SEQUENCE)).for_each(|(place, token)| *place = token);
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

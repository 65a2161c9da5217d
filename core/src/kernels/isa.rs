//! The choice of a backend: at run time with the feature `std`, at compile time without.

use super::backend::{Backend, Candidate};
use super::{scalar, wide};

/// An instruction set that this machine can run, and its backend.
#[derive(Clone, Copy, Debug)]
pub struct Isa {
    backend: &'static Backend,
}

const PORTABLE: &[Candidate] = &[
    Candidate { backend: &scalar::BACKEND, runs: || true },
    Candidate { backend: &wide::BACKEND, runs: || true },
];

/// This architecture's instruction sets, slowest first.
const NATIVE: &[Candidate] = cfg_select! {
    target_arch = "x86_64" => super::x86::CANDIDATES,
    all(target_arch = "aarch64", target_feature = "neon", target_endian = "little") => super::aarch64::CANDIDATES,
    all(target_arch = "wasm32", target_feature = "simd128") => super::wasm::CANDIDATES,
    _ => &[],
};

impl Isa {
    /// The specification.
    pub const fn scalar() -> Self {
        Self { backend: &scalar::BACKEND }
    }

    /// Portable SIMD, for the instruction set that the crate is compiled for.
    pub const fn wide() -> Self {
        Self { backend: &wide::BACKEND }
    }

    /// The fastest backend that this machine runs.
    pub fn best() -> Self {
        Self::all().last().unwrap_or(Self::scalar())
    }

    /// Every backend that this machine runs; the specification first, the fastest last.
    ///
    /// With the feature `std` the machine is asked; without it, what the crate is compiled for decides.
    pub fn all() -> impl Iterator<Item = Self> {
        let candidates = PORTABLE.iter().chain(NATIVE);
        candidates.filter(|candidate| (candidate.runs)()).map(|candidate| Self { backend: candidate.backend })
    }

    /// The backend called `name`, if this machine runs it.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().find(|isa| isa.name() == name)
    }

    /// The backend's name.
    pub const fn name(&self) -> &'static str {
        self.backend.name
    }

    /// The backend's operations.
    pub const fn backend(&self) -> &'static Backend {
        self.backend
    }
}

impl PartialEq for Isa {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Isa {}

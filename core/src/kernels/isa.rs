//! The choice of a backend: at run time with the feature `std`, at compile time without.

use super::backend::{Backend, Candidate};
use super::{scalar, wide};

/// An instruction set that this machine can run.
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

/// What decides which instruction sets there are: [`Isa::detection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// The machine was asked, at run time.
    Machine,
    /// The instruction sets that the crate is compiled for (`-C target-cpu`, `-C target-feature`): either
    /// there is no way to ask the machine, which takes the feature `std` and x86-64 or 64-bit ARM, or there
    /// is nothing to ask.
    Build,
}

impl Isa {
    /// The specification.
    pub const fn scalar() -> Self {
        Self { backend: &scalar::BACKEND }
    }

    /// Portable SIMD, for the instruction set that the crate is compiled for.
    pub const fn wide() -> Self {
        Self { backend: &wide::BACKEND }
    }

    /// The fastest instruction set that core knows of here.
    ///
    /// With the feature `std` the machine is asked. Without it, what the crate is compiled for decides, and
    /// that is the least of the architecture's machines unless `-C target-cpu` or `-C target-feature` says
    /// more: on x86-64 [`wide`](Self::wide), whatever the machine has. [`detection`](Self::detection) says
    /// which of both it was.
    pub fn best() -> Self {
        Self::all().last().unwrap_or(Self::scalar())
    }

    /// Whether the machine was asked which instruction sets it has, or the crate knows only of those that it
    /// is compiled for.
    pub const fn detection() -> Detection {
        let asks = cfg!(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")));
        if asks && cfg!(any(test, feature = "std")) { Detection::Machine } else { Detection::Build }
    }

    /// Every instruction set that core knows of here; the specification first, the fastest last. What decides
    /// is as for [`best`](Self::best).
    pub fn all() -> impl Iterator<Item = Self> {
        let candidates = PORTABLE.iter().chain(NATIVE);
        candidates.filter(|candidate| (candidate.runs)()).map(|candidate| Self { backend: candidate.backend })
    }

    /// The instruction set called `name`, if it is one of [`all`](Self::all).
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().find(|isa| isa.name() == name)
    }

    /// Its name: `"scalar"`, `"wide"`, `"avx2"` and so on.
    pub const fn name(&self) -> &'static str {
        self.backend.name
    }

    /// Its operations.
    #[cfg(feature = "kernels")]
    pub const fn backend(&self) -> &'static Backend {
        self.backend
    }

    /// Its operations.
    #[cfg(not(feature = "kernels"))]
    pub(crate) const fn backend(&self) -> &'static Backend {
        self.backend
    }
}

impl PartialEq for Isa {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Isa {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_last_of_all_and_the_machine_is_asked_where_there_is_something_to_ask() {
        assert_eq!(Isa::all().last(), Some(Isa::best()));
        let asked = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
        assert_eq!(Isa::detection() == Detection::Machine, asked);
        let native = Isa::all().any(|isa| isa.name() == "avx2");
        #[cfg(target_arch = "x86_64")]
        assert_eq!(native, std::is_x86_feature_detected!("avx2"));
        #[cfg(not(target_arch = "x86_64"))]
        assert!(!native);
    }
}

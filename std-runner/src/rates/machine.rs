//! What a rate belongs to.

use foldpoint_core::Isa;
use foldpoint_core::format::{ENTRY_BYTES, HEADER_BYTES};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std_runner::model::Model;

/// A model, a machine, and the program: what has the same rates as long as none of them changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// What the model is called; for people.
    pub model: String,
    /// SHA-256 of the model file's header and directory, which hold the checksums of all else.
    pub directory: String,
    /// The processors, as the system calls them.
    pub machine: String,
    /// The instruction set used.
    pub isa: String,
    /// This program's version, and how it was compiled.
    pub program: String,
}

impl Owner {
    /// `model` on this machine, run by this program with `isa`.
    pub fn new(model: &Model, isa: Isa) -> Self {
        let bytes = model.bytes();
        let tensors = model.file().map_or(0, |file| file.tensor_count());
        let directory = bytes.get(..HEADER_BYTES + ENTRY_BYTES * tensors).unwrap_or(bytes);
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self {
            model: model.file_name().to_owned(),
            directory: hex(&Sha256::digest(directory)),
            machine: machine(),
            isa: isa.name().to_owned(),
            program: format!("{} {profile}", env!("CARGO_PKG_VERSION")),
        }
    }

    /// The name of its file, which is another one's for any other owner. What the model is called is no part of it:
    /// a copy runs as fast.
    pub fn file_name(&self) -> String {
        let Self { model: _, directory, machine, isa, program } = self;
        let all = [directory, machine, isa, program].map(|part| part.as_str()).join("\n");
        format!("{}.json", &hex(&Sha256::digest(all))[..16])
    }

    /// Whether both have the same rates.
    pub fn is(&self, other: &Self) -> bool {
        Self { model: other.model.clone(), ..self.clone() } == *other
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The processors and how many there are.
fn machine() -> String {
    let all = std::thread::available_parallelism().map_or(1, |all| all.get());
    format!("{all} x {}", processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn processor() -> Option<String> {
    named(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn processor() -> Option<String> {
    use sysinfo::{CpuRefreshKind, RefreshKind, System};
    let system =
        System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing())).ok()?;
    system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()).filter(|brand| !brand.is_empty())
}

/// What `/proc/cpuinfo` calls the processors: x86's names, or ARM's numbers of implementer and part, each kind
/// once.
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
fn named(cpuinfo: &str) -> Option<String> {
    let mut kinds: Vec<String> = Vec::new();
    let mut implementer = String::new();
    for line in cpuinfo.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let kind = match (key.trim(), value.trim()) {
            ("CPU implementer", value) => {
                value.clone_into(&mut implementer);
                continue;
            }
            ("model name", value) => value.to_owned(),
            ("CPU part", value) => format!("{implementer} {value}"),
            _ => continue,
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    (!kinds.is_empty()).then(|| kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_named() {
        let intel = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\nflags: a\n\nprocessor\t: 1\nmodel name\t: Intel(R) Xeon(R)\n";
        assert_eq!(named(intel).as_deref(), Some("Intel(R) Xeon(R)"));
        let arm =
            "CPU implementer\t: 0x41\nCPU part\t: 0xd05\n\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n";
        assert_eq!(named(arm).as_deref(), Some("0x41 0xd05, 0x41 0xd0b"));
        assert_eq!(named("processor : 0\n"), None);
        assert!(machine().contains(" x "));
    }

    #[test]
    fn a_copy_of_a_model_is_the_same_and_another_model_machine_or_program_is_not() {
        let bytes = include_bytes!("../../../examples/bare-metal/tiny.fpm");
        let owner = |name: &str| Owner::new(&Model::from_bytes(name, bytes).expect("a model"), Isa::scalar());
        let (a, b) = (owner("a.fpm"), owner("folder/b.fpm"));
        assert!(a.is(&b) && a.file_name() == b.file_name() && a.model == "a.fpm" && b.model == "b.fpm");
        for other in [
            Owner { directory: "x".into(), ..a.clone() },
            Owner { machine: "x".into(), ..a.clone() },
            Owner { isa: "x".into(), ..a.clone() },
            Owner { program: "x".into(), ..a.clone() },
        ] {
            assert!(!a.is(&other) && a.file_name() != other.file_name(), "{other:?}");
        }
    }
}

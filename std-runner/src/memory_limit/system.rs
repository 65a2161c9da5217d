//! What the machine has available.

use std::path::Path;

use super::{LimitSource, MemoryLimit};

/// Bytes that can be allocated without swapping; `None` if the system doesn't say.
pub(super) fn limit(root: &Path) -> Option<MemoryLimit> {
    Some(MemoryLimit { bytes: available(root)?, source: LimitSource::System })
}

/// `MemAvailable` of `/proc/meminfo`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn available(root: &Path) -> Option<u64> {
    super::ulimit::kilobytes(&super::read(root, "/proc/meminfo")?, "MemAvailable:")
}

/// What macOS, Windows and the BSDs say.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn available(_: &Path) -> Option<u64> {
    use sysinfo::{MemoryRefreshKind, RefreshKind, System};
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let bytes = System::new_with_specifics(memory).ok()?.available_memory();
    // 0 where the crate doesn't know the system.
    (bytes > 0).then_some(bytes)
}

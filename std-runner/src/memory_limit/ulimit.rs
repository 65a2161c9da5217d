//! The resource limits of the process that bound its memory: `RLIMIT_AS` (`ulimit -v`) and `RLIMIT_DATA`
//! (`ulimit -d`). Both count what is mapped, used or not; the first counts the model file, too.

use std::path::Path;

use super::{LimitSource, MemoryLimit, read};

/// What `/proc/self/limits` calls a limit, what `/proc/self/status` calls its use, and the shell's command.
const LIMITS: [(&str, &str, &str); 2] =
    [("Max address space", "VmSize:", "ulimit -v"), ("Max data size", "VmData:", "ulimit -d")];

/// What the limits leave.
pub(super) fn limits(root: &Path) -> Vec<MemoryLimit> {
    let (Some(limits), Some(status)) = (read(root, "/proc/self/limits"), read(root, "/proc/self/status"))
    else {
        return vec![];
    };
    let left = |&(name, used, command): &(&str, &str, &'static str)| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        // The soft limit; the word `unlimited` is no number.
        let limit = line.split_whitespace().next()?.parse::<u64>().ok()?;
        let bytes = limit.saturating_sub(kilobytes(&status, used).unwrap_or(0));
        Some(MemoryLimit { bytes, source: LimitSource::Ulimit { command, limit } })
    };
    LIMITS.iter().filter_map(left).collect()
}

/// Bytes of the line `{name} N kB`, as `/proc/meminfo` and `/proc/self/status` have them.
pub(super) fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_kilobytes() {
        assert_eq!(
            kilobytes("MemTotal: 5 kB\nMemAvailable:   1234 kB\n", "MemAvailable:"),
            Some(1234 * 1024)
        );
        assert_eq!(kilobytes("MemTotal: 5 kB\n", "MemAvailable:"), None);
        assert_eq!(kilobytes("MemAvailable: many\n", "MemAvailable:"), None);
    }
}

//! Linux's control groups, which containers, systemd and schedulers limit memory by: versions 1 and 2, and
//! machines that have both.
//!
//! Source: the kernel's `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst`, and
//! `cgroups(7)`. A limit of any group above the process holds, so all of them are read that can be seen. What
//! a group uses now is subtracted, without the page cache, which the kernel takes back before it refuses or
//! ends anything.

use std::path::{Path, PathBuf};

use super::mounts::{Mount, mounts};
use super::{LimitSource, MemoryLimit, read};

/// Version 1 says "no limit" by the largest number of whole pages.
const NO_LIMIT: u64 = 1 << 62;

/// The files of a version.
struct Version {
    limits: &'static [&'static str],
    used: &'static str,
    /// Lines of `memory.stat`: pages of files, which are counted as used.
    cache: [&'static str; 2],
    /// The line of `memory.stat` with the smallest limit of this group and all above it, seen or not.
    hierarchical: Option<&'static str>,
}

const V1: Version = Version {
    limits: &["memory.limit_in_bytes"],
    used: "memory.usage_in_bytes",
    cache: ["total_inactive_file", "total_active_file"],
    hierarchical: Some("hierarchical_memory_limit"),
};

const V2: Version = Version {
    limits: &["memory.max", "memory.high"],
    used: "memory.current",
    cache: ["inactive_file", "active_file"],
    hierarchical: None,
};

/// What every group leaves that this process is in.
pub(super) fn limits(root: &Path) -> Vec<MemoryLimit> {
    let (Some(groups), Some(table)) = (read(root, "/proc/self/cgroup"), read(root, "/proc/self/mountinfo"))
    else {
        return vec![];
    };
    let mounts = mounts(&table);
    let mut limits = Vec::new();
    // Each line is `hierarchy:controllers:path`; version 2 names no controllers.
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let version = match controllers {
            "" => &V2,
            _ if controllers.split(',').any(|name| name == "memory") => &V1,
            _ => continue,
        };
        let of_version = |mount: &&Mount| match controllers {
            "" => mount.kind == "cgroup2",
            _ => mount.kind == "cgroup" && mount.options.split(',').any(|name| name == "memory"),
        };
        let mounts: Vec<&Mount> = mounts.iter().filter(of_version).collect();
        for (mount, below) in folders(root, &mounts, group) {
            version.limits_up(root, &mount.point, &below, &mut limits);
        }
    }
    limits
}

/// The folders of a group: mounts of its hierarchy, and its path below each.
fn folders<'m>(root: &Path, mounts: &[&'m Mount], group: &str) -> Vec<(&'m Mount, PathBuf)> {
    let group = Path::new(group);
    let is_there = |mount: &Mount, below: &Path| root.join(relative(&mount.point)).join(below).is_dir();
    let inside: Vec<(&Mount, PathBuf)> = mounts
        .iter()
        .filter_map(|mount| {
            let below = group.strip_prefix(&mount.root).ok()?;
            let climbs = below.components().any(|part| part.as_os_str() == "..");
            (!climbs && is_there(mount, below)).then(|| (*mount, below.to_owned()))
        })
        .collect();
    if !inside.is_empty() {
        return inside;
    }
    // The path is as another namespace sees it: a container that shows the host's path and its own mount, or
    // a process outside of its namespace's root (`/../..`). The longest end of the path that exists is the
    // group; else what is mounted is a group above.
    let names: Vec<_> =
        group.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
    let ends = (0..=names.len()).map(|from| names[from..].iter().collect::<PathBuf>());
    mounts
        .first()
        .and_then(|mount| Some((*mount, ends.into_iter().find(|below| is_there(mount, below))?)))
        .into_iter()
        .collect()
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

impl Version {
    /// Adds what the group at `below` and those above it, up to the mount's, leave.
    fn limits_up(&self, root: &Path, mount: &Path, below: &Path, limits: &mut Vec<MemoryLimit>) {
        for (height, below) in below.ancestors().enumerate() {
            // `Path::join` of nothing would end in a slash.
            let folder = if below.as_os_str().is_empty() { mount.to_owned() } else { mount.join(below) };
            // Version 1 can do without hierarchy: then a group's limit is no limit for those below it.
            let apart =
                read(root, folder.join("memory.use_hierarchy")).is_some_and(|text| text.trim() == "0");
            if height > 0 && apart {
                break;
            }
            let stat = read(root, folder.join("memory.stat")).unwrap_or_default();
            let line = |name: &str| {
                stat.lines().find_map(|line| number(line.strip_prefix(name)?.strip_prefix(' ')?))
            };
            let cache: u64 = self.cache.iter().filter_map(|name| line(name)).sum();
            let used = read(root, folder.join(self.used)).and_then(|text| number(&text)).unwrap_or(0);
            let said = self.limits.iter().map(|file| (*file, number_in(root, &folder.join(file))));
            let of_all = self.hierarchical.map(|name| (name, line(name))).filter(|_| height == 0);
            for (file, limit) in said.chain(of_all) {
                let Some(limit) = limit.filter(|&limit| limit < NO_LIMIT) else { continue };
                let bytes = limit.saturating_sub(used.saturating_sub(cache));
                let source = LimitSource::Cgroup { folder: folder.clone(), file, limit };
                limits.push(MemoryLimit { bytes, source });
            }
        }
    }
}

fn number_in(root: &Path, path: &Path) -> Option<u64> {
    number(&read(root, path)?)
}

/// A number of bytes; version 2 says "no limit" by the word `max`.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

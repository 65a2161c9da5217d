//! Limits of machines that are not this one: trees of files as Linux shows them.

use std::path::Path;

use tempfile::TempDir;

use super::{LimitSource, MemoryLimit, Surroundings};

const MIB: u64 = 1 << 20;

/// The root of another machine.
struct Machine {
    root: TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

impl Machine {
    /// Of 8 GiB, with nothing that limits a process.
    fn new() -> Self {
        let machine = Self { root: tempfile::tempdir().expect("a folder for the test"), variables: vec![] };
        machine.file("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
        machine.file("proc/self/status", "Name:\tx\nVmSize:\t  10240 kB\nVmData:\t  2048 kB\n");
        let unlimited = "unlimited            unlimited            bytes";
        machine.file(
            "proc/self/limits",
            format!("Max data size             {unlimited}\nMax address space         {unlimited}\n"),
        );
        machine
    }

    fn file(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// The process is in these groups, with these mounts.
    fn groups(&self, groups: &str, mounts: &str) {
        self.file("proc/self/cgroup", groups);
        self.file("proc/self/mountinfo", mounts);
    }

    fn found(&self) -> (MemoryLimit, Vec<String>) {
        let variable = |name: &str| {
            self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut warnings = Vec::new();
        let surroundings = Surroundings { root: self.root.path(), variable: &variable };
        let limit = MemoryLimit::smallest(&surroundings, |warning| warnings.push(warning));
        (limit, warnings)
    }

    fn limit(&self) -> MemoryLimit {
        let (limit, warnings) = self.found();
        assert!(warnings.is_empty(), "{warnings:?}");
        limit
    }

    /// Megabytes of a group, and what of it limits: all others have a limit, too, and leave more.
    fn of_group(&self) -> (u64, String, &'static str) {
        let limit = self.limit();
        let LimitSource::Cgroup { folder, file, .. } = limit.source else { panic!("{limit}") };
        (limit.bytes / MIB, folder.to_str().expect("text").to_owned(), file)
    }
}

const V2: &str = "41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                  34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

#[test]
#[cfg(target_os = "linux")]
fn a_machine_without_limits_has_what_is_available() {
    let limit = Machine::new().limit();
    assert_eq!(limit, MemoryLimit { bytes: 8 << 30, source: LimitSource::System });
    assert_eq!(limit.to_string(), "8.0 GiB are available");
}

#[test]
fn an_option_goes_before_all_limits() {
    let limit = MemoryLimit::new(Some(1 << 60), |warning| panic!("{warning}"));
    assert_eq!(limit, MemoryLimit { bytes: 1 << 60, source: LimitSource::Option });
}

#[test]
fn version_2_leaves_its_limit_less_what_is_used_without_the_page_cache() {
    let machine = Machine::new();
    machine.groups("0::/user.slice/job\n", V2);
    machine.file("sys/fs/cgroup/user.slice/job/memory.max", "536870912\n");
    machine.file("sys/fs/cgroup/user.slice/job/memory.high", "max\n");
    assert_eq!(machine.of_group(), (512, "/sys/fs/cgroup/user.slice/job".into(), "memory.max"));
    machine.file("sys/fs/cgroup/user.slice/job/memory.current", format!("{}\n", 100 * MIB));
    assert_eq!(machine.of_group().0, 412);
    let stat =
        format!("anon 1\nfile 99\ninactive_file {}\nactive_file {}\nfile_writeback 5\n", 40 * MIB, 20 * MIB);
    machine.file("sys/fs/cgroup/user.slice/job/memory.stat", stat);
    let limit = machine.limit();
    assert_eq!(limit.bytes, 472 * MIB);
    let message =
        "the cgroup /sys/fs/cgroup/user.slice/job allows 472.0 MiB more (its memory.max is 512.0 MiB)";
    assert_eq!(limit.to_string(), message);
}

#[test]
fn version_2_is_limited_by_every_group_above_and_by_either_limit() {
    let machine = Machine::new();
    machine.groups("0::/a/b/c\n", V2);
    for (group, max, high) in [("a/b/c", "max", "max"), ("a/b", "max", "max"), ("a", "3221225472", "max")] {
        machine.file(&format!("sys/fs/cgroup/{group}/memory.max"), max);
        machine.file(&format!("sys/fs/cgroup/{group}/memory.high"), high);
    }
    assert_eq!(machine.of_group(), (3072, "/sys/fs/cgroup/a".into(), "memory.max"));
    machine.file("sys/fs/cgroup/a/b/memory.high", "2147483648\n");
    assert_eq!(machine.of_group(), (2048, "/sys/fs/cgroup/a/b".into(), "memory.high"));
    // A group above leaves less the more its other children use.
    machine.file("sys/fs/cgroup/a/memory.current", "2147483648\n");
    assert_eq!(machine.of_group(), (1024, "/sys/fs/cgroup/a".into(), "memory.max"));
    machine.file("sys/fs/cgroup/a/memory.current", "9999999999\n");
    assert_eq!(machine.of_group().0, 0);
}

#[test]
fn a_container_sees_its_own_group_as_the_root() {
    let machine = Machine::new();
    machine.groups("0::/\n", V2);
    machine.file("sys/fs/cgroup/memory.max", "1073741824\n");
    assert_eq!(machine.of_group(), (1024, "/sys/fs/cgroup".into(), "memory.max"));
}

#[test]
fn version_1_with_the_groups_above() {
    let machine = Machine::new();
    machine.groups("4:cpuacct,cpu:/other\n3:freezer,memory:/slurm/job\n0::/\n", V1);
    let none = "9223372036854771712\n";
    machine.file("sys/fs/cgroup/cpu,cpuacct/other/memory.limit_in_bytes", "1\n");
    machine.file("sys/fs/cgroup/memory/memory.limit_in_bytes", none);
    machine.file("sys/fs/cgroup/memory/slurm/memory.limit_in_bytes", format!("{}\n", 700 * MIB));
    machine.file("sys/fs/cgroup/memory/slurm/job/memory.limit_in_bytes", none);
    let memory = "/sys/fs/cgroup/memory";
    assert_eq!(machine.of_group(), (700, format!("{memory}/slurm"), "memory.limit_in_bytes"));
    machine.file("sys/fs/cgroup/memory/slurm/job/memory.limit_in_bytes", format!("{}\n", 600 * MIB));
    machine.file("sys/fs/cgroup/memory/slurm/job/memory.usage_in_bytes", format!("{}\n", 300 * MIB));
    let stat = format!(
        "cache 9\ninactive_file 7\nhierarchical_memory_limit {}\ntotal_inactive_file {}\ntotal_active_file 0\n",
        650 * MIB,
        200 * MIB
    );
    machine.file("sys/fs/cgroup/memory/slurm/job/memory.stat", stat);
    assert_eq!(machine.of_group(), (500, format!("{memory}/slurm/job"), "memory.limit_in_bytes"));
    // A group that this container can't see limits by less.
    machine.file(
        "sys/fs/cgroup/memory/slurm/job/memory.stat",
        format!("hierarchical_memory_limit {}\n", 400 * MIB),
    );
    assert_eq!(machine.of_group(), (100, format!("{memory}/slurm/job"), "hierarchical_memory_limit"));
}

#[test]
fn version_1_without_hierarchy_is_limited_by_its_own_group_alone() {
    let machine = Machine::new();
    machine.groups("3:memory:/a/b\n", V1);
    machine.file("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4096\n");
    machine.file("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "1073741824\n");
    machine.file("sys/fs/cgroup/memory/a/memory.use_hierarchy", "0\n");
    assert_eq!(machine.of_group(), (1024, "/sys/fs/cgroup/memory/a/b".into(), "memory.limit_in_bytes"));
    machine.file("sys/fs/cgroup/memory/a/memory.use_hierarchy", "1\n");
    assert_eq!(machine.of_group().1, "/sys/fs/cgroup/memory/a");
}

#[test]
fn both_versions_on_one_machine() {
    let machine = Machine::new();
    let unified = "42 31 0:39 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    machine.groups("3:memory:/a\n1:name=systemd:/s\n0::/s\n", &format!("{V1}{unified}"));
    machine.file("sys/fs/cgroup/unified/s/cgroup.procs", "1\n");
    machine.file("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824\n");
    assert_eq!(machine.of_group(), (1024, "/sys/fs/cgroup/memory/a".into(), "memory.limit_in_bytes"));
    machine.file("sys/fs/cgroup/unified/s/memory.max", "536870912\n");
    assert_eq!(machine.of_group(), (512, "/sys/fs/cgroup/unified/s".into(), "memory.max"));
}

#[test]
fn a_container_with_the_path_of_the_host() {
    // Without a namespace of its own: the mount is of the group itself.
    let machine = Machine::new();
    machine.groups(
        "3:memory:/docker/1f2e/inner\n",
        "35 31 0:32 /docker/1f2e /sys/fs/cgroup/memory ro master:11 - cgroup cgroup rw,memory\n",
    );
    machine.file("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
    assert_eq!(machine.of_group(), (2048, "/sys/fs/cgroup/memory".into(), "memory.limit_in_bytes"));
    machine.file("sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "1073741824\n");
    assert_eq!(machine.of_group(), (1024, "/sys/fs/cgroup/memory/inner".into(), "memory.limit_in_bytes"));

    // The mount says nothing of the host's folders.
    let machine = Machine::new();
    machine.groups("0::/kubepods/pod9/abc\n", V2);
    machine.file("sys/fs/cgroup/memory.max", "1073741824\n");
    assert_eq!(machine.of_group(), (1024, "/sys/fs/cgroup".into(), "memory.max"));
}

#[test]
fn a_path_outside_of_the_namespace() {
    for path in ["/..", "/../..", "/../../job"] {
        let machine = Machine::new();
        machine.groups(&format!("0::{path}\n"), V2);
        machine.file("sys/fs/cgroup/memory.max", "1073741824\n");
        // Nothing outside of the mount is read, whatever `..` leads to.
        machine.file("sys/fs/memory.max", "1\n");
        machine.file("sys/memory.max", "1\n");
        assert_eq!(machine.of_group(), (1024, "/sys/fs/cgroup".into(), "memory.max"), "{path}");
        machine.file("sys/fs/cgroup/job/memory.max", "536870912\n");
        let job = path.ends_with("job");
        assert_eq!(machine.of_group().0, if job { 512 } else { 1024 }, "{path}");
    }
    // The mount's root is outside of it as well: then the paths belong together.
    let machine = Machine::new();
    machine.groups("0::/../job\n", &V2.replacen(" / /sys", " /.. /sys", 1));
    machine.file("sys/fs/cgroup/job/memory.max", "536870912\n");
    assert_eq!(machine.of_group(), (512, "/sys/fs/cgroup/job".into(), "memory.max"));
}

#[test]
fn a_mount_of_another_group_does_not_count() {
    let machine = Machine::new();
    let other = "43 31 0:38 /other /mnt/other rw - cgroup2 cgroup2 rw\n";
    machine.groups("0::/mine\n", &format!("{other}{V2}"));
    machine.file("mnt/other/memory.max", "4096\n");
    machine.file("sys/fs/cgroup/mine/memory.max", "1073741824\n");
    assert_eq!(machine.of_group(), (1024, "/sys/fs/cgroup/mine".into(), "memory.max"));
}

#[test]
fn names_that_are_odd() {
    let machine = Machine::new();
    let mount =
        b"30 25 0:30 / /mnt/\xe9 rw - tmpfs tmpfs rw\n41 31 0:38 / /c\\040g rw - cgroup2 cgroup2 rw\n";
    machine.file("proc/self/mountinfo", mount);
    machine.file("proc/self/cgroup", "0::/a:b\n");
    machine.file("c g/a:b/memory.max", "1073741824\n");
    assert_eq!(machine.of_group(), (1024, "/c g/a:b".into(), "memory.max"));
}

#[test]
fn slurm_and_the_smallest_of_all() {
    let mut machine = Machine::new();
    machine.groups("0::/job\n", V2);
    machine.file("sys/fs/cgroup/job/memory.max", "1073741824\n");
    machine.variables = vec![("SLURM_MEM_PER_NODE", "2000")];
    assert_eq!(machine.of_group().0, 1024);
    machine.variables = vec![("SLURM_MEM_PER_NODE", "1000")];
    assert_eq!(machine.limit().to_string(), "SLURM_MEM_PER_NODE allows 1000.0 MiB");
    machine.variables = vec![("SLURM_MEM_PER_CPU", "100"), ("SLURM_CPUS_ON_NODE", "8")];
    assert_eq!(machine.limit().to_string(), "SLURM_MEM_PER_CPU allows 800.0 MiB (8 CPUs)");
    machine.variables = vec![("SLURM_MEM_PER_NODE", "lots")];
    let (limit, warnings) = machine.found();
    assert_eq!(limit.bytes, 1 << 30);
    assert!(warnings[0].starts_with("SLURM_MEM_PER_NODE is `lots`: it limits nothing here"), "{warnings:?}");
}

#[test]
fn resource_limits_of_the_process() {
    let machine = Machine::new();
    let limits = |data: &str, space: &str| {
        machine.file(
            "proc/self/limits",
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max data size             {data}            unlimited            bytes\n\
                 Max address space         {space}            unlimited            bytes\n"
            ),
        );
        machine.limit().to_string()
    };
    assert_eq!(limits("unlimited", "536870912"), "`ulimit -v` allows 502.0 MiB more (it is 512.0 MiB)");
    assert_eq!(limits("104857600", "536870912"), "`ulimit -d` allows 98.0 MiB more (it is 100.0 MiB)");
    assert_eq!(limits("unlimited", "1024"), "`ulimit -v` allows 0 B more (it is 1.0 KiB)");
}

#[test]
fn a_system_that_says_nothing_is_no_limit() {
    let nothing = tempfile::tempdir().expect("a folder for the test");
    let surroundings = Surroundings { root: nothing.path(), variable: &|_| None };
    let limit = MemoryLimit::smallest(&surroundings, |warning| panic!("{warning}"));
    if cfg!(target_os = "linux") {
        assert_eq!(limit, MemoryLimit { bytes: u64::MAX, source: LimitSource::Unknown });
    }
    // And this machine says something.
    let here = Surroundings { root: Path::new("/"), variable: &|_| None };
    let here = MemoryLimit::smallest(&here, |warning| panic!("{warning}"));
    assert!(here.bytes > 0 && here.source != LimitSource::Unknown, "{here}");
}

//! The table of mounts, `/proc/self/mountinfo`: where the file systems of control groups are.

use std::path::PathBuf;

/// A mounted file system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Which of its folders is mounted.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// Its type, such as `cgroup2`.
    pub kind: String,
    /// Its options, separated by commas; of a hierarchy of version 1, its controllers are among them.
    pub options: String,
}

/// All lines of the table that can be understood. Source: `proc_pid_mountinfo(5)`.
pub(super) fn mounts(table: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (place, what) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let mut what = what.split(' ');
        Some(Mount {
            root: unescape(place.next()?).into(),
            point: unescape(place.next()?).into(),
            kind: what.next()?.to_owned(),
            options: what.nth(1)?.to_owned(),
        })
    };
    table.lines().filter_map(mount).collect()
}

/// Blanks, tabs, line ends and backslashes are written as three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(code) if code.is_ascii() => {
                plain.push(char::from(code));
                plain += &part[3..];
            }
            _ => {
                plain.push('\\');
                plain += part;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_and_without_optional_fields() {
        let table = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                     35 31 0:32 /docker/a /sys/fs/cgroup/memory ro,nosuid master:9 shared:4 - cgroup cgroup rw,memory\n\
                     nonsense\n\
                     41 31 0:38 /a\\040b /mnt/c\\134d\\011e rw - cgroup2 none rw,nsdelegate\n";
        let mount = |root: &str, point: &str, kind: &str, options: &str| Mount {
            root: root.into(),
            point: point.into(),
            kind: kind.into(),
            options: options.into(),
        };
        let expected = [
            mount("/", "/sys/fs/cgroup", "tmpfs", "rw,mode=755"),
            mount("/docker/a", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
            mount("/a b", "/mnt/c\\d\te", "cgroup2", "rw,nsdelegate"),
        ];
        assert_eq!(mounts(table), expected);
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescape("a\\"), "a\\");
        assert_eq!(unescape("a\\9zz\\040"), "a\\9zz ");
        assert_eq!(unescape("\\é\\377"), "\\é\\377");
    }
}

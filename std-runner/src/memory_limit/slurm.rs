//! The memory that Slurm gives a job on this node. Where Slurm holds jobs to it by control groups, those say
//! so, too; where it watches them, it ends the whole job as soon as one process takes more.
//!
//! Source: the manuals of `sbatch` and `srun`: `SLURM_MEM_PER_NODE` (`--mem`), `SLURM_MEM_PER_CPU` and
//! `SLURM_MEM_PER_GPU`, in megabytes (2^20 bytes) unless there is a unit, 0 for all of the node's;
//! `SLURM_CPUS_ON_NODE`, `SLURM_JOB_CPUS_PER_NODE`.

use super::{LimitSource, MemoryLimit};

type Variable<'v> = &'v dyn Fn(&str) -> Option<String>;

/// What each of Slurm's variables allows. `warn` is told of those that are not understood.
pub(super) fn limits(variable: Variable, warn: &mut dyn FnMut(String)) -> Vec<MemoryLimit> {
    let mut limits = Vec::new();
    if let Some(bytes) = size(variable, "SLURM_MEM_PER_NODE", warn) {
        limits.push(limit(bytes, "SLURM_MEM_PER_NODE", None));
    }
    if let Some(bytes) = size(variable, "SLURM_MEM_PER_CPU", warn) {
        let (count, from) = cpus(variable, warn);
        let times = format!("{count} {}{from}", if count == 1 { "CPU" } else { "CPUs" });
        limits.push(limit(bytes.saturating_mul(count), "SLURM_MEM_PER_CPU", Some(times)));
    }
    if let Some(bytes) = size(variable, "SLURM_MEM_PER_GPU", warn) {
        let count = count(variable, "SLURM_GPUS_ON_NODE", warn).unwrap_or(1);
        let times = format!("{count} {}", if count == 1 { "GPU" } else { "GPUs" });
        limits.push(limit(bytes.saturating_mul(count), "SLURM_MEM_PER_GPU", Some(times)));
    }
    limits
}

fn limit(bytes: u64, variable: &'static str, times: Option<String>) -> MemoryLimit {
    MemoryLimit { bytes, source: LimitSource::Slurm { variable, times } }
}

/// The value of a variable, if it is set to anything.
fn value(variable: Variable, name: &str) -> Option<String> {
    let value = variable(name)?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// Bytes that a variable says; `None` if it is not set, or says all of the node's.
fn size(variable: Variable, name: &str, warn: &mut dyn FnMut(String)) -> Option<u64> {
    let text = value(variable, name)?;
    let Some(bytes) = parse_size(&text) else {
        warn(format!(
            "{name} is `{text}`: it limits nothing here; expected megabytes, or a size such as 800M or 2G; \
             --memory-limit sets a limit"
        ));
        return None;
    };
    (bytes > 0).then_some(bytes)
}

/// Megabytes, or a number with one of the units K, M, G and T.
fn parse_size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches("ib").trim_end_matches('b');
    let (number, shift) = match number.chars().last()? {
        'k' => (number.strip_suffix('k')?, 10),
        'm' => (number.strip_suffix('m')?, 20),
        'g' => (number.strip_suffix('g')?, 30),
        't' => (number.strip_suffix('t')?, 40),
        _ => (number, 20),
    };
    number.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// CPUs of the job on this node, and where the number is from. One if nothing says: a limit that is too small
/// costs less than a job that is ended.
fn cpus(variable: Variable, warn: &mut dyn FnMut(String)) -> (u64, &'static str) {
    if let Some(count) = count(variable, "SLURM_CPUS_ON_NODE", warn) {
        return (count, "");
    }
    if let Some(text) = value(variable, "SLURM_JOB_CPUS_PER_NODE") {
        let node = value(variable, "SLURM_NODEID").and_then(|node| node.parse::<usize>().ok());
        match parse_counts(&text).as_deref().and_then(|runs| of_node(runs, node)) {
            Some(count) => return (count, ""),
            None => warn(not_a_count("SLURM_JOB_CPUS_PER_NODE", &text, "such as 4 or 4(x2),3")),
        }
    }
    match count(variable, "SLURM_CPUS_PER_TASK", warn) {
        Some(count) => (count, ""),
        None => (1, ", since Slurm's variables do not say how many there are"),
    }
}

/// The positive number in a variable.
fn count(variable: Variable, name: &str, warn: &mut dyn FnMut(String)) -> Option<u64> {
    let text = value(variable, name)?;
    let count = text.parse().ok().filter(|&count| count > 0);
    if count.is_none() {
        warn(not_a_count(name, &text, "greater than 0"));
    }
    count
}

fn not_a_count(name: &str, text: &str, expected: &str) -> String {
    format!("{name} is `{text}`, which is passed over; expected a number {expected}")
}

/// Runs of equal counts, `4(x2),3`: how many CPUs, on how many nodes.
fn parse_counts(text: &str) -> Option<Vec<(u64, usize)>> {
    let run = |part: &str| -> Option<(u64, usize)> {
        let (count, nodes) = match part.trim().split_once("(x") {
            Some((count, nodes)) => (count, nodes.strip_suffix(')')?.parse().ok()?),
            None => (part.trim(), 1),
        };
        Some((count.parse().ok().filter(|&count| count > 0)?, nodes))
    };
    text.split(',').map(run).collect()
}

/// The count of a node of the job, or the smallest of all if it is not known which node this is.
fn of_node(runs: &[(u64, usize)], node: Option<usize>) -> Option<u64> {
    let mut rest = node;
    for &(count, nodes) in runs {
        match rest {
            Some(before) if before < nodes => return Some(count),
            _ => rest = rest.map(|before| before - nodes),
        }
    }
    runs.iter().map(|&(count, _)| count).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is allowed, and the warnings.
    fn found(variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let variable =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string());
        let mut warnings = Vec::new();
        let limits = limits(&variable, &mut |warning| warnings.push(warning));
        (limits.iter().map(ToString::to_string).collect(), warnings)
    }

    fn allowed(variables: &[(&str, &str)]) -> Vec<String> {
        let (limits, warnings) = found(variables);
        assert!(warnings.is_empty(), "{warnings:?}");
        limits
    }

    #[test]
    fn memory_of_a_node() {
        assert!(allowed(&[]).is_empty());
        assert!(allowed(&[("SLURM_JOB_ID", "1"), ("SLURM_CPUS_ON_NODE", "4")]).is_empty());
        for (value, text) in [
            ("512", "512.0 MiB"),
            (" 512 ", "512.0 MiB"),
            ("512M", "512.0 MiB"),
            ("512MB", "512.0 MiB"),
            ("4G", "4.0 GiB"),
            ("4gb", "4.0 GiB"),
            ("2048K", "2.0 MiB"),
            ("1T", "1.0 TiB"),
            ("1048576", "1.0 TiB"),
        ] {
            let expected = format!("SLURM_MEM_PER_NODE allows {text}");
            assert_eq!(allowed(&[("SLURM_MEM_PER_NODE", value)]), [expected]);
        }
    }

    #[test]
    fn zero_is_all_of_the_node_and_an_empty_value_none() {
        for value in ["0", "0M", "", " "] {
            assert!(allowed(&[("SLURM_MEM_PER_NODE", value), ("SLURM_MEM_PER_CPU", value)]).is_empty());
        }
    }

    #[test]
    fn memory_of_a_cpu() {
        let of = |others: &[(&str, &str)]| {
            let limits = allowed(&[&[("SLURM_MEM_PER_CPU", "1000")], others].concat());
            let [limit] = &limits[..] else { panic!("{limits:?}") };
            limit.strip_prefix("SLURM_MEM_PER_CPU allows ").expect("its name").to_owned()
        };
        assert_eq!(of(&[("SLURM_CPUS_ON_NODE", "4")]), "3.9 GiB (4 CPUs)");
        assert_eq!(
            of(&[("SLURM_CPUS_ON_NODE", "1"), ("SLURM_JOB_CPUS_PER_NODE", "8")]),
            "1000.0 MiB (1 CPU)"
        );
        assert_eq!(of(&[("SLURM_JOB_CPUS_PER_NODE", "4(x2),3")]), "2.9 GiB (3 CPUs)");
        for (node, expected) in
            [("0", "4 CPUs"), ("1", "4 CPUs"), ("2", "3 CPUs"), ("3", "72 CPUs"), ("9", "3 CPUs")]
        {
            let counts = ("SLURM_JOB_CPUS_PER_NODE", "4(x2),3,72");
            assert!(of(&[counts, ("SLURM_NODEID", node)]).ends_with(&format!("({expected})")), "{node}");
        }
        assert_eq!(of(&[("SLURM_CPUS_PER_TASK", "2")]), "2.0 GiB (2 CPUs)");
        let unknown = of(&[]);
        assert!(unknown.starts_with("1000.0 MiB (1 CPU, since "), "{unknown}");
    }

    #[test]
    fn memory_of_a_gpu() {
        let gpu = ("SLURM_MEM_PER_GPU", "8G");
        assert_eq!(
            allowed(&[gpu, ("SLURM_GPUS_ON_NODE", "2")]),
            ["SLURM_MEM_PER_GPU allows 16.0 GiB (2 GPUs)"]
        );
        assert_eq!(allowed(&[gpu]), ["SLURM_MEM_PER_GPU allows 8.0 GiB (1 GPU)"]);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for value in ["abc", "-5", "1.5G", "G", "12X", "99999999999999999999", "99999999999999T"] {
            let (limits, warnings) = found(&[("SLURM_MEM_PER_NODE", value)]);
            assert!(limits.is_empty(), "{value}");
            let [warning] = &warnings[..] else { panic!("{warnings:?}") };
            assert!(warning.starts_with(&format!("SLURM_MEM_PER_NODE is `{value}`")), "{warning}");
        }
        for (name, value) in [
            ("SLURM_CPUS_ON_NODE", "many"),
            ("SLURM_CPUS_ON_NODE", "0"),
            ("SLURM_JOB_CPUS_PER_NODE", "4(x2"),
            ("SLURM_JOB_CPUS_PER_NODE", "4,,3"),
        ] {
            let (limits, warnings) = found(&[("SLURM_MEM_PER_CPU", "1"), (name, value)]);
            assert!(limits[0].starts_with("SLURM_MEM_PER_CPU allows 1.0 MiB (1 CPU"), "{limits:?}");
            assert!(warnings[0].starts_with(&format!("{name} is `{value}`")), "{warnings:?}");
        }
    }
}

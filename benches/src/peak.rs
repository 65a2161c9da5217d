//! The most products that one core can add up in a second, instruction by instruction: an upper bound for
//! every kernel on it. Operands stay in registers.

use std::time::Instant;

/// An instruction sequence and how to run it.
#[derive(Clone, Copy)]
pub struct Probe {
    /// What is measured.
    pub name: &'static str,
    products_per_turn: u64,
    run: fn(u64),
}

impl Probe {
    /// The probes of exact sums of 8-bit products that this machine can run.
    pub fn int8() -> Vec<Self> {
        probes::int8()
    }

    /// Products per second.
    pub fn measure(&self) -> f64 {
        // About a millisecond: short enough to be left alone now and then on a busy machine.
        const TURNS: u64 = 400_000;
        let start = Instant::now();
        (self.run)(TURNS);
        (TURNS * self.products_per_turn) as f64 / start.elapsed().as_secs_f64()
    }
}

#[cfg(target_arch = "x86_64")]
mod probes {
    use super::Probe;
    use std::arch::asm;

    /// Sums that don't wait for each other: more than latency times instructions per cycle.
    const SUMS: u64 = 12;

    pub fn int8() -> Vec<Probe> {
        let probe = |there: bool, name, products: u64, run: fn(u64)| {
            there.then_some(Probe { name, products_per_turn: products * SUMS, run })
        };
        let probes = [
            probe(is_x86_feature_detected!("avx512vnni"), "vpdpbusd, 512 bits", 64, vnni_512),
            probe(is_x86_feature_detected!("avxvnni"), "vpdpbusd, 256 bits", 32, vnni_256),
            probe(is_x86_feature_detected!("avx2"), "vpmaddwd and vpaddd, 256 bits", 16, madd_256),
        ];
        probes.into_iter().flatten().collect()
    }

    macro_rules! probe {
        ($name:ident, $features:literal, $instructions:literal) => {
            fn $name(turns: u64) {
                #[target_feature(enable = $features)]
                fn run(turns: u64) {
                    // SAFETY: the instructions read and write registers alone, all of them declared; the
                    // features are enabled.
                    unsafe {
                        asm!(
                            "2:",
                            concat!(".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n", $instructions, "\n.endr"),
                            "dec {turns}",
                            "jnz 2b",
                            turns = inout(reg) turns => _,
                            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                            out("xmm12") _, out("xmm13") _,
                            in("xmm14") 0.0f64, in("xmm15") 0.0f64,
                            options(nomem, nostack),
                        );
                    }
                }
                // SAFETY: `int8` hands this function out where the machine has the features.
                unsafe { run(turns) }
            }
        };
    }

    probe!(vnni_512, "avx512f,avx512vnni", "vpdpbusd zmm\\i, zmm14, zmm15");
    probe!(vnni_256, "avx2,avxvnni", "{{vex}} vpdpbusd ymm\\i, ymm14, ymm15");
    probe!(madd_256, "avx2", "vpmaddwd ymm13, ymm14, ymm15\nvpaddd ymm\\i, ymm\\i, ymm13");
}

#[cfg(target_arch = "aarch64")]
mod probes {
    use super::Probe;
    use std::arch::asm;
    use std::arch::is_aarch64_feature_detected;

    /// Sums that don't wait for each other: more than latency times instructions per cycle.
    const SUMS: u64 = 16;

    pub fn int8() -> Vec<Probe> {
        let probe = |there: bool, name, products: u64, run: fn(u64)| {
            there.then_some(Probe { name, products_per_turn: products * SUMS, run })
        };
        let probes = [
            probe(is_aarch64_feature_detected!("i8mm"), "smmla", 32, smmla),
            probe(is_aarch64_feature_detected!("dotprod"), "sdot", 16, sdot),
            probe(true, "smull and sadalp", 8, smull),
        ];
        probes.into_iter().flatten().collect()
    }

    macro_rules! probe {
        ($name:ident, $features:literal, $instruction:literal) => {
            fn $name(turns: u64) {
                #[target_feature(enable = $features)]
                fn run(turns: u64) {
                    // SAFETY: the instructions read and write registers alone, all of them declared; the
                    // features are enabled.
                    unsafe {
                        asm!(
                            "2:",
                            concat!(".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n", $instruction, "\n.endr"),
                            "subs {turns}, {turns}, #1",
                            "b.ne 2b",
                            turns = inout(reg) turns => _,
                            out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                            out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                            out("v8") _, out("v9") _, out("v10") _, out("v11") _,
                            out("v12") _, out("v13") _, out("v14") _, out("v15") _,
                            out("v18") _,
                            in("v16") 0.0f64, in("v17") 0.0f64,
                            options(nomem, nostack),
                        );
                    }
                }
                // SAFETY: `int8` hands this function out where the machine has the features.
                unsafe { run(turns) }
            }
        };
    }

    probe!(smmla, "i8mm", "smmla v\\i\\().4s, v16.16b, v17.16b");
    probe!(sdot, "dotprod", "sdot v\\i\\().4s, v16.16b, v17.16b");
    probe!(smull, "neon", "smull v18.8h, v16.8b, v17.8b\nsadalp v\\i\\().4s, v18.8h");
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod probes {
    use super::Probe;

    pub fn int8() -> Vec<Probe> {
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_of_this_machine_run() {
        for probe in Probe::int8() {
            assert!(probe.measure() > 0.0, "{}", probe.name);
        }
    }
}

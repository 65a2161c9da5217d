//! The most products of 8-bit integers that one core can add up in a second, by the best instruction that it has: an upper
//! bound for every exact int8 gemm on it. Operands stay in registers.

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
    /// The probe of this machine, if there is one for it.
    pub fn best() -> Option<Self> {
        probes::best()
    }

    /// Products per second.
    pub fn measure(&self) -> f64 {
        const TURNS: u64 = 4_000_000;
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

    pub fn best() -> Option<Probe> {
        if is_x86_feature_detected!("avx512vnni") {
            return Some(Probe { name: "vpdpbusd, 512 bits", products_per_turn: 64 * SUMS, run: vnni_512 });
        }
        if is_x86_feature_detected!("avxvnni") {
            return Some(Probe { name: "vpdpbusd, 256 bits", products_per_turn: 32 * SUMS, run: vnni_256 });
        }
        is_x86_feature_detected!("avx2").then_some(Probe {
            name: "vpmaddwd and vpaddd, 256 bits",
            products_per_turn: 16 * SUMS,
            run: madd_256,
        })
    }

    macro_rules! probe {
        ($name:ident, $features:literal, $instructions:literal) => {
            fn $name(turns: u64) {
                #[target_feature(enable = $features)]
                fn run(turns: u64) {
                    // SAFETY: the instructions read and write registers alone, all of them declared; the features are enabled.
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
                // SAFETY: `best` hands this function out where the machine has the features.
                unsafe { run(turns) }
            }
        };
    }

    probe!(vnni_512, "avx512f,avx512vnni", "vpdpbusd zmm\\i, zmm14, zmm15");
    probe!(vnni_256, "avx2,avxvnni", "{{vex}} vpdpbusd ymm\\i, ymm14, ymm15");
    probe!(madd_256, "avx2", "vpmaddwd ymm13, ymm14, ymm15\nvpaddd ymm\\i, ymm\\i, ymm13");
}

#[cfg(not(target_arch = "x86_64"))]
mod probes {
    use super::Probe;

    pub fn best() -> Option<Probe> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_of_this_machine_runs() {
        if let Some(probe) = Probe::best() {
            assert!(probe.measure() > 0.0, "{}", probe.name);
        }
    }
}

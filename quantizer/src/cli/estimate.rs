//! `--dry-run`: what a run would take on this machine.

use std::path::Path;
use std::time::Instant;

use quantizer::estimate::Estimate;
use quantizer::reference::Linear;

use super::unfinished;

/// Operations of a second in whole runs, as a part of those in large products alone: what is between the
/// products takes the rest.
const EFFICIENCY: f64 = 0.55;

const GB: f64 = 1e9;

/// Says what a run that writes `out` would take.
///
/// # Errors
/// The machine's rate can't be measured.
pub fn print(estimate: &Estimate, out: &Path) -> anyhow::Result<()> {
    let rate = rate()? * EFFICIENCY;
    let threads = rayon::current_num_threads();
    let [memory, model, work] =
        [estimate.memory, estimate.model, estimate.work].map(|bytes| bytes as f64 / GB);
    let [running, rounding] =
        [estimate.running, estimate.rounding].map(|operations| operations / rate / 60.0);
    println!("memory: about {memory:.1} GB, besides pages of the checkpoint that the system can drop");
    println!("disk: about {model:.1} GB for {}", out.display());
    println!("      about {work:.1} GB meanwhile in {}", unfinished::folder(out).display());
    println!(
        "time: about {:.1} minutes with {threads} threads of this machine, {rounding:.1} of them for rounding",
        running + rounding
    );
    Ok(())
}

/// Operations of a second in a large product, by the best of some.
fn rate() -> anyhow::Result<f64> {
    let (rows, inputs, outputs) = (1024, 1280, 1280);
    let linear = Linear::zeros(outputs, inputs)?;
    let x = Linear::zeros(rows, inputs)?.weight;
    let mut best = f64::INFINITY;
    for _ in 0..8 {
        let start = Instant::now();
        linear.forward(&x)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(2.0 * (rows * inputs * outputs) as f64 / best)
}

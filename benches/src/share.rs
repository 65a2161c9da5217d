//! The gemm's share of the machine's peak.

use std::hint::black_box;
use std::time::{Duration, Instant};

use foldpoint_core::Isa;
use foldpoint_core::kernels::linear::Epilogue;

use crate::inputs::LinearInput;
use crate::peak::Probe;

const ROUNDS: usize = 9;
const SHORTEST: Duration = Duration::from_millis(50);

/// Prints products per second of every backend, for `rows` x `outputs` x `inputs`, and their share of the
/// peak on one core. Probes and backends take turns, so that all meet the same clock and neighbours.
pub fn print(rows: usize, outputs: usize, inputs: usize) {
    let input = LinearInput::new(rows, outputs, inputs, vec![]);
    let probes = Probe::int8();
    let mut peaks = vec![Vec::new(); probes.len()];
    let mut speeds = vec![Vec::new(); Isa::all().count()];
    for _ in 0..ROUNDS {
        for (probe, peaks) in probes.iter().zip(&mut peaks) {
            peaks.push(probe.measure());
        }
        for (isa, speeds) in Isa::all().zip(&mut speeds) {
            speeds.push(speed(isa, &input));
        }
    }
    let peaks: Vec<f64> = peaks.iter_mut().map(|peaks| median(peaks)).collect();
    for (probe, peak) in probes.iter().zip(&peaks) {
        println!("peak of one core ({}): {:.1} GMAC/s", probe.name, peak / 1e9);
    }
    let peak = peaks.into_iter().max_by(f64::total_cmp);
    for (isa, speeds) in Isa::all().zip(&mut speeds) {
        let speed = median(speeds);
        let share = peak.map_or(String::new(), |peak| format!(", {:.1}% of the best", 100.0 * speed / peak));
        println!("gemm {rows}x{outputs}x{inputs}, {}: {:.1} GMAC/s{share}", isa.name(), speed / 1e9);
    }
}

/// Products per second.
fn speed(isa: Isa, input: &LinearInput) -> f64 {
    let layer = input.layer();
    let mut out = vec![0; input.scales.len() * layer.outputs()];
    let start = Instant::now();
    let mut passes = 0;
    while start.elapsed() < SHORTEST {
        (isa.backend().gemm)(&layer, &input.codes, &input.scales, Epilogue::Store, &mut out);
        black_box(&mut out);
        passes += 1;
    }
    (passes * input.products()) as f64 / start.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

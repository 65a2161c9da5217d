//! The gemm's share of the machine's peak.

use std::hint::black_box;
use std::time::{Duration, Instant};

use foldpoint_core::Isa;

use crate::inputs::LinearInput;
use crate::peak::Probe;

const ROUNDS: usize = 9;
const SHORTEST: Duration = Duration::from_millis(50);

/// Prints products per second of every backend, for `rows` x `outputs` x `inputs`, and their share of the peak on one core.
/// Probe and backends take turns, so that all meet the same clock and neighbours.
pub fn print(rows: usize, outputs: usize, inputs: usize) {
    let input = LinearInput::new(rows, outputs, inputs, false);
    let probe = Probe::best();
    let mut peaks = Vec::new();
    let mut speeds = vec![Vec::new(); Isa::all().count()];
    for _ in 0..ROUNDS {
        peaks.extend(probe.map(|probe| probe.measure()));
        for (isa, speeds) in Isa::all().zip(&mut speeds) {
            speeds.push(speed(isa, &input));
        }
    }
    let peak = probe.map(|probe| (probe.name, median(&mut peaks)));
    match peak {
        Some((name, peak)) => println!("peak of one core ({name}): {:.1} GMAC/s", peak / 1e9),
        None => println!("peak of one core: no probe for this machine"),
    }
    for (isa, speeds) in Isa::all().zip(&mut speeds) {
        let speed = median(speeds);
        let share = peak.map_or(String::new(), |(_, peak)| format!(", {:.1}% of peak", 100.0 * speed / peak));
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
        (isa.backend().gemm)(&layer, &input.codes, &input.scales, &mut out);
        black_box(&mut out);
        passes += 1;
    }
    (passes * input.products()) as f64 / start.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

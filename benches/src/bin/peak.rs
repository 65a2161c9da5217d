//! Prints what one core of this machine can do at best: products of bytes that it adds up, bytes that it
//! reads.

use foldpoint_benches::memory;
use foldpoint_benches::peak::Probe;

/// Other programs take time away, never add any: the best counts.
const ROUNDS: usize = 50;

fn main() {
    for probe in Probe::int8() {
        println!("{}: {:.1} GMAC/s", probe.name, best(|| probe.measure()) / 1e9);
    }
    let sizes = [("16 KiB", 16 << 10), ("512 KiB", 512 << 10), ("16 MiB", 16 << 20), ("256 MiB", 256 << 20)];
    for (name, length) in sizes {
        println!("reading {name}: {:.1} GB/s", best(|| memory::read(length)) / 1e9);
    }
}

fn best(mut measure: impl FnMut() -> f64) -> f64 {
    (0..ROUNDS).map(|_| measure()).fold(0.0, f64::max)
}

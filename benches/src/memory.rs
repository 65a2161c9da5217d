//! How fast one core reads what it has read before: from each of its caches, and from memory.

use std::hint::black_box;
use std::time::Instant;

use foldpoint_core::AlignedBytes;

/// Bytes that are read in all, unless the buffer is longer.
const TOTAL: usize = 64 << 20;

/// Bytes per second of reading a buffer of `length` bytes again and again.
pub fn read(length: usize) -> f64 {
    let buffer = AlignedBytes::zeroed(length);
    let words: &[u64] = bytemuck::cast_slice(buffer.bytes());
    let passes = (TOTAL / length).max(1);
    black_box(sum(words));
    let start = Instant::now();
    for _ in 0..passes {
        black_box(sum(black_box(words)));
    }
    (passes * length) as f64 / start.elapsed().as_secs_f64()
}

fn sum(words: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn wide(words: &[u64]) -> u64 {
            sum_lanes(words)
        }
        // SAFETY: the machine has AVX2.
        return unsafe { wide(words) };
    }
    sum_lanes(words)
}

/// Lanes that don't wait for each other.
#[inline(always)]
fn sum_lanes(words: &[u64]) -> u64 {
    let mut sums = [0u64; 16];
    for chunk in words.chunks_exact(16) {
        sums.iter_mut().zip(chunk).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_once() {
        let words: Vec<u64> = (1..=160).collect();
        assert_eq!(sum(&words), 160 * 161 / 2);
    }
}

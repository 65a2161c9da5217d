//! A stream of random numbers that never changes: committed files are made from it.

use foldpoint_core::alphabet::{RESIDUES, STANDARD};

/// SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number from `low` to `high`, both included; the range is at most 2^32 wide.
    ///
    /// # Panics
    /// If `low` exceeds `high`.
    pub const fn between(&mut self, low: i64, high: i64) -> i64 {
        assert!(low <= high);
        let span = (high - low) as u64 + 1;
        low + (((self.bits() >> 32) * span) >> 32) as i64
    }

    /// `count` codes from -127 to 127.
    pub fn codes(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.between(-127, 127) as i8).collect()
    }

    /// `count` values from `-magnitude` to `magnitude`.
    pub fn values(&mut self, count: usize, magnitude: i32) -> Vec<i32> {
        (0..count).map(|_| self.between(-i64::from(magnitude), i64::from(magnitude)) as i32).collect()
    }

    /// Residues of the twenty amino acids, as letters.
    pub fn residues(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| RESIDUES[self.between(0, STANDARD as i64 - 1) as usize]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // First outputs of the reference implementation for seed 1234567.
        let mut random = Random::new(1_234_567);
        let first = [0; 3].map(|_| random.bits());
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn ranges_are_reached_and_kept() {
        let mut random = Random::new(0);
        let drawn: Vec<i64> = (0..1000).map(|_| random.between(-2, 3)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&-2), Some(&3)));
    }
}

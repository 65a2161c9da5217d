//! The pseudo-MSA: copies of the sequence in which random residues are masked, as the original draws them
//! with PyTorch's generator on a CPU (`omegafold/pipeline.py`, `torch/csrc`'s `mt19937`).

/// Rows of the pseudo-MSA below the sequence itself, unless the user says otherwise.
pub const ROWS: usize = 15;

/// Most rows below the sequence.
pub const ROWS_MAX: usize = 255;

/// A position is masked if the lowest 24 bits of its word are at most this: `floor(0.12 * 2^24)`, 0.12 being
/// the nearest number in single precision.
pub const MASKED_UP_TO: u32 = 2_013_265;

const WORDS: usize = 624;

/// The generator MT19937 (Matsumoto, Nishimura 1998, doi 10.1145/272991.272995).
#[derive(Clone, Debug)]
pub struct MersenneTwister {
    state: [u32; WORDS],
    /// The word of the state that comes next; [`WORDS`] if a new state is due.
    next: usize,
}

impl MersenneTwister {
    /// The generator with this seed.
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        let mut last = seed;
        for (number, word) in (1..).zip(state.iter_mut().skip(1)) {
            last = (last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(number);
            *word = last;
        }
        Self { state, next: WORDS }
    }

    /// The next word.
    pub fn next_word(&mut self) -> u32 {
        if self.next >= WORDS {
            self.renew();
        }
        let mut word = self.state[self.next % WORDS];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn renew(&mut self) {
        for at in 0..WORDS {
            let joined = (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % WORDS] & 0x7fff_ffff);
            let twist = if joined & 1 == 0 { 0 } else { 0x9908_b0df };
            self.state[at] = self.state[(at + 397) % WORDS] ^ (joined >> 1) ^ twist;
        }
        self.next = 0;
    }
}

/// Draws the rows of a record's pseudo-MSA: those of the first cycle, then those of the second, and so on.
/// The sequence itself, which is never masked, is not among them.
#[derive(Clone, Debug)]
pub struct PseudoMsa {
    generator: MersenneTwister,
    masked_up_to: u32,
}

impl PseudoMsa {
    /// For a record of so many `residues`, which are the seed. `masked_up_to` is the share of masked
    /// residues, [`MASKED_UP_TO`] by default: in units of `2^-24`, rounded down.
    pub fn new(residues: usize, masked_up_to: u32) -> Self {
        Self { generator: MersenneTwister::new(residues as u32), masked_up_to }
    }

    /// Whether each residue of the next row is kept, as a `bool` or as the number that it is. `row` has as
    /// many places as the record has residues.
    pub fn next_row<T: From<bool>>(&mut self, row: &mut [T]) {
        for kept in row {
            *kept = T::from(self.generator.next_word() & 0x00ff_ffff > self.masked_up_to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_mt19937() {
        for (seed, words) in [
            (0, &[2_357_136_044, 2_546_248_239, 3_071_714_933][..]),
            (7, &[327_741_615, 976_413_892, 3_349_725_721, 1_369_975_286]),
            (128, &[3_722_177_746, 3_831_192_659]),
        ] {
            let mut generator = MersenneTwister::new(seed);
            for &word in words {
                assert_eq!(generator.next_word(), word);
            }
        }
        let mut generator = MersenneTwister::new(7);
        for _ in 0..999 {
            generator.next_word();
        }
        assert_eq!(generator.next_word(), 3_925_535_521);
    }

    /// Masked positions of the next rows.
    fn rows<const L: usize>(count: usize) -> impl Iterator<Item = [bool; L]> {
        let mut masks = PseudoMsa::new(L, MASKED_UP_TO);
        (0..count).map(move |_| {
            let mut row = [false; L];
            masks.next_row(&mut row);
            row.map(|kept| !kept)
        })
    }

    #[test]
    fn rows_are_those_that_the_original_draws() {
        let drawn = ".......|.......|...M.M.|.......|.M.....|.......|.......|MM...M.|.......|M......|.......|....M..|\
                     .......|...M...|...M...";
        for (row, expected) in rows::<7>(ROWS).zip(drawn.split('|')) {
            assert!(row.into_iter().eq(expected.bytes().map(|letter| letter == b'M')), "{expected}");
        }
        let masked = [14, 20, 7, 13, 18, 18, 12, 16, 11, 17, 15, 11, 16, 15, 22];
        for (row, expected) in rows::<128>(ROWS).zip(masked) {
            assert_eq!(row.into_iter().filter(|&masked| masked).count(), expected);
        }
        let Some(first) = rows::<128>(1).next() else { panic!("a row was drawn") };
        let masked = (0..).zip(first).filter(|(_, masked)| *masked).map(|(at, _)| at);
        assert!(masked.take(6).eq([3, 21, 22, 31, 32, 39]));
    }
}

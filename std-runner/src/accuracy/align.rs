//! Where the residues of a chain are in its sequence.

/// What a residue with the sequence's letter is worth, in the units of the two costs.
const MATCH: i64 = 10;
/// What a residue costs that the sequence has no place for, or another letter.
const SKIP: i64 = 10;
/// What it costs to go on at another offset, or to leave residues between positions: three residues in a row
/// by chance do not pay for it, four that fit do.
const JUMP: i64 = 50;

/// Where one residue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this position, from 0; the letters agree.
    At(usize),
    /// At this position, where the sequence has another letter.
    Differs(usize),
    /// Before, behind or between the positions of its neighbours.
    Outside,
}

/// Aligns residues, each a number and a letter, to a sequence: their order stays, and their numbers count
/// along the sequence up to an offset. Where numbers jump as the sequence does not (insertion codes, numbers
/// of a homologue) the offset may change, at a price, so that numbers decide wherever they can. Of equally
/// good alignments, the one with the smallest offsets.
pub fn align(sequence: &[u8], residues: &[(isize, u8)]) -> Vec<Place> {
    let Some(&(first, _)) = residues.first() else { return Vec::new() };
    // Where each residue would be if the first one were at 0; residues of one number follow each other.
    let longest = sequence.len().max(1);
    let mut steps = vec![0];
    let mut last = first;
    for &(number, _) in &residues[1..] {
        steps.push(usize::try_from(number.saturating_sub(last)).unwrap_or(0).clamp(1, longest));
        last = number;
    }
    let starts: Vec<usize> = steps
        .iter()
        .scan(0, |sum, step| {
            *sum += step;
            Some(*sum)
        })
        .collect();
    let span = starts.last().copied().unwrap_or(0);
    let table = Table { sequence, residues, steps: &steps, starts: &starts, span };
    places(sequence, residues, &table.fill())
}

/// Dynamic programming over the residues, in order. A residue is at an offset: `w` puts one that starts at s
/// to position s + w - span, whether the letters agree or not, in the sequence or beyond its ends. Or it is
/// between the positions: `q` is the first one that is free behind it.
struct Table<'a> {
    sequence: &'a [u8],
    residues: &'a [(isize, u8)],
    steps: &'a [usize],
    starts: &'a [usize],
    span: usize,
}

impl Table<'_> {
    fn position(&self, i: usize, w: usize) -> Option<usize> {
        (self.starts[i] + w).checked_sub(self.span).filter(|&p| p < self.sequence.len())
    }

    /// Each residue's position in the best alignment.
    fn fill(&self) -> Vec<Option<usize>> {
        const NEVER: i64 = i64::MIN / 2;
        let (count, length) = (self.residues.len(), self.sequence.len());
        let width = self.span + length;
        let mut at = vec![0i64; width];
        let mut between = vec![NEVER; length + 1];
        // Where each came from: an offset, or `width` plus a free position. Rows of both.
        let row = width + length + 1;
        let mut from: Vec<u32> = Vec::with_capacity(row * count);
        for i in 0..count {
            let (old, old_between) = (at.clone(), between.clone());
            // The best that leaves the residue behind the one before: offsets below w + step, free positions
            // up to its own.
            let (mut seen, mut leader) = (0, 0);
            let (mut free, mut gap) = (0, 0);
            for (w, score) in at.iter_mut().enumerate() {
                let mut source = w;
                let position = self.position(i, w);
                if i > 0 {
                    while seen < width.min(w + self.steps[i]) {
                        if old[seen] > old[leader] {
                            leader = seen;
                        }
                        seen += 1;
                    }
                    if old[leader] - JUMP > *score {
                        (source, *score) = (leader, old[leader] - JUMP);
                    }
                    while position.is_some_and(|p| free <= p) {
                        if old_between[free] > old_between[gap] {
                            gap = free;
                        }
                        free += 1;
                    }
                    if position.is_some() && old_between[gap] > *score {
                        (source, *score) = (width + gap, old_between[gap]);
                    }
                }
                from.push(source as u32);
                let agrees = position.is_some_and(|p| self.sequence[p] == self.residues[i].1);
                *score += if agrees { MATCH } else { -SKIP };
            }
            for (q, score) in between.iter_mut().enumerate() {
                // The offset of the residue before, if that ends where `q` is free.
                let before =
                    (i > 0 && q > 0).then(|| (q - 1 + self.span).checked_sub(self.starts[i - 1])).flatten();
                let mut source = width + q;
                if let Some(w) = before.filter(|&w| w < width && old[w] - JUMP > *score) {
                    (source, *score) = (w, old[w] - JUMP);
                }
                from.push(source as u32);
                *score = (*score - SKIP).max(NEVER);
            }
        }
        // Of equals, the smallest offset.
        let mut state = (0..width).rev().max_by_key(|&w| at[w]).unwrap_or(width);
        let mut positions = vec![None; count];
        for (i, position) in positions.iter_mut().enumerate().rev() {
            if state < width {
                *position = self.position(i, state);
            }
            state = from[i * row + state] as usize;
        }
        positions
    }
}

/// What the positions of the best alignment mean.
fn places(sequence: &[u8], residues: &[(isize, u8)], positions: &[Option<usize>]) -> Vec<Place> {
    let agrees = |i: usize| positions[i].filter(|&p| sequence[p] == residues[i].1);
    let mut places = Vec::with_capacity(residues.len());
    let mut free = 0;
    for (i, &position) in positions.iter().enumerate() {
        let place = match (agrees(i), position) {
            (Some(p), _) => Place::At(p),
            (None, Some(p)) => {
                let next = (i + 1..residues.len()).find_map(agrees).unwrap_or(sequence.len());
                if (free..next).contains(&p) { Place::Differs(p) } else { Place::Outside }
            }
            (None, None) => Place::Outside,
        };
        if let Place::At(p) | Place::Differs(p) = place {
            free = p + 1;
        }
        places.push(place);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEQUENCE: &[u8] = b"MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG";

    fn numbered(letters: &[u8], first: isize) -> Vec<(isize, u8)> {
        letters.iter().enumerate().map(|(i, &letter)| (first + i as isize, letter)).collect()
    }

    fn at(positions: impl IntoIterator<Item = usize>) -> Vec<Place> {
        positions.into_iter().map(Place::At).collect()
    }

    #[test]
    fn offsets_are_found_whatever_they_are() {
        for first in [1, -20, 41, 1001, isize::MAX - 80, isize::MIN] {
            let mut residues = numbered(SEQUENCE, first);
            residues.drain(10..14);
            assert_eq!(align(SEQUENCE, &residues), at((0..10).chain(14..SEQUENCE.len())), "{first}");
        }
    }

    #[test]
    fn numbers_say_which_of_equal_letters_are_missing() {
        // Of the six Gs in the middle the file has the second and the fifth.
        let residues = [(1, b'A'), (2, b'C'), (3, b'D'), (5, b'G'), (8, b'G'), (10, b'K'), (11, b'L')];
        assert_eq!(align(b"ACDGGGGGGKL", &residues), at([0, 1, 2, 4, 7, 9, 10]));
    }

    #[test]
    fn insertion_codes_and_numbers_of_a_homologue() {
        // 20, 20A, 20B, 21 ...: then numbers that leave out three without a residue missing.
        let mut residues = numbered(&SEQUENCE[..20], 1);
        residues.extend([(20, SEQUENCE[20]), (20, SEQUENCE[21])]);
        residues.extend(numbered(&SEQUENCE[22..40], 21));
        residues.extend(numbered(&SEQUENCE[40..], 42));
        assert_eq!(align(SEQUENCE, &residues), at(0..SEQUENCE.len()));
    }

    #[test]
    fn tags_and_mutations() {
        let tagged = [b"GSHHHHHH", SEQUENCE].concat();
        let mut residues = numbered(&tagged, -7);
        residues[8 + 30].1 = b'W';
        let mut expected = [vec![Place::Outside; 8], at(0..SEQUENCE.len())].concat();
        expected[8 + 30] = Place::Differs(30);
        assert_eq!(align(SEQUENCE, &residues), expected);
        // The same behind the sequence, and a sequence that is shorter on both sides.
        let residues = numbered(&[SEQUENCE, b"LEHHHHHH"].concat(), 1);
        let mut expected = at(0..SEQUENCE.len());
        expected.extend([Place::Outside; 8]);
        assert_eq!(align(SEQUENCE, &residues), expected);
        let inner = align(&SEQUENCE[5..70], &numbered(SEQUENCE, 1));
        assert_eq!(
            (inner[4], inner[5], inner[69], inner[70]),
            (Place::Outside, Place::At(0), Place::At(64), Place::Outside)
        );
    }

    #[test]
    fn an_insertion_that_the_sequence_does_not_have_is_outside() {
        let mut residues = numbered(&SEQUENCE[..30], 1);
        residues.extend([(30, b'W'), (30, b'W')]);
        residues.extend(numbered(&SEQUENCE[30..], 31));
        let places = align(SEQUENCE, &residues);
        assert_eq!(places[29..33], [Place::At(29), Place::Outside, Place::Outside, Place::At(30)]);
    }

    #[test]
    fn nothing_to_align() {
        assert_eq!(align(SEQUENCE, &[]), []);
        assert_eq!(align(b"", &[(1, b'A')]), [Place::Outside]);
        assert_eq!(align(b"A", &[(1, b'C'), (2, b'A')]), [Place::Outside, Place::At(0)]);
    }

    proptest! {
        #[test]
        fn positions_ascend_and_letters_agree(
            sequence in prop::collection::vec(prop::sample::select(b"ACD".to_vec()), 0..30),
            residues in prop::collection::vec((-5..40isize, prop::sample::select(b"ACD".to_vec())), 0..30),
        ) {
            let mut free = 0;
            for (place, (_, letter)) in align(&sequence, &residues).into_iter().zip(&residues) {
                match place {
                    Place::At(p) => prop_assert!(p >= free && sequence[p] == *letter),
                    Place::Differs(p) => prop_assert!(p >= free && sequence[p] != *letter),
                    Place::Outside => continue,
                }
                if let Place::At(p) | Place::Differs(p) = place {
                    free = p + 1;
                }
            }
        }

        #[test]
        fn part_of_a_chain_is_found(kept in prop::collection::vec(prop::bool::weighted(0.8), 76), first in -90..90isize) {
            let pairs = numbered(SEQUENCE, first).into_iter().zip(0..).zip(&kept);
            let (residues, positions): (Vec<_>, Vec<usize>) = pairs.filter(|(_, kept)| **kept).map(|(pair, _)| pair).unzip();
            prop_assert_eq!(align(SEQUENCE, &residues), at(positions));
        }
    }
}

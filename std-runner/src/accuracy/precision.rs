//! Precision of the most probable contacts.

use super::target::Target;

/// Separations |i - j| that a precision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Name in tables.
    pub name: &'static str,
    /// Smallest separation.
    pub from: usize,
    /// Largest separation.
    pub to: usize,
}

/// The ranges of contact evaluations: all, short, medium, long.
pub const RANGES: [Range; 4] = [
    Range { name: "all (>= 6)", from: 6, to: usize::MAX },
    Range { name: "short (6-11)", from: 6, to: 11 },
    Range { name: "medium (12-23)", from: 12, to: 23 },
    Range { name: "long (>= 24)", from: 24, to: usize::MAX },
];

/// As many of the most probable pairs are counted as there are resolved residues, divided by this.
pub const DIVISORS: [usize; 3] = [1, 2, 5];

/// Precisions (0 to 1), one row for each of [`RANGES`], one column for each of [`DIVISORS`]; `None` where no
/// pair has such a separation.
pub type Precisions = [[Option<f64>; DIVISORS.len()]; RANGES.len()];

/// Share of contacts among the `L / divisor` most probable pairs of each range, L being the number of
/// resolved residues.
///
/// `probabilities` is `[length, length]` over the whole sequence; pairs of equal probability are taken in
/// order of (i, j). Where there are fewer pairs than wanted, all are taken.
pub fn precisions(target: &Target, probabilities: &[f32], length: usize) -> Precisions {
    RANGES.map(|range| {
        let mut pairs = Vec::new();
        let n = target.positions.len();
        for (a, &i) in target.positions.iter().enumerate() {
            for (b, &j) in target.positions.iter().enumerate().skip(a + 1) {
                if (range.from..=range.to).contains(&(j - i)) {
                    pairs.push((probabilities[i * length + j], target.contacts[a * n + b]));
                }
            }
        }
        // Stable: ties keep the order of (i, j).
        pairs.sort_by(|x, y| y.0.total_cmp(&x.0));
        DIVISORS.map(|divisor| {
            let taken = &pairs[..pairs.len().min(n / divisor)];
            let hits = taken.iter().filter(|p| p.1).count();
            (!taken.is_empty()).then(|| hits as f64 / taken.len() as f64)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` residues in one piece; the pairs of `contacts` touch.
    fn target(n: usize, contacts: &[(usize, usize)]) -> Target {
        let mut map = vec![false; n * n];
        for &(i, j) in contacts {
            map[i * n + j] = true;
            map[j * n + i] = true;
        }
        Target { positions: (0..n).collect(), contacts: map }
    }

    #[test]
    fn the_most_probable_pairs_count() {
        let n = 10;
        let target = target(n, &[(0, 6), (0, 7), (1, 9), (0, 2)]);
        let mut p = vec![0.0; n * n];
        // Too near to count, however probable.
        p[2] = 1.0;
        p[6] = 0.9;
        p[n + 9] = 0.8;
        p[n + 8] = 0.7;
        let [all, short, medium, long] = precisions(&target, &p, n);
        // Ten pairs are 6 or more apart: P@L takes all 10, P@L/2 takes (0,6) (1,9) (1,8) and then (0,7) (0,8)
        // by order.
        assert_eq!(all, [Some(3.0 / 10.0), Some(3.0 / 5.0), Some(1.0)]);
        assert_eq!(short, all);
        assert_eq!((medium, long), ([None; 3], [None; 3]));
    }

    #[test]
    fn separations_are_of_the_sequence_not_of_what_is_resolved() {
        let n = 40;
        let mut probabilities = vec![0.0; n * n];
        probabilities[30] = 1.0;
        let target = Target { positions: vec![0, 30, 31, 32, 33], contacts: vec![true; 25] };
        let [all, short, medium, long] = precisions(&target, &probabilities, n);
        assert_eq!((short, medium), ([None; 3], [None; 3]));
        assert_eq!(all, long);
        assert_eq!(long, [Some(1.0); 3]);
    }
}

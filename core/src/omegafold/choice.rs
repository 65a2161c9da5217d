//! The confidence in a cycle as a whole, and which cycle is the best.

use core::cmp::Ordering;

/// Residues whose CAs are nearer than this are neighbours: 15 angstroms in units of 2^-16.
const NEIGHBOURS: u64 = 15 << 16;

/// The confidence in a cycle: the mean over residues, in which each counts as often as it has neighbours, as
/// an exact ratio. Where none has any it is the sum, which may be above 1, as in the original.
#[derive(Clone, Copy, Debug)]
pub struct Overall {
    /// Unit 2^-16.
    sum: u64,
    /// What the sum is divided by, not 0.
    count: u64,
}

impl Overall {
    /// No confidence at all.
    pub const NONE: Self = Self { sum: 0, count: 1 };

    /// Of confidences in residues, unit 2^-16, and their CAs, unit 2^-16 angstrom: one of each a residue.
    ///
    /// The original adds 1e-10 to squared distances and to counts: less than half a unit of 2^-32 of the
    /// former, and of the latter less than a confidence's unit as long as there are fewer than 10^5 residues.
    pub fn new(confidence: &[u16], cas: &[[i32; 3]]) -> Self {
        let (mut sum, mut count) = (0u64, 0u64);
        let mut before = confidence.iter().zip(cas);
        while let Some((&own, &ca)) = before.next_back() {
            for (&other, _) in before.clone().filter(|&(_, &other)| are_near(ca, other)) {
                sum = sum.saturating_add(u64::from(own) + u64::from(other));
                count = count.saturating_add(2);
            }
        }
        if count == 0 {
            return Self { sum: confidence.iter().map(|&c| u64::from(c)).sum(), ..Self::NONE };
        }
        Self { sum, count }
    }

    /// Its value, unit 2^-16, rounded half up.
    pub const fn rounded(&self) -> u32 {
        match self.sum.saturating_add(self.count / 2).checked_div(self.count) {
            Some(value) if value < u32::MAX as u64 => value as u32,
            _ => u32::MAX,
        }
    }
}

/// Exactly, by cross-multiplication.
impl Ord for Overall {
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |sum: u64, count: u64| u128::from(sum) * u128::from(count);
        product(self.sum, other.count).cmp(&product(other.sum, self.count))
    }
}

impl PartialOrd for Overall {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Overall {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Overall {}

/// The best cycle so far: the first of those that have the highest confidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Best {
    /// Its number.
    pub cycle: usize,
    /// The confidence in it.
    pub overall: Overall,
}

impl Best {
    /// Before the first cycle.
    pub const NONE: Self = Self { cycle: 0, overall: Overall::NONE };

    /// Whether `cycle` is better than all before, and takes their place.
    pub fn offer(&mut self, cycle: usize, overall: Overall) -> bool {
        let better = overall > self.overall;
        if better {
            *self = Self { cycle, overall };
        }
        better
    }
}

/// Whether two CAs are those of neighbours. Exact, and total: what is far along one axis is far.
fn are_near(a: [i32; 3], b: [i32; 3]) -> bool {
    let along = [0, 1, 2].map(|axis| u64::from(a[axis].abs_diff(b[axis])));
    along.iter().all(|&distance| distance < NEIGHBOURS)
        && along.iter().map(|distance| distance * distance).sum::<u64>() < NEIGHBOURS * NEIGHBOURS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const ANGSTROM: i32 = 1 << 16;

    /// The definition in f64, epsilons and all.
    fn exact(confidence: &[u16], cas: &[[i32; 3]]) -> f64 {
        const EPSILON: f64 = 1e-10;
        let neighbours = |i: usize| {
            let near = |&j: &usize| {
                let offsets =
                    (0..3).map(|axis| (f64::from(cas[i][axis]) - f64::from(cas[j][axis])) / 65536.0);
                j != i && libm::sqrt(offsets.map(|d| d * d).sum::<f64>() + EPSILON) < 15.0
            };
            (0..cas.len()).filter(near).count() as f64
        };
        let counts: Vec<f64> = (0..cas.len()).map(neighbours).collect();
        let shares = confidence.iter().zip(&counts).map(|(&c, n)| f64::from(c) / 65536.0 * (n + EPSILON));
        shares.sum::<f64>() / (EPSILON + counts.iter().sum::<f64>())
    }

    #[test]
    fn residues_count_by_their_neighbours() {
        let at = |x: i32| [x * ANGSTROM, 0, 0];
        let close = Overall::new(&[30_000, 60_000, 10_000], &[at(0), at(10), at(20)]);
        assert_eq!(close, Overall { sum: 30_000 + 2 * 60_000 + 10_000, count: 4 });
        assert_eq!(close.rounded(), 40_000);
        // Exactly at 15 angstroms residues are none of each other, one unit less and they are.
        let far = Overall::new(&[30_000, 60_001], &[at(0), at(15)]);
        assert_eq!((far, far.rounded()), (Overall { sum: 90_001, count: 1 }, 90_001));
        let near = Overall::new(&[30_000, 60_001], &[at(0), [15 * ANGSTROM - 1, 0, 0]]);
        assert_eq!((near, near.rounded()), (Overall { sum: 90_001, count: 2 }, 45_001));
        assert_eq!(Overall::new(&[7], &[at(3)]), Overall { sum: 7, count: 1 });
        assert_eq!(Overall::new(&[], &[]), Overall::NONE);
    }

    #[test]
    fn a_cycle_without_neighbours_beats_any_compact_one() {
        let apart = Overall::new(&[20_000; 4], &[0, 1, 2, 3].map(|x| [x << 28, 0, 0]));
        assert_eq!(apart.rounded(), 80_000);
        assert!(apart > Overall::new(&[u16::MAX; 4], &[[0; 3]; 4]));
    }

    #[test]
    fn ratios_that_round_alike_are_told_apart() {
        let ratio = |sum, count| Overall { sum, count };
        let (a, b) = (ratio((1 << 44) - 1, 1 << 28), ratio(1 << 44, (1 << 28) + 1));
        assert_eq!(a.rounded(), b.rounded());
        assert!(a > b);
        assert!(b < a);
        assert_eq!(ratio(3, 4), ratio(6, 8));
        assert!(ratio(u64::MAX, 1) > ratio(u64::MAX, 2));
        assert_eq!(ratio(u64::MAX, 1).rounded(), u32::MAX);
    }

    #[test]
    fn the_first_of_the_best_cycles_is_chosen() {
        let chosen = |values: &[u64]| {
            let mut best = Best::NONE;
            let took = |(cycle, &sum): (usize, &u64)| best.offer(cycle, Overall { sum, count: 3 });
            let better: Vec<bool> = values.iter().enumerate().map(took).collect();
            // What took the place last is what is there.
            assert_eq!(better.iter().rposition(|&took| took).unwrap_or(0), best.cycle);
            best.cycle
        };
        assert_eq!([chosen(&[5, 7, 7, 6]), chosen(&[9, 7, 9]), chosen(&[1, 2, 3])], [1, 0, 2]);
        assert_eq!([chosen(&[]), chosen(&[4])], [0, 0]);
    }

    /// Confidence in it, and its CA within 20 angstroms of the origin along each axis.
    fn residue() -> impl Strategy<Value = (u16, [i32; 3])> {
        (any::<u16>(), prop::array::uniform3(-20 * ANGSTROM..20 * ANGSTROM))
    }

    proptest! {
        #[test]
        fn a_cycle_has_the_confidence_of_the_definition(residues in prop::collection::vec(residue(), 0..40)) {
            let (confidence, cas): (Vec<u16>, Vec<[i32; 3]>) = residues.into_iter().unzip();
            let Overall { sum, count } = Overall::new(&confidence, &cas);
            let found = sum as f64 / count as f64 / 65536.0;
            let expected = exact(&confidence, &cas);
            prop_assert!((found - expected).abs() < 1e-8 || cas.is_empty(), "{found} {expected}");
        }

        #[test]
        fn any_atoms_have_neighbours_or_none(
            a in prop::array::uniform3(prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX)]),
            near in prop::array::uniform3(-(1 << 21)..1i32 << 21),
        ) {
            let b = [0, 1, 2].map(|axis| a[axis].wrapping_add(near[axis]));
            let offsets = (0..3).map(|axis| i128::from(a[axis]) - i128::from(b[axis]));
            let near = offsets.map(|d| d * d).sum::<i128>() < 225 << 32;
            prop_assert_eq!((are_near(a, b), are_near(b, a)), (near, near));
            prop_assert!(are_near(a, a));
        }

        #[test]
        fn cycles_are_ordered_as_their_ratios_are(a: [u32; 2], b: [u32; 2]) {
            let ratio = |[sum, count]: [u32; 2]| Overall { sum: sum.into(), count: count.max(1).into() };
            let [x, y] = [a, b].map(ratio);
            let [p, q] = [x, y].map(|ratio| ratio.sum as f64 / ratio.count as f64);
            // f64 can't tell apart what is closer than its last place.
            prop_assume!((p - q).abs() > 1e-12 * p.max(q));
            prop_assert_eq!(x > y, p > q);
        }
    }
}

//! lDDT: how many of the distances in a structure a model keeps, without superposition.
//!
//! Mariani, Biasini, Barbato and Schwede 2013, with AlphaFold's choices: pairs of atoms of different residues
//! (sequence separation 0) that are nearer than 15 Å in the reference, and differences below 0.5, 1, 2 and 4
//! Å. Atoms that the model lacks keep no distance. Stereochemistry is not checked and symmetric side chains
//! are not renamed.

use super::structure::{Point, distance};

/// Pairs of the reference that are nearer than this (in ångström) count.
pub const INCLUSION_RADIUS: f64 = 15.0;
/// A distance is kept at each of these that its difference is below (in ångström).
pub const THRESHOLDS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// An atom of the reference and its counterpart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtomPair {
    /// The residue it belongs to.
    pub residue: usize,
    /// Where it is in the reference.
    pub reference: Point,
    /// Where it is in the model, if the model has it.
    pub model: Option<Point>,
}

/// lDDT of every residue, 0 to 1, in ascending order of residues; residues without any pair have none and are
/// left out. The lDDT of a chain is their mean.
pub fn lddt(atoms: &[AtomPair]) -> Vec<(usize, f64)> {
    let residues = atoms.iter().map(|a| a.residue + 1).max().unwrap_or(0);
    let mut counts = vec![(0u64, 0u64); residues];
    for (i, a) in atoms.iter().enumerate() {
        for b in atoms[i + 1..].iter().filter(|b| b.residue != a.residue) {
            let exact = distance(a.reference, b.reference);
            if exact >= INCLUSION_RADIUS {
                continue;
            }
            let found = a.model.zip(b.model).map(|(a, b)| distance(a, b));
            let kept = found
                .map_or(0, |found| THRESHOLDS.iter().filter(|&&t| (found - exact).abs() < t).count() as u64);
            for residue in [a.residue, b.residue] {
                counts[residue].0 += kept;
                counts[residue].1 += THRESHOLDS.len() as u64;
            }
        }
    }
    let scored = counts.into_iter().enumerate().filter(|(_, (_, all))| *all > 0);
    scored.map(|(residue, (kept, all))| (residue, kept as f64 / all as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::bootstrap::mean;
    use proptest::prelude::*;

    /// CA atoms 4 Å apart on a line: each has up to three others within 15 Å on either side.
    fn line(count: usize) -> Vec<Point> {
        (0..count).map(|i| [4.0 * i as f64, 0.0, 0.0]).collect()
    }

    fn pairs(reference: &[Point], model: impl Fn(usize, Point) -> Option<Point>) -> Vec<AtomPair> {
        let pair = |(residue, &reference)| AtomPair { residue, reference, model: model(residue, reference) };
        reference.iter().enumerate().map(pair).collect()
    }

    fn chain_lddt(atoms: &[AtomPair]) -> Option<f64> {
        mean(lddt(atoms).into_iter().map(|(_, score)| score))
    }

    #[test]
    fn identical_and_moved_as_a_whole() {
        let reference = line(9);
        assert_eq!(chain_lddt(&pairs(&reference, |_, p| Some(p))), Some(1.0));
        // Turned by 90 degrees about z and shifted.
        let moved = |_, [x, y, z]: Point| Some([-y + 3.0, x - 100.0, z + 7.0]);
        assert_eq!(chain_lddt(&pairs(&reference, moved)), Some(1.0));
    }

    #[test]
    fn one_residue_far_away_loses_its_pairs_alone() {
        let reference = line(9);
        let far = |i, p| Some(if i == 8 { [500.0; 3] } else { p });
        let scores: Vec<f64> = lddt(&pairs(&reference, far)).into_iter().map(|(_, s)| s).collect();
        // Residues 5, 6 and 7 have 6, 5 and 4 partners, one of which is the one that is gone.
        assert_eq!(scores, [1.0, 1.0, 1.0, 1.0, 1.0, 5.0 / 6.0, 4.0 / 5.0, 3.0 / 4.0, 0.0]);
    }

    #[test]
    fn a_difference_keeps_the_thresholds_above_it() {
        let reference = line(2);
        let shifted = |by: f64| pairs(&reference, move |i, p| Some([p[0] + by * i as f64, 0.0, 0.0]));
        for (by, kept) in [(0.25, 1.0), (0.5, 0.75), (0.75, 0.75), (1.5, 0.5), (-3.0, 0.25), (4.0, 0.0)] {
            assert_eq!(chain_lddt(&shifted(by)), Some(kept), "{by}");
        }
    }

    #[test]
    fn a_missing_atom_keeps_nothing_and_a_missing_reference_counts_nothing() {
        let reference = line(3);
        let gone = pairs(&reference, |i, p| (i != 1).then_some(p));
        assert_eq!(lddt(&gone), [(0, 0.5), (1, 0.0), (2, 0.5)]);
        let unresolved: Vec<AtomPair> =
            pairs(&reference, |_, p| Some(p)).into_iter().filter(|a| a.residue != 1).collect();
        assert_eq!(lddt(&unresolved), [(0, 1.0), (2, 1.0)]);
    }

    #[test]
    fn the_radius_is_that_of_the_reference_and_excludes_itself() {
        let two = |apart: f64| [[0.0; 3], [apart, 0.0, 0.0]];
        assert_eq!(chain_lddt(&pairs(&two(14.99), |_, _| Some([0.0; 3]))), Some(0.0));
        assert_eq!(chain_lddt(&pairs(&two(15.0), |_, p| Some(p))), None);
        assert_eq!(chain_lddt(&[]), None);
    }

    #[test]
    fn atoms_of_one_residue_are_no_pair() {
        let atom =
            |residue, x| AtomPair { residue, reference: [x, 0.0, 0.0], model: Some([2.0 * x, 0.0, 0.0]) };
        assert_eq!(lddt(&[atom(3, 0.0), atom(3, 1.0)]), []);
        // A distance of 1 that becomes 2 is kept at two thresholds, one of 0 at all four.
        assert_eq!(lddt(&[atom(3, 0.0), atom(3, 1.0), atom(4, 1.0)]), [(3, 0.75), (4, 0.75)]);
    }

    proptest! {
        #[test]
        fn between_none_and_all(points in prop::collection::vec(prop::array::uniform6(-20.0..20.0f64), 0..20)) {
            let atoms: Vec<AtomPair> = points
                .iter()
                .enumerate()
                .map(|(residue, &[a, b, c, x, y, z])| AtomPair { residue, reference: [a, b, c], model: Some([x, y, z]) })
                .collect();
            prop_assert!(lddt(&atoms).iter().all(|(_, score)| (0.0..=1.0).contains(score)));
        }
    }
}

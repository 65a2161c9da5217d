//! What a look at a predicted structure would show at once: broken chains, residues on top of each other, no shape at all.
//!
//! None of it is an error: a model may be unsure, or small. The thresholds are far from anything in experimental structures.

use std::fmt;

use crate::output::structure::{Model, Residue};

/// Distances of neighbouring CA atoms in ångström: 3.8 across a trans peptide bond, 2.9 across a cis one.
const NEIGHBOURS: std::ops::RangeInclusive<f64> = 2.5..=4.5;
/// CA atoms of other residues that are nearer than this, in ångström, clash (about as CASP counts clashes: 1.9).
const CLASH: f64 = 2.0;
/// Residues of a chain that are this many places apart, or more, are no neighbours.
const SEPARATION: usize = 3;
/// Structures with all CA atoms within this cube, in ångström, have no shape.
const POINT: f64 = 0.1;
/// Shorter sequences may well have the same pLDDT everywhere.
const VARYING: usize = 10;

/// Something odd about a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// All residues are at one point.
    Point,
    /// Neighbours are too near or too far.
    Broken {
        /// How many pairs.
        count: usize,
        /// Of how many.
        pairs: usize,
    },
    /// Residues are on top of each other.
    Clashes {
        /// How many pairs.
        count: usize,
    },
    /// Every residue has the same pLDDT.
    SamePlddt,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Point => write!(f, "all residues lie at one point"),
            Self::Broken { count, pairs } => {
                let (low, high) = (NEIGHBOURS.start(), NEIGHBOURS.end());
                write!(f, "{count} of {pairs} pairs of neighbouring CA atoms are not {low} to {high} A apart")
            }
            Self::Clashes { count } => {
                write!(
                    f,
                    "{count} pairs of CA atoms of residues that are no neighbours are nearer than {CLASH} A"
                )
            }
            Self::SamePlddt => write!(f, "every residue has the same pLDDT"),
        }
    }
}

/// A residue's place and its CA atom.
struct Alpha {
    chain: usize,
    number: usize,
    position: [f64; 3],
}

/// Everything odd about `model`.
pub fn oddities(model: &Model) -> Vec<Oddity> {
    let mut alphas = Vec::new();
    for (chain, residues) in model.chains.iter().enumerate() {
        for (number, residue) in residues.residues.iter().enumerate() {
            let position = residue.atom("CA").map(|atom| atom.position);
            alphas.extend(position.map(|position| Alpha { chain, number, position }));
        }
    }
    let mut found = Vec::new();
    if alphas.len() > 1 && is_point(&alphas) {
        found.push(Oddity::Point);
    } else {
        let (count, pairs) = broken(&alphas);
        found.extend((count > 0).then_some(Oddity::Broken { count, pairs }));
        let count = clashes(&alphas);
        found.extend((count > 0).then_some(Oddity::Clashes { count }));
    }
    let residues = model.chains.iter().flat_map(|chain| &chain.residues);
    let plddt: Vec<f64> = residues.filter_map(Residue::plddt).collect();
    if plddt.len() >= VARYING && plddt.iter().all(|&value| value == plddt[0]) {
        found.push(Oddity::SamePlddt);
    }
    found
}

fn is_point(alphas: &[Alpha]) -> bool {
    (0..3).all(|axis| {
        let values = alphas.iter().map(|alpha| alpha.position[axis]);
        values.clone().fold(f64::MIN, f64::max) - values.fold(f64::MAX, f64::min) < POINT
    })
}

fn broken(alphas: &[Alpha]) -> (usize, usize) {
    let neighbours = alphas.windows(2).filter(|w| w[0].chain == w[1].chain && w[0].number + 1 == w[1].number);
    let distances: Vec<f64> = neighbours.map(|w| distance(&w[0], &w[1])).collect();
    (distances.iter().filter(|distance| !NEIGHBOURS.contains(distance)).count(), distances.len())
}

fn clashes(alphas: &[Alpha]) -> usize {
    let apart = |a: &Alpha, b: &Alpha| a.chain != b.chain || a.number.abs_diff(b.number) >= SEPARATION;
    let of = |i: usize, a: &Alpha| {
        alphas[i + 1..].iter().filter(|b| apart(a, b) && distance(a, b) < CLASH).count()
    };
    alphas.iter().enumerate().map(|(i, a)| of(i, a)).sum()
}

fn distance(a: &Alpha, b: &Alpha) -> f64 {
    a.position.iter().zip(b.position).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::kind;
    use crate::output::structure::{Atom, Chain};

    /// Alanines with CA atoms at these places; pLDDT grows along a chain.
    fn chain(positions: impl IntoIterator<Item = [f64; 3]>) -> Chain {
        let residue = |(i, position): (usize, _)| Residue {
            kind: kind(b'A'),
            atoms: vec![Atom { name: "CA", position, plddt: i as f64 }],
        };
        Chain { residues: positions.into_iter().enumerate().map(residue).collect() }
    }

    fn model(chains: Vec<Chain>) -> Model {
        Model { chains, ..Model::default() }
    }

    fn straight(length: usize, y: f64) -> Chain {
        chain((0..length).map(|i| [i as f64 * 3.8, y, 0.0]))
    }

    #[test]
    fn a_straight_chain_is_fine() {
        assert_eq!(oddities(&model(vec![straight(20, 0.0), straight(20, 10.0)])), []);
        assert_eq!(oddities(&model(vec![straight(1, 0.0)])), []);
        assert_eq!(oddities(&model(vec![])), []);
    }

    #[test]
    fn broken_neighbours_are_counted() {
        let gaps = [0.0, 3.8, 6.2, 8.8, 13.2, 17.8, 21.6];
        let broken = chain(gaps.map(|x| [x, 0.0, 0.0]));
        // 2.4 and 4.6 are outside, 2.6 and 4.4 are not.
        assert_eq!(oddities(&model(vec![broken])), [Oddity::Broken { count: 2, pairs: 6 }]);
        let mut gap = straight(5, 0.0);
        gap.residues[2] = Residue { kind: kind(b'X'), atoms: vec![] };
        assert_eq!(oddities(&model(vec![gap])), [], "an X between two residues is no broken neighbour");
    }

    #[test]
    fn clashes_are_counted_within_and_between_chains() {
        let near = [straight(4, 0.0), straight(4, 1.9)];
        assert_eq!(oddities(&model(near.to_vec())), [Oddity::Clashes { count: 4 }]);
        // There and back: residue 3 lies on residue 0, residue 2 on 1 is nearer than three places.
        let back =
            chain([0.0, 3.8, 3.8, 0.0].into_iter().zip([0.0, 0.0, 3.0, 1.0]).map(|(x, y)| [x, y, 0.0]));
        assert_eq!(oddities(&model(vec![back])), [Oddity::Clashes { count: 1 }]);
    }

    #[test]
    fn no_shape_and_no_difference() {
        let mut flat = chain([[1.0, 2.0, 3.0]; 12]);
        assert_eq!(oddities(&model(vec![flat.clone()])), [Oddity::Point]);
        flat.residues.iter_mut().for_each(|residue| residue.atoms[0].plddt = 50.0);
        assert_eq!(oddities(&model(vec![flat.clone()])), [Oddity::Point, Oddity::SamePlddt]);
        flat.residues.truncate(9);
        assert_eq!(oddities(&model(vec![flat])), [Oddity::Point]);
    }

    #[test]
    fn warnings_are_sentences_with_counts() {
        let broken = Oddity::Broken { count: 2, pairs: 6 }.to_string();
        assert_eq!(broken, "2 of 6 pairs of neighbouring CA atoms are not 2.5 to 4.5 A apart");
        assert!(Oddity::Clashes { count: 3 }.to_string().starts_with("3 pairs"));
    }
}

//! What a look at a predicted structure would show at once: broken chains, residues on top of each other, no
//! shape at all.
//!
//! None of it is an error: a model may be unsure, or small. The thresholds are far from anything in
//! experimental structures.

use std::fmt;

use crate::output::structure::{Model, Residue, chain_name};

/// Distances of neighbouring CA atoms in ångström: 3.8 across a trans peptide bond, 2.9 across a cis one.
const NEIGHBOURS: std::ops::RangeInclusive<f64> = 2.5..=4.5;
/// CA atoms of other residues that are nearer than this, in ångström, clash (about as CASP counts clashes:
/// 1.9).
const CLASH: f64 = 2.0;
/// Residues of a chain that are this many places apart, or more, are no neighbours.
const SEPARATION: usize = 3;
/// Structures with all CA atoms within this cube, in ångström, have no shape.
const POINT: f64 = 0.1;
/// Shorter sequences may well have the same pLDDT everywhere.
const VARYING: usize = 10;

/// Pairs that a sentence names; the others are counted.
const NAMED: usize = 3;

/// Something odd about a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// All residues are at one point.
    Point,
    /// Neighbours are too near or too far.
    Broken {
        /// Which.
        pairs: Pairs,
        /// Of how many.
        of: usize,
    },
    /// Residues are on top of each other.
    Clashes {
        /// Which.
        pairs: Pairs,
    },
    /// Every residue has the same pLDDT.
    SamePlddt,
}

/// Pairs of residues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// How many.
    pub count: usize,
    /// The first few, by name: `A:SER12 and A:GLY40`.
    pub named: Vec<String>,
}

impl Pairs {
    fn add(&mut self, a: &Alpha, b: &Alpha) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{a} and {b}"));
        }
    }
}

impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.named.join(", "))?;
        match self.count - self.named.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Point => write!(f, "all residues lie at one point"),
            Self::Broken { pairs, of } => {
                let (low, high, is) = (NEIGHBOURS.start(), NEIGHBOURS.end(), is(pairs.count));
                let (count, noun) = (pairs.count, noun(*of));
                write!(
                    f,
                    "{count} of {of} {noun} of neighbouring CA atoms {is} not {low} to {high} A apart: {pairs}"
                )
            }
            Self::Clashes { pairs } => {
                let (count, noun, is) = (pairs.count, noun(pairs.count), is(pairs.count));
                write!(
                    f,
                    "{count} {noun} of CA atoms that are no neighbours {is} nearer than {CLASH} A: {pairs}"
                )
            }
            Self::SamePlddt => write!(f, "every residue has the same pLDDT"),
        }
    }
}

fn noun(count: usize) -> &'static str {
    if count == 1 { "pair" } else { "pairs" }
}

fn is(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// A residue's place and its CA atom.
struct Alpha {
    chain: usize,
    number: usize,
    kind: &'static str,
    position: [f64; 3],
}

impl fmt::Display for Alpha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}{}", chain_name(self.chain), self.kind, self.number + 1)
    }
}

/// Everything odd about `model`.
pub fn oddities(model: &Model) -> Vec<Oddity> {
    let mut alphas = Vec::new();
    for (chain, residues) in model.chains.iter().enumerate() {
        for (number, residue) in residues.residues.iter().enumerate() {
            let (kind, position) = (residue.kind.name(), residue.atom("CA").map(|atom| atom.position));
            alphas.extend(position.map(|position| Alpha { chain, number, kind, position }));
        }
    }
    let mut found = Vec::new();
    if alphas.len() > 1 && is_point(&alphas) {
        found.push(Oddity::Point);
    } else {
        let (pairs, of) = broken(&alphas);
        found.extend((pairs.count > 0).then_some(Oddity::Broken { pairs, of }));
        let pairs = clashes(&alphas);
        found.extend((pairs.count > 0).then_some(Oddity::Clashes { pairs }));
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

fn broken(alphas: &[Alpha]) -> (Pairs, usize) {
    let (mut pairs, mut of) = (Pairs::default(), 0);
    for neighbours in alphas.windows(2) {
        let [a, b] = neighbours else { continue };
        if a.chain == b.chain && a.number + 1 == b.number {
            of += 1;
            if !NEIGHBOURS.contains(&distance(a, b)) {
                pairs.add(a, b);
            }
        }
    }
    (pairs, of)
}

fn clashes(alphas: &[Alpha]) -> Pairs {
    let apart = |a: &Alpha, b: &Alpha| a.chain != b.chain || a.number.abs_diff(b.number) >= SEPARATION;
    let mut pairs = Pairs::default();
    for (i, a) in alphas.iter().enumerate() {
        for b in alphas[i + 1..].iter().filter(|b| apart(a, b) && distance(a, b) < CLASH) {
            pairs.add(a, b);
        }
    }
    pairs
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
        let pairs = pairs(2, &["A:ALA2 and A:ALA3", "A:ALA5 and A:ALA6"]);
        assert_eq!(oddities(&model(vec![broken])), [Oddity::Broken { pairs, of: 6 }]);
        let mut gap = straight(5, 0.0);
        gap.residues[2] = Residue { kind: kind(b'X'), atoms: vec![] };
        assert_eq!(oddities(&model(vec![gap])), [], "an X between two residues is no broken neighbour");
    }

    #[test]
    fn clashes_are_counted_within_and_between_chains() {
        let near = [straight(4, 0.0), straight(4, 1.9)];
        let four = pairs(4, &["A:ALA1 and B:ALA1", "A:ALA2 and B:ALA2", "A:ALA3 and B:ALA3"]);
        assert_eq!(oddities(&model(near.to_vec())), [Oddity::Clashes { pairs: four }]);
        // There and back: residue 3 lies on residue 0, residue 2 on 1 is nearer than three places.
        let back =
            chain([0.0, 3.8, 3.8, 0.0].into_iter().zip([0.0, 0.0, 3.0, 1.0]).map(|(x, y)| [x, y, 0.0]));
        assert_eq!(
            oddities(&model(vec![back])),
            [Oddity::Clashes { pairs: pairs(1, &["A:ALA1 and A:ALA4"]) }]
        );
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

    fn pairs(count: usize, named: &[&str]) -> Pairs {
        Pairs { count, named: named.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn warnings_are_sentences_that_count_and_name() {
        let two = Oddity::Broken { pairs: pairs(2, &["A:SER12 and A:GLY13", "B:TRP1 and B:MET2"]), of: 6 };
        assert_eq!(
            two.to_string(),
            "2 of 6 pairs of neighbouring CA atoms are not 2.5 to 4.5 A apart: A:SER12 and A:GLY13, B:TRP1 and B:MET2"
        );
        let one = Oddity::Broken { pairs: pairs(1, &["A:SER1 and A:GLY2"]), of: 1 }.to_string();
        assert!(one.starts_with("1 of 1 pair of neighbouring CA atoms is not "), "{one}");
        assert_eq!(
            Oddity::Clashes { pairs: pairs(1, &["A:SER12 and A:GLY40"]) }.to_string(),
            "1 pair of CA atoms that are no neighbours is nearer than 2 A: A:SER12 and A:GLY40"
        );
        let many = Oddity::Clashes { pairs: pairs(8, &["a", "b", "c"]) }.to_string();
        assert!(many.starts_with("8 pairs of CA atoms that are no neighbours are nearer"), "{many}");
        assert!(many.ends_with(": a, b, c and 5 more"), "{many}");
    }
}

//! The distance between two residues as recycling embeds it: predicted CB atoms, and a bin.

use super::config::DISTANCE_BINS;
use crate::geometry::{ATOM14, Residue, squared_distance};

/// Places of CA and CB in the `atom14` layout.
const CA: usize = 1;
const CB: usize = 4;

/// The bins' edges squared, unit 2^-32 square angstroms: 15 distances in equal steps from 3.25 to 20.75
/// angstroms, which are (13 + 5 k) / 4. Exact.
const EDGES: [i64; DISTANCE_BINS - 1] = {
    let mut edges = [0; DISTANCE_BINS - 1];
    let mut k = 0;
    while k < edges.len() {
        let edge = 13 + 5 * k as i64;
        edges[k] = (edge * edge) << 28;
        k += 1;
    }
    edges
};

/// Where a residue is taken to be: its CB, or its CA if it has none. X has no atoms at all: it is at
/// `centre`, the origin of its frame, where its CA would be.
pub fn place(residue: Residue, atoms: &[[i32; 3]; ATOM14], centre: [i32; 3]) -> [i32; 3] {
    match residue.atoms().len() {
        0 => centre,
        1..=CB => atoms[CA],
        _ => atoms[CB],
    }
}

/// The bin of the distance between two points in units of 2^-16 angstrom: how many of the 15 edges are
/// shorter. Exact.
pub fn bin(a: [i32; 3], b: [i32; 3]) -> u8 {
    let distance = squared_distance(a, b);
    EDGES.iter().filter(|&&edge| distance > edge).count() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANGSTROM: f64 = 65536.0;

    fn fixed(angstroms: f64) -> i32 {
        libm::round(angstroms * ANGSTROM) as i32
    }

    #[test]
    fn residues_are_at_their_cb_and_glycine_at_its_ca() {
        let atoms: [[i32; 3]; ATOM14] = core::array::from_fn(|place| [place as i32, 0, 0]);
        for index in 0..=20 {
            let residue = Residue::from_index(index).unwrap();
            let expected = match residue.letter() {
                'G' => CA as i32,
                'X' => 99,
                _ => CB as i32,
            };
            assert_eq!(place(residue, &atoms, [99, 0, 0]), [expected, 0, 0], "{}", residue.letter());
            let named = residue.atoms().get(expected as usize).map(|atom| atom.name);
            assert!(
                residue == Residue::X || named == Some(if residue.letter() == 'G' { "CA" } else { "CB" })
            );
        }
    }

    #[test]
    fn an_edge_belongs_to_the_bin_below_it() {
        // Edges are whole numbers of units.
        for k in 0..DISTANCE_BINS - 1 {
            let (edge, below) = (fixed(3.25 + 1.25 * k as f64), k as u8);
            assert_eq!([-1, 0, 1].map(|step| bin([0; 3], [0, edge + step, 0])), [below, below, below + 1]);
        }
        assert_eq!([0.0, 3.3, 4.4, 21.0].map(|x| bin([0; 3], [fixed(x), 0, 0])), [0, 1, 1, 15]);
    }

    proptest! {
        #[test]
        fn any_coordinates(a: [i32; 3], b: [i32; 3]) {
            prop_assert!(bin(a, b) == bin(b, a) && usize::from(bin(a, b)) < DISTANCE_BINS);
        }

        #[test]
        fn a_bin_is_that_of_the_real_distance(
            a in prop::array::uniform3(-(1 << 20)..1i32 << 20),
            b in prop::array::uniform3(-(1 << 20)..1i32 << 20),
        ) {
            let squares = a.into_iter().zip(b).map(|(a, b)| f64::from(a - b) * f64::from(a - b));
            let distance = libm::sqrt(squares.sum()) / ANGSTROM;
            let edge = |k: usize| 3.25 + 1.25 * k as f64;
            let nearest = (0..15).map(|k| (edge(k) - distance).abs()).fold(f64::MAX, f64::min);
            // At an edge f64 could be on the wrong side.
            prop_assume!(nearest > 1e-9);
            prop_assert_eq!(usize::from(bin(a, b)), (0..15).filter(|&k| distance > edge(k)).count());
        }
    }
}

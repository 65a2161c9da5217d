//! Distances between residues, as recycling embeds them.

use super::rigid::{add, cross, minus, scaled, squared_norm};
use crate::table::DISTANCE_BINS;

/// Where a CB would be, in angstroms, from N, CA and C.
pub fn virtual_cb([n, ca, c]: [[f64; 3]; 3]) -> [f64; 3] {
    let (b, c) = (minus(ca, n), minus(c, ca));
    let a = cross(b, c);
    add(add(scaled(a, -0.58273431), scaled(b, 0.56802827)), add(scaled(c, -0.54067466), ca))
}

/// The bin of the distance between the virtual CBs of each pair: how many of 14 edges, 3.375 to 21.375
/// angstroms in equal steps, are shorter. `backbone` is N, CA and C of each residue.
pub fn distance_bins(backbone: &[[[f64; 3]; 3]]) -> Vec<u32> {
    let last = (DISTANCE_BINS - 2) as f64;
    let edges: Vec<f64> = (0..DISTANCE_BINS - 1).map(|i| (3.375 + 18.0 * i as f64 / last).powi(2)).collect();
    let cbs: Vec<[f64; 3]> = backbone.iter().map(|&atoms| virtual_cb(atoms)).collect();
    let bin = |a: [f64; 3], b: [f64; 3]| {
        let distance = squared_norm(minus(a, b));
        edges.iter().filter(|&&edge| distance > edge).count() as u32
    };
    cbs.iter().flat_map(|&a| cbs.iter().map(move |&b| (a, b))).map(|(a, b)| bin(a, b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_count_the_edges_that_are_shorter() {
        let residue = |x: f64| [[x, 0.0, 0.0]; 3];
        let bins = distance_bins(&[residue(0.0), residue(3.4), residue(21.5)]);
        assert_eq!(bins, [0, 1, 14, 1, 0, 11, 14, 11, 0]);
    }

    #[test]
    fn a_virtual_cb_is_where_alanine_has_its_cb() {
        let cb = virtual_cb([[-0.525, 1.363, 0.0], [0.0; 3], [1.526, 0.0, 0.0]]);
        assert!(squared_norm(minus(cb, [-0.529, -0.774, -1.205])).sqrt() < 0.03, "{cb:?}");
    }
}

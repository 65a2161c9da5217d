//! How far a fold can be trusted: its scores under the names that [Boltz](https://github.com/jwohlwend/boltz)
//! gives them, and a warning in words where they are low.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::decode_probability;
use crate::fold::FoldPrediction;
use crate::output::structure::{Model, Residue};

/// Mean pLDDT over CA below which a fold is mostly wrong or disordered (as the AlphaFold database: "very
/// low").
pub const VERY_LOW_PLDDT: f64 = 50.0;
/// Mean pLDDT over CA below which a fold is uncertain ("low").
pub const LOW_PLDDT: f64 = 70.0;
/// pTM below which the overall fold is uncertain.
pub const LOW_PTM: f64 = 0.5;
/// Residues below which pTM says nothing: d0 is so small that it is low whatever the fold.
pub const SHORT: usize = 30;
/// ipTM below which how chains lie to each other is probably wrong.
pub const LOW_IPTM: f64 = 0.6;
/// ipTM below which it is uncertain.
pub const HIGH_IPTM: f64 = 0.8;

/// Residues whose CB (CA of glycine) is nearer than this, in ångström, to that of another chain are at an
/// interface.
const INTERFACE: f64 = 8.0;
/// What a residue at an interface counts for in `complex_iplddt`; others count once.
const INTERFACE_WEIGHT: f64 = 10.0;

/// Scores of a fold, 0 to 1, as in Boltz's `confidence_*.json`. What ESMFold has no head for (`complex_pde`,
/// `complex_ipde`) and what needs a ligand (`ligand_iptm`) is left out; for OmegaFold, which has no pTM, so
/// is all that is made of it, and its own two scores are added.
///
/// Chains are numbered from 0. Scores are rounded to four decimals: their unit is 2^-16.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Confidence {
    /// `0.8 complex_plddt + 0.2 iptm`, with `ptm` instead of `iptm` for one chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence_score: Option<f64>,
    /// Predicted TM-score of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ptm: Option<f64>,
    /// Predicted TM-score over pairs of residues of different chains; 0 for one chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iptm: Option<f64>,
    /// The same: all chains are proteins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protein_iptm: Option<f64>,
    /// Mean pLDDT over CA atoms.
    pub complex_plddt: f64,
    /// The same, residues at an interface counting ten times.
    pub complex_iplddt: f64,
    /// Predicted TM-score of each chain, with the whole's length in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chains_ptm: Option<BTreeMap<usize, f64>>,
    /// `[a][b]`: predicted TM-score over the residues of chain a, the structures aligned at the best residue
    /// of chain b.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair_chains_iptm: Option<BTreeMap<usize, BTreeMap<usize, f64>>>,
    /// OmegaFold's confidence in the cycle that is its result: see [`BestCycle`](crate::fold::BestCycle).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overall_confidence: Option<f64>,
    /// Which cycle that is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle: Option<usize>,
}

impl Confidence {
    /// The scores of `folded`, which `model` was made of.
    pub fn of(folded: &FoldPrediction, model: &Model) -> Self {
        let score = |score: u16| f64::from(decode_probability(score));
        let complex_plddt = model.mean_plddt() / 100.0;
        let common = Self {
            complex_plddt: four(complex_plddt),
            complex_iplddt: four(interface_plddt(model) / 100.0),
            overall_confidence: folded.best_cycle.map(|best| four(best.confidence())),
            cycle: folded.best_cycle.map(|best| best.number),
            ..Self::default()
        };
        let Some(ptm) = folded.ptm.map(score) else { return common };
        let iptm = folded.iptm.map(score);
        let chains = model.chains.len();
        let pair = |scored: usize, aligned: usize| {
            four(score(folded.chain_scores.get(aligned * chains + scored).copied().unwrap_or_default()))
        };
        let pairs = |a| (a, (0..chains).map(|b| (b, pair(a, b))).collect());
        Self {
            confidence_score: Some(four(0.8 * complex_plddt + 0.2 * iptm.unwrap_or(ptm))),
            ptm: Some(four(ptm)),
            iptm: Some(four(iptm.unwrap_or_default())),
            protein_iptm: Some(four(iptm.unwrap_or_default())),
            chains_ptm: Some((0..chains).map(|chain| (chain, pair(chain, chain))).collect()),
            pair_chains_iptm: Some((0..chains).map(pairs).collect()),
            ..common
        }
    }

    /// One sentence about what is low, if anything is. `residues` are those of all chains, `errors` says
    /// whether the predicted aligned errors are written.
    pub fn warning(&self, residues: usize, errors: bool) -> Option<String> {
        let plddt = 100.0 * self.complex_plddt;
        // Of a peptide pTM says nothing.
        let ptm = self.ptm.filter(|_| residues >= SHORT);
        let several = self.chains_ptm.as_ref().is_some_and(|chains| chains.len() > 1);
        let iptm = self.iptm.filter(|_| several);
        let mut doubts = Vec::new();
        let very_low = plddt < VERY_LOW_PLDDT;
        if very_low {
            doubts.push("the structure is probably wrong, or the protein disordered");
        } else if plddt < LOW_PLDDT {
            doubts.push("the fold may be wrong: look at the pLDDT of each residue");
        } else if ptm.is_some_and(|ptm| ptm < LOW_PTM) {
            doubts.push(if errors {
                "how its parts lie to each other is uncertain: look at the predicted aligned errors"
            } else {
                "how its parts lie to each other is uncertain: look at the predicted aligned errors (--pae json)"
            });
        }
        match iptm {
            Some(..LOW_IPTM) => doubts.push("how the chains lie to each other is probably wrong"),
            Some(..HIGH_IPTM) => doubts.push("how the chains lie to each other is uncertain"),
            _ => {}
        }
        if doubts.is_empty() {
            return None;
        }
        let (level, doubts) = (if very_low { "very low" } else { "low" }, doubts.join("; "));
        let told = |name: &str, score: Option<f64>| {
            score.map_or_else(String::new, |score| format!(", {name} {score:.3}"))
        };
        let (ptm, iptm) = (told("pTM", ptm), told("ipTM", iptm));
        Some(format!("{level} confidence (mean CA pLDDT {plddt:.1}{ptm}{iptm}): {doubts}"))
    }
}

/// Mean pLDDT over CA, 0 to 100, residues at an interface counting ten times.
fn interface_plddt(model: &Model) -> f64 {
    let place = |residue: &Residue| Some(residue.atom("CB").or_else(|| residue.atom("CA"))?.position);
    let placed = |(chain, residue)| Some((chain, place(residue)?, residue.plddt()?));
    let residues =
        model.chains.iter().enumerate().flat_map(|(c, chain)| chain.residues.iter().map(move |r| (c, r)));
    let residues: Vec<(usize, [f64; 3], f64)> = residues.filter_map(placed).collect();
    let near = |a: [f64; 3], b: [f64; 3]| {
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() < INTERFACE * INTERFACE
    };
    let (mut sum, mut weights) = (0.0, 0.0);
    for &(chain, place, plddt) in &residues {
        let at_interface = residues.iter().any(|&(other, there, _)| other != chain && near(place, there));
        let weight = if at_interface { INTERFACE_WEIGHT } else { 1.0 };
        sum += weight * plddt;
        weights += weight;
    }
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// To four decimals.
fn four(score: f64) -> f64 {
    (score * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{BestCycle, kind};
    use crate::output::structure::{Atom, Chain};

    /// Chains of glycines with CA atoms at (x, y), and their pLDDT.
    fn model(chains: &[&[(f64, f64, f64)]]) -> Model {
        let residue = |&(x, y, plddt): &(f64, f64, f64)| Residue {
            kind: kind(b'G'),
            atoms: vec![Atom { name: "CA", position: [x, y, 0.0], plddt }],
        };
        let chain =
            |residues: &&[(f64, f64, f64)]| Chain { residues: residues.iter().map(residue).collect() };
        Model { chains: chains.iter().map(chain).collect(), ..Model::default() }
    }

    #[test]
    fn one_chain_has_its_own_score_and_no_interface() {
        let folded =
            FoldPrediction { ptm: Some(0x8000), chain_scores: vec![0x8000], ..FoldPrediction::default() };
        let confidence = Confidence::of(&folded, &model(&[&[(0.0, 0.0, 60.0), (3.8, 0.0, 80.0)]]));
        assert_eq!(
            serde_json::to_value(&confidence).expect("JSON"),
            serde_json::json!({
                "confidence_score": 0.66,
                "ptm": 0.5,
                "iptm": 0.0,
                "protein_iptm": 0.0,
                "complex_plddt": 0.7,
                "complex_iplddt": 0.7,
                "chains_ptm": { "0": 0.5 },
                "pair_chains_iptm": { "0": { "0": 0.5 } },
            })
        );
    }

    #[test]
    fn pairs_of_chains_are_turned_as_boltz_turns_them() {
        let quarter = 1 << 14;
        let folded = FoldPrediction {
            ptm: Some(2 * quarter),
            iptm: Some(3 * quarter),
            // Aligned at the first chain: 0.25 over itself, 0.5 over the second one.
            chain_scores: vec![quarter, 2 * quarter, 3 * quarter, 0],
            ..FoldPrediction::default()
        };
        // The second residue of A is 7.9 from B's only one, the first 11.7.
        let two = model(&[&[(0.0, 0.0, 20.0), (3.8, 0.0, 40.0)], &[(11.7, 0.0, 90.0)]]);
        let confidence = Confidence::of(&folded, &two);
        assert_eq!(confidence.chains_ptm, Some(BTreeMap::from([(0, 0.25), (1, 0.0)])));
        let pairs = confidence.pair_chains_iptm.expect("a score of each pair");
        assert_eq!(pairs[&0], BTreeMap::from([(0, 0.25), (1, 0.75)]));
        assert_eq!(pairs[&1], BTreeMap::from([(0, 0.5), (1, 0.0)]));
        assert_eq!((confidence.iptm, confidence.protein_iptm), (Some(0.75), Some(0.75)));
        assert_eq!(confidence.complex_plddt, 0.5);
        assert_eq!(confidence.confidence_score, Some(0.55));
        // (20 + 10 * 40 + 10 * 90) / 21
        assert_eq!(confidence.complex_iplddt, 0.6286);
    }

    #[test]
    fn without_a_ptm_there_is_no_score_that_needs_it() {
        let best = BestCycle { number: 3, confidence: 0x1_4000 };
        let folded = FoldPrediction { best_cycle: Some(best), ..FoldPrediction::default() };
        let confidence = Confidence::of(&folded, &model(&[&[(0.0, 0.0, 60.0), (3.8, 0.0, 70.0)]]));
        assert_eq!(
            serde_json::to_value(&confidence).expect("JSON"),
            serde_json::json!({
                "complex_plddt": 0.65,
                "complex_iplddt": 0.65,
                "overall_confidence": 1.25,
                "cycle": 3,
            })
        );
        assert_eq!(
            confidence.warning(100, false).expect("a warning"),
            "low confidence (mean CA pLDDT 65.0): the fold may be wrong: look at the pLDDT of each residue"
        );
    }

    fn warning(plddt: f64, ptm: f64, iptm: Option<f64>, residues: usize) -> Option<String> {
        let chains = if iptm.is_some() { 2 } else { 1 };
        let confidence = Confidence {
            ptm: Some(ptm),
            iptm: Some(iptm.unwrap_or_default()),
            complex_plddt: plddt / 100.0,
            chains_ptm: Some((0..chains).map(|chain| (chain, 0.0)).collect()),
            ..Confidence::default()
        };
        confidence.warning(residues, false)
    }

    #[test]
    fn what_is_low_is_said_in_one_sentence() {
        assert_eq!(warning(70.0, 0.5, None, 100), None);
        assert_eq!(warning(70.0, 0.5, Some(0.8), 100), None);
        let very_low = warning(35.1, 0.16, None, 263).expect("a warning");
        assert_eq!(
            very_low,
            "very low confidence (mean CA pLDDT 35.1, pTM 0.160): the structure is probably wrong, or the protein disordered"
        );
        let low = warning(69.9, 0.6, None, 100).expect("a warning");
        assert!(
            low.starts_with("low confidence (mean CA pLDDT 69.9, pTM 0.600): the fold may be wrong"),
            "{low}"
        );
        let parts = warning(85.0, 0.49, None, 30).expect("a warning");
        assert!(parts.contains("how its parts lie to each other is uncertain"), "{parts}");
        assert_eq!(warning(85.0, 0.1, None, 29), None, "pTM says nothing about a peptide");
        let peptide = warning(60.0, 0.1, None, 29).expect("a warning");
        assert!(peptide.starts_with("low confidence (mean CA pLDDT 60.0): "), "{peptide}");
        let wrong = warning(85.0, 0.7, Some(0.59), 100).expect("a warning");
        assert!(
            wrong.contains("pTM 0.700, ipTM 0.590): how the chains lie to each other is probably wrong"),
            "{wrong}"
        );
        let unsure = warning(85.0, 0.7, Some(0.79), 100).expect("a warning");
        assert!(unsure.contains("how the chains lie to each other is uncertain"), "{unsure}");
        let both = warning(40.0, 0.2, Some(0.1), 100).expect("a warning");
        assert!(both.contains("disordered; how the chains"), "{both}");
    }
}

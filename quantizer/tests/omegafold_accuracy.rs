//! OmegaFold in integers, letters to atoms, against the float reference on the same checkpoint, cycle by cycle.

mod fixture;

use std::ops::ControlFlow;
use std::path::Path;

use fixture::folding::model;
use fixture::omegafold::Fixture;
use fixture::wide;
use foldpoint_core::format::ModelFile;
use foldpoint_core::geometry::Residue;
use foldpoint_core::omegafold::{Event, FoldingModel, Request};
use foldpoint_core::{AlignedBytes, Runtime};
use quantizer::checkpoint::OmegaFold;
use quantizer::reference::omegafold::{OmegaFoldReference, Options};

const SEQUENCES: &str = ">a\nMKTAYIA\n>b\nRQISFVKDHCNEPGLV\n>c\nWXWAKEQMSIVNGGLKHPTDFRCY\n";

type Atoms = [[f64; 3]; 14];

/// What a cycle ends with.
struct Ended {
    /// Angstroms.
    atoms: Vec<Atoms>,
    confidence: Vec<f64>,
    overall: f64,
}

/// A fold: its cycles and the one that is its result.
struct Folded {
    cycles: Vec<Ended>,
    chosen: usize,
}

fn integers(model: &AlignedBytes, residues: &[Residue], request: &Request) -> Folded {
    let file = ModelFile::parse(model.bytes()).unwrap();
    let model = FoldingModel::load(&file).unwrap();
    let runtime = Runtime::serial();
    let mut arena = AlignedBytes::zeroed(model.arena_bytes(residues.len(), request, &runtime).unwrap());
    let mut cycles = Vec::new();
    let mut keep = |event: Event| {
        if let Event::Cycle(structure) = event {
            let unit = |value: u32| f64::from(value) / 65536.0;
            cycles.push(Ended {
                atoms: structure
                    .atoms
                    .iter()
                    .map(|atoms| atoms.map(|atom| atom.map(|x| f64::from(x) / 65536.0)))
                    .collect(),
                confidence: structure.confidence.iter().map(|&value| unit(value.into())).collect(),
                overall: unit(structure.overall),
            });
        }
        ControlFlow::Continue(())
    };
    let best = model.run_with(residues, request, arena.bytes_mut(), &runtime, &mut keep).unwrap();
    let (chosen, atoms) = (best.cycle, best.atoms.to_vec());
    let result = cycles[chosen].atoms.as_flattened().as_flattened().to_vec();
    let kept: Vec<f64> =
        atoms.as_flattened().as_flattened().iter().map(|&x| f64::from(x) / 65536.0).collect();
    assert_eq!(result, kept, "the result is the chosen cycle's");
    Folded { cycles, chosen }
}

fn floats(checkpoint: &Path, residues: &[Residue], request: &Request) -> Folded {
    let checkpoint = OmegaFold::open(checkpoint).unwrap();
    let reference = OmegaFoldReference::new(&checkpoint).unwrap();
    let &Request { cycles, rows, masked_up_to, .. } = request;
    let outputs = reference.run(0, residues, &Options { cycles, rows, masked_up_to }, &mut ()).unwrap();
    let ended = |cycle: quantizer::reference::omegafold::Cycle| Ended {
        atoms: cycle.structure.atoms,
        confidence: cycle.confidence,
        overall: cycle.overall,
    };
    Folded { cycles: outputs.cycles.into_iter().map(ended).collect(), chosen: outputs.chosen }
}

/// How far a cycle is from another one.
#[derive(Clone, Copy, Debug)]
struct Difference {
    /// Median difference of the distances between two atoms, in angstroms.
    median: f64,
    /// Largest difference of a residue's confidence.
    residues: f64,
    /// Difference of the confidence in all.
    overall: f64,
}

impl Difference {
    fn new(found: &Ended, expected: &Ended, residues: &[Residue]) -> Self {
        let atoms = |ended: &Ended| -> Vec<[f64; 3]> {
            let of_residues = ended.atoms.iter().zip(residues);
            of_residues.flat_map(|(atoms, residue)| &atoms[..residue.atoms().len()]).copied().collect()
        };
        let (a, b) = (atoms(found), atoms(expected));
        let pairs = (0..a.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let mut distances: Vec<f64> =
            pairs.map(|(i, j)| (distance(a[i], a[j]) - distance(b[i], b[j])).abs()).collect();
        distances.sort_by(f64::total_cmp);
        let confidence = found.confidence.iter().zip(&expected.confidence).map(|(a, b)| (a - b).abs());
        Self {
            median: distances[distances.len() / 2],
            residues: confidence.fold(0.0, f64::max),
            overall: (found.overall - expected.overall).abs(),
        }
    }

    fn assert_within(&self, most: Self) {
        assert!(
            self.median <= most.median && self.residues <= most.residues && self.overall <= most.overall,
            "{self:?}, expected {most:?}"
        );
    }
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// Folds the fixture's sequences in both ways, and returns the differences of every cycle, sequence by
/// sequence. The same cycle is chosen.
fn compare(fixture: &Fixture, checkpoint: &Path) -> Vec<Vec<Difference>> {
    let model = model(checkpoint, SEQUENCES, &[]);
    let of_sequence = |(number, (residues, &cycles)): (usize, (&Vec<Residue>, &usize))| {
        let request = Request::default()
            .cycles(cycles)
            .rows(fixture.run.pseudo_msa_rows)
            .masked_up_to(fixture.run.masked_up_to());
        let (found, expected) =
            (integers(&model, residues, &request), floats(checkpoint, residues, &request));
        assert_eq!((found.cycles.len(), expected.cycles.len()), (cycles, cycles));
        assert_eq!(found.chosen, expected.chosen, "sequence {number}");
        let cycles = found.cycles.iter().zip(&expected.cycles).enumerate();
        let differences = cycles.map(|(cycle, (found, expected))| {
            let difference = Difference::new(found, expected, residues);
            println!("{number}.{cycle}: {difference:?}");
            difference
        });
        differences.collect()
    };
    fixture.sequences.iter().zip(&fixture.run.cycles).enumerate().map(of_sequence).collect()
}

/// The fixture's weights are random, so nothing holds errors back as training does, and a bin that a distance
/// falls into makes a step in the next cycle.
#[test]
fn the_small_model_folds_as_in_floats() {
    let fixture = Fixture::read("omegafold-tiny");
    let differences = compare(&fixture, &fixture.folder);
    assert_eq!(differences.iter().map(Vec::len).collect::<Vec<_>>(), fixture.run.cycles);
    for [first, later @ ..] in differences.iter().map(|cycles| <&[_; 3]>::try_from(&cycles[..3]).unwrap()) {
        first.assert_within(Difference { median: 0.5, residues: 0.03, overall: 0.012 });
        for cycle in later {
            cycle.assert_within(Difference { median: 1.1, residues: 0.22, overall: 0.04 });
        }
    }
}

#[test]
fn published_widths_fold_as_in_floats() {
    let fixture = Fixture::read("omegafold-wide");
    let folder = tempfile::tempdir().unwrap();
    wide::write_weights(&fixture.folder, folder.path());
    let differences = compare(&fixture, folder.path());
    let [first, second] = differences[0][..] else { panic!("two cycles") };
    // Measured: 0.165 A, 0.0033, 0.0012; and 0.363 A, 0.0188, 0.0012.
    first.assert_within(Difference { median: 0.3, residues: 0.007, overall: 0.003 });
    second.assert_within(Difference { median: 0.7, residues: 0.04, overall: 0.006 });
}

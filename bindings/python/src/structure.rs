//! What folding gives.

use fasta::Sequence;
use foldpoint_core::geometry::Residue;
use numpy::ndarray::{Array1, Array2, Array3};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std_runner::confidence::Confidence;
use std_runner::fold::{BestCycle, FoldPrediction};
use std_runner::output::structure::{self, Method, Provenance};
use std_runner::sanity::{Oddity, oddities};

/// Atoms of a residue in the `atom14` layout, and coordinates of each.
const ATOMS: usize = 14;
const AXES: usize = 3;
/// Atoms of a residue in the `atom37` layout, and where CA is among them.
const ATOM_TYPES: usize = 37;
const CA: usize = 1;

/// A predicted structure of L residues, those of all chains one after another.
///
/// Arrays are made anew each time that an attribute is read: changing one changes nothing else. The same
/// sequence and model give the same structure on every machine, bit for bit.
#[pyclass(module = "foldpoint", frozen)]
pub struct Structure {
    sequence: Sequence,
    prediction: FoldPrediction,
    provenance: Provenance,
}

/// What a pickle holds.
type State<'py> = (Folded<'py>, Made, Predicted<'py>);
/// Identifier, header, residues, lengths of chains.
type Folded<'py> = (String, String, Bound<'py, PyBytes>, Vec<usize>);
/// Passes of an ESMFold, or cycles and rows of an OmegaFold; model, checkpoint, quantizer.
type Made = (Option<usize>, Option<(usize, usize)>, String, String, String);
/// What residues were taken for, atoms, pLDDT, aligned errors (integers, little-endian), pTM, ipTM, scores of
/// pairs of chains, an OmegaFold's best cycle, bytes of working memory.
type Predicted<'py> = (
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Option<Bound<'py, PyBytes>>,
    Option<u16>,
    Option<u16>,
    Vec<u16>,
    Option<(usize, u32)>,
    usize,
);

impl Structure {
    /// What was folded, what came of it and what made it.
    pub fn new(sequence: Sequence, prediction: FoldPrediction, provenance: Provenance) -> Self {
        Self { sequence, prediction, provenance }
    }

    fn model(&self) -> structure::Model {
        structure::Model { provenance: self.provenance.clone(), ..self.prediction.model(&self.sequence) }
    }

    fn length(&self) -> usize {
        self.sequence.residues.len()
    }

    /// How many atoms each residue has; they are the first ones of its 14.
    fn atom_counts(&self) -> impl Iterator<Item = usize> {
        self.prediction.residues.iter().map(|residue| residue.atoms().len())
    }
}

#[pymethods]
impl Structure {
    /// Identifier of the sequence; empty if it has none.
    #[getter]
    fn id(&self) -> &str {
        &self.sequence.id
    }

    /// The residues as letters, `:` between chains.
    #[getter]
    fn sequence(&self) -> String {
        let chains: Vec<_> = self.sequence.chains().map(String::from_utf8_lossy).collect();
        chains.join(":")
    }

    /// pLDDT of each residue (that of its CA), 0 to 100: float32 [L]. NaN for X, which has no atoms.
    #[getter]
    fn plddt<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        let residues = self.prediction.plddt.iter().zip(self.atom_counts());
        let score = |(plddt, atoms): (&[u16; ATOM_TYPES], usize)| {
            if atoms == 0 { f32::NAN } else { f32::from(plddt[CA]) / 655.36 }
        };
        Array1::from_iter(residues.map(score)).into_pyarray(py)
    }

    /// Mean pLDDT over the residues that have atoms, 0 to 100.
    #[getter]
    fn mean_plddt(&self) -> f64 {
        self.model().mean_plddt()
    }

    /// Predicted aligned errors in angstrom: float32 [L, L], [i, j] the error of residue j if the structures
    /// are aligned at residue i. None if they were not asked for (`pae=False`), and of an OmegaFold.
    #[getter]
    fn pae<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
        let Some(errors) = &self.prediction.aligned_error else { return Ok(None) };
        let errors = errors.iter().map(|&error| f32::from(error) / 2048.0).collect();
        let square = (self.length(), self.length());
        Ok(Some(Array2::from_shape_vec(square, errors).map_err(shape)?.into_pyarray(py)))
    }

    /// Predicted TM-score, 0 to 1; None of an OmegaFold, which predicts none.
    #[getter]
    fn ptm(&self) -> Option<f32> {
        self.prediction.ptm()
    }

    /// Predicted TM-score of the interfaces, 0 to 1; None of a single chain.
    #[getter]
    fn iptm(&self) -> Option<f32> {
        self.prediction.iptm()
    }

    /// Coordinates in angstrom: float32 [L, 14, 3], the atoms of each residue in the order of `atom14` (as
    /// AlphaFold's and ESMFold's code); 0 where `atom_mask` is False.
    #[getter]
    fn coords<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let mut values = Vec::with_capacity(self.length() * ATOMS * AXES);
        for (atoms, count) in self.prediction.atoms.iter().zip(self.atom_counts()) {
            for (place, atom) in atoms.iter().enumerate() {
                let there = place < count;
                values.extend(atom.map(|x| if there { x as f32 / 65536.0 } else { 0.0 }));
            }
        }
        Ok(Array3::from_shape_vec((self.length(), ATOMS, AXES), values).map_err(shape)?.into_pyarray(py))
    }

    /// Which of the 14 atoms each residue has: bool [L, 14].
    #[getter]
    fn atom_mask<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<bool>>> {
        let mask = self.atom_counts().flat_map(|count| (0..ATOMS).map(move |atom| atom < count)).collect();
        Ok(Array2::from_shape_vec((self.length(), ATOMS), mask).map_err(shape)?.into_pyarray(py))
    }

    /// Scores from 0 to 1 under the names that Boltz gives them, as in the command's ID.confidence.json.
    #[getter]
    fn confidence<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let confidence = Confidence::of(&self.prediction, &self.model());
        let text =
            serde_json::to_string(&confidence).map_err(|error| PyValueError::new_err(error.to_string()))?;
        py.import("json")?.call_method1("loads", (text,))
    }

    /// What there is to say against the structure: low confidence, broken chains, clashes.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        let model = self.model();
        let errors = self.prediction.aligned_error.is_some();
        let confidence = Confidence::of(&self.prediction, &model).warning(self.length(), errors);
        confidence.into_iter().chain(oddities(&model).iter().map(Oddity::to_string)).collect()
    }

    /// The structure as a PDB file, the same bytes as the command's; the pLDDT is in the B-factors.
    ///
    /// ValueError if a PDB file has no room for it: `to_mmcif` has.
    fn to_pdb(&self) -> PyResult<String> {
        written(|out| structure::pdb(out, &self.model()))
    }

    /// The structure as an mmCIF (ModelCIF) file, the same bytes as the command's.
    ///
    /// With `pae=True` the predicted aligned errors are inside, for Mol*; ValueError if there are none.
    #[pyo3(signature = (*, pae=false))]
    fn to_mmcif(&self, pae: bool) -> PyResult<String> {
        let model = self.model();
        let errors = self.prediction.aligned_errors(&model).filter(|_| pae);
        if pae && errors.is_none() {
            return Err(PyValueError::new_err(
                "there are no predicted aligned errors; expected fold(pae=True)",
            ));
        }
        written(|out| structure::mmcif(out, &model, errors.as_ref()))
    }

    fn __len__(&self) -> usize {
        self.length()
    }

    fn __repr__(&self) -> String {
        let id = if self.id().is_empty() { String::new() } else { format!("{:?}, ", self.id()) };
        let score = |name: &str, score: Option<f32>| {
            score.map_or_else(String::new, |score| format!(", {name} {score:.3}"))
        };
        let (ptm, iptm) = (score("pTM", self.ptm()), score("ipTM", self.iptm()));
        let (length, plddt) = (self.length(), self.mean_plddt());
        format!("<foldpoint.Structure {id}{length} residues, mean pLDDT {plddt:.1}{ptm}{iptm}>")
    }

    /// A picture of the backbone, coloured by pLDDT, the scores, and the predicted aligned errors.
    fn _repr_html_<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("foldpoint._html")?.call_method1("structure", (slf,))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (State<'py>,))> {
        let py = slf.py();
        let Self { sequence, prediction, provenance } = slf.get();
        let shorts = |values: &mut dyn Iterator<Item = u16>| {
            PyBytes::new(py, &values.flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
        };
        let atoms = prediction.atoms.iter().flatten().flatten().flat_map(|x| x.to_le_bytes());
        let kinds = prediction.residues.iter().map(|residue| residue.index() as u8);
        let (passes, cycles) = match provenance.method {
            Method::EsmFold { passes } => (Some(passes), None),
            Method::OmegaFold { cycles, rows } => (None, Some((cycles, rows))),
        };
        let Provenance { model, checkpoint, quantizer, .. } = provenance.clone();
        let residues = PyBytes::new(py, &sequence.residues);
        let folded = (sequence.id.clone(), sequence.header.clone(), residues, sequence.chain_lengths.clone());
        let predicted = (
            PyBytes::new(py, &kinds.collect::<Vec<u8>>()),
            PyBytes::new(py, &atoms.collect::<Vec<u8>>()),
            shorts(&mut prediction.plddt.iter().flatten().copied()),
            prediction.aligned_error.as_ref().map(|errors| shorts(&mut errors.iter().copied())),
            prediction.ptm,
            prediction.iptm,
            prediction.chain_scores.clone(),
            prediction.best_cycle.map(|best| (best.number, best.confidence)),
            prediction.arena,
        );
        let state = (folded, (passes, cycles, model, checkpoint, quantizer), predicted);
        Ok((py.import("foldpoint._foldpoint")?.getattr("_structure")?, (state,)))
    }
}

/// The structure that a pickle holds.
///
/// # Errors
/// `ValueError` if its parts don't belong together.
#[pyfunction]
#[pyo3(name = "_structure")]
pub fn unpickle(state: State<'_>) -> PyResult<Structure> {
    restore(state).ok_or_else(|| PyValueError::new_err("this is not the state of a structure"))
}

/// The structure, if the parts of its state belong together.
fn restore((folded, made, predicted): State<'_>) -> Option<Structure> {
    let (id, header, residues, chain_lengths) = folded;
    let (passes, cycles, model, checkpoint, quantizer) = made;
    let (kinds, atoms, plddt, errors, ptm, iptm, chain_scores, best_cycle, arena) = predicted;
    let method = match (passes, cycles) {
        (Some(passes), None) => Method::EsmFold { passes },
        (None, Some((cycles, rows))) => Method::OmegaFold { cycles, rows },
        _ => return None,
    };
    let letters = residues.as_bytes().to_vec();
    let residues = kinds.as_bytes().iter().map(|&kind| Residue::from_index(kind.into()));
    let residues: Vec<Residue> = residues.collect::<Option<_>>()?;
    let shorts = |bytes: &Bound<'_, PyBytes>| -> Vec<u16> {
        bytes.as_bytes().as_chunks().0.iter().map(|&bytes| u16::from_le_bytes(bytes)).collect()
    };
    let coordinates: Vec<i32> =
        atoms.as_bytes().as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect();
    let (plddt, aligned_error) = (shorts(&plddt), errors.as_ref().map(shorts));
    let (length, chains) = (letters.len(), chain_lengths.len());
    let fits = chain_lengths.iter().try_fold(0usize, |sum, &chain| sum.checked_add(chain)) == Some(length)
        && residues.len() == length
        && coordinates.len() == length * ATOMS * AXES
        && plddt.len() == length * ATOM_TYPES
        && aligned_error.as_ref().is_none_or(|errors| errors.len() == length * length)
        && (chain_scores.is_empty() || chain_scores.len() == chains * chains);
    let prediction = FoldPrediction {
        residues,
        atoms: coordinates.as_chunks::<AXES>().0.as_chunks::<ATOMS>().0.to_vec(),
        plddt: plddt.as_chunks::<ATOM_TYPES>().0.to_vec(),
        aligned_error,
        ptm,
        iptm,
        chain_scores,
        best_cycle: best_cycle.map(|(number, confidence)| BestCycle { number, confidence }),
        arena,
    };
    fits.then(|| Structure {
        sequence: Sequence { header, chain_lengths, ..Sequence::from_residues(&id, letters) },
        prediction,
        provenance: Provenance { method, model, checkpoint, quantizer },
    })
}

/// What `write` writes, which is ASCII.
fn written(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> PyResult<String> {
    let mut out = Vec::new();
    write(&mut out).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(String::from_utf8(out)?)
}

/// A shape that does not hold its values.
pub fn shape(error: numpy::ndarray::ShapeError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

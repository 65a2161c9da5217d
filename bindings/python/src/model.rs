//! The class `Model`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use foldpoint_core::Isa;
use foldpoint_core::alphabet::{FIRST_RESIDUE, RESIDUES, STANDARD};
use numpy::IntoPyArray;
use numpy::ndarray::{Array1, Array2, ArrayD};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std_runner::arena::parse_bytes;
use std_runner::contact_map;
use std_runner::digest::of_all;
use std_runner::embedding::residues;
use std_runner::engine::{Engine, Prediction, Request, Requests, decode};
use std_runner::everything::Everything;
use std_runner::model::{Kind, Model as ModelFile};
use std_runner::variants::{Mutation, decode as decode_score};
use store::Store;

use crate::embedding::{Layers, Pool, embedding};
use crate::engines::{FoldOptions, Loaded};
use crate::error::{self, ModelError};
use crate::fold_many::{FoldMany, Folding};
use crate::input::{Input, Use, one};
use crate::score;
use crate::session::Session;
use crate::structure::{Structure, shape};

/// A model that is loaded: protein structures, contacts, embeddings and logits from sequences.
///
/// `model` is None for the one that is built in, the path of a model file, or the name of one in the user's
/// folder of models (what `foldpoint models` lists). `threads` is by default all processors; `memory_limit`
/// is in bytes, or text such as "2G", by default what the system allows. `isa` is an instruction set that
/// `foldpoint info` prints. `verify=False` leaves out the check of the file's checksums.
///
/// The results are the same, bit for bit, on every machine, instruction set and number of threads. The
/// interpreter runs other threads meanwhile, and Ctrl-C stops a run between two steps.
///
/// Raises ModelError if the model cannot be used.
#[pyclass(module = "foldpoint", frozen)]
pub struct Model {
    loaded: Arc<Loaded>,
    session: Session,
    path: Option<PathBuf>,
    isa: String,
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (model=None, *, threads=None, memory_limit=None, isa="auto", verify=true))]
    fn new(
        py: Python<'_>,
        model: Option<PathBuf>,
        threads: Option<usize>,
        memory_limit: Option<Bytes>,
        isa: &str,
        verify: bool,
    ) -> PyResult<Self> {
        let threads = match threads.map(NonZeroUsize::new) {
            Some(None) => return Err(PyValueError::new_err("threads: expected at least 1")),
            Some(Some(threads)) => threads,
            None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        };
        let limit = memory_limit.map(Bytes::read).transpose()?;
        let set = instruction_set(isa)?;
        let loaded = py.detach(|| {
            let model = match &model {
                Some(path) => ModelFile::find(path)?,
                None => ModelFile::embedded()?,
            };
            if verify {
                model.verify()?;
            }
            Loaded::load(model, set)
        });
        let loaded = Arc::new(loaded.map_err(error::of_model)?);
        Ok(Self { loaded, session: Session::new(threads.get(), limit), path: model, isa: isa.to_owned() })
    }

    /// The model that a checkpoint of the HuggingFace hub, such as "facebook/esm2_t33_650M_UR50D", was
    /// quantized to: the one of its name in the user's folder of models.
    ///
    /// `options` are those of `Model`. Raises ModelError if there is none: the checkpoint has to be quantized
    /// first.
    #[staticmethod]
    #[pyo3(signature = (name, **options))]
    fn from_pretrained<'py>(
        py: Python<'py>,
        name: &str,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let repository = name.split('@').next().unwrap_or(name);
        let stem = repository.rsplit('/').next().unwrap_or(repository);
        let store = Store::of_user().map_err(|error| ModelError::new_err(error.to_string()))?;
        let Some(path) = store.find(stem) else {
            let folder = store.folder().display();
            return Err(ModelError::new_err(format!(
                "{name}: there is no model `{stem}` in {folder}; expected it to be quantized before: `quantizer {name}`"
            )));
        };
        py.get_type::<Self>().call((path,), options)
    }

    /// Path of the model file, or "embedded model".
    #[getter]
    fn name(&self) -> &str {
        self.loaded.model().name()
    }

    /// Whether it can fold.
    #[getter]
    fn folds(&self) -> bool {
        self.loaded.model().folds()
    }

    /// What it is: "language model", "ESMFold" (which has a language model, too) or "OmegaFold" (whose
    /// language model gives nothing by itself).
    #[getter]
    fn kind(&self) -> String {
        self.loaded.model().kind().to_string()
    }

    /// Layers of the language model; hidden states are numbered from 0 (the embedding) to this.
    #[getter]
    fn layers(&self) -> PyResult<usize> {
        Ok(self.language_model()?.model().config().layers)
    }

    /// Values of a hidden state.
    #[getter]
    fn width(&self) -> PyResult<usize> {
        Ok(self.language_model()?.model().config().width)
    }

    /// Threads.
    #[getter]
    fn threads(&self) -> usize {
        self.session.threads()
    }

    /// The instruction set that it runs on.
    #[getter]
    fn isa(&self) -> &str {
        self.loaded.isa().name()
    }

    /// Folds one sequence; `:` or `/` separates the chains of a complex.
    ///
    /// `id` is what files of the structure call it. `recycles` is how often the structure goes through an
    /// ESMFold again, by default as it was trained. `cycles` and `rows` are an OmegaFold's: passes, of which
    /// the best is the result, and rows of its pseudo-MSA. `pae=False` leaves the predicted aligned errors
    /// out.
    ///
    /// Raises ValueError about a sequence that is none, MemoryError if it is too long for the memory there
    /// is, ModelError if the model does not fold.
    #[pyo3(signature = (sequence, *, id="", recycles=None, cycles=None, rows=None, pae=true))]
    #[expect(clippy::too_many_arguments, reason = "they are Python's, and have names")]
    fn fold(
        &self,
        py: Python<'_>,
        sequence: &str,
        id: &str,
        recycles: Option<u16>,
        cycles: Option<u16>,
        rows: Option<u16>,
        pae: bool,
    ) -> PyResult<Structure> {
        let engine = self.loaded.fold_engine(FoldOptions { recycles, cycles, rows, aligned_error: pae })?;
        let sequence = one(py, sequence, id, Use::Folding(self.loaded.model().kind()))?;
        let prediction = self.session.one(py, &engine, &sequence, "")?;
        let provenance = engine.provenance(self.loaded.model()).map_err(error::of_model)?;
        Ok(Structure::new(sequence, prediction, provenance))
    }

    /// Folds many sequences, and gives their structures one after another while it goes on.
    ///
    /// `sequences` is the path of a FASTA file (plain or gzipped, or a folder of them), or an iterable of
    /// strings, of (identifier, string), or of objects with `id` and `seq`. With `progress=True` a line on
    /// the standard error says how far it is; a function is called with the number done and that of all.
    /// With `errors="return"` the exception of a sequence that can't be folded comes in place of its
    /// structure; with "raise" it is raised in its turn.
    ///
    /// Raises as `fold` does, and OSError about a file that can't be read.
    #[pyo3(signature = (
        sequences, *, recycles=None, cycles=None, rows=None, pae=true, progress=None, errors="raise"
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are Python's, and have names")]
    fn fold_many(
        &self,
        sequences: &Bound<'_, PyAny>,
        recycles: Option<u16>,
        cycles: Option<u16>,
        rows: Option<u16>,
        pae: bool,
        progress: Option<Bound<'_, PyAny>>,
        errors: &str,
    ) -> PyResult<FoldMany> {
        let py = sequences.py();
        let raise = match errors {
            "raise" => true,
            "return" => false,
            other => {
                return Err(PyValueError::new_err(format!(
                    "errors: expected \"raise\" or \"return\", got {other:?}"
                )));
            }
        };
        let input = Input::records(sequences, Use::Folding(self.loaded.model().kind()))?;
        let progress = match progress {
            Some(given) if given.is_callable() => Some(given.unbind()),
            Some(given) if given.is_truthy()? => {
                Some(py.import("foldpoint._progress")?.call_method0("bar")?.unbind())
            }
            _ => None,
        };
        let options = FoldOptions { recycles, cycles, rows, aligned_error: pae };
        let folding = Folding { loaded: Arc::clone(&self.loaded), options };
        FoldMany::start(folding, self.session.runner(py)?, input, raise, progress)
    }

    /// Hidden states of the language model, float32.
    ///
    /// `sequences` is one string, the path of a FASTA file (a `pathlib.Path`), or an iterable as that of
    /// `fold_many`. `layers` is the number of a hidden state, 0 (the embedding) to `layers` (the last, after
    /// the final LayerNorm), negative ones from the end; or several. `pool` is "mean" (over residues), "cls"
    /// (the token before them), or None.
    ///
    /// With `pool`: [N, width] for N sequences; without: a list of [L, width]. Several layers are an axis
    /// before the last one or two: [N, layers, width], [layers, L, width]. One string has no axis N, and is
    /// no list. Residues are those of all chains of a complex, without <cls>, <eos> and linkers.
    ///
    /// Raises ValueError about a sequence or a layer, MemoryError if a sequence is too long.
    #[pyo3(signature = (sequences, *, layers=None, pool=None))]
    fn embed<'py>(
        &self,
        sequences: &Bound<'py, PyAny>,
        layers: Option<&Bound<'py, PyAny>>,
        pool: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = sequences.py();
        let engine = self.language_model()?;
        let layers = Layers::new(layers, self.layers()?)?;
        let pool = pool.map(Pool::new).transpose()?;
        let input = Input::sequences(sequences, Use::LanguageModel)?.all()?;
        let request = Request { layers: layers.numbers.clone(), ..Request::default() };
        let task = Requests { engine, request: &request };
        let width = self.width()?;
        let made = self.session.all(
            py,
            &task,
            &input.sequences,
            |index| input.label(index),
            |prediction| embedding(&prediction, width, pool),
        )?;
        let of_layers: &[usize] = if layers.is_one { &[] } else { &[layers.numbers.len()] };
        if pool.is_some() {
            let of_all: &[usize] = if input.is_one { &[] } else { &[made.len()] };
            return array(py, &[of_all, of_layers, &[width]].concat(), made.concat());
        }
        let shaped = input.sequences.iter().zip(made).map(|(sequence, values)| {
            array(py, &[of_layers, &[sequence.residues.len(), width]].concat(), values)
        });
        one_or_list(py, shaped, input.is_one)
    }

    /// Probabilities that residues are in contact (CB atoms within 8 angstrom): float32 [L, L], 0 to 1.
    ///
    /// `sequences` as for `embed`; several give a list. Raises ModelError if the model has no contact head.
    fn contacts<'py>(&self, sequences: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = sequences.py();
        let input = Input::sequences(sequences, Use::LanguageModel)?.all()?;
        let request = Request { contacts: true, ..Request::default() };
        let task = Requests { engine: self.language_model()?, request: &request };
        let finish = |prediction: Prediction| contact_map::decode(&prediction.contacts.unwrap_or_default());
        let maps = self.session.all(py, &task, &input.sequences, |index| input.label(index), finish)?;
        let shaped = input.sequences.iter().zip(maps).map(|(sequence, values)| {
            let length = sequence.residues.len();
            Ok(Array2::from_shape_vec((length, length), values).map_err(shape)?.into_pyarray(py).into_any())
        });
        one_or_list(py, shaped, input.is_one)
    }

    /// Logits of the language model for each residue: float32 [L, 20], columns as `AMINO_ACIDS`.
    ///
    /// With `all_tokens=True` [L, 33], columns as `TOKENS`. `sequences` as for `embed`; several give a list.
    /// Raises ModelError if the model has no language-model head.
    #[pyo3(signature = (sequences, *, all_tokens=false))]
    fn logits<'py>(&self, sequences: &Bound<'py, PyAny>, all_tokens: bool) -> PyResult<Bound<'py, PyAny>> {
        let py = sequences.py();
        let engine = self.language_model()?;
        let vocab = engine.model().config().vocab;
        let first = usize::from(FIRST_RESIDUE);
        let columns = if all_tokens { 0..vocab } else { first..first + STANDARD };
        if columns.end > vocab {
            let name = self.name();
            return Err(ModelError::new_err(format!("{name}: its alphabet has {vocab} tokens")));
        }
        let input = Input::sequences(sequences, Use::LanguageModel)?.all()?;
        let request = Request { logits: true, ..Request::default() };
        let task = Requests { engine, request: &request };
        let made = self.session.all(
            py,
            &task,
            &input.sequences,
            |index| input.label(index),
            |prediction: Prediction| -> Vec<f32> {
                let logits = prediction.logits.unwrap_or_default();
                let rows = residues(&logits, prediction.length, vocab).chunks_exact(vocab);
                rows.flat_map(|row| row[columns.clone()].iter().map(|&value| decode(value))).collect()
            },
        )?;
        let shaped = input
            .sequences
            .iter()
            .zip(made)
            .map(|(sequence, values)| array(py, &[sequence.residues.len(), columns.len()], values));
        one_or_list(py, shaped, input.is_one)
    }

    /// How the language model judges variants of `wild_type`, one chain: float64, in natural logarithms,
    /// below 0 what it finds less likely than the wild type.
    ///
    /// `variants` are such as "A12V", or "A12V:G45D" for one of several mutations, and give [N]; the first
    /// residue has the number `offset`. Without them all substitutions are scored: [L, 20], columns as
    /// `AMINO_ACIDS`. `strategy` is "wt-marginals" (one run) or "masked-marginals" (one for each residue, in
    /// which it is masked; better, and L times as long). `window` is "optimal", or for wt-marginals
    /// "overlapping": the average of windows, where there are more than 1,022 residues. These are the numbers
    /// of `foldpoint score`.
    ///
    /// Raises ValueError about the sequence or a variant, ModelError if the model has no language-model head.
    #[pyo3(signature = (wild_type, variants=None, *, strategy="wt-marginals", window="optimal", offset=1))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        wild_type: &str,
        variants: Option<Bound<'py, PyAny>>,
        strategy: &str,
        window: &str,
        offset: i64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.language_model()?;
        let strategy = score::strategy(strategy, window)?;
        let wild_type = one(py, wild_type, "", Use::SingleChain)?;
        let marginals = |at| score::marginals(py, &self.session, engine, &wild_type, strategy, &at);
        let value = |score: Option<i64>| score.map_or(f64::NAN, decode_score);
        if let Some(variants) = variants {
            let mutations = score::mutations(&variants, offset, &wild_type)?;
            let marginals = marginals(mutations.iter().flatten().map(|mutation| mutation.at).collect())?;
            let scores = mutations.iter().map(|mutations| value(marginals.score(mutations)));
            return Ok(Array1::from_iter(scores).into_pyarray(py).into_any());
        }
        let length = wild_type.residues.len();
        let marginals = marginals((0..length).collect())?;
        let scores = wild_type.residues.iter().enumerate().flat_map(|(at, &from)| {
            let marginals = &marginals;
            // X and the like have no substitutions.
            let known = RESIDUES[..STANDARD].contains(&from);
            let score = move |&to| match known {
                true => value(marginals.score(&[Mutation { from, at, to }])),
                false => f64::NAN,
            };
            RESIDUES[..STANDARD].iter().map(score)
        });
        let scores = Array2::from_shape_vec((length, STANDARD), scores.collect()).map_err(shape)?;
        Ok(scores.into_pyarray(py).into_any())
    }

    /// A SHA-256 of all integers that the model computes of the sequences: that of `foldpoint digest`.
    ///
    /// `sequences` as for `embed`. `fold=False` leaves structures out, which take most of the time.
    #[pyo3(signature = (sequences, *, fold=true))]
    fn digest(&self, sequences: &Bound<'_, PyAny>, fold: bool) -> PyResult<String> {
        let kind = self.loaded.model().kind();
        let fold = fold && self.folds();
        let engine = match kind {
            // It has nothing else.
            Kind::OmegaFold if fold => None,
            _ => Some(self.language_model()?),
        };
        let purpose = if fold { Use::Folding(kind) } else { Use::LanguageModel };
        let input = Input::sequences(sequences, purpose)?.all()?;
        let request = engine.map_or_else(Request::default, |engine| {
            let model = engine.model();
            let layers = vec![model.config().layers];
            Request { contacts: model.has_contact_head(), logits: model.has_lm_head(), layers }
        });
        let outputs = engine.map(|engine| Requests { engine, request: &request });
        let fold_engine = fold.then(|| self.loaded.fold_engine(FoldOptions::default())).transpose()?;
        let task = Everything { outputs, fold_engine };
        let label = |index| input.label(index);
        let digests = self.session.all(sequences.py(), &task, &input.sequences, label, |digest| digest)?;
        Ok(of_all(digests).to_string())
    }

    fn __repr__(&self) -> String {
        format!("<foldpoint.Model {}: {}, {} threads>", self.name(), self.kind(), self.threads())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        let (py, model) = (slf.py(), slf.get());
        let options = PyDict::new(py);
        // Wherever it is opened again. A name has no file of that name.
        let absolute =
            |path: &PathBuf| if path.exists() { std::path::absolute(path) } else { Ok(path.clone()) };
        options.set_item("model", model.path.as_ref().map(absolute).transpose()?)?;
        options.set_item("threads", model.threads())?;
        options.set_item("memory_limit", model.session.limit())?;
        options.set_item("isa", &model.isa)?;
        // It was checked here, if it was wanted.
        options.set_item("verify", false)?;
        Ok((py.import("foldpoint._foldpoint")?.getattr("_model")?, (options,)))
    }
}

impl Model {
    fn language_model(&self) -> PyResult<&Engine<'_>> {
        self.loaded.language_model().map_err(error::of_model)
    }
}

/// The model that a pickle stands for: its file is opened again.
#[pyfunction]
#[pyo3(name = "_model")]
pub fn unpickle<'py>(options: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    options.py().get_type::<Model>().call((), Some(options))
}

/// A size of memory, in bytes or as text.
#[derive(FromPyObject)]
enum Bytes {
    Number(u64),
    Text(String),
}

impl Bytes {
    fn read(self) -> PyResult<u64> {
        match self {
            Self::Number(bytes) => Ok(bytes),
            Self::Text(text) => parse_bytes(&text)
                .map_err(|expected| PyValueError::new_err(format!("memory_limit: {expected}"))),
        }
    }
}

fn instruction_set(name: &str) -> PyResult<Isa> {
    if name == "auto" {
        return Ok(Isa::best());
    }
    Isa::by_name(name).ok_or_else(|| {
        let names: Vec<&str> = Isa::all().map(|isa| isa.name()).collect();
        PyValueError::new_err(format!("isa: this machine runs auto, {}", names.join(", ")))
    })
}

/// Values as an array that owns them.
fn array<'py>(py: Python<'py>, dimensions: &[usize], values: Vec<f32>) -> PyResult<Bound<'py, PyAny>> {
    Ok(ArrayD::from_shape_vec(dimensions, values).map_err(shape)?.into_pyarray(py).into_any())
}

/// The array of the one sequence, or a list of those of all.
fn one_or_list<'py>(
    py: Python<'py>,
    mut arrays: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>,
    is_one: bool,
) -> PyResult<Bound<'py, PyAny>> {
    match arrays.next() {
        Some(array) if is_one => array,
        first => {
            let arrays: Vec<_> = first.into_iter().chain(arrays).collect::<PyResult<_>>()?;
            Ok(PyList::new(py, arrays)?.into_any())
        }
    }
}

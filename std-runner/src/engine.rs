//! One sequence through the model: letters in, integers out.

use foldpoint_core::alphabet::tokens;
use foldpoint_core::chains::joined_length;
use foldpoint_core::esm::{self, Event, HiddenLayers, LanguageModel, RunError};
use foldpoint_core::{Executor, Isa, Runtime};
use std::ops::ControlFlow;

use crate::arena::Arena;
use crate::complex::Complex;
use crate::task::{Hook, Progress, Task, TaskError};
use crate::work::{LanguageModelWork, Work};
use crate::workers::Workers;
use fasta::Sequence;

/// Fraction bits of hidden states, logits and contact probabilities.
pub const FRACTION_BITS: u32 = 16;

/// What to compute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Contact probabilities.
    pub contacts: bool,
    /// Language-model logits.
    pub logits: bool,
    /// Hidden states to keep: 0 is the embedding, k the output of layer k, the last one after the final
    /// LayerNorm.
    pub layers: Vec<usize>,
}

/// Outputs of one sequence, as integers in units of 2^-16.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prediction {
    /// Number of residues, L; those of all chains, without linkers.
    pub length: usize,
    /// Probabilities `[L, L]`.
    pub contacts: Option<Vec<u16>>,
    /// Logits `[L + 2, vocab]`, with `<cls>` and `<eos>`.
    pub logits: Option<Vec<i32>>,
    /// One matrix `[L + 2, width]` for each of [`Request::layers`], with `<cls>` and `<eos>`.
    pub hidden: Vec<Vec<i32>>,
}

/// A model and the instruction set that runs it.
#[derive(Clone)]
pub struct Engine<'a> {
    model: LanguageModel<'a>,
    isa: Isa,
}

impl<'a> Engine<'a> {
    /// Runs `model` on `isa`.
    pub fn new(model: LanguageModel<'a>, isa: Isa) -> Self {
        Self { model, isa }
    }

    /// The model.
    pub fn model(&self) -> &LanguageModel<'a> {
        &self.model
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Bytes of core's arena for `length` residues with `workers` threads inside.
    ///
    /// # Errors
    /// [`RunError`] if the model cannot do it at all.
    pub fn arena_bytes(&self, length: usize, workers: usize, request: &Request) -> Result<u64, RunError> {
        let workers = Workers(workers);
        let runtime = Runtime::new(self.isa, &workers);
        Ok(self.model.arena_bytes(length.saturating_add(2), &self.asked(request), &runtime)? as u64)
    }

    /// Bytes that a sequence of `length` residues needs with `workers` threads inside: core's arena and the
    /// outputs.
    ///
    /// # Errors
    /// [`RunError`] if the model cannot do it at all.
    pub fn bytes_needed(&self, length: usize, workers: usize, request: &Request) -> Result<u64, RunError> {
        let tokens = length.saturating_add(2);
        let config = self.model.config();
        let arena = self.arena_bytes(length, workers, request)?;
        // Outputs are held as integers and once more as floats while they are written.
        let values = |rows: usize, columns: usize| rows as u64 * columns as u64;
        let mut outputs = values(tokens, config.width) * 8 * request.layers.len() as u64;
        if request.logits {
            outputs += values(tokens, config.vocab) * 8;
        }
        if request.contacts {
            outputs += values(length, length) * 6;
        }
        Ok(arena + outputs)
    }

    /// Runs one sequence of upper-case letters, or `_` for masks, in `arena`, which grows as needed.
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn run(
        &self,
        residues: &[u8],
        request: &Request,
        arena: &mut Arena,
        executor: &dyn Executor,
    ) -> Result<Prediction, TaskError> {
        self.run_with(residues, request, arena, executor, &|_| ControlFlow::Continue(()))
    }

    /// As [`run`](Self::run); `hook` is told of every layer and can break off the run.
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn run_with(
        &self,
        residues: &[u8],
        request: &Request,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<Prediction, TaskError> {
        let last = self.model.config().layers;
        if let Some(&layer) = request.layers.iter().find(|&&layer| layer > last) {
            return Err(TaskError::NoLayer { layer, last });
        }
        let tokens: Vec<u8> = tokens(residues).collect();
        let asked = self.asked(request);
        let runtime = Runtime::new(self.isa, executor);
        arena.reserve(self.model.arena_bytes(tokens.len(), &asked, &runtime)?)?;
        let width = self.model.config().width;
        let mut hidden = vec![vec![0; tokens.len() * width]; request.layers.len()];
        let work = self.work(residues.len(), request);
        let outputs =
            self.model.run_with(&tokens, &asked, arena.bytes(), &runtime, &mut |event| match event {
                Event::Hidden(row) => {
                    for (layer, matrix) in request.layers.iter().zip(&mut hidden) {
                        if *layer == row.layer {
                            matrix[row.token * width..][..width].copy_from_slice(row.values);
                        }
                    }
                    ControlFlow::Continue(())
                }
                Event::Layer { layer } => hook(&Progress { text: "", done: work.layers(layer + 1) }),
                _ => ControlFlow::Continue(()),
            })?;
        let contacts = outputs.contacts.map(<[u16]>::to_vec);
        let logits = outputs.logits.map(<[i32]>::to_vec);
        Ok(Prediction { length: residues.len(), contacts, logits, hidden })
    }

    /// The logits `[tokens, vocabulary]` of `tokens`, which may be a piece of a longer sequence
    /// ([`esm::Request::piece`]), in `arena`, which grows as needed.
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn logits<'m>(
        &self,
        tokens: &[u8],
        arena: &'m mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<&'m [i32], TaskError> {
        let request = esm::Request::default().logits(true).piece(true);
        let runtime = Runtime::new(self.isa, executor);
        arena.reserve(self.model.arena_bytes(tokens.len(), &request, &runtime)?)?;
        let work = LanguageModelWork::new(self.model.config(), tokens.len(), &request);
        let mut progress = |event: Event| match event {
            Event::Layer { layer } => hook(&Progress { text: "", done: work.layers(layer + 1) }),
            _ => ControlFlow::Continue(()),
        };
        let outputs = self.model.run_with(tokens, &request, arena.bytes(), &runtime, &mut progress)?;
        Ok(outputs.logits.unwrap_or_default())
    }

    /// How much work `length` residues are.
    pub fn work(&self, length: usize, request: &Request) -> LanguageModelWork {
        LanguageModelWork::new(self.model.config(), length.saturating_add(2), &self.asked(request))
    }

    fn asked(&self, request: &Request) -> esm::Request {
        let last = self.model.config().layers;
        let hidden = match request.layers.as_slice() {
            [] => HiddenLayers::None,
            [layer] if *layer == last => HiddenLayers::Last,
            _ => HiddenLayers::All,
        };
        esm::Request::default().contacts(request.contacts).logits(request.logits).hidden(hidden)
    }
}

/// One request for every sequence of a batch.
#[derive(Clone, Copy)]
pub struct Requests<'e, 'a> {
    /// Model and instruction set.
    pub engine: &'e Engine<'a>,
    /// What to compute.
    pub request: &'e Request,
}

impl Task for Requests<'_, '_> {
    type Output = Prediction;
    const SHORT: usize = 400;

    fn configured_for(&self) -> usize {
        self.engine.model.config().max_positions.saturating_sub(2)
    }

    fn length(&self, sequence: &Sequence) -> usize {
        joined_length(&sequence.chain_lengths)
    }

    fn arena_bytes(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        Ok(self.engine.arena_bytes(length, workers, self.request)?)
    }

    fn bytes_needed(&self, length: usize, workers: usize) -> Result<u64, TaskError> {
        Ok(self.engine.bytes_needed(length, workers, self.request)?)
    }

    fn work(&self, length: usize) -> Work {
        self.engine.work(length, self.request).all()
    }

    fn run_with(
        &self,
        sequence: &Sequence,
        arena: &mut Arena,
        executor: &dyn Executor,
        hook: &Hook,
    ) -> Result<Prediction, TaskError> {
        let complex = Complex::new(sequence.chains());
        let prediction = self.engine.run_with(&complex.residues, self.request, arena, executor, hook)?;
        Ok(prediction.without_linkers(&complex))
    }
}

impl Prediction {
    /// The prediction for joined chains without the rows, and the columns of contacts, of linkers.
    #[must_use]
    fn without_linkers(self, complex: &Complex) -> Self {
        let kept: Vec<usize> = complex.kept().collect();
        let all = self.length;
        if kept.len() == all {
            return self;
        }
        let contacts = self.contacts.map(|map| {
            let row = |i: &usize| &map[i * all..][..all];
            kept.iter().map(row).flat_map(|row| kept.iter().map(move |&j| row[j])).collect()
        });
        // <cls> before the residues and <eos> after them.
        let tokens: Vec<usize> =
            std::iter::once(0).chain(kept.iter().map(|i| i + 1)).chain([all + 1]).collect();
        let rows = |matrix: Vec<i32>| {
            let width = matrix.len() / (all + 2);
            tokens.iter().flat_map(|token| &matrix[token * width..][..width]).copied().collect()
        };
        Self {
            length: kept.len(),
            contacts,
            logits: self.logits.map(rows),
            hidden: self.hidden.into_iter().map(rows).collect(),
        }
    }
}

/// An integer in units of 2^-16 as a float (rounded to the nearest where it has more than 24 significant
/// bits).
pub fn decode(value: i32) -> f32 {
    value as f32 / (1u32 << FRACTION_BITS) as f32
}

/// A probability in units of 2^-16 as a float; exact.
pub fn decode_probability(value: u16) -> f32 {
    decode(i32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linkers_are_cut_from_every_output() {
        let complex = Complex::new([&b"MK"[..], b"V"].into_iter());
        let length = complex.residues.len();
        assert_eq!(length, 28);
        let matrix = |width: usize| -> Vec<i32> { (0..(length + 2) * width).map(|at| at as i32).collect() };
        let prediction = Prediction {
            length,
            contacts: Some((0..length * length).map(|at| at as u16).collect()),
            logits: Some(matrix(1)),
            hidden: vec![matrix(2), matrix(1)],
        };
        let cut = prediction.without_linkers(&complex);
        assert_eq!(cut.length, 3);
        let contacts = [0, 1, 27, 28, 29, 28 + 27, 27 * 28, 27 * 28 + 1, 27 * 28 + 27];
        assert_eq!(cut.contacts.expect("contacts"), contacts);
        assert_eq!(cut.logits.expect("logits"), [0, 1, 2, 28, 29]);
        assert_eq!(cut.hidden, [vec![0, 1, 2, 3, 4, 5, 56, 57, 58, 59], vec![0, 1, 2, 28, 29]]);
    }

    #[test]
    fn a_layer_that_the_model_has_not_is_refused() {
        let model =
            crate::model::Model::from_bytes("tiny", include_bytes!("../../examples/bare-metal/tiny.fpm"));
        let model = model.expect("a model");
        let engine = Engine::new(model.language_model().expect("a language model"), Isa::best());
        let request = Request { layers: vec![0, 3], ..Request::default() };
        let refused = engine.run(b"MKV", &request, &mut Arena::default(), &foldpoint_core::Serial);
        assert!(matches!(refused, Err(TaskError::NoLayer { layer: 3, last: 2 })));
    }

    #[test]
    fn a_single_chain_stays_as_it_is() {
        let complex = Complex::new([&b"MK"[..]].into_iter());
        let prediction = Prediction {
            length: 2,
            contacts: Some(vec![1, 2, 3, 4]),
            logits: None,
            hidden: vec![vec![7; 4]],
        };
        assert_eq!(prediction.clone().without_linkers(&complex), prediction);
    }
}

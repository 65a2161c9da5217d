//! Sequences on their way through the layers of the language model.

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};

use super::contact_head::{ContactHead, ContactLogits};
use super::lm_head::LmHead;
use super::observer::{Observer, Tap};
use super::ops::{to_vec, with_values};
use super::{Layer, Outputs, Reference, ReferenceError, Rotary, Want};
use crate::work::Floats;

/// Tokens that go through a layer's Linears together, unless one sequence alone has more: products of many
/// rows are quicker than as many of few.
pub(crate) const TOKENS_TOGETHER: usize = 4096;

/// A batch of sequences between two layers.
pub struct Run {
    want: Want,
    /// The layer that comes next.
    layer: usize,
    rotary: Rotary,
    contact_head: Option<ContactHead>,
    lm_head: Option<LmHead>,
    groups: Vec<Group>,
    outputs: Vec<Outputs>,
}

/// Consecutive sequences that go through Linears together.
struct Group {
    /// The number of its first sequence.
    first: usize,
    /// Tokens of each sequence.
    lengths: Vec<usize>,
    /// The residual stream of all, one after another: `[tokens, width]`.
    x: Tensor,
    /// Of each sequence, if contacts are wanted; sequences pass attention side by side.
    contacts: Vec<Mutex<ContactLogits>>,
}

impl Run {
    /// The layer that comes next: as many as there are layers if all have run.
    pub fn next_layer(&self) -> usize {
        self.layer
    }

    /// The residual streams: what [`Reference::resume`] takes.
    ///
    /// # Errors
    /// They can't be read.
    pub fn streams(&self) -> Result<Vec<Floats>, ReferenceError> {
        self.groups.iter().map(|group| Ok(Floats(to_vec(&group.x)?))).collect()
    }
}

/// Consecutive sequences by their lengths: those of a group have up to [`TOKENS_TOGETHER`] tokens.
fn groups(lengths: &[usize]) -> Vec<&[usize]> {
    let (mut groups, mut rest) = (Vec::new(), lengths);
    while !rest.is_empty() {
        let mut tokens = 0;
        let fitting = rest.iter().take_while(|&&length| {
            tokens += length;
            tokens <= TOKENS_TOGETHER
        });
        let (group, others) = rest.split_at(fitting.count().max(1));
        groups.push(group);
        rest = others;
    }
    groups
}

impl Reference<'_> {
    /// Embeds every sequence.
    ///
    /// # Errors
    /// As [`Reference::run_batch`].
    pub fn begin<S: AsRef<[u8]>>(&self, sequences: &[S], want: Want) -> Result<Run, ReferenceError> {
        let lengths: Vec<usize> = sequences.iter().map(|tokens| tokens.as_ref().len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut run = Run {
            want,
            layer: 0,
            rotary: Rotary::new(longest, &self.checkpoint().rotary_frequencies()?),
            contact_head: want.contacts.then(|| ContactHead::load(self.checkpoint())).transpose()?,
            lm_head: want.logits.then(|| LmHead::load(self.checkpoint())).transpose()?,
            groups: Vec::new(),
            outputs: vec![Outputs::default(); sequences.len()],
        };
        let mut first = 0;
        for lengths in groups(&lengths) {
            let mut values = Vec::new();
            for (i, tokens) in (first..).zip(&sequences[first..first + lengths.len()]) {
                self.embed(i, tokens.as_ref(), &mut values)?;
            }
            let shape = (lengths.iter().sum::<usize>(), self.checkpoint().config().width);
            let residues = lengths.iter().filter(|_| want.contacts).map(|length| length - 2);
            run.groups.push(Group {
                first,
                lengths: lengths.to_vec(),
                x: Tensor::from_vec(values, shape, &Device::Cpu)?,
                contacts: residues.map(|residues| Mutex::new(ContactLogits::new(residues))).collect(),
            });
            first += lengths.len();
        }
        Ok(run)
    }

    /// A run of the same `sequences` that was left before layer `layer` with these `streams`. It wants no
    /// contacts and no hidden states, which come from all layers.
    ///
    /// # Errors
    /// As [`Reference::run_batch`]; also streams of other sequences.
    pub fn resume<S: AsRef<[u8]>>(
        &self,
        sequences: &[S],
        want: Want,
        layer: usize,
        streams: Vec<Floats>,
    ) -> Result<Run, ReferenceError> {
        let mut run = self.begin(sequences, want)?;
        run.layer = layer;
        for (group, Floats(values)) in run.groups.iter_mut().zip(streams) {
            group.x = Tensor::from_vec(values, group.x.shape(), &Device::Cpu)?;
        }
        Ok(run)
    }

    /// Runs every sequence through the next layer.
    ///
    /// # Errors
    /// As [`Reference::run_batch`].
    pub fn layer(&self, run: &mut Run, observer: &mut dyn Observer) -> Result<(), ReferenceError> {
        let Run { want, layer: index, rotary, contact_head, groups, outputs, .. } = run;
        let layer = Layer::load(self.checkpoint(), *index)?;
        for Group { first, lengths, x, contacts } in groups {
            let outputs = &mut outputs[*first..][..lengths.len()];
            if want.hidden {
                split(x, lengths, |i, values| outputs[i].hidden.push(values.to_vec()))?;
            }
            let add_map = |sequence: usize, head: usize, map: &[f32]| {
                if let (Some(logits), Some(contact_head)) = (contacts.get(sequence), &contact_head) {
                    let mut logits = logits.lock().unwrap_or_else(PoisonError::into_inner);
                    logits.add(map, contact_head.weights[*index * layer.heads + head]);
                }
            };
            let tap = &mut Tap::language_model(observer, *first, lengths);
            *x = layer.forward(x, lengths, rotary, tap, &add_map)?;
            (*first..*first + lengths.len()).for_each(|sequence| observer.layer_done(*index, sequence));
        }
        *index += 1;
        Ok(())
    }

    /// What comes after the last layer.
    ///
    /// # Errors
    /// As [`Reference::run_batch`].
    pub fn finish(&self, run: Run, observer: &mut dyn Observer) -> Result<Vec<Outputs>, ReferenceError> {
        let Run { want, contact_head, lm_head, groups, mut outputs, .. } = run;
        for Group { first, lengths, x, contacts } in groups {
            let outputs = &mut outputs[first..][..lengths.len()];
            let mut tap = Tap::language_model(observer, first, &lengths);
            tap.show("norm", &x)?;
            let hidden = self.norm().forward(&x)?;
            if want.hidden {
                split(&hidden, &lengths, |i, values| outputs[i].hidden.push(values.to_vec()))?;
            }
            if let Some(head) = &contact_head {
                for (output, logits) in outputs.iter_mut().zip(contacts) {
                    output.contacts =
                        logits.into_inner().unwrap_or_else(PoisonError::into_inner).finish(head);
                }
            }
            if let Some(head) = &lm_head {
                let logits = head.forward(&hidden, &mut tap)?;
                split(&logits, &lengths, |i, values| outputs[i].logits = values.to_vec())?;
            }
        }
        Ok(outputs)
    }
}

/// Calls `f` with the number and the rows of each sequence in `x`, of which each has as many as `lengths`
/// says.
fn split(x: &Tensor, lengths: &[usize], mut f: impl FnMut(usize, &[f32])) -> Result<(), ReferenceError> {
    let (_, channels) = x.dims2()?;
    with_values(x, |mut rest| {
        for (i, length) in lengths.iter().enumerate() {
            let (rows, others) = rest.split_at(length * channels);
            f(i, rows);
            rest = others;
        }
    })
}

//! Lets calibration see the values inside a forward pass.

use std::fmt;

use candle_core::Tensor;
use rayon::prelude::*;

use super::ReferenceError;
use super::ops::with_values;

/// A place in the network whose values are quantized: what one or several Linears or a LayerNorm read, or an
/// operand of a triangle product.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// What reads the values, as it is called in a model file (`lm.layers.3.ffn.up`,
    /// `fold.trunk.3.pair_transition.norm`).
    pub name: String,
    /// The pass through trunk and structure module, from 0; 0 before and the last after them.
    pub pass: usize,
    /// The iteration of the structure module, from 0; 0 elsewhere.
    pub iteration: usize,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Is shown the values at every [`Site`] of a forward pass. The unit type looks at nothing.
pub trait Observer: Sync {
    /// Whether [`Observer::values`] shall be called for `site`.
    fn wants(&self, _site: &Site) -> bool {
        false
    }

    /// Receives `values` at `site` for one sequence of the batch: `[rows, channels]`, row-major. Rows are
    /// tokens, `<cls>` and `<eos>` included; residues; or pairs of residues (i, j) with j fastest.
    fn values(&mut self, _sequence: usize, _site: &Site, _values: &[f32], _channels: usize) {}

    /// Receives what several sequences have shown side by side, sequence by sequence.
    fn all_values(&mut self, shown: &[Shown]) {
        for Shown { sequence, site, values, channels } in shown {
            self.values(*sequence, site, values, *channels);
        }
    }

    /// Is called after each layer of the language model for each sequence, layer by layer.
    fn layer_done(&mut self, _layer: usize, _sequence: usize) {}

    /// Is called after each trunk block of each sequence in each pass, block by block.
    fn block_done(&mut self, _pass: usize, _block: usize, _sequence: usize) {}
}

impl Observer for () {}

/// What a sequence has shown at a site: the arguments of [`Observer::values`].
pub struct Shown {
    /// The sequence's number in the batch.
    pub sequence: usize,
    /// Where.
    pub site: Site,
    /// `[rows, channels]`.
    pub values: Vec<f32>,
    /// Channels.
    pub channels: usize,
}

/// What one sequence shows while others run beside it.
struct Recorder<'o> {
    observer: &'o dyn Observer,
    shown: Vec<Shown>,
}

impl Observer for Recorder<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.observer.wants(site)
    }

    fn values(&mut self, sequence: usize, site: &Site, values: &[f32], channels: usize) {
        self.shown.push(Shown { sequence, site: site.clone(), values: values.to_vec(), channels });
    }
}

/// Calls `work` for every sequence, some at the same time, since most operations between matrix products run
/// on one thread. `observer` is shown what `work` shows, sequence by sequence in order, and `done` is called
/// after each.
///
/// # Errors
/// Those of `work`.
pub(super) fn for_each_sequence<T: Send>(
    sequences: &mut [T],
    observer: &mut dyn Observer,
    work: impl Fn(usize, &mut T, &mut dyn Observer) -> Result<(), ReferenceError> + Sync,
    mut done: impl FnMut(usize, &mut dyn Observer),
) -> Result<(), ReferenceError> {
    // More than there are threads, for they differ in length; what they show is held meanwhile.
    let together = 2 * rayon::current_num_threads();
    let mut first = 0;
    for batch in sequences.chunks_mut(together) {
        let run = |(index, item): (usize, &mut T)| {
            let mut recorder = Recorder { observer: &*observer, shown: Vec::new() };
            work(first + index, item, &mut recorder).map(|()| recorder.shown)
        };
        let count = batch.len();
        let shown: Vec<_> = match batch {
            // Outside the pool, where its operations have all threads.
            [alone] => vec![run((0, alone))?],
            batch => batch.par_iter_mut().enumerate().map(run).collect::<Result<_, _>>()?,
        };
        let shown: Vec<Shown> = shown.into_iter().flatten().collect();
        observer.all_values(&shown);
        (first..first + count).for_each(|sequence| done(sequence, observer));
        first += count;
    }
    Ok(())
}

/// An observer looking at one part of the model while sequences pass.
pub struct Tap<'a> {
    observer: &'a mut dyn Observer,
    /// The number of the first sequence.
    sequence: usize,
    /// Rows of each of several sequences; empty if there is one.
    lengths: &'a [usize],
    site: Site,
}

impl<'a> Tap<'a> {
    /// Shows `observer` the language model's values of sequences from number `first` on, one after another,
    /// each of so many tokens as `lengths` says.
    pub fn language_model(observer: &'a mut dyn Observer, first: usize, lengths: &'a [usize]) -> Self {
        let site = Site { name: "lm".into(), pass: 0, iteration: 0 };
        Self { observer, sequence: first, lengths, site }
    }

    /// Shows `observer` the folding model's values of sequence number `sequence` in pass `pass`.
    pub fn fold(observer: &'a mut dyn Observer, sequence: usize, pass: usize) -> Self {
        Self { observer, sequence, lengths: &[], site: Site { name: "fold".into(), pass, iteration: 0 } }
    }

    /// The same tap in pass `pass`: of a language model that runs in every pass.
    pub(super) fn in_pass(self, pass: usize) -> Self {
        Self { site: Site { pass, ..self.site }, ..self }
    }

    /// The same tap at places below `part`.
    pub fn at(&mut self, part: impl fmt::Display) -> Tap<'_> {
        let name = format!("{}.{part}", self.site.name);
        let site = Site { name, ..self.site };
        Tap { observer: &mut *self.observer, site, ..*self }
    }

    /// The same tap in iteration `iteration` of the structure module.
    pub fn iteration(&mut self, iteration: usize) -> Tap<'_> {
        let site = Site { iteration, ..self.site.clone() };
        Tap { observer: &mut *self.observer, site, ..*self }
    }

    /// Shows the values of `tensor` at `place`. Its last dimension are the channels.
    pub(super) fn show(&mut self, place: impl fmt::Display, tensor: &Tensor) -> Result<(), ReferenceError> {
        let site = Site { name: format!("{}.{place}", self.site.name), ..self.site };
        if !self.observer.wants(&site) {
            return Ok(());
        }
        let channels = tensor.dims().last().copied().unwrap_or(1);
        with_values(tensor, |mut values| {
            if self.lengths.is_empty() {
                self.observer.values(self.sequence, &site, values, channels);
            }
            for (sequence, length) in (self.sequence..).zip(self.lengths) {
                let (rows, others) = values.split_at(length * channels);
                self.observer.values(sequence, &site, rows, channels);
                values = others;
            }
        })
    }
}

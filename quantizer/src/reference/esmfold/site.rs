//! Lets calibration see the values inside a folding pass.

use std::fmt;

use candle_core::Tensor;

use crate::reference::ReferenceError;
use crate::reference::observer::{Observer, Site};
use crate::reference::ops::with_values;

/// A place in the folding model whose values are quantized: what one or several Linears or a LayerNorm read, or an operand
/// of a triangle product. The [module](super) lists the names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FoldSite {
    /// The prefix of the tensor names that belong to it in a model file (`fold.trunk.3.pair_transition.up`).
    pub name: String,
    /// The pass through trunk and structure module, from 0; 0 before and the last after them.
    pub pass: usize,
    /// The iteration of the structure module, from 0; 0 elsewhere.
    pub iteration: usize,
}

impl fmt::Display for FoldSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Is shown the values at every [`FoldSite`], and those of the language model as an [`Observer`]. The unit type looks at
/// nothing.
pub trait FoldObserver: Observer {
    /// Whether [`FoldObserver::fold_values`] shall be called for `site`.
    fn wants_fold(&self, _site: &FoldSite) -> bool {
        false
    }

    /// Receives `values` at `site` for one sequence of the batch: `[rows, channels]`, row-major. Rows are residues, or
    /// pairs of residues (i, j) with j fastest.
    fn fold_values(&mut self, _sequence: usize, _site: &FoldSite, _values: &[f32], _channels: usize) {}

    /// Is called after each trunk block of each sequence in each pass, block by block.
    fn block_done(&mut self, _pass: usize, _block: usize, _sequence: usize) {}
}

impl FoldObserver for () {}

/// An observer looking at one part of the model while one sequence passes.
pub struct FoldTap<'a> {
    observer: &'a mut dyn FoldObserver,
    sequence: usize,
    site: FoldSite,
}

impl<'a> FoldTap<'a> {
    /// Shows `observer` the values of sequence number `sequence` in pass `pass`, at places below `fold`.
    pub fn new(observer: &'a mut dyn FoldObserver, sequence: usize, pass: usize) -> Self {
        Self { observer, sequence, site: FoldSite { name: "fold".into(), pass, iteration: 0 } }
    }

    /// The same tap at places below `part`.
    pub fn at(&mut self, part: impl fmt::Display) -> FoldTap<'_> {
        let name = format!("{}.{part}", self.site.name);
        FoldTap {
            observer: &mut *self.observer,
            sequence: self.sequence,
            site: FoldSite { name, ..self.site },
        }
    }

    /// The same tap in iteration `iteration` of the structure module.
    pub fn iteration(&mut self, iteration: usize) -> FoldTap<'_> {
        FoldTap {
            observer: &mut *self.observer,
            sequence: self.sequence,
            site: FoldSite { iteration, ..self.site.clone() },
        }
    }

    /// Shows the values of `tensor` at `place`. Its last dimension are the channels.
    pub(super) fn show(&mut self, place: impl fmt::Display, tensor: &Tensor) -> Result<(), ReferenceError> {
        let site = FoldSite { name: format!("{}.{place}", self.site.name), ..self.site };
        if !self.observer.wants_fold(&site) {
            return Ok(());
        }
        let channels = tensor.dims().last().copied().unwrap_or(1);
        with_values(tensor, |values| self.observer.fold_values(self.sequence, &site, values, channels))
    }
}

/// Sums the hidden states of the language model with weights while they pass by, and lets another observer look too.
pub(super) struct HiddenSum<'a> {
    /// Sees what the language model shows.
    pub observer: &'a mut dyn FoldObserver,
    /// One weight per hidden state that has not been through the final LayerNorm.
    pub weights: &'a [f64],
    /// One sum per sequence: `[tokens * width]`.
    pub sums: Vec<Vec<f64>>,
    /// What comes out of the last layer, for each sequence.
    pub last: Vec<Vec<f32>>,
}

impl HiddenSum<'_> {
    fn state(&self, site: Site) -> Option<usize> {
        match site {
            Site::Residual(state) => Some(state),
            _ => None,
        }
    }
}

impl Observer for HiddenSum<'_> {
    fn wants(&self, site: Site) -> bool {
        self.state(site).is_some() || self.observer.wants(site)
    }

    fn values(&mut self, sequence: usize, site: Site, values: &[f32], channels: usize) {
        if let Some(state) = self.state(site) {
            if let Some(&weight) = self.weights.get(state) {
                let sum = &mut self.sums[sequence];
                sum.resize(values.len(), 0.0);
                sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += weight * f64::from(value));
            } else {
                self.last[sequence] = values.to_vec();
            }
        }
        if self.observer.wants(site) {
            self.observer.values(sequence, site, values, channels);
        }
    }

    fn layer_done(&mut self, layer: usize, sequence: usize) {
        self.observer.layer_done(layer, sequence);
    }
}

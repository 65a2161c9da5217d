//! Mixes the hidden states of the language model while they pass by.

use crate::reference::{Observer, Site};

/// Sums the hidden states of the language model with weights, and lets another observer look too.
pub struct HiddenSum<'a> {
    /// Sees what the language model shows.
    pub observer: &'a mut dyn Observer,
    /// One weight per hidden state that has not been through the final LayerNorm.
    pub weights: &'a [f64],
    /// One sum per sequence: `[tokens * width]`.
    pub sums: Vec<Vec<f64>>,
    /// What comes out of the last layer, for each sequence.
    pub last: Vec<Vec<f32>>,
}

/// A hidden state of the language model.
enum State {
    /// What layer i reads, of as many as there are layers.
    Layer(usize),
    /// What the final LayerNorm reads.
    Last,
}

fn state(site: &Site) -> Option<State> {
    if site.name == "lm.norm" {
        return Some(State::Last);
    }
    let layer = site.name.strip_prefix("lm.layers.")?.strip_suffix(".attention.norm")?;
    layer.parse().ok().map(State::Layer)
}

impl Observer for HiddenSum<'_> {
    fn wants(&self, site: &Site) -> bool {
        state(site).is_some() || self.observer.wants(site)
    }

    fn values(&mut self, sequence: usize, site: &Site, values: &[f32], channels: usize) {
        match state(site) {
            Some(State::Layer(layer)) => {
                if let Some(&weight) = self.weights.get(layer) {
                    let sum = &mut self.sums[sequence];
                    sum.resize(values.len(), 0.0);
                    sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += weight * f64::from(value));
                }
            }
            Some(State::Last) => self.last[sequence] = values.to_vec(),
            None => {}
        }
        if self.observer.wants(site) {
            self.observer.values(sequence, site, values, channels);
        }
    }

    fn layer_done(&mut self, layer: usize, sequence: usize) {
        self.observer.layer_done(layer, sequence);
    }
}

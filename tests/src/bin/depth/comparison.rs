//! Compares states of integer models with the float reference's while that runs.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use quantizer::checkpoint::Checkpoint;
use quantizer::reference::esmfold::{Fold, FoldReference, FoldWant};
use quantizer::reference::{LayerNorm, Observer, Reference, Site, Want};

use super::agreement::Agreement;
use super::places::{Place, Shape};
use super::states::States;

/// By place, one [`Agreement`] for each model.
pub type Agreements = BTreeMap<Place, Vec<Agreement>>;

/// Runs the float reference of `checkpoint` over all sequences, a layer or block of all of them at a time, and compares
/// what the models had at the same places. `step` is called after each layer and block of each sequence.
///
/// # Errors
/// The reference can't run, or states can't be read.
pub fn compare(
    checkpoint: &Checkpoint,
    shape: Shape,
    sequences: &[Vec<u8>],
    models: &[States],
    step: &(dyn Fn() + Sync),
) -> anyhow::Result<Agreements> {
    let folding = checkpoint.fold_config().map(|_| FoldReference::new(checkpoint)).transpose()?.map(Box::new);
    let language_model;
    let reference = match &folding {
        Some(folding) => folding.language_model(),
        None => {
            language_model = Reference::new(checkpoint)?;
            &language_model
        }
    };
    let lengths = sequences.iter().map(|tokens| tokens.len() - 2).collect();
    let mut comparison = Comparison {
        shape,
        norm: reference.norm(),
        lengths,
        models,
        agreements: Agreements::new(),
        outcome: Ok(()),
        step,
    };
    match (&folding, shape.trunk) {
        (Some(folding), Some(trunk)) => {
            let folds: Vec<Fold> = sequences.iter().map(|tokens| Fold::chain(tokens)).collect();
            folding.run_batch(&folds, trunk.passes - 1, FoldWant::default(), &mut comparison)?;
        }
        _ => {
            reference.run_batch(sequences, Want::default(), &mut comparison)?;
        }
    }
    comparison.outcome?;
    Ok(comparison.agreements)
}

struct Comparison<'a> {
    shape: Shape,
    norm: &'a LayerNorm,
    /// Residues of each sequence.
    lengths: Vec<usize>,
    models: &'a [States],
    agreements: Agreements,
    /// The first thing that went wrong.
    outcome: anyhow::Result<()>,
    step: &'a (dyn Fn() + Sync),
}

impl Comparison<'_> {
    fn add(
        &mut self,
        sequence: usize,
        place: Place,
        reference: &[f32],
        channels: usize,
    ) -> anyhow::Result<()> {
        let normed;
        let mut reference = reference;
        if place == Place::Hidden(self.shape.layers) {
            // The site is before the final LayerNorm, models hand out what is after it.
            let rows = (reference.len() / channels.max(1), channels);
            let stream = Tensor::from_slice(reference, rows, &Device::Cpu)?;
            normed = self.norm.forward(&stream)?.flatten_all()?.to_vec1::<f32>()?;
            reference = &normed;
        }
        let agreements =
            self.agreements.entry(place).or_insert_with(|| vec![Agreement::default(); self.models.len()]);
        for (states, agreement) in self.models.iter().zip(agreements) {
            let state = states.read(sequence, place, self.lengths[sequence])?;
            anyhow::ensure!(
                state.len() == reference.len(),
                "{place}: the integer model has {} values, the float reference {}",
                state.len(),
                reference.len()
            );
            agreement.add(&state, reference, channels);
        }
        Ok(())
    }
}

impl Observer for Comparison<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.shape.place(site).is_some()
    }

    fn values(&mut self, sequence: usize, site: &Site, values: &[f32], channels: usize) {
        if let (Some(place), Ok(())) = (self.shape.place(site), &self.outcome) {
            self.outcome = self.add(sequence, place, values, channels);
        }
    }

    fn layer_done(&mut self, _layer: usize, _sequence: usize) {
        (self.step)();
    }

    fn block_done(&mut self, _pass: usize, _block: usize, _sequence: usize) {
        (self.step)();
    }
}

//! Calibration of the folding model.

use std::collections::BTreeMap;

use foldpoint_core::esmfold::StructureConfig;

use super::fold_sites::{Use, uses};
use super::{Calibration, CalibrationError, ROWS_KEPT, Sample};
use crate::encode::structure_shape;
use crate::reference::esmfold::{Fold, FoldObserver, FoldReference, FoldSite, FoldWant};
use crate::reference::{Observer, Site};
use crate::scheme::Scheme;

/// Rows that are kept of all passes before the last: blocks keep them from pass to pass.
const EARLIER_ROWS_KEPT: usize = ROWS_KEPT / 8;

/// Folds `folds` with the float model in `recycles + 1` passes and adds the choices to `calibration`, which has the language
/// model's. `progress` is called after every layer and after every block in every pass, for every sequence.
///
/// # Errors
/// As [`FoldReference::run_batch`]; also if samples can't be kept on disk.
pub fn calibrate_fold(
    reference: &FoldReference,
    folds: &[Fold],
    recycles: usize,
    scheme: &Scheme,
    calibration: &mut Calibration,
    progress: &mut dyn FnMut(),
) -> Result<(), CalibrationError> {
    let structure = structure_shape(&reference.config().structure);
    if structure.pair_parts() == 0 {
        return Err(CalibrationError::Shape("a head's pairs must fit one Linear"));
    }
    let mut collector = Collector {
        reference,
        scheme,
        structure,
        last_pass: recycles,
        last_sequence: folds.len().saturating_sub(1),
        samples: BTreeMap::new(),
        calibration,
        failed: Ok(()),
        progress,
    };
    reference.run_batch(folds, recycles, FoldWant::default(), &mut collector)?;
    collector.reduce("fold.");
    collector.failed
}

/// Samples for one use of a site.
struct Place {
    purpose: Use,
    /// Of all passes before the last.
    earlier: Sample,
    last: Sample,
}

struct Collector<'a, 'c> {
    reference: &'a FoldReference<'c>,
    scheme: &'a Scheme,
    structure: StructureConfig,
    last_pass: usize,
    last_sequence: usize,
    samples: BTreeMap<String, Vec<Place>>,
    calibration: &'a mut Calibration,
    /// The first error: an observer can't return one.
    failed: Result<(), CalibrationError>,
    progress: &'a mut dyn FnMut(),
}

impl Collector<'_, '_> {
    fn uses(&self, site: &str) -> Vec<Use> {
        uses(site, self.reference.config().blocks, &self.structure)
    }

    /// Turns the samples of sites whose names begin with `prefix` into choices.
    fn reduce(&mut self, prefix: &str) {
        let all = std::mem::take(&mut self.samples);
        let (done, kept) = all.into_iter().partition(|(site, _)| site.starts_with(prefix));
        self.samples = kept;
        let done: BTreeMap<String, Vec<Place>> = done;
        for (site, places) in done {
            for place in places {
                if self.failed.is_ok() {
                    self.failed = self.choose(&site, place);
                }
            }
        }
    }

    fn choose(&mut self, site: &str, place: Place) -> Result<(), CalibrationError> {
        let Place { purpose, earlier, last: mut sample } = place;
        sample.absorb(&earlier);
        match purpose {
            Use::Input { name, .. } => self.calibration.choose_outliers(name, &sample, self.scheme)?,
            Use::Residual { name, norm } => {
                let importance = match norm {
                    Some(norm) => {
                        let gains =
                            self.reference.language_model().checkpoint().read(&format!("{norm}.weight"))?;
                        gains.iter().map(|&gain| f64::from(gain).powi(2)).collect()
                    }
                    None => vec![1.0; sample.channels()],
                };
                self.calibration.choose_residual(name, &sample, &importance, self.scheme);
            }
            Use::Held => {
                self.calibration.largest.insert(site.to_owned(), sample.max());
            }
        }
        Ok(())
    }
}

impl Observer for Collector<'_, '_> {
    fn wants(&self, _site: Site) -> bool {
        false
    }

    fn values(&mut self, _sequence: usize, _site: Site, _values: &[f32], _channels: usize) {}

    fn layer_done(&mut self, _layer: usize, _sequence: usize) {
        (self.progress)();
    }
}

impl FoldObserver for Collector<'_, '_> {
    fn wants_fold(&self, site: &FoldSite) -> bool {
        !self.uses(&site.name).is_empty()
    }

    fn fold_values(&mut self, _sequence: usize, site: &FoldSite, values: &[f32], channels: usize) {
        // What comes before the first pass comes only once.
        let is_last = site.pass == self.last_pass || site.name.starts_with("fold.embedding.");
        if !self.samples.contains_key(&site.name) {
            let place = |purpose: Use| {
                let width = match purpose {
                    Use::Input { columns: Some((_, width)), .. } => width,
                    _ => channels,
                };
                Place {
                    purpose,
                    earlier: Sample::at_most(EARLIER_ROWS_KEPT, width),
                    last: Sample::at_most(ROWS_KEPT, width),
                }
            };
            let places = self.uses(&site.name).into_iter().map(place).collect();
            self.samples.insert(site.name.clone(), places);
        }
        for place in self.samples.get_mut(&site.name).into_iter().flatten() {
            let first = match place.purpose {
                Use::Input { columns: Some((first, _)), .. } => first,
                _ => 0,
            };
            let sample = if is_last { &mut place.last } else { &mut place.earlier };
            sample.add_columns(values, channels, first);
        }
    }

    fn block_done(&mut self, pass: usize, block: usize, sequence: usize) {
        (self.progress)();
        if (pass, sequence) == (self.last_pass, self.last_sequence) {
            self.reduce(&format!("fold.trunk.{block}."));
        }
    }
}

//! Keeps what passes by at the sites of the float model, and turns it into choices.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::uses::{Purpose, Use};
use super::{Calibration, CalibrationError, ROWS_KEPT, Sample};
use crate::reference::{Observer, ReferenceError, Shown, Site};
use crate::scheme::Scheme;
use crate::work::Work;

/// Rows that are kept of all passes before the last: blocks keep them from pass to pass.
const EARLIER_ROWS_KEPT: usize = ROWS_KEPT / 8;

/// Which rows of a site are kept.
#[derive(Clone, Copy, Debug)]
pub enum Rows {
    /// Every n-th.
    Every(usize),
    /// Up to a limit, spread over however many come.
    Spread,
}

/// Tells the gains of the normalization of a name; `None` if it has none.
pub type Gains<'a> = dyn Fn(&str) -> Result<Option<Vec<f32>>, ReferenceError> + Sync + 'a;

/// Samples of sites, by their names.
pub type Samples = BTreeMap<String, Vec<Place>>;

/// An observer that keeps samples, which [`Collector::reduce`] turns into choices: one layer or trunk block
/// at a time, when its last sequence is through.
pub struct Collector<'a> {
    pub gains: &'a Gains<'a>,
    pub scheme: &'a Scheme,
    /// What is wanted of each site.
    pub uses: BTreeMap<String, Vec<Use>>,
    pub rows: Rows,
    pub last_pass: usize,
    pub samples: Samples,
    pub calibration: Calibration,
    /// Keeps what weights are rounded with.
    pub work: &'a Work,
    pub progress: &'a mut (dyn FnMut(usize) + Sync),
}

/// Samples for one use of a site.
#[derive(Clone, Serialize, Deserialize)]
pub struct Place {
    what: Use,
    /// Of all passes before the last.
    earlier: Sample,
    last: Sample,
}

impl Collector<'_> {
    /// Turns the samples of sites whose names begin with `prefix` into choices.
    ///
    /// # Errors
    /// A LayerNorm can't be read, or samples can't be kept on disk.
    pub fn reduce(&mut self, prefix: &str) -> Result<(), CalibrationError> {
        let done: Samples = self.samples.extract_if(.., |site, _| site.starts_with(prefix)).collect();
        done.into_values().flatten().try_for_each(|place| self.choose(place))
    }

    /// Whether what `site` shows is of the last pass.
    fn is_last(&self, site: &Site) -> bool {
        // What comes before the first pass comes only once.
        site.pass == self.last_pass || site.name.starts_with("fold.embedding.")
    }

    /// The samples of `site`, which has so many channels.
    fn places(&mut self, site: &Site, channels: usize) -> &mut Vec<Place> {
        let uses = self.uses.get(&site.name).into_iter().flatten();
        let places = || uses.map(|what| Place::new(what, self.rows, channels)).collect();
        self.samples.entry(site.name.clone()).or_insert_with(places)
    }

    fn choose(&mut self, place: Place) -> Result<(), CalibrationError> {
        let Place { what: Use { choice, purpose }, earlier, last: mut sample } = place;
        sample.absorb(&earlier);
        match purpose {
            Purpose::Input { .. } => {
                self.calibration.choose_outliers(choice, &sample, self.scheme, self.work)?
            }
            Purpose::Residual { norm } => {
                let importance = match norm.map(|norm| (self.gains)(&norm)).transpose()?.flatten() {
                    Some(gains) => gains.iter().map(|&gain| f64::from(gain).powi(2)).collect(),
                    None => vec![1.0; sample.channels()],
                };
                self.calibration.choose_residual(choice, &sample, &importance, self.scheme);
            }
            Purpose::Middle => self.calibration.choose_middle(choice, &sample, self.scheme),
            Purpose::Held => drop(self.calibration.largest.insert(choice, sample.max())),
        }
        Ok(())
    }
}

impl Place {
    fn new(what: &Use, rows: Rows, channels: usize) -> Self {
        let width = match what.purpose {
            Purpose::Input { columns: Some((_, width)) } => width,
            _ => channels,
        };
        let last = match rows {
            Rows::Every(n) => Sample::every(n, width),
            Rows::Spread => Sample::at_most(ROWS_KEPT, width),
        };
        Self { what: what.clone(), earlier: Sample::at_most(EARLIER_ROWS_KEPT, width), last }
    }

    fn add(&mut self, is_last: bool, values: &[f32], channels: usize) {
        let first = match self.what.purpose {
            Purpose::Input { columns: Some((first, _)) } => first,
            _ => 0,
        };
        let sample = if is_last { &mut self.last } else { &mut self.earlier };
        sample.add_columns(values, channels, first);
    }
}

impl Observer for Collector<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.uses.contains_key(&site.name)
    }

    fn values(&mut self, _sequence: usize, site: &Site, values: &[f32], channels: usize) {
        let is_last = self.is_last(site);
        self.places(site, channels).iter_mut().for_each(|place| place.add(is_last, values, channels));
    }

    fn all_values(&mut self, shown: &[Shown]) {
        let mut by_site = BTreeMap::<&str, Vec<(&Shown, bool)>>::new();
        for one in shown {
            self.places(&one.site, one.channels);
            by_site.entry(&one.site.name).or_default().push((one, self.is_last(&one.site)));
        }
        // Sites have nothing to do with each other, so all threads can.
        self.samples.par_iter_mut().for_each(|(site, places)| {
            for (Shown { values, channels, .. }, is_last) in by_site.get(site.as_str()).into_iter().flatten()
            {
                places.iter_mut().for_each(|place| place.add(*is_last, values, *channels));
            }
        });
    }

    fn layer_done(&mut self, _layer: usize, _sequence: usize) {
        (self.progress)(1);
    }

    fn block_done(&mut self, _pass: usize, _block: usize, _sequence: usize) {
        (self.progress)(1);
    }
}

//! One run over the rows of a pseudo-MSA: the loop over layers.

use super::error::RunError;
use super::maps::MapUnit;
use super::memory::{Features, Memory};
use super::pass::Pass;
use super::rows::{KeyLists, Rows};
use super::shape::Shape;
use super::weights::LanguageModel;
use super::{embed, project, transform};
use crate::arena::Arena;
use crate::nn::stream::Formats;
use crate::nn::{Context, rotary};
use core::ops::ControlFlow;

/// Who is told of every layer that is done, and can break off the run.
pub type Hook<'h> = dyn FnMut(usize) -> ControlFlow<()> + 'h;

impl LanguageModel<'_> {
    /// Runs all layers over the rows, whose number `shape` has: fills `features`, and says what the maps mean.
    ///
    /// # Errors
    /// Nothing is computed if the rows don't fit the sizes; [`RunError::Stopped`] if the hook breaks.
    pub fn run(
        &self,
        context: &Context,
        shape: &Shape,
        rows: &Rows,
        features: &mut Features<Arena>,
        memory: &mut Memory<Arena>,
        hook: &mut Hook,
    ) -> Result<MapUnit, RunError> {
        rows.check(shape)?;
        let pass = Pass { model: self, context: *context, shape, rows };
        rotary::rotary_table(self.rotary, memory.rotary);
        rows.list(memory.key_lists, memory.key_counts);
        let mut before = self.format(shape, 0)?;
        let lists = KeyLists { residues: shape.residues, lists: memory.key_lists, counts: memory.key_counts };
        embed::run(&pass, &before, lists, features.states, memory.scratch)?;
        for layer in 0..self.config.layers {
            project::run(&pass, layer, &before, features.states, memory)?;
            let after = self.format(shape, layer + 1)?;
            transform::run(&pass, layer, &Formats { before, after }, features, memory)?;
            if hook(layer).is_break() {
                return Err(RunError::Stopped);
            }
            before = after;
        }
        Ok(MapUnit::new(rows, self.config.epsilon_maps))
    }
}

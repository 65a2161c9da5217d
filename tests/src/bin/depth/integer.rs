//! Runs an integer model and keeps all its states.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, ensure};
use foldpoint_core::esm::{Event, HiddenLayers, LanguageModel};
use foldpoint_core::esmfold::{FoldingModel, Input, Step};
use foldpoint_core::units::ACTIVATION_FRAC;
use foldpoint_core::{Runtime, esm, esmfold};
use std_runner::arena::Arena;
use std_runner::model::Model;

use super::places::{Place, Shape, Trunk};
use super::states::{Recorder, States};

/// Runs `model`, whose places are those of `shape`, over all sequences of tokens; `next` is called after each.
///
/// # Errors
/// The model can't be used, or states can't be written to the folder `work`.
pub fn run(
    model: &Model,
    shape: Shape,
    sequences: &[Vec<u8>],
    runtime: &Runtime,
    work: &Path,
    next: &(dyn Fn() + Sync),
) -> anyhow::Result<States> {
    let language_model = model.language_model()?;
    let folding_model = if model.folds() { Some(model.folding_model()?) } else { None };
    let mut on = On { arena: Arena::default(), runtime, recorder: Recorder::new(shape, work)? };
    for (sequence, tokens) in sequences.iter().enumerate() {
        on.hidden_states(&language_model, sequence, tokens)?;
        if let (Some(model), Some(trunk)) = (&folding_model, shape.trunk) {
            on.representations(model, trunk, sequence, tokens)?;
        }
        next();
    }
    on.recorder.finish()
}

/// On what a model runs, and where its states go.
struct On<'r> {
    arena: Arena,
    runtime: &'r Runtime<'r>,
    recorder: Recorder,
}

impl On<'_> {
    fn hidden_states(&mut self, model: &LanguageModel, sequence: usize, tokens: &[u8]) -> anyhow::Result<()> {
        let Self { arena, runtime, recorder } = self;
        let request = esm::Request::default().hidden(HiddenLayers::All);
        arena.reserve(model.arena_bytes(tokens.len(), &request, runtime)?)?;
        let mut written = Ok(());
        let run = model.run_with(tokens, &request, arena.bytes(), runtime, &mut |event| {
            if let Event::Hidden(row) = event {
                written = recorder.add(sequence, Place::Hidden(row.layer), ACTIVATION_FRAC, row.values);
            }
            unless_failed(&written)
        });
        written.context("states can't be written")?;
        run?;
        Ok(())
    }

    fn representations(
        &mut self,
        model: &FoldingModel,
        trunk: Trunk,
        sequence: usize,
        tokens: &[u8],
    ) -> anyhow::Result<()> {
        let Self { arena, runtime, recorder } = self;
        let residues = tokens.len().checked_sub(2).context("no <cls> and <eos>")?;
        let request = esmfold::Request::default().passes(trunk.passes);
        arena.reserve(model.arena_bytes(residues, &request, runtime)?)?;
        let residue_index: Vec<i32> = (0..residues as i32).collect();
        let input = Input { tokens, residue_index: &residue_index, chains: &vec![0; residues] };
        let [sequence_frac, pair_frac] = [model.config().sequence_frac, model.config().pair_frac];
        let mut rows = [vec![0; residues * trunk.sequence], vec![0; residues * trunk.pair]];
        let (mut shown, mut written) = (0, Ok(()));
        let run =
            model.run_watched(&input, &request, arena.bytes(), runtime, &mut |step, representations| {
                if let (Step::Block { pass, block }, Some(representations)) = (step, representations) {
                    shown += 1;
                    let [sequence_rows, pair_rows] = &mut rows;
                    representations.sequence(0, sequence_rows);
                    written = recorder
                        .add(sequence, Place::Sequence { pass, block }, sequence_frac, sequence_rows)
                        .and_then(|()| {
                            (0..residues).try_for_each(|row| {
                                representations.pair(row * residues, pair_rows);
                                recorder.add(sequence, Place::Pair { pass, block }, pair_frac, pair_rows)
                            })
                        });
                }
                unless_failed(&written)
            });
        written.context("states can't be written")?;
        run?;
        ensure!(shown == trunk.passes * trunk.blocks, "the trunk showed {shown} blocks");
        Ok(())
    }
}

/// Breaks a run off whose states can't be kept.
fn unless_failed(written: &io::Result<()>) -> ControlFlow<()> {
    if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

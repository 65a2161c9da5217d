//! The tensors that a model of a given configuration is made of: those of the [`table`].

use super::{Checkpoint, Config, FoldConfig, structure_shape};
use crate::table::{self, Form, Group, Kind, Parts, Repeat, Row, Size, pattern};

/// A tensor's name and its shape.
pub type Expected = (String, Vec<usize>);

impl Checkpoint {
    /// Which parts the model has.
    pub fn parts(&self) -> Parts {
        Parts {
            contact_head: self.has_contact_head(),
            lm_head: self.has_lm_head(),
            fold: self.fold.is_some(),
        }
    }

    /// How often a group of the model occurs.
    pub fn count(&self, repeat: Repeat) -> usize {
        let in_fold = |count: fn(&FoldConfig) -> usize| self.fold.as_ref().map_or(0, count);
        match repeat {
            Repeat::Once => 1,
            Repeat::Layers => self.config.layers,
            Repeat::LayerStates => self.config.layers + 1,
            Repeat::Blocks => in_fold(|fold| fold.blocks),
            Repeat::SequenceStates => in_fold(|fold| fold.blocks + 1),
            Repeat::PairStates => in_fold(|fold| table::PAIR_STATES * fold.blocks + 1),
            Repeat::OutputParts => in_fold(|fold| structure_shape(&fold.structure).pair_parts() + 1),
            Repeat::TransitionLayers => in_fold(|fold| fold.structure.transition_layers),
            Repeat::ResnetBlocks => in_fold(|fold| fold.structure.resnet_blocks),
        }
    }

    /// The columns that part `part` of the output Linear of invariant point attention reads: the first, and
    /// how many; `None` if there is no folding model.
    pub fn output_part(&self, part: usize) -> Option<(usize, usize)> {
        let structure = structure_shape(&self.fold.as_ref()?.structure);
        let first = (0..part).map(|before| structure.output_part(before)).sum();
        Some((first, structure.output_part(part)))
    }

    /// Calls `visit` with each of `rows` and its numbers, as [`table::for_each`].
    ///
    /// # Errors
    /// The first of `visit`.
    pub fn for_each<E>(
        &self,
        rows: &[&'static Row],
        visit: impl FnMut(&'static Row, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        table::for_each(rows, |repeat| self.count(repeat), visit)
    }

    /// The groups of the model that `rows` are.
    pub fn groups(&self, rows: &[&'static Row]) -> Vec<Group> {
        let mut groups = Vec::new();
        let Ok(()) = self.for_each(rows, |row, index| {
            let columns = (row.kind == Kind::Columns).then(|| self.output_part(index)).flatten();
            groups.push(Group { columns, ..Group::of(row, index, self.count(row.repeat)) });
            Ok::<(), std::convert::Infallible>(())
        });
        groups
    }

    /// Every tensor that the model must have.
    pub(super) fn expected(&self) -> Vec<Expected> {
        let mut expected = Vec::new();
        let Ok(()) = self.for_each(&self.parts().rows(), |row, index| {
            // A source without a number is one for all numbers of its group.
            let sources = row.sources.iter().filter(|source| index == 0 || pattern::is_numbered(source.name));
            for source in sources {
                let name = pattern::fill(source.name, index);
                let optional = matches!(source.form, Form::Tied(_)) && self.config.tied_decoder;
                if optional && !self.contains(&name) {
                    continue;
                }
                for (part, shape) in source.tensors() {
                    let shape = shape.into_iter().map(|size| extent(size, &self.config, self.fold.as_ref()));
                    expected.push((format!("{name}{part}"), shape.collect()));
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
        expected
    }
}

/// What `size` is in a model of this configuration; those of a folding model are 0 in a language model alone.
fn extent(size: Size, lm: &Config, fold: Option<&FoldConfig>) -> usize {
    let fold_size = |size: fn(&FoldConfig) -> usize| fold.map_or(0, size);
    match size {
        Size::Fixed(size) => size,
        Size::Vocab => lm.vocab,
        Size::Width => lm.width,
        Size::Ffn => lm.ffn,
        Size::Maps => lm.layers * lm.heads,
        Size::States => lm.layers + 1,
        Size::Sequence(times) => times * fold_size(|fold| fold.sequence_width),
        Size::SequenceHeads => fold_size(|fold| fold.sequence_heads),
        Size::Pair(times) => times * fold_size(|fold| fold.pair_width),
        Size::PairHeads => fold_size(|fold| fold.pair_heads),
        Size::Positions => fold_size(|fold| 2 * fold.position_bins + 2),
        Size::PlddtWidth => fold_size(|fold| fold.plddt_width),
        Size::StructureSequence => fold_size(|fold| fold.structure.sequence_width),
        Size::StructurePair => fold_size(|fold| fold.structure.pair_width),
        Size::IpaHeads => fold_size(|fold| fold.structure.heads),
        Size::IpaQueries => fold_size(|fold| fold.structure.heads * fold.structure.head_width),
        Size::IpaKeysAndValues => fold_size(|fold| 2 * fold.structure.heads * fold.structure.head_width),
        Size::IpaQueryPoints => fold_size(|fold| 3 * fold.structure.heads * fold.structure.query_points),
        Size::IpaKeyAndValuePoints => fold_size(|fold| {
            let structure = &fold.structure;
            3 * structure.heads * (structure.query_points + structure.value_points)
        }),
        Size::IpaOutput => fold_size(|fold| {
            let structure = &fold.structure;
            structure.heads * (structure.pair_width + structure.head_width + 4 * structure.value_points)
        }),
        Size::ResnetWidth => fold_size(|fold| fold.structure.resnet_width),
    }
}

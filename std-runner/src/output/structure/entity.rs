//! Which chains are the same.

use super::model::{Model, chain_name, subject};

/// Longest name of a sequence in a description, in characters: a PDB file has 999 lines for all descriptions.
const DESCRIPTION: usize = 200;
/// Most chains that a description names.
const NAMED: usize = 8;

/// Which chains have the same sequence.
pub(super) struct Entities {
    /// Of each chain, from 1.
    pub of_chain: Vec<usize>,
    /// The first chain of each.
    pub first: Vec<usize>,
}

impl Entities {
    pub(super) fn of(model: &Model) -> Self {
        let mut entities = Self { of_chain: vec![], first: vec![] };
        let kinds = |chain: usize| model.chains[chain].residues.iter().map(|residue| residue.kind);
        for chain in 0..model.chains.len() {
            let known = entities.first.iter().position(|&first| kinds(first).eq(kinds(chain)));
            let entity = known.unwrap_or_else(|| {
                entities.first.push(chain);
                entities.first.len() - 1
            });
            entities.of_chain.push(entity + 1);
        }
        entities
    }

    /// Names of an entity's chains.
    pub(super) fn strands(&self, entity: usize) -> Vec<String> {
        let of = self.of_chain.iter().enumerate().filter(|&(_, &of)| of == entity);
        of.map(|(chain, _)| chain_name(chain)).collect()
    }

    /// What an entity is, for people.
    pub(super) fn description(&self, model: &Model, entity: usize) -> String {
        let subject = subject(model, DESCRIPTION);
        let strands = self.strands(entity);
        match (self.first.len(), strands.len()) {
            // Biopython takes this word for a table even in quotes.
            (1, _) if subject.eq_ignore_ascii_case("loop_") => format!("{subject} (one word)"),
            (1, _) => subject,
            (_, 1) => format!("{subject}, chain {}", strands[0]),
            (_, 2..=NAMED) => format!("{subject}, chains {}", strands.join(", ")),
            (_, count) => format!("{subject}, {count} chains from {} on", strands[0]),
        }
    }
}

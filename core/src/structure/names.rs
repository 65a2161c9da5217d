//! Names of weights that iterations have in common, or each of its own.

use crate::format::{Name, join, numbered};

/// Which weights an iteration has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightSet {
    /// Those of all iterations, `fold.structure.*`.
    Shared,
    /// Its own, `fold.structure.{iteration}.*`.
    Own {
        /// Its number.
        iteration: usize,
    },
}

impl WeightSet {
    /// The name of what the set calls `part`.
    pub fn name(self, part: &str) -> Name {
        match self {
            Self::Shared => join("fold.structure", part),
            Self::Own { iteration } => join(&numbered("fold.structure.", iteration, ""), part),
        }
    }

    /// The name of what the set calls `{before}{index}{after}`.
    pub fn numbered(self, before: &str, index: usize, after: &str) -> Name {
        self.name(&numbered(before, index, after))
    }
}

#[cfg(test)]
mod tests {
    use super::WeightSet::{Own, Shared};

    #[test]
    fn own_weights_have_the_iterations_number_in_their_names() {
        assert_eq!(Shared.name("attention_norm"), "fold.structure.attention_norm");
        assert_eq!(Own { iteration: 7 }.name("attention_norm"), "fold.structure.7.attention_norm");
        let longest = Own { iteration: 63 }.numbered("attention.output.", 64, "");
        assert_eq!(longest, "fold.structure.63.attention.output.64");
        let second = Shared.numbered("transition.", 1, ".second");
        assert_eq!(second, "fold.structure.transition.1.second");
    }
}

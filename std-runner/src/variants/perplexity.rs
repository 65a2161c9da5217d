//! How probable a whole sequence is: the sum over its residues of their log probabilities, each masked.

use foldpoint_core::alphabet::token;

use super::pass::Pass;
use super::window::optimal;

/// Which residues count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Skip {
    /// All.
    #[default]
    None,
    /// All but the last two, as in fair-esm's published code.
    LastTwo,
}

impl Skip {
    /// The runs that a sequence of so many residues takes, one for each that counts, in order.
    pub fn passes(self, residues: usize) -> Vec<Pass> {
        let count = match self {
            Self::None => residues,
            Self::LastTwo => residues.saturating_sub(2),
        };
        (1..=count).map(|at| Pass { window: optimal(at, residues + 2), mask: Some(at) }).collect()
    }
}

/// The pseudo-log-likelihood of `residues`, unit 2^-16, from what each of [`Skip::passes`] said of the masked
/// residue, `[vocabulary]`.
pub fn pseudo_perplexity<'p>(residues: &[u8], said: impl Iterator<Item = &'p [i32]>) -> i64 {
    let of_residue = |(&residue, row): (&u8, &[i32])| {
        let token = token(residue).map(usize::from);
        token.and_then(|token| row.get(token)).copied().map_or(0, i64::from)
    };
    residues.iter().zip(said).map(of_residue).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_residues_count_or_all_but_two() {
        let masks = |skip: Skip, residues| -> Vec<usize> {
            skip.passes(residues).into_iter().filter_map(|pass| pass.mask).collect()
        };
        assert_eq!(masks(Skip::None, 4), [1, 2, 3, 4]);
        assert_eq!(masks(Skip::LastTwo, 4), [1, 2]);
        assert_eq!(masks(Skip::LastTwo, 1), [0; 0]);
        assert_eq!(Skip::None.passes(2000)[999].window, 488..1512);
    }

    #[test]
    fn the_residues_own_probabilities_are_summed() {
        // L is token 4, A 5.
        let rows = [[9, 9, 9, 9, -5, 9], [9, 9, 9, 9, 9, -7]];
        assert_eq!(pseudo_perplexity(b"LAL", rows.iter().map(|row| &row[..])), -12);
    }
}

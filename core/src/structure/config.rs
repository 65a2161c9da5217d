//! The shape of the structure module, and what it reads.

use crate::fixed::{ACT_FRAC, Multiplier};

/// Most input channels of a Linear all of whose channels have two limbs.
pub const TWO_LIMBS_MAX: usize = 131_071 / 129;

/// Most heads of invariant point attention.
pub(super) const HEADS_MAX: usize = 64;

/// The shape and the constants of the structure module; by default all 0, which [`check`](Self::check)
/// refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Iterations.
    pub iterations: usize,
    /// Whether each iteration has weights of its own, or all have the same.
    pub own_weights: bool,
    /// Whether a Linear leads from the trunk's pair representation to this one, or both have the same
    /// channels.
    pub pair_input: bool,
    /// Channels of the sequence representation.
    pub width: usize,
    /// Channels of the pair representation.
    pub pair_width: usize,
    /// Heads of invariant point attention.
    pub heads: usize,
    /// Channels of a head.
    pub head_width: usize,
    /// Query and key points of a head.
    pub query_points: usize,
    /// Value points of a head.
    pub value_points: usize,
    /// Layers of the transition.
    pub transition_layers: usize,
    /// Blocks of the angle resnet.
    pub resnet_blocks: usize,
    /// Channels of the angle resnet.
    pub resnet_width: usize,
    /// Fractional bits of the stored pair representation, 16-bit codes.
    pub pair_frac: u32,
    /// What is added to a point's squared norm, unit 2^-32.
    pub point_epsilon: u64,
    /// The least squared norm of a torsion's (sine, cosine), unit 2^-32.
    pub torsion_epsilon: u64,
    /// `log2(e) * sqrt(1 / (3 * head width)) * 2^-16`: from a product of query and key, unit 2^-32, to units
    /// of 2^-16 log2.
    pub scalar_weight: Multiplier,
    /// Angstroms (unit 2^-16) per unit of translation (2^-20).
    pub translation_scale: Multiplier,
}

impl Config {
    /// Outputs of the Linear that makes all queries, keys, values and points.
    pub const fn projections(&self) -> usize {
        let points = 2 * self.query_points + self.value_points;
        self.heads * (3 * self.head_width + 3 * points)
    }

    /// How many sets of weights the iterations have among them.
    pub const fn weight_sets(&self) -> usize {
        if self.own_weights { self.iterations } else { 1 }
    }

    /// How many equal groups of heads the attended pairs are cut into, so that each group's channels can have
    /// two limbs; 0 if that can't be.
    pub const fn pair_parts(&self) -> usize {
        let mut parts = 1;
        while parts <= self.heads {
            if self.heads.is_multiple_of(parts) && self.heads / parts * self.pair_width <= TWO_LIMBS_MAX {
                return parts;
            }
            parts += 1;
        }
        0
    }

    /// Inputs of part `part` of the output Linear: part 0 reads the values, then the points' x, y, z and
    /// norms; each further one the attended pairs of a group of heads.
    pub const fn output_part(&self, part: usize) -> usize {
        let parts = self.pair_parts();
        match (part, parts) {
            (0, _) => self.heads * (self.head_width + 4 * self.value_points),
            (_, 0) => 0,
            _ => self.heads / parts * self.pair_width,
        }
    }

    /// Everything that the structure module relies on.
    ///
    /// # Errors
    /// What it can't be.
    pub fn check(&self) -> Result<(), &'static str> {
        let between = |value: usize, most: usize| (1..=most).contains(&value);
        let multiplier = |m: Multiplier| m.mantissa >= 1 << 30 && (-64..=127).contains(&m.shift);
        match () {
            () if self.pair_frac > ACT_FRAC => Err("a representation has at most 16 fractional bits"),
            () if !between(self.iterations, 64) => Err("there must be 1 to 64 iterations"),
            () if !between(self.width, TWO_LIMBS_MAX) || !between(self.resnet_width, TWO_LIMBS_MAX) => {
                Err("the structure module's widths must be 1 to 1016")
            }
            () if !between(self.pair_width, TWO_LIMBS_MAX) => {
                Err("the structure module's pair width must be 1 to 1016")
            }
            () if !between(self.heads, HEADS_MAX) || !between(self.head_width, 256) => {
                Err("the structure module has 1 to 64 heads of 1 to 256 channels")
            }
            () if !between(self.query_points, 64) || !between(self.value_points, 64) => {
                Err("a head has 1 to 64 points of each kind")
            }
            () if !between(self.transition_layers, 16) || !between(self.resnet_blocks, 16) => {
                Err("there must be 1 to 16 layers of the transition and of the angle resnet")
            }
            () if self.pair_parts() == 0 => Err("a head's pairs must fit one Linear"),
            () if !multiplier(self.scalar_weight) || !multiplier(self.translation_scale) => {
                Err("a constant's mantissa must be at least 2^30 and its shift -64 to 127")
            }
            () => Ok(()),
        }
    }
}

/// The trunk's representations, which the structure module reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Representations {
    /// Channels of the sequence representation.
    pub sequence_width: usize,
    /// Fractional bits of its unit, at most 16.
    pub sequence_frac: u32,
    /// Channels of the pair representation.
    pub pair_width: usize,
    /// Fractional bits of its unit, at most 16.
    pub pair_frac: u32,
    /// LayerNorm's epsilon in squares of its unit.
    pub pair_epsilon: u64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// esmfold_v1's.
    pub const V1: Config = Config {
        iterations: 8,
        own_weights: false,
        pair_input: true,
        width: 384,
        pair_width: 128,
        heads: 12,
        head_width: 16,
        query_points: 4,
        value_points: 8,
        transition_layers: 1,
        resnet_blocks: 2,
        resnet_width: 128,
        pair_frac: 11,
        point_epsilon: 43,
        torsion_epsilon: 43,
        scalar_weight: Multiplier { mantissa: (1 << 30) + 7, shift: 49 },
        translation_scale: Multiplier { mantissa: 5 << 28, shift: 31 },
    };

    #[test]
    fn attended_pairs_are_cut_so_that_their_channels_can_have_two_limbs() {
        assert_eq!((V1.pair_parts(), V1.output_part(0), V1.output_part(1)), (2, 576, 768));
        assert_eq!(V1.projections(), 12 * 48 + 3 * 12 * 16);
        assert_eq!(Config { heads: 7, pair_width: 600, ..V1 }.pair_parts(), 7);
        assert_eq!(Config { pair_width: 1017, ..V1 }.pair_parts(), 0);
    }

    #[test]
    fn iterations_have_weights_of_their_own_or_one_set() {
        assert_eq!((V1.weight_sets(), Config { own_weights: true, ..V1 }.weight_sets()), (1, 8));
    }

    #[test]
    fn shapes_that_can_not_run_are_refused() {
        assert!(Config::default().check().is_err());
        assert_eq!(V1.check(), Ok(()));
        let refused = |change: fn(&mut Config)| {
            let mut config = V1;
            change(&mut config);
            config.check().is_err()
        };
        assert!(refused(|c| c.iterations = 0));
        assert!(refused(|c| c.width = TWO_LIMBS_MAX + 1));
        assert!(refused(|c| c.resnet_width = TWO_LIMBS_MAX + 1));
        assert!(refused(|c| c.pair_width = TWO_LIMBS_MAX + 1));
        assert!(refused(|c| c.heads = 0));
        assert!(refused(|c| c.heads = HEADS_MAX + 1));
        assert!(refused(|c| c.head_width = 257));
        assert!(refused(|c| c.query_points = 0));
        assert!(refused(|c| c.value_points = 65));
        assert!(refused(|c| c.transition_layers = 17));
        assert!(refused(|c| c.resnet_blocks = 0));
        assert!(refused(|c| c.pair_frac = 17));
        assert!(refused(|c| c.scalar_weight.shift = 128));
        assert!(refused(|c| c.translation_scale.mantissa = 0));
    }
}

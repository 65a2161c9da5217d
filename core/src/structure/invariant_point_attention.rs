//! Attention between residues over channels, pairs and points in space, which does not change when all frames
//! are moved together (algorithm 22).

use super::config::{Config, HEADS_MAX};
use super::memory::{AttentionScratch, ROWS, Shape};
use super::names::WeightSet;
use super::projections::HeadShape;
use crate::arena::Arena;
use crate::fixed::saturate::to_i32;
use crate::fixed::{ACT_FRAC, Multiplier, exp2_fine, isqrt, reciprocal};
use crate::format::{FormatError, ModelFile};
use crate::geometry::Rigid;
use crate::kernels::Backend;
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::nn::quantized_tile::QuantizedTile;

/// Parts of a score are cut to this, so that their sum and the distance of two sums fit 64 bits.
const SCORE_MAX: i64 = 1 << 60;

/// The attention's weights. The output Linear's parts, of values and points, then of pairs, to `width`, are
/// read where they are used: there may be many.
#[derive(Clone, Copy, Debug)]
pub struct InvariantPointAttention<'a> {
    file: ModelFile<'a>,
    set: WeightSet,
    scores: Scores<'a>,
}

/// How a score is made of its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores<'a> {
    /// From products of queries and keys, unit 2^-32, to units of 2^-16 log2.
    pub scalar_weight: Multiplier,
    /// Mantissa and shift of each head: from squared distances, unit 2^-32, to units of 2^-16 log2.
    pub point_weights: &'a [i32],
}

impl<'a> InvariantPointAttention<'a> {
    /// Reads `attention` of a set of weights but the parts of the output Linear, which are for
    /// [`check`](Self::check), and what is made of every residue and every pair before.
    #[inline(never)]
    pub fn load(file: &ModelFile<'a>, set: WeightSet, config: &Config) -> Result<Self, FormatError> {
        let name = set.name("attention.point_weights");
        let point_weights = file.i32s(&name, &[config.heads, 2])?;
        let fits = |&[mantissa, shift]: &[i32; 2]| mantissa > 0 && (-64..=127).contains(&shift);
        if !point_weights.as_chunks().0.iter().all(fits) {
            let what = "a mantissa must be positive and its shift -64 to 127";
            return Err(FormatError::bad_value(&name, what));
        }
        let scores = Scores { scalar_weight: config.scalar_weight, point_weights };
        Ok(Self { file: *file, set, scores })
    }

    /// Whether every part of the output Linear can be used.
    ///
    /// # Errors
    /// That of the first one that can't.
    pub fn check(&self, config: &Config) -> Result<(), FormatError> {
        (0..=config.pair_parts()).try_for_each(|part| self.output_part(config, part).map(drop))
    }

    /// Part `part` of the output Linear.
    #[inline(never)]
    fn output_part(&self, config: &Config, part: usize) -> Result<Linear<'a>, FormatError> {
        let name = self.set.numbered("attention.output.", part, "");
        Linear::load(&self.file, &name, config.output_part(part), config.width)
    }

    /// What the attention of `rows` rows adds to the sequence representation, to `out`, `[rows, width]`. The
    /// rows lie in `scratch`, as [`attend`] left them.
    ///
    /// # Errors
    /// A part can't be used, what [`check`](Self::check) would have said.
    pub fn output(
        &self,
        config: &Config,
        backend: &Backend,
        rows: usize,
        scratch: &AttentionScratch<Arena>,
        tile: &mut QuantizedTile<Arena>,
        out: &mut [i32],
    ) -> Result<(), FormatError> {
        let stride = scratch.pairs.len() / ROWS;
        let first = self.output_part(config, 0)?;
        let points = Rows::new(scratch.points, first.inputs());
        tile.apply(backend, &first, rows, points, Epilogue::Store, out);
        let mut at = 0;
        for part in 1..=config.pair_parts() {
            let linear = self.output_part(config, part)?;
            let inputs = Rows { values: &scratch.pairs[at..], width: linear.inputs(), stride };
            tile.apply(backend, &linear, rows, inputs, Epilogue::Add, out);
            at += linear.inputs();
        }
        Ok(())
    }

    /// How scores are made.
    pub(super) const fn scores(&self) -> &Scores<'a> {
        &self.scores
    }
}

/// What a residue attends with and to.
#[derive(Clone, Copy, Debug)]
pub struct Query<'r> {
    /// Records of all residues.
    pub records: &'r [i32],
    /// Its number.
    pub residue: usize,
    /// Its frame, unit 2^-16.
    pub frame: &'r Rigid,
    /// Its pairs with all residues, `[residues, pair_width]`.
    pub codes: &'r [i16],
    /// `[heads, residues]`
    pub bias: &'r [i32],
}

/// One residue's attention to all: the means of values, points and pairs, activation units, to row `row` of
/// `scratch`.
///
/// Weights are exact powers of two to 2^-22 of the largest; sums over them are exact, and each mean is
/// rounded once. Points come back into the residue's own frame, all x first, then y, z and the distances from
/// its origin.
pub(super) fn attend(
    backend: &Backend,
    shape: &Shape,
    scores: &Scores,
    query: &Query,
    row: usize,
    scratch: &mut AttentionScratch<Arena>,
) {
    let config = &shape.config;
    let heads = HeadShape::new(config);
    let residues = shape.residues.max(1);
    let (width, points) = (config.head_width, config.value_points);
    let all_points = config.heads * points;
    let own = &query.records[query.residue * shape.record_len()..];
    let AttentionScratch { scores: by_key, distances, weights, sums, pair_sums, points: out, pairs } =
        scratch;
    let out = &mut out[row * config.output_part(0)..][..config.output_part(0)];
    let (out_values, out_points) = out.split_at_mut(config.heads * width);
    let mut inverses = [reciprocal(1); HEADS_MAX];
    let per_head = weights.chunks_exact_mut(residues).zip(&mut inverses).take(config.heads);
    for (head, (weights, inverse)) in per_head.enumerate() {
        let (own, all) = (heads.of_head(own, head), heads.of_head(query.records, head));
        (backend.dots)(own.queries.first(), all.keys, by_key);
        (backend.distances)(own.query_points.first(), all.key_points, distances);
        let bias = &query.bias[head * residues..][..residues];
        for ((score, &distance), &bias) in by_key.iter_mut().zip(&**distances).zip(bias) {
            *score = scores.score(head, *score, distance, bias);
        }
        *inverse = reciprocal(exponentiate(by_key, weights));
        sums.fill(0);
        (backend.add_weighted)(weights, all.values, sums);
        let (values, means) = sums.split_at(width);
        for (out, &sum) in out_values[head * width..].iter_mut().zip(values) {
            *out = to_i32(inverse.apply_wide(sum));
        }
        for (point, mean) in means.as_chunks::<3>().0.iter().enumerate() {
            let mean = mean.map(|sum| to_i32(inverse.apply_wide(sum)));
            let local = query.frame.invert_apply(mean);
            let squares = local.map(|v| u64::from(v.unsigned_abs()).pow(2));
            let square = squares.iter().fold(config.point_epsilon, |sum, &v| sum.saturating_add(v));
            let norm = isqrt(square).min(i32::MAX as u32) as i32;
            for (part, value) in local.into_iter().chain([norm]).enumerate() {
                out_points[part * all_points + head * points + point] = value;
            }
        }
    }
    pair_sums.fill(0);
    for (sums, weights) in pair_sums.chunks_exact_mut(config.pair_width).zip(weights.chunks_exact(residues)) {
        (backend.add_weighted_codes)(weights, query.codes, sums);
    }
    let to_activation = (ACT_FRAC - config.pair_frac.min(ACT_FRAC)) as i32;
    let out = &mut pairs[row * pair_sums.len()..][..pair_sums.len()];
    let by_head = out.chunks_exact_mut(config.pair_width).zip(pair_sums.chunks_exact(config.pair_width));
    for ((out, sums), inverse) in by_head.zip(inverses) {
        let inverse = inverse.scaled(to_activation);
        out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = to_i32(inverse.apply_wide(sum)));
    }
}

impl Scores<'_> {
    /// The score of one key, units of 2^-16 log2, from the product and the sum of squared distances, units of
    /// 2^-32.
    fn score(&self, head: usize, product: i64, distances: i64, bias: i32) -> i64 {
        let point_weight = match self.point_weights.as_chunks().0.get(head) {
            Some(&[mantissa, shift]) => Multiplier { mantissa, shift },
            None => Multiplier { mantissa: 0, shift: 0 },
        };
        let cut = |v: i64| v.clamp(-SCORE_MAX, SCORE_MAX);
        cut(self.scalar_weight.apply_wide(product)) + i64::from(bias)
            - cut(point_weight.apply_wide(distances))
    }
}

/// `weights[j]` = 2^22 * 2^-(distance to the largest score); returns their sum.
fn exponentiate(scores: &[i64], weights: &mut [i32]) -> u64 {
    let largest = scores.iter().copied().max().unwrap_or(0);
    let mut sum = 0;
    for (weight, &score) in weights.iter_mut().zip(scores) {
        let distance = (largest - score).min(u32::MAX.into()) as u32;
        *weight = exp2_fine(distance) as i32;
        sum += u64::from(weight.unsigned_abs());
    }
    sum
}

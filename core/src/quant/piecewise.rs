//! The piecewise linear codec: many codes where the values are dense, few where they are sparse.
//!
//! Source of the idea: PTQ4Protein (arXiv 2310.19624), section on piecewise linear quantization. Differences,
//! so that it can be deployed: all regions share one byte (the paper keeps `2^b` levels for each), and
//! ranges, breakpoints and the split are fixed in the file (the paper takes the breakpoint from the live
//! tensor).

use super::CodecError;

/// Levels, from the most negative: `n_neg` tail levels `step_neg` apart, then the dense levels from `-a *
/// step_mid` to `b * step_mid` (zero among them), then `n_pos` tail levels `step_pos` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piecewise {
    n_neg: i32,
    a: i32,
    b: i32,
    n_pos: i32,
    neg: Step,
    mid: Step,
    pos: Step,
}

/// A step in stream units with its exact reciprocal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub size: i32,
    pub reciprocal: u64,
    pub shift: u32,
}

/// Values are clamped to this before division; levels stay well inside.
pub(crate) const VALUE_MAX: i32 = (1 << 24) - 1;

impl Step {
    /// Division of n < 2^25 by `size` through a multiplication: with l = ceil(log2 size) and r =
    /// ceil(2^(25+l) / size), floor(n * r / 2^(25+l)) = floor(n / size) (Granlund and Montgomery 1994,
    /// theorem 4.2).
    pub const fn new(size: i32) -> Self {
        let log = if size <= 1 { 0 } else { 32 - (size as u32 - 1).leading_zeros() };
        let shift = 25 + log;
        Self { size, reciprocal: (1u64 << shift).div_ceil(size as u64), shift }
    }

    /// Nearest whole number of steps to `distance >= 0`, ties away from zero.
    #[inline(always)]
    const fn count(self, distance: i32, e: u32) -> i32 {
        let half = ((self.size as i64) << e) / 2;
        // half is below 2^24 because a level is; the sum is below 2^25.
        let n = ((distance as i64 + half) >> e) as u64;
        ((n * self.reciprocal) >> self.shift) as i32
    }
}

impl Piecewise {
    /// Checks the counts `[n_neg, a, b, n_pos]` and the steps `[step_neg, step_mid, step_pos]` (a step
    /// without levels is ignored).
    pub const fn new(counts: [i32; 4], steps: [i32; 3]) -> Result<Self, CodecError> {
        let [n_neg, a, b, n_pos] = counts;
        let [mut step_neg, step_mid, mut step_pos] = steps;
        if n_neg < 0 || a < 0 || b < 0 || n_pos < 0 || n_neg > 255 || a > 255 || b > 255 || n_pos > 255 {
            return Err(CodecError("a region's number of levels is outside 0 to 255"));
        }
        if n_neg + a + 1 + b + n_pos > 256 {
            return Err(CodecError("more than 256 levels"));
        }
        if n_neg == 0 {
            step_neg = 1;
        }
        if n_pos == 0 {
            step_pos = 1;
        }
        let limit = super::STREAM_MAX;
        if step_neg < 1
            || step_mid < 1
            || step_pos < 1
            || step_neg > limit
            || step_mid > limit
            || step_pos > limit
        {
            return Err(CodecError("a step is outside 1 to 2^23"));
        }
        let low = a as i64 * step_mid as i64 + n_neg as i64 * step_neg as i64;
        let high = b as i64 * step_mid as i64 + n_pos as i64 * step_pos as i64;
        if low > limit as i64 || high > limit as i64 {
            return Err(CodecError("a level exceeds 2^23 stream units"));
        }
        Ok(Self {
            n_neg,
            a,
            b,
            n_pos,
            neg: Step::new(step_neg),
            mid: Step::new(step_mid),
            pos: Step::new(step_pos),
        })
    }

    /// `[n_neg, a, b, n_pos]`.
    pub const fn counts(&self) -> [i32; 4] {
        [self.n_neg, self.a, self.b, self.n_pos]
    }

    /// `[step_neg, step_mid, step_pos]`.
    pub const fn steps(&self) -> [i32; 3] {
        [self.neg.size, self.mid.size, self.pos.size]
    }

    /// The steps as divisors: `[step_neg, step_mid, step_pos]`.
    pub(crate) const fn divisions(&self) -> [Step; 3] {
        [self.neg, self.mid, self.pos]
    }

    /// The largest magnitude of a level and of a step, at exponent 0.
    pub(crate) fn largest(&self) -> i32 {
        let (low, high) = self.range();
        self.steps().into_iter().fold(high.max(-low), i32::max)
    }

    /// Number of codes, at most 256; codes are `0..levels`.
    pub const fn levels(&self) -> i32 {
        self.n_neg + self.a + 1 + self.b + self.n_pos
    }

    /// Lowest and highest level in stream units, at exponent 0.
    pub const fn range(&self) -> (i32, i32) {
        (
            -(self.a * self.mid.size + self.n_neg * self.neg.size),
            self.b * self.mid.size + self.n_pos * self.pos.size,
        )
    }

    /// Where the dense region ends, in stream units, at exponent 0.
    pub const fn breakpoints(&self) -> (i32, i32) {
        (-self.a * self.mid.size, self.b * self.mid.size)
    }

    /// The code of the level nearest to `x` within x's own region; beyond the outermost levels, those. `e` is
    /// at most [`EXPONENT_MAX`](super::EXPONENT_MAX) (larger ones count as that).
    #[inline(always)]
    pub const fn encode(&self, x: i32, e: u8) -> u8 {
        let e = if e > super::EXPONENT_MAX { super::EXPONENT_MAX as u32 } else { e as u32 };
        let x = if x > VALUE_MAX {
            VALUE_MAX
        } else if x < -VALUE_MAX {
            -VALUE_MAX
        } else {
            x
        };
        let (low, high) = self.breakpoints();
        let (low, high) = (low as i64 * (1 << e), high as i64 * (1 << e));
        let x = x as i64;
        let code = if x < low {
            let steps = self.neg.count((low - x) as i32, e);
            self.n_neg - if steps > self.n_neg { self.n_neg } else { steps }
        } else if x > high {
            let steps = self.pos.count((x - high) as i32, e);
            self.n_neg + self.a + self.b + if steps > self.n_pos { self.n_pos } else { steps }
        } else if x < 0 {
            self.n_neg + self.a - self.mid.count((-x) as i32, e)
        } else {
            self.n_neg + self.a + self.mid.count(x as i32, e)
        };
        code as u8
    }

    /// The value of a code in stream units; a code beyond the last level counts as the last.
    #[inline(always)]
    pub const fn decode(&self, code: u8, e: u8) -> i32 {
        let e = if e > super::EXPONENT_MAX { super::EXPONENT_MAX as u32 } else { e as u32 };
        let last = self.levels() - 1;
        let code = if code as i32 > last { last } else { code as i32 };
        let offset = code - self.n_neg - self.a;
        let value = if offset < -self.a {
            -self.a * self.mid.size + (offset + self.a) * self.neg.size
        } else if offset > self.b {
            self.b * self.mid.size + (offset - self.b) * self.pos.size
        } else {
            offset * self.mid.size
        };
        value.wrapping_mul(1 << e)
    }
}

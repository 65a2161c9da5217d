//! A residue's frame while the structure module moves it.

use super::rigid::{Rigid, Rotation};
use super::vector::{ONE, normalized};
use crate::fixed::Multiplier;
use crate::fixed::saturate::to_i32;

/// Fractional bits of a frame's translation, and of the updates of both its parts.
pub const FRAME_FRAC: u32 = 20;

/// Translations are kept within this: 256 units of the structure module.
pub const TRANSLATION_MAX: i32 = 1 << 28;

/// A unit quaternion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quaternion {
    /// (real, i, j, k), Q1.30, at most 1 in magnitude.
    parts: [i32; 4],
}

impl Quaternion {
    /// No turn.
    pub const IDENTITY: Self = Self { parts: [ONE, 0, 0, 0] };

    /// The unit quaternion along these parts, in any unit; no turn where all are zero.
    pub fn normalize(parts: [i64; 4]) -> Self {
        if parts == [0; 4] { Self::IDENTITY } else { Self { parts: normalized(parts) } }
    }

    /// (real, i, j, k), Q1.30.
    #[cfg(any(test, feature = "kernels"))]
    pub const fn parts(&self) -> [i32; 4] {
        self.parts
    }

    /// This one times (1, `turn`), normalised; `turn` in units of 2^-20, any i32.
    pub fn compose_update(&self, turn: [i32; 3]) -> Self {
        let [a, b, c, d] = self.parts.map(i64::from);
        let [x, y, z] = turn.map(i64::from);
        // In units of 2^-50: three products of at most 2^61, and 2^50.
        Self::normalize([
            (a << FRAME_FRAC) - b * x - c * y - d * z,
            (b << FRAME_FRAC) + a * x + c * z - d * y,
            (c << FRAME_FRAC) + a * y - b * z + d * x,
            (d << FRAME_FRAC) + a * z + b * y - c * x,
        ])
    }

    /// The rotation: points p go to q p q*.
    pub fn rotation(&self) -> Rotation {
        let [a, b, c, d] = self.parts.map(i64::from);
        Rotation::from_wide([
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a - b * b + c * c - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a - b * b - c * c + d * d],
        ])
    }
}

/// A unit quaternion and a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The turn.
    pub quaternion: Quaternion,
    /// Unit 2^-20 units of the structure module, at most `TRANSLATION_MAX` in magnitude.
    pub translation: [i32; 3],
}

impl Frame {
    /// At the origin, not turned: where every residue starts.
    pub const IDENTITY: Self = Self { quaternion: Quaternion::IDENTITY, translation: [0; 3] };

    /// The motion from the residue to the world. `scale` takes the translation to the unit of the points that
    /// are moved.
    pub fn rigid(&self, scale: Multiplier) -> Rigid {
        Rigid { rotation: self.quaternion.rotation(), translation: self.translation.map(|t| scale.apply(t)) }
    }

    /// Turned by the quaternion (1, `turn`) and moved by `step`, which the frame before rotates; both in
    /// units of 2^-20.
    pub fn update(&self, turn: [i32; 3], step: [i32; 3]) -> Self {
        let turned = self.quaternion.rotation().apply(step);
        Self {
            quaternion: self.quaternion.compose_update(turn),
            translation: [0, 1, 2].map(|i| {
                let moved = i64::from(self.translation[i]) + turned[i];
                to_i32(moved).clamp(-TRANSLATION_MAX, TRANSLATION_MAX)
            }),
        }
    }

    /// Quaternion, then translation.
    pub const fn to_array(self) -> [i32; 7] {
        let ([a, b, c, d], [x, y, z]) = (self.quaternion.parts, self.translation);
        [a, b, c, d, x, y, z]
    }

    /// The reverse of [`to_array`](Self::to_array); the quaternion's parts are cut to 1 in magnitude.
    pub fn from_array([a, b, c, d, x, y, z]: [i32; 7]) -> Self {
        let parts = [a, b, c, d].map(|part| part.clamp(-ONE, ONE));
        Self { quaternion: Quaternion { parts }, translation: [x, y, z] }
    }
}

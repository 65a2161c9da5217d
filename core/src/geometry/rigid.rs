//! Rotations, and rotations with a translation.

use super::vector::{ONE, cross, dot, normalized, shifted};
use crate::fixed::saturate::to_i32;

/// A rotation matrix, Q1.30.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Row-major, each at most 2^30 in magnitude: a point of any i32 then turns without leaving 64 bits.
    rows: [[i32; 3]; 3],
}

impl Rotation {
    /// No turn.
    pub const IDENTITY: Self = Self { rows: [[ONE, 0, 0], [0, ONE, 0], [0, 0, ONE]] };

    /// From entries in units of 2^-60, rounded.
    pub(super) fn from_wide(rows: [[i64; 3]; 3]) -> Self {
        let one = i64::from(ONE);
        Self { rows: rows.map(|row| row.map(|v| shifted(v, 30).clamp(-one, one) as i32)) }
    }

    /// The rotation whose first column is along `x` and whose second is in the plane of `x` and `y`, on the
    /// side of `y`.
    ///
    /// Components are below 2^16 in magnitude, in any unit, so that everything but the columns' lengths is
    /// exact.
    pub(super) fn from_axes(x: [i64; 3], y: [i64; 3]) -> Self {
        let (square, overlap) = (dot(x, x), dot(x, y));
        let upright = [0, 1, 2].map(|i| y[i] * square - x[i] * overlap);
        let columns = [normalized(x), normalized(upright), normalized(cross(x, y))];
        Self { rows: [0, 1, 2].map(|row| columns.map(|column| column[row])) }
    }

    /// The matrix, row-major, Q1.30.
    #[cfg(any(test, feature = "kernels"))]
    pub const fn rows(&self) -> &[[i32; 3]; 3] {
        &self.rows
    }

    /// First a turn around the x axis by the angle with this sine and cosine (Q1.30, at most 1), then this
    /// rotation.
    pub fn after_turn_around_x(&self, [sin, cos]: [i32; 2]) -> Self {
        let (sin, cos) = (i64::from(sin), i64::from(cos));
        Self::from_wide(self.rows.map(|[x, y, z]| {
            let (y, z) = (i64::from(y), i64::from(z));
            [i64::from(x) << 30, y * cos + z * sin, z * cos - y * sin]
        }))
    }

    /// First `inner`, then this one.
    pub fn compose(&self, inner: &Self) -> Self {
        let product = |row: [i32; 3], column: usize| {
            let terms = [0, 1, 2].map(|k| i64::from(row[k]) * i64::from(inner.rows[k][column]));
            terms[0] + terms[1] + terms[2]
        };
        Self::from_wide(self.rows.map(|row| [0, 1, 2].map(|column| product(row, column))))
    }

    /// `point` turned, in its own unit, rounded once.
    pub fn apply(&self, [x, y, z]: [i32; 3]) -> [i64; 3] {
        let [x, y, z] = [i64::from(x), i64::from(y), i64::from(z)];
        // Each product is at most 2^61.
        self.rows.map(|[a, b, c]| shifted(i64::from(a) * x + i64::from(b) * y + i64::from(c) * z, 30))
    }

    /// The inverse turn.
    pub fn invert_apply(&self, point: [i32; 3]) -> [i64; 3] {
        let [a, b, c] = self.rows;
        let transposed = [[a[0], b[0], c[0]], [a[1], b[1], c[1]], [a[2], b[2], c[2]]];
        Self { rows: transposed }.apply(point)
    }
}

/// A rotation and then a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rigid {
    /// The rotation.
    pub rotation: Rotation,
    /// The translation, in the unit of the points that are moved.
    pub translation: [i32; 3],
}

impl Rigid {
    /// Nothing moves.
    pub const IDENTITY: Self = Self { rotation: Rotation::IDENTITY, translation: [0; 3] };

    /// Where `point` is moved, saturating. Error: half a unit, and 2^-29 of the point's distance from the
    /// origin.
    pub fn apply(&self, point: [i32; 3]) -> [i32; 3] {
        let turned = self.rotation.apply(point);
        [0, 1, 2].map(|i| to_i32(turned[i] + i64::from(self.translation[i])))
    }

    /// What is moved to `point`, saturating.
    pub fn invert_apply(&self, point: [i32; 3]) -> [i32; 3] {
        let moved = [0, 1, 2].map(|i| point[i].saturating_sub(self.translation[i]));
        self.rotation.invert_apply(moved).map(to_i32)
    }

    /// First `inner`, then this one.
    pub fn compose(&self, inner: &Self) -> Self {
        Self { rotation: self.rotation.compose(&inner.rotation), translation: self.apply(inner.translation) }
    }
}

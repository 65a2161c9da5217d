//! Rigid motions in three dimensions.

/// A rotation and then a translation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rigid {
    /// Row-major.
    pub rotation: [[f64; 3]; 3],
    /// In the unit of the points that are moved.
    pub translation: [f64; 3],
}

impl Rigid {
    /// The matrix of a torsion by the angle with this sine and cosine, around the x axis.
    pub fn turn_around_x([sin, cos]: [f64; 2]) -> Self {
        Self { rotation: [[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]], translation: [0.0; 3] }
    }

    /// Where `point` is moved.
    pub fn apply(&self, point: [f64; 3]) -> [f64; 3] {
        add(rotate(&self.rotation, point), self.translation)
    }

    /// What is moved to `point`.
    pub fn invert_apply(&self, point: [f64; 3]) -> [f64; 3] {
        let moved = minus(point, self.translation);
        [0, 1, 2].map(|column| (0..3).map(|row| self.rotation[row][column] * moved[row]).sum())
    }

    /// First `inner`, then this one.
    pub fn compose(&self, inner: &Self) -> Self {
        let column = |c: usize| rotate(&self.rotation, [0, 1, 2].map(|row| inner.rotation[row][c]));
        let columns = [column(0), column(1), column(2)];
        Self {
            rotation: [0, 1, 2].map(|row| columns.map(|column| column[row])),
            translation: self.apply(inner.translation),
        }
    }
}

/// A residue's frame while the structure module moves it: a unit quaternion and a translation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// (real, i, j, k).
    pub quaternion: [f64; 4],
    /// In units of the structure module, 10 angstroms.
    pub translation: [f64; 3],
}

impl Frame {
    /// At the origin, not turned: where every residue starts.
    pub const IDENTITY: Self = Self { quaternion: [1.0, 0.0, 0.0, 0.0], translation: [0.0; 3] };

    /// The motion from the residue to the world, with the translation times `scale`.
    pub fn rigid(&self, scale: f64) -> Rigid {
        let [a, b, c, d] = self.quaternion;
        Rigid {
            rotation: [
                [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
                [2.0 * (b * c + a * d), a * a - b * b + c * c - d * d, 2.0 * (c * d - a * b)],
                [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a - b * b - c * c + d * d],
            ],
            translation: scaled(self.translation, scale),
        }
    }

    /// Turned by the quaternion (1, `turn`), normalised, and moved by `step`, which the frame before rotates.
    pub fn update(&self, turn: [f64; 3], step: [f64; 3]) -> Self {
        let [a, b, c, d] = self.quaternion;
        let [x, y, z] = turn;
        let new = [
            a - b * x - c * y - d * z,
            b + a * x + c * z - d * y,
            c + a * y - b * z + d * x,
            d + a * z + b * y - c * x,
        ];
        let norm = new.iter().map(|v| v * v).sum::<f64>().sqrt();
        Self { quaternion: new.map(|v| v / norm), translation: self.rigid(1.0).apply(step) }
    }
}

fn rotate(rotation: &[[f64; 3]; 3], point: [f64; 3]) -> [f64; 3] {
    rotation.map(|row| dot(row, point))
}

/// Dot product.
pub fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Cross product.
pub fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Sum.
pub fn add(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// Difference.
pub fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// `a` times `factor`.
pub fn scaled(a: [f64; 3], factor: f64) -> [f64; 3] {
    a.map(|v| v * factor)
}

/// Squared length.
pub fn squared_norm(a: [f64; 3]) -> f64 {
    dot(a, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: [f64; 3], b: [f64; 3]) -> bool {
        squared_norm(minus(a, b)) < 1e-20
    }

    #[test]
    fn updates_are_products_of_quaternions_and_stay_rotations() {
        let half = (std::f64::consts::FRAC_PI_8).tan();
        let frame = Frame::IDENTITY.update([0.0, 0.0, half], [1.0, 2.0, 3.0]);
        let once = frame.rigid(10.0);
        let turn = std::f64::consts::FRAC_1_SQRT_2;
        assert!(close(once.apply([1.0, 0.0, 0.0]), [10.0 + turn, 20.0 + turn, 30.0]));
        let twice = frame.update([0.0, 0.0, half], [1.0, 0.0, 0.0]).rigid(1.0);
        assert!(close(twice.apply([1.0, 0.0, 0.0]), [1.0 + turn, 3.0 + turn, 3.0]));
        assert!(close(minus(twice.apply([1.0, 0.0, 0.0]), twice.translation), [0.0, 1.0, 0.0]));
        let third = frame.update([0.3, -2.0, 0.7], [0.0; 3]).rigid(1.0);
        let [x, y, z] = third.rotation;
        assert!(close(cross(x, y), z) && (squared_norm(x) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn motions_compose_and_invert() {
        let a = Frame::IDENTITY.update([0.1, -0.5, 0.7], [1.0, 2.0, -3.0]).rigid(1.0);
        let b = Rigid { translation: [0.5, -4.0, 1.0], ..Rigid::turn_around_x([0.6, 0.8]) };
        let point = [3.0, -2.0, 0.25];
        assert!(close(a.compose(&b).apply(point), a.apply(b.apply(point))));
        assert!(close(a.invert_apply(a.apply(point)), point));
        assert!(close(Rigid::turn_around_x([1.0, 0.0]).apply([0.0, 1.0, 0.0]), [0.0, 0.0, 1.0]));
    }
}

//! How near rows of numbers are to the float reference's.

/// Cosine and relative error over many rows.
#[derive(Clone, Copy, Debug)]
pub struct Similarity {
    rows: u64,
    cosines: f64,
    worst: f64,
    squared_error: f64,
    squared_reference: f64,
}

impl Default for Similarity {
    fn default() -> Self {
        Self { rows: 0, cosines: 0.0, worst: 1.0, squared_error: 0.0, squared_reference: 0.0 }
    }
}

impl Similarity {
    /// Adds one row (one token's values) and its reference, and returns their cosine; a pair of zero rows
    /// counts as equal.
    pub fn add(
        &mut self,
        row: impl Iterator<Item = f64> + Clone,
        reference: impl Iterator<Item = f64> + Clone,
    ) -> f64 {
        let (mut dot, mut square, mut square_reference) = (0.0, 0.0, 0.0);
        for (x, r) in row.zip(reference) {
            dot += x * r;
            square += x * x;
            square_reference += r * r;
            self.squared_error += (x - r) * (x - r);
        }
        let norms = (square * square_reference).sqrt();
        let cosine = if norms > 0.0 { dot / norms } else { f64::from(u8::from(square == square_reference)) };
        self.rows += 1;
        self.cosines += cosine;
        self.worst = self.worst.min(cosine);
        self.squared_reference += square_reference;
        cosine
    }

    /// Mean of the rows' cosines; 1 if there are none.
    pub fn mean_cosine(&self) -> f64 {
        if self.rows == 0 { 1.0 } else { self.cosines / self.rows as f64 }
    }

    /// The smallest cosine of a row; 1 if there are none.
    pub fn worst_cosine(&self) -> f64 {
        self.worst
    }

    /// Root of (squared error / squared reference), both summed over all rows.
    pub fn relative_error(&self) -> f64 {
        if self.squared_error == 0.0 { 0.0 } else { (self.squared_error / self.squared_reference).sqrt() }
    }
}

/// Place of the largest value, the first of equals; `None` of nothing.
pub fn arg_max(values: impl IntoIterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (place, value) in values.into_iter().enumerate() {
        if best.is_none_or(|(_, b)| value > b) {
            best = Some((place, value));
        }
    }
    best.map(|(place, _)| place)
}

/// Negative log-likelihood in nats of entry `place` under softmax(logits); `None` if there is no such entry.
pub fn negative_log_likelihood(logits: &[f64], place: usize) -> Option<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|l| (l - largest).exp()).sum();
    Some(sum.ln() + largest - logits.get(place)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[([f64; 2], [f64; 2])]) -> Similarity {
        let mut s = Similarity::default();
        for (x, r) in rows {
            s.add(x.iter().copied(), r.iter().copied());
        }
        s
    }

    #[test]
    fn known_angles() {
        let s = of(&[([1.0, 0.0], [2.0, 0.0]), ([1.0, 1.0], [1.0, 0.0])]);
        assert!((s.mean_cosine() - (1.0 + 0.5f64.sqrt()) / 2.0).abs() < 1e-12);
        assert!((s.worst_cosine() - 0.5f64.sqrt()).abs() < 1e-12);
        assert!((s.relative_error() - (2.0f64 / 5.0).sqrt()).abs() < 1e-12);
        let zero = of(&[([0.0; 2], [0.0; 2])]);
        assert_eq!((zero.mean_cosine(), zero.relative_error()), (1.0, 0.0));
        assert_eq!(of(&[([0.0; 2], [1.0, 0.0])]).worst_cosine(), 0.0);
    }

    #[test]
    fn likelihood_and_arg_max() {
        let nll = negative_log_likelihood(&[1000.0, 1000.0], 1).expect("an entry");
        assert!((nll - 2f64.ln()).abs() < 1e-12);
        assert_eq!(negative_log_likelihood(&[0.0], 1), None);
        assert_eq!(arg_max([1.0, 3.0, 3.0]), Some(1));
        assert_eq!(arg_max([]), None);
    }
}

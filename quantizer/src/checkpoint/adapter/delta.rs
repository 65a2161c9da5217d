//! What an adapter adds to a tensor.

/// The kind of thing that is added.
#[derive(Clone, Debug)]
pub enum Kind {
    /// B A of a Linear: `a` is `[rank, inputs]`, `b` is `[outputs, rank]`.
    Linear,
    /// (B A) transposed, of an embedding: `a` is `[rank, rows]`, `b` is `[width, rank]`.
    Embedding,
}

/// Adds `scale` times the product of the factors `a` and `b` to `weights`, all in row-major order.
///
/// Sums over the rank are in f64, so that the result is within one rounding of the exact one.
pub fn add_product(weights: &mut [f32], a: &[f32], b: &[f32], rank: usize, scale: f64, kind: &Kind) {
    let inputs = a.len() / rank.max(1);
    match kind {
        Kind::Linear => {
            let mut sums = vec![0.0f64; inputs];
            for (row, factors) in weights.chunks_exact_mut(inputs.max(1)).zip(b.chunks_exact(rank.max(1))) {
                sums.fill(0.0);
                for (factor, basis) in factors.iter().zip(a.chunks_exact(inputs.max(1))) {
                    let factor = scale * f64::from(*factor);
                    sums.iter_mut().zip(basis).for_each(|(sum, &value)| *sum += factor * f64::from(value));
                }
                row.iter_mut().zip(&sums).for_each(|(w, sum)| *w = (f64::from(*w) + sum) as f32);
            }
        }
        Kind::Embedding => {
            let width = b.len() / rank.max(1);
            for (index, row) in weights.chunks_exact_mut(width.max(1)).enumerate() {
                for (w, factors) in row.iter_mut().zip(b.chunks_exact(rank.max(1))) {
                    let products = factors
                        .iter()
                        .enumerate()
                        .map(|(r, &f)| f64::from(f) * f64::from(a[r * inputs + index]));
                    *w = (f64::from(*w) + scale * products.sum::<f64>()) as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_added_row_by_row() {
        // A = [[1, 2, 3], [0, 1, 0]], B = [[1, 0], [2, 10]]: B A = [[1, 2, 3], [2, 14, 6]].
        let (a, b) = ([1.0, 2.0, 3.0, 0.0, 1.0, 0.0], [1.0, 0.0, 2.0, 10.0]);
        let mut weights = [100.0, 0.0, 0.0, 0.0, 0.0, -1.0];
        add_product(&mut weights, &a, &b, 2, 0.5, &Kind::Linear);
        assert_eq!(weights, [100.5, 1.0, 1.5, 1.0, 7.0, 2.0]);
        let mut embedding = [0.0; 6];
        add_product(&mut embedding, &a, &b, 2, 1.0, &Kind::Embedding);
        assert_eq!(embedding, [1.0, 2.0, 2.0, 14.0, 3.0, 6.0]);
    }
}

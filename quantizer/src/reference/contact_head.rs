//! Contacts: a logistic regression over the attention maps of all layers and heads.

use super::ReferenceError;
use super::weights::Weights;
use crate::checkpoint::Checkpoint;

/// The regression's parameters.
pub struct ContactHead {
    /// One weight per attention map: `[layers * heads]`.
    pub weights: Vec<f32>,
    /// The logit without any attention.
    pub bias: f32,
}

impl ContactHead {
    /// Reads the head.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self, ReferenceError> {
        if !checkpoint.has_contact_head() {
            return Err(ReferenceError::NoContactHead(checkpoint.path().display().to_string()));
        }
        let [weights, bias] = Weights::new(checkpoint).values("lm.contact")?;
        Ok(Self { weights, bias: bias.first().copied().unwrap_or_default() })
    }
}

/// The logits of one sequence's contacts while its attention maps come in.
pub struct ContactLogits {
    residues: usize,
    sum: Vec<f64>,
}

impl ContactLogits {
    /// No map seen yet. `residues` does not count `<cls>` and `<eos>`.
    pub fn new(residues: usize) -> Self {
        Self { residues, sum: vec![0.0; residues * residues] }
    }

    /// Adds one head's attention weights, `[residues + 2, residues + 2]`: without `<cls>` and `<eos>`, plus
    /// its own transpose, minus the average product (row sum times column sum over the total).
    pub fn add(&mut self, map: &[f32], weight: f32) {
        let (n, tokens) = (self.residues, self.residues + 2);
        let value = |i: usize, j: usize| f64::from(map[(i + 1) * tokens + j + 1]);
        let mut sums = vec![0.0; n];
        for i in 0..n {
            for j in 0..n {
                sums[i] += value(i, j);
                sums[j] += value(i, j);
            }
        }
        let total: f64 = sums.iter().sum();
        // Without any attention between residues the correction is 0 / 0.
        let per_total = if total > 0.0 { 1.0 / total } else { 0.0 };
        for i in 0..n {
            for j in 0..n {
                let corrected = value(i, j) + value(j, i) - sums[i] * sums[j] * per_total;
                self.sum[i * n + j] += f64::from(weight) * corrected;
            }
        }
    }

    /// Contact probabilities, `[residues, residues]`.
    pub fn finish(self, head: &ContactHead) -> Vec<f32> {
        let bias = f64::from(head.bias);
        self.sum.into_iter().map(|sum| (1.0 / (1.0 + (-(sum + bias)).exp())) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_is_a_product_has_no_contacts() {
        let (n, tokens) = (4, 6);
        let mut map = vec![1.0; tokens * tokens];
        for i in 0..n {
            for j in 0..n {
                map[(i + 1) * tokens + j + 1] = ((i + 1) * (j + 1)) as f32;
            }
        }
        let mut logits = ContactLogits::new(n);
        logits.add(&map, 3.0);
        let contacts = logits.finish(&ContactHead { weights: vec![3.0], bias: 0.0 });
        assert!(contacts.iter().all(|p| (p - 0.5).abs() < 1e-6), "{contacts:?}");
    }

    #[test]
    fn no_attention_between_residues_leaves_the_bias() {
        let mut logits = ContactLogits::new(1);
        logits.add(&[0.0; 9], 5.0);
        let contacts = logits.finish(&ContactHead { weights: vec![5.0], bias: -1.0 });
        assert!((contacts[0] - 1.0 / (1.0 + 1f32.exp())).abs() < 1e-6);
    }
}

//! Tables of how near hidden states and logits are to the float reference's.

use std::fmt::Write as _;

use crate::accuracy::bootstrap::mean;
use crate::accuracy::similarity::{Similarity, arg_max, negative_log_likelihood};
use fasta::Sequence;
use foldpoint_core::alphabet;
use serde::Serialize;
use serde_json::{Value, json};
use std_runner::engine::decode;

use super::hidden::Comparison;
use super::targets::LeftOut;

/// The number of the first of the 20 amino acids' tokens, and how many there are.
const FIRST: usize = alphabet::FIRST_RESIDUE as usize;
const STANDARD: usize = alphabet::STANDARD;

/// What the sequences add up to.
pub struct Totals {
    layers: Vec<Layer>,
    logits: Logits,
    pub proteins: Vec<Protein>,
}

/// One hidden state over all tokens, and the token whose cosine is the smallest.
#[derive(Clone, Default)]
struct Layer {
    similarity: Similarity,
    worst: Option<Worst>,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Worst {
    /// Its protein.
    id: String,
    /// Its residue's number, from 1; none for `<cls>` and `<eos>`.
    position: Option<usize>,
    /// Its residue's letter, or `<cls>` or `<eos>`.
    residue: String,
    cosine: f64,
}

/// One sequence's last hidden state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Protein {
    pub id: String,
    /// What its files are called.
    pub name: String,
    length: usize,
    mean_cosine: f64,
    worst: Option<Worst>,
}

#[derive(Default)]
struct Logits {
    similarity: Similarity,
    /// Residues whose most probable token is the same.
    agreements: usize,
    residues: usize,
    /// Negative log-likelihoods of the sequence's own residues, summed.
    model_nll: f64,
    reference_nll: f64,
}

impl Worst {
    fn at(sequence: &Sequence, token: usize, cosine: f64) -> Self {
        let position = token.checked_sub(1).filter(|&at| at < sequence.residues.len());
        let residue = match (position, token) {
            (Some(at), _) => char::from(sequence.residues[at]).to_string(),
            (None, 0) => "<cls>".into(),
            (None, _) => "<eos>".into(),
        };
        Self { id: sequence.id.clone(), position: position.map(|at| at + 1), residue, cosine }
    }
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let position = self.position.map(|p| p.to_string()).unwrap_or_default();
        write!(f, "{} {}{position}", self.id, self.residue)
    }
}

impl Layer {
    /// Adds a protein's rows; returns the protein's own similarity and its worst token.
    fn add<'r>(
        &mut self,
        sequence: &Sequence,
        rows: impl Iterator<Item = (&'r [i32], &'r [f32])>,
    ) -> (Similarity, Option<Worst>) {
        let (mut own, mut lowest) = (Similarity::default(), None);
        for (token, (model, reference)) in rows.enumerate() {
            let model = model.iter().map(|&v| f64::from(decode(v)));
            let reference = reference.iter().map(|&v| f64::from(v));
            let cosine = own.add(model.clone(), reference.clone());
            self.similarity.add(model, reference);
            if lowest.is_none_or(|(_, least)| cosine < least) {
                lowest = Some((token, cosine));
            }
        }
        let worst = lowest.map(|(token, cosine)| Worst::at(sequence, token, cosine));
        if let Some(worst) = &worst
            && self.worst.as_ref().is_none_or(|known| worst.cosine < known.cosine)
        {
            self.worst = Some(worst.clone());
        }
        (own, worst)
    }
}

impl Totals {
    /// For a model of so many layers; the embedding is one more hidden state.
    pub fn new(layers: usize) -> Self {
        Self { layers: vec![Layer::default(); layers + 1], logits: Logits::default(), proteins: Vec::new() }
    }

    /// Adds a sequence; hidden states are `width` wide and logits `vocab`.
    pub fn add(&mut self, sequence: &Sequence, compared: &Comparison, width: usize, vocab: usize) {
        let length = sequence.residues.len();
        let references = compared.hidden.chunks_exact((length + 2) * width);
        let mut last = (Similarity::default(), None);
        for ((layer, model), reference) in
            self.layers.iter_mut().zip(&compared.prediction.hidden).zip(references)
        {
            last = layer.add(sequence, model.chunks_exact(width).zip(reference.chunks_exact(width)));
        }
        let (id, name) = (sequence.id.clone(), sequence.stem.clone());
        self.proteins.push(Protein { id, name, length, mean_cosine: last.0.mean_cosine(), worst: last.1 });
        if let (Some(model), Some(reference)) = (&compared.prediction.logits, &compared.logits) {
            let model =
                model.chunks_exact(vocab).map(|row| row.iter().map(|&v| f64::from(decode(v))).collect());
            let reference =
                reference.chunks_exact(vocab).map(|row| row.iter().map(|&v| f64::from(v)).collect());
            let rows = alphabet::tokens(&sequence.residues).zip(model.zip(reference));
            rows.skip(1).take(length).for_each(|(t, (m, r))| self.logits.add(t, &m, &r));
        }
    }

    fn tokens(&self) -> usize {
        self.proteins.iter().map(|protein| protein.length + 2).sum()
    }

    fn name(&self, layer: usize) -> String {
        match layer {
            0 => "embedding".to_owned(),
            l if l + 1 == self.layers.len() => format!("{l}, after the final LayerNorm"),
            l => l.to_string(),
        }
    }

    /// The protein whose last hidden states are the least similar.
    fn worst_protein(&self) -> Option<&Protein> {
        self.proteins.iter().min_by(|a, b| a.mean_cosine.total_cmp(&b.mean_cosine))
    }

    pub fn markdown(&self, left_out: usize) -> String {
        let (tokens, proteins) = (self.tokens(), self.proteins.len());
        let mut text = format!(
            "{tokens} tokens of {proteins} sequences, <cls> and <eos> included; left out: {left_out} sequences\n\n"
        );
        text += "| hidden state | mean cosine | worst cosine | relative error | worst token |\n|---|---:|---:|---:|---|\n";
        let row = |s: &Similarity| {
            let (mean, worst, error) = (s.mean_cosine(), s.worst_cosine(), s.relative_error());
            format!("{mean:.5} | {worst:.5} | {error:.4}")
        };
        for (number, Layer { similarity, worst }) in self.layers.iter().enumerate() {
            let worst = worst.as_ref().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "| {} | {} | {worst} |", self.name(number), row(similarity));
        }
        let logits = &self.logits;
        if logits.residues > 0 {
            let _ = writeln!(text, "| logits of the 20 amino acids | {} | |", row(&logits.similarity));
        }
        if let Some(Protein { id, mean_cosine, .. }) = self.worst_protein() {
            let _ = writeln!(
                text,
                "\nWorst protein: {id}, mean cosine {mean_cosine:.5} of its last hidden states."
            );
        }
        if let Some([agreement, model, float]) = logits.summary() {
            let _ = writeln!(
                text,
                "\nLogits: top-1 agreement {:.2}% of {} residues;\npseudo-perplexity in one pass (nothing masked): integer {model:.4}, \
                 float {float:.4}.",
                100.0 * agreement,
                logits.residues
            );
        }
        text
    }

    pub fn json(&self, left_out: &[LeftOut]) -> Value {
        let similarity = |s: &Similarity| {
            json!({
                "mean_cosine": s.mean_cosine(), "worst_cosine": s.worst_cosine(), "relative_error": s.relative_error(),
            })
        };
        let layer = |(number, layer): (usize, &Layer)| {
            let mut value = similarity(&layer.similarity);
            value["layer"] = json!(number);
            value["worst"] = json!(layer.worst);
            value
        };
        let logits = self.logits.summary().map(|[agreement, model, float]| {
            let mut value = similarity(&self.logits.similarity);
            value["top1_agreement"] = json!(agreement);
            value["residues"] = json!(self.logits.residues);
            value["pseudo_perplexity"] = json!({ "integer": model, "float": float });
            value
        });
        json!({
            "tokens": self.tokens(),
            "layers": self.layers.iter().enumerate().map(layer).collect::<Vec<_>>(),
            "logits": logits,
            "mean_cosine": mean(self.proteins.iter().map(|protein| protein.mean_cosine)),
            "worst_protein": self.worst_protein().map(|protein| &protein.id),
            "proteins": self.proteins,
            "left_out": left_out,
        })
    }
}

impl Logits {
    /// Adds one residue: its token and its rows of logits, of which the 20 amino acids count.
    fn add(&mut self, token: u8, model: &Vec<f64>, reference: &Vec<f64>) {
        let amino =
            |row: &Vec<f64>| row.get(FIRST..FIRST + STANDARD).map(<[f64]>::to_vec).unwrap_or_default();
        let (model, reference) = (amino(model), amino(reference));
        self.similarity.add(model.iter().copied(), reference.iter().copied());
        // X and masks have no entry among the 20, and no right answer.
        let Some(place) = usize::from(token).checked_sub(FIRST) else { return };
        let nll = |row: &[f64]| negative_log_likelihood(row, place);
        let (Some(m), Some(r)) = (nll(&model), nll(&reference)) else { return };
        self.model_nll += m;
        self.reference_nll += r;
        self.agreements += usize::from(arg_max(model) == arg_max(reference));
        self.residues += 1;
    }

    /// Share of residues with the same most probable token; pseudo-perplexities of the model and of the
    /// reference.
    fn summary(&self) -> Option<[f64; 3]> {
        let n = self.residues as f64;
        let perplexity = |nll: f64| (nll / n).exp();
        (self.residues > 0)
            .then(|| [self.agreements as f64 / n, perplexity(self.model_nll), perplexity(self.reference_nll)])
    }
}

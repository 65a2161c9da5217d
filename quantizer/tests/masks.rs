//! Masked sequences in integers against what PyTorch computes with them: token dropout's scale and zeros are
//! in the golden fixtures, and an engine that left them out would be off by far more than quantization is.

mod fixture;

use fixture::folding::model;
use fixture::{expected, golden};
use foldpoint_core::esm::{Event, HiddenLayers, LanguageModel, Request};
use foldpoint_core::format::ModelFile;
use foldpoint_core::{AlignedBytes, Runtime};
use std::ops::ControlFlow;

const MASK: u8 = 32;
/// The fixtures' sequences, masks and all.
const CALIBRATION: &str = ">a\nMKTAYIAKQRQISFVKSH\n>b\nGAVL_MKWC_DE_RH\n>c\nW\n>d\nACDXEFGHNPV\n";

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Logits and the embeddings, `[tokens, ...]`.
fn run(model: &AlignedBytes, tokens: &[u8]) -> [Vec<f32>; 2] {
    let file = ModelFile::parse(model.bytes()).unwrap();
    let model = LanguageModel::load(&file).unwrap();
    let (request, runtime) = (Request::default().logits(true).hidden(HiddenLayers::All), Runtime::serial());
    let mut arena = AlignedBytes::zeroed(model.arena_bytes(tokens.len(), &request, &runtime).unwrap());
    let float = |&value: &i32| value as f32 / 65536.0;
    let mut embedded = Vec::new();
    let mut hook = |event: Event<'_>| {
        if let Event::Hidden(row) = event
            && row.layer == 0
        {
            embedded.extend(row.values.iter().map(float));
        }
        ControlFlow::Continue(())
    };
    let outputs = model.run_with(tokens, &request, arena.bytes_mut(), &runtime, &mut hook).unwrap();
    let logits = outputs.logits.unwrap().iter().map(float).collect();
    [logits, embedded]
}

#[test]
fn masked_sequences_are_as_close_to_pytorch_as_others() {
    let model = model(&golden("esm2-head16"), CALIBRATION, &["--residual-bits", "16"]);
    let mut masked = 0;
    for (index, expected) in expected("esm2-head16").iter().enumerate() {
        let [logits, embedded] = run(&model, &expected.tokens);
        let of_logits = cosine(&logits, &expected.logits);
        assert!(of_logits > 0.99, "sequence {index}: {of_logits}");
        // The embedding has no weights of 8 bits in it: its scale shows by itself.
        let float = &expected.hidden[..embedded.len()];
        let (worst, largest) = embedded
            .iter()
            .zip(float)
            .fold((0f32, 0f32), |(worst, largest), (a, b)| (worst.max((a - b).abs()), largest.max(b.abs())));
        assert!(worst < largest * 1e-3, "sequence {index}: {worst} of {largest}");
        masked += expected.tokens.iter().filter(|&&token| token == MASK).count();
    }
    assert_eq!(masked, 3);
}

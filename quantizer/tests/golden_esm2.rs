//! The float reference against PyTorch, on the fixtures of `tests/golden/make_esm2.py`.

mod fixture;

use fixture::{Expectation, golden};
use quantizer::checkpoint::Checkpoint;
use quantizer::reference::{Observer, Outputs, Reference, Site, Want};

/// Largest difference allowed between the reference and PyTorch, both in f32.
const TOLERANCE: f32 = 1e-4;
const ALL: Want = Want { contacts: true, logits: true, hidden: true };

fn assert_close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let difference = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference <= TOLERANCE, "{name} differs by {difference}");
}

fn assert_matches(name: &str, outputs: &Outputs, expected: &Expectation) {
    assert_close(&format!("{name} contacts"), &outputs.contacts, &expected.contacts);
    assert_close(&format!("{name} logits"), &outputs.logits, &expected.logits);
    let rows = outputs.hidden.iter().zip(expected.hidden.chunks_exact(outputs.hidden[0].len()));
    for (layer, (found, expected)) in rows.enumerate() {
        assert_close(&format!("{name} hidden state {layer}"), found, expected);
    }
    assert_eq!(outputs.hidden.concat().len(), expected.hidden.len(), "{name} hidden states");
}

fn assert_checkpoint_matches(folder: &str, checkpoint: &str) {
    let path = golden(folder).join(checkpoint);
    let checkpoint = Checkpoint::open(&path).unwrap();
    let reference = Reference::new(&checkpoint).unwrap();
    for (i, expected) in fixture::expected(folder).iter().enumerate() {
        let outputs = reference.run(&expected.tokens, ALL).unwrap();
        assert_matches(&format!("{folder} sequence {i}"), &outputs, expected);
    }
}

#[test]
fn safetensors_folder_agrees_with_transformers() {
    assert_checkpoint_matches("esm2-head16", "");
}

#[test]
fn bin_folder_agrees_with_transformers() {
    assert_checkpoint_matches("esm2-head24", "");
}

#[test]
fn pt_file_agrees_with_fair_esm() {
    assert_checkpoint_matches("esm2-fair", "tiny.pt");
}

#[test]
fn a_batch_gives_what_each_sequence_gives_alone() {
    let checkpoint = Checkpoint::open(&golden("esm2-head24")).unwrap();
    let reference = Reference::new(&checkpoint).unwrap();
    let sequences: Vec<Vec<u8>> = fixture::expected("esm2-head24").into_iter().map(|e| e.tokens).collect();
    let batch = reference.run_batch(&sequences, ALL, &mut ()).unwrap();
    for (tokens, together) in sequences.iter().zip(&batch) {
        assert_near(&reference.run(tokens, ALL).unwrap(), together);
    }
    assert!(reference.run_batch::<Vec<u8>>(&[], ALL, &mut ()).unwrap().is_empty());
}

/// Products of other numbers of rows are summed in other orders.
fn assert_near(found: &Outputs, expected: &Outputs) {
    let near = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        let apart = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-4, "{apart}");
    };
    near(&found.contacts, &expected.contacts);
    near(&found.logits, &expected.logits);
    assert_eq!(found.hidden.len(), expected.hidden.len());
    found.hidden.iter().zip(&expected.hidden).for_each(|(found, expected)| near(found, expected));
}

#[test]
fn nothing_is_computed_that_was_not_wanted() {
    let checkpoint = Checkpoint::open(&golden("esm2-head16")).unwrap();
    let outputs = Reference::new(&checkpoint).unwrap().run(&[0, 5, 2], Want::default()).unwrap();
    assert_eq!(outputs, Outputs::default());
}

#[test]
fn bad_tokens_are_errors_that_say_where() {
    let checkpoint = Checkpoint::open(&golden("esm2-head16")).unwrap();
    let reference = Reference::new(&checkpoint).unwrap();
    let error = |tokens: &[u8]| {
        let sequences: [&[u8]; 2] = [&[0, 4, 2], tokens];
        reference.run_batch(&sequences, ALL, &mut ()).unwrap_err().to_string()
    };
    assert_eq!(error(&[0, 4, 33, 2]), "sequence 1: token 33 at 2 is not below 33");
    assert_eq!(error(&[0]), "sequence 1 has 1 tokens, expected at least <cls> and <eos>");
    assert_eq!(error(&[]), "sequence 1 has 0 tokens, expected at least <cls> and <eos>");
}

/// Keeps all it is shown.
#[derive(Default)]
struct Recorder {
    seen: Vec<(usize, String, Vec<f32>, usize)>,
    layers_done: Vec<(usize, usize)>,
}

impl Observer for Recorder {
    fn wants(&self, site: &Site) -> bool {
        site.name != "lm.layers.0.ffn.down"
    }

    fn values(&mut self, sequence: usize, site: &Site, values: &[f32], channels: usize) {
        assert_eq!((site.pass, site.iteration), (0, 0));
        self.seen.push((sequence, site.name.clone(), values.to_vec(), channels));
    }

    fn layer_done(&mut self, layer: usize, sequence: usize) {
        self.layers_done.push((layer, sequence));
    }
}

#[test]
fn an_observer_sees_every_site_once_and_the_values_that_hidden_states_have() {
    let checkpoint = Checkpoint::open(&golden("esm2-head24")).unwrap();
    let config = checkpoint.config();
    let sequences: Vec<Vec<u8>> = vec![vec![0, 4, 5, 6, 2], vec![0, 20, 2]];
    let mut recorder = Recorder::default();
    let outputs = Reference::new(&checkpoint).unwrap().run_batch(&sequences, ALL, &mut recorder).unwrap();
    for (i, tokens) in sequences.iter().enumerate() {
        let ends = ["lm.norm", "lm.head.dense", "lm.head.norm", "lm.head.decoder", "lm.layers.1.ffn.down"];
        let mut sites: Vec<String> = ends.map(str::to_owned).to_vec();
        for layer in 0..config.layers {
            let parts = ["attention.norm", "attention.qkv", "attention.output", "ffn.norm", "ffn.up"];
            sites.extend(parts.map(|part| format!("lm.layers.{layer}.{part}")));
        }
        let mut seen: Vec<String> = recorder.seen.iter().filter(|s| s.0 == i).map(|s| s.1.clone()).collect();
        seen.sort();
        sites.sort();
        assert_eq!(seen, sites);
        for (_, site, values, channels) in recorder.seen.iter().filter(|s| s.0 == i) {
            let expected = if site.ends_with("ffn.down") { config.ffn } else { config.width };
            assert_eq!((*channels, values.len()), (expected, expected * tokens.len()), "{site}");
        }
        let at = |site: &str| &recorder.seen.iter().find(|s| s.0 == i && s.1 == site).unwrap().2;
        assert_eq!(at("lm.layers.0.attention.norm"), &outputs[i].hidden[0]);
        assert_eq!(at("lm.layers.1.attention.norm"), &outputs[i].hidden[1]);
        assert_eq!(at("lm.head.dense"), &outputs[i].hidden[2]);
    }
    assert_eq!(recorder.layers_done, [(0, 0), (0, 1), (1, 0), (1, 1)]);
}

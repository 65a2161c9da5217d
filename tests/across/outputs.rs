//! One pass over a model file's bytes.

use std::error::Error;
use std::ops::ControlFlow;

use foldpoint_core::AlignedBytes;
use foldpoint_core::esm::{Event, HiddenLayers, LanguageModel, Request};
use foldpoint_core::format::ModelFile;
use foldpoint_core::{Executor, Isa, Runtime};

/// Everything that a model computes for a sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    pub contacts: Vec<u16>,
    pub logits: Vec<i32>,
    /// `[layers + 1, tokens, width]`
    pub hidden: Vec<i32>,
}

/// `residues` with <cls> and <eos>.
pub fn tokens(residues: &[u8]) -> Vec<u8> {
    [&[0], residues, &[2]].concat()
}

/// All that the model's heads give. Working memory is full of `dirt` at first.
pub fn everything(
    file: &AlignedBytes,
    tokens: &[u8],
    isa: Isa,
    executor: &dyn Executor,
    dirt: u8,
) -> Result<Outputs, Box<dyn Error>> {
    let parsed = ModelFile::parse(file.bytes())?;
    let model = LanguageModel::load(&parsed)?;
    let request = Request::default()
        .contacts(model.has_contact_head())
        .logits(model.has_lm_head())
        .hidden(HiddenLayers::All);
    let runtime = Runtime::new(isa, executor);
    let mut arena = AlignedBytes::filled(model.arena_bytes(tokens.len(), &request, &runtime)?, dirt);
    let mut hidden = Vec::new();
    let outputs = model.run_with(tokens, &request, arena.bytes_mut(), &runtime, &mut |event| {
        if let Event::Hidden(row) = event {
            hidden.extend(row.values);
        }
        ControlFlow::Continue(())
    })?;
    Ok(Outputs {
        contacts: outputs.contacts.unwrap_or_default().to_vec(),
        logits: outputs.logits.unwrap_or_default().to_vec(),
        hidden,
    })
}

//! The whole pass over small random models.

mod heads;
mod load;
mod model;
mod pass;
mod plan;
mod reference;
mod threads;

use super::{Event, HiddenLayers, LanguageModel, Request, RunError};
use crate::AlignedBytes;
use crate::executor::Executor;
use crate::format::ModelFile;
use crate::format::testing::File;
use crate::kernels::Isa;
use crate::kernels::testing::Random;
use crate::runtime::Runtime;
use core::ops::ControlFlow;
use std::vec::Vec;

/// Everything that a pass can compute.
const ALL: Request = Request { contacts: true, logits: true, hidden: HiddenLayers::All, piece: false };

/// What a pass computed, out of the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outputs {
    contacts: Option<Vec<u16>>,
    logits: Option<Vec<i32>>,
    /// Layer, token and values of each row that the sink was handed, in that order.
    hidden: Vec<(usize, usize, Vec<i32>)>,
}

/// One pass in an arena of exactly the planned size that holds random bytes.
fn compute(
    file: &File,
    tokens: &[u8],
    request: Request,
    isa: Isa,
    executor: &dyn Executor,
) -> Result<Outputs, RunError> {
    let file = ModelFile::parse(file.0.bytes()).expect("a file by the rules");
    let model = LanguageModel::load(&file)?;
    let runtime = Runtime::new(isa, executor);
    let planned = model.arena_bytes(tokens.len(), &request, &runtime)?;
    let garbage = Random(planned as u64).many(planned, |r| r.next() as u8);
    let mut arena = AlignedBytes::copy_of(&garbage);
    run(&model, tokens, request, arena.bytes_mut(), &runtime)
}

fn run(
    model: &LanguageModel,
    tokens: &[u8],
    request: Request,
    arena: &mut [u8],
    runtime: &Runtime,
) -> Result<Outputs, RunError> {
    let mut hidden = Vec::new();
    let outputs = model.run_with(tokens, &request, arena, runtime, &mut |event| {
        if let Event::Hidden(row) = event {
            hidden.push((row.layer, row.token, row.values.to_vec()));
        }
        ControlFlow::Continue(())
    })?;
    Ok(Outputs {
        contacts: outputs.contacts.map(<[u16]>::to_vec),
        logits: outputs.logits.map(<[i32]>::to_vec),
        hidden,
    })
}

/// <cls>, `residues` random amino acids of which one in ten is masked, <eos>.
fn sequence(seed: u64, residues: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let mut tokens = Vec::from([0]);
    tokens.extend(random.many(residues, |r| if r.below(10) == 0 { 32 } else { 4 + r.below(20) as u8 }));
    tokens.push(2);
    tokens
}

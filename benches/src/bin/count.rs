//! Runs one kernel, or one pass of a model, for a profiler that counts instructions
//! (`scripts/check-instructions`):
//!
//! ```text
//! count                          the kernels' names
//! count KERNEL
//! count MODEL TOKENS             logits
//! count MODEL RESIDUES PASSES    a fold
//! ```
//!
//! on one thread, by the instruction set that FOLDPOINT_ISA names.

use std::path::Path;

use anyhow::{Context, bail};
use foldpoint_benches::inputs::residues;
use foldpoint_benches::kernels::{KERNELS, counted_work};
use foldpoint_core::alphabet::tokens;
use foldpoint_core::esm;
use foldpoint_core::esmfold::{self, Input};
use foldpoint_core::{Isa, Runtime, Serial};
use std_runner::arena::Arena;
use std_runner::model::Model;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => KERNELS.iter().for_each(|(name, _)| println!("{name}")),
        [name] => {
            let kernel = KERNELS.iter().find(|(known, _)| known == name);
            let (_, run) =
                kernel.with_context(|| format!("no kernel {name}; without arguments, all are listed"))?;
            run(isa()?.backend());
        }
        [model, tokens] => logits(Path::new(model), tokens.parse().context("TOKENS")?)?,
        [model, length, passes] => {
            fold(Path::new(model), length.parse().context("RESIDUES")?, passes.parse().context("PASSES")?)?;
        }
        _ => bail!("usage: count [KERNEL | MODEL TOKENS | MODEL RESIDUES PASSES]"),
    }
    Ok(())
}

/// The instruction set that FOLDPOINT_ISA names: there is no other way to know which one is counted.
fn isa() -> anyhow::Result<Isa> {
    let name = std::env::var("FOLDPOINT_ISA").context("FOLDPOINT_ISA")?;
    Isa::by_name(&name).with_context(|| format!("FOLDPOINT_ISA={name}: this machine does not run it"))
}

/// One sequence to logits; `length` counts `<cls>` and `<eos>`.
fn logits(model: &Path, length: usize) -> anyhow::Result<()> {
    let file = Model::open(model)?;
    let model = file.language_model()?;
    let request = esm::Request::default().logits(true);
    let runtime = Runtime::new(isa()?, &Serial);
    let tokens: Vec<u8> = tokens(&residues(length.saturating_sub(2))).collect();
    let mut arena = Arena::default();
    arena.reserve(model.arena_bytes(tokens.len(), &request, &runtime)?)?;
    counted_work(|| model.run(&tokens, &request, arena.bytes(), &runtime).map(|_| ()))?;
    Ok(())
}

/// One structure in so many passes.
fn fold(model: &Path, length: usize, passes: usize) -> anyhow::Result<()> {
    let file = Model::open(model)?;
    let model = file.folding_model()?;
    let request = esmfold::Request::default().passes(passes);
    let runtime = Runtime::new(isa()?, &Serial);
    let tokens: Vec<u8> = tokens(&residues(length)).collect();
    let residue_index: Vec<i32> = (0..length as i32).collect();
    let input = Input { tokens: &tokens, residue_index: &residue_index, chains: &vec![0; length] };
    let mut arena = Arena::default();
    arena.reserve(model.arena_bytes(length, &request, &runtime)?)?;
    counted_work(|| model.run(&input, &request, arena.bytes(), &runtime).map(|_| ()))?;
    Ok(())
}

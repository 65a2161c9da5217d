//! Foldpoint as `benches/peers` times it: a process that stays warm between its turns. `serve MODEL THREADS`
//! reads one request a line from the standard input and answers with one line of JSON, as the peers'
//! `engines.py` does.

use std::io::{Write, stdin, stdout};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fasta::Sequence;
use foldpoint_benches::inputs::residues;
use foldpoint_core::alphabet::tokens;
use foldpoint_core::esmfold::{self, FoldingModel, Input, Step};
use foldpoint_core::{Executor, Isa, Runtime, Serial};
use serde::{Deserialize, Serialize};
use std_runner::arena::Arena;
use std_runner::batch::Runner;
use std_runner::engine::{Engine, Request, Requests};
use std_runner::executor::RayonExecutor;
use std_runner::memory_limit::MemoryLimit;
use std_runner::model::Model;

/// Most repetitions within one turn.
const REPETITIONS: usize = 20;

/// One turn.
#[derive(Deserialize)]
struct Turn {
    /// Residues of each sequence; several of them are one batch.
    lengths: Vec<usize>,
    /// Passes through the trunk, if the sequence is to be folded.
    #[serde(default)]
    passes: usize,
    /// Repeat until so many seconds are over.
    seconds: f64,
}

#[derive(Default, Serialize)]
struct Answer {
    /// Of each repetition.
    seconds: Vec<f64>,
    /// Of each trunk block that followed another.
    blocks: Vec<f64>,
    /// Of the last repetition's parts, if it folded: language model, trunk, structure module.
    parts: [f64; 3],
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, threads] = arguments.as_slice() else { anyhow::bail!("usage: serve MODEL THREADS") };
    let threads: usize = threads.parse().context("THREADS")?;
    let model = Model::open(Path::new(model))?;
    model.verify()?;
    let isa = match std::env::var("FOLDPOINT_ISA") {
        Ok(name) => Isa::by_name(&name).with_context(|| format!("FOLDPOINT_ISA={name}"))?,
        Err(_) => Isa::best(),
    };
    let pool = RayonExecutor::new(threads)?;
    let executor: &dyn Executor = if threads == 1 { &Serial } else { &pool };
    let folding = if model.folds() { Some(model.folding_model()?) } else { None };
    let engine = Engine::new(model.language_model()?, isa);
    let mut server = Server { engine, folding, executor, threads, arena: Arena::default() };
    say(&isa.name())?;
    for line in stdin().lines() {
        let turn = serde_json::from_str(&line?)?;
        say(&pool.inside(|| server.take(&turn))?)?;
    }
    Ok(())
}

fn say(answer: &impl Serialize) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

struct Server<'a> {
    engine: Engine<'a>,
    folding: Option<FoldingModel<'a>>,
    executor: &'a dyn Executor,
    threads: usize,
    arena: Arena,
}

impl Server<'_> {
    fn take(&mut self, turn: &Turn) -> anyhow::Result<Answer> {
        let mut answer = Answer::default();
        let enough = Duration::from_secs_f64(turn.seconds);
        let start = Instant::now();
        while answer.seconds.is_empty() || (start.elapsed() < enough && answer.seconds.len() < REPETITIONS) {
            let repetition = Instant::now();
            self.run(turn, &mut answer)?;
            answer.seconds.push(repetition.elapsed().as_secs_f64());
        }
        Ok(answer)
    }

    fn run(&mut self, turn: &Turn, answer: &mut Answer) -> anyhow::Result<()> {
        match turn.lengths.as_slice() {
            &[length] if turn.passes > 0 => self.fold(length, turn.passes, answer),
            lengths => self.logits(lengths),
        }
    }

    /// Logits of one sequence, or of a batch.
    fn logits(&mut self, lengths: &[usize]) -> anyhow::Result<()> {
        let request = Request { logits: true, ..Request::default() };
        if let &[length] = lengths {
            self.engine.run(&residues(length), &request, &mut self.arena, self.executor)?;
            return Ok(());
        }
        let runner = Runner { threads: self.threads, limit: MemoryLimit::new(None, |_| {}) };
        let sequences: Vec<_> =
            lengths.iter().map(|&length| Sequence::from_residues("", residues(length))).collect();
        let mut done = 0;
        runner.run(
            &Requests { engine: &self.engine, request: &request },
            &sequences,
            |_, _| {},
            |_, prediction, _| Ok::<_, std::convert::Infallible>(prediction.logits.is_some()),
            |_, result| done += usize::from(matches!(result, Ok(true))),
        )?;
        ensure!(done == lengths.len(), "{done} of {} sequences", lengths.len());
        Ok(())
    }

    /// One structure. Between two blocks of a pass there is nothing but the second one.
    fn fold(&mut self, length: usize, passes: usize, answer: &mut Answer) -> anyhow::Result<()> {
        let model = self.folding.as_ref().context("the model does not fold")?;
        let request = esmfold::Request::default().passes(passes).aligned_error(true);
        let runtime = Runtime::new(self.engine.isa(), self.executor);
        self.arena.reserve(model.arena_bytes(length, &request, &runtime)?)?;
        let tokens = tokens(&residues(length)).collect::<Vec<u8>>();
        let residue_index: Vec<i32> = (0..length as i32).collect();
        let input = Input { tokens: &tokens, residue_index: &residue_index, chains: &vec![0; length] };
        answer.parts = [0.0; 3];
        let mut before = Instant::now();
        let mut progress = |step| {
            let seconds = before.elapsed().as_secs_f64();
            before = Instant::now();
            let [language_model, trunk, structure_module] = &mut answer.parts;
            match step {
                Step::Block { block, .. } => {
                    *trunk += seconds;
                    if block > 0 {
                        answer.blocks.push(seconds);
                    }
                }
                Step::StructureModule { .. } => *structure_module += seconds,
                _ => *language_model += seconds,
            }
            ControlFlow::Continue(())
        };
        model.run_with(&input, &request, self.arena.bytes(), &runtime, &mut progress)?;
        Ok(())
    }
}

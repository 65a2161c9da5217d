//! How sure the model is of each residue, and of a cycle as a whole.

use super::config::{CONFIDENCE_BINS, Config};
use crate::arena::{Arena, ArenaError, Source, bytes_of};
use crate::format::{FormatError, ModelFile};
use crate::heads::mean_of_bins;
use crate::kernels::linear::{Epilogue, Linear};
use crate::kernels::rows::Rows;
use crate::nn::quantized_tile::QuantizedTile;
use crate::nn::{Context, Norm};

/// Residues that a worker takes at a time.
const ROWS: usize = 8;

/// The confidence head: normalization, and three Linears with ReLU between.
#[derive(Clone, Copy, Debug)]
pub struct Confidence<'a> {
    pub(super) norm: Norm<'a>,
    /// The structure module's channels to those of the head.
    pub(super) first: Linear<'a>,
    /// Between the head's channels.
    pub(super) second: Linear<'a>,
    /// To [`CONFIDENCE_BINS`], units of 2^-16 log2.
    pub(super) third: Linear<'a>,
    /// The norm's epsilon in squares of the activation unit.
    pub(super) epsilon: u64,
}

/// A worker's scratch.
#[derive(Debug)]
struct Scratch<S: Source> {
    tile: QuantizedTile<S>,
    /// Outputs of the first and of the second Linear, `[ROWS, channels]` each.
    hidden: [S::Piece<i32>; 2],
    /// `[ROWS, CONFIDENCE_BINS]`
    logits: S::Piece<i32>,
}

impl<S: Source> Scratch<S> {
    fn take(source: &mut S, head: &Confidence) -> Result<Self, ArenaError> {
        let (width, hidden) = (head.first.inputs(), head.first.outputs());
        Ok(Self {
            tile: QuantizedTile::of_rows(source, ROWS, width.max(hidden), width)?,
            hidden: [source.take(ROWS * hidden)?, source.take(ROWS * hidden)?],
            logits: source.take(ROWS * CONFIDENCE_BINS)?,
        })
    }
}

impl<'a> Confidence<'a> {
    /// Reads `fold.confidence`.
    ///
    /// # Errors
    /// A tensor is missing or can't be used.
    pub fn load(file: &ModelFile<'a>, config: &Config) -> Result<Self, FormatError> {
        let (width, hidden) = (config.structure.width, config.confidence_width);
        let norm = Norm::load(file, "fold.confidence.norm", width)?;
        let first = Linear::load(file, "fold.confidence.first", width, hidden)?;
        let second = Linear::load(file, "fold.confidence.second", hidden, hidden)?;
        let third = Linear::load(file, "fold.confidence.third", hidden, CONFIDENCE_BINS)?;
        Ok(Self { norm, first, second, third, epsilon: config.epsilon_activation })
    }

    /// Bytes of working memory.
    ///
    /// # Errors
    /// [`ArenaError::TooLarge`]
    pub fn bytes(&self, workers: usize) -> Result<usize, ArenaError> {
        let scratch = bytes_of(|counter| Scratch::take(counter, self))?;
        bytes_of(|counter| counter.take::<u8>(scratch.saturating_mul(workers.max(1))))
    }

    /// Confidence in each residue in units of 2^-16, 0 to 65535 for 1: `out` is `[residues]`, `state`, the
    /// structure module's last, `[residues, width]` in activation units.
    ///
    /// The mean of the bins' centres (k + 0.5) / 50, rounded half up.
    ///
    /// # Errors
    /// `memory` is misaligned or smaller than [`bytes`](Self::bytes) says, or `state` has fewer rows than
    /// `out`.
    pub fn run(
        &self,
        state: &[i32],
        out: &mut [u16],
        memory: &mut [u8],
        context: &Context,
    ) -> Result<(), ArenaError> {
        let needed = self.bytes(context.workers())?;
        let scratch = Arena::of_size(needed, memory)?.take(needed)?;
        let width = self.first.inputs();
        context.for_each(out, ROWS, scratch, |index, out, mut scratch| {
            let scratch = Scratch::take(&mut scratch, self)?;
            let state = state.get(index * ROWS * width..).and_then(|rest| rest.get(..out.len() * width));
            self.rows(context, state.ok_or(ArenaError::WrongChunk)?, out, scratch);
            Ok(())
        })
    }

    /// Up to [`ROWS`] residues: `state` is `[residues, width]`, `out` `[residues]`.
    fn rows(&self, context: &Context, state: &[i32], out: &mut [u16], scratch: Scratch<Arena>) {
        let Scratch { mut tile, hidden: [x, y], logits } = scratch;
        let (backend, rows) = (context.backend, out.len());
        tile.make_norm(backend, &self.norm, self.epsilon, state);
        tile.apply_made(backend, &self.first, rows, Epilogue::Relu, x);
        tile.apply(backend, &self.second, rows, Rows::new(x, self.second.inputs()), Epilogue::Relu, y);
        tile.apply(backend, &self.third, rows, Rows::new(y, self.third.inputs()), Epilogue::Store, logits);
        for (out, logits) in out.iter_mut().zip(logits.chunks_exact(CONFIDENCE_BINS)) {
            *out = mean_of_bins(logits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{Executor, Serial};
    use crate::kernels::Isa;
    use crate::kernels::testing::Random;
    use crate::nn::testing::{Backwards, Builder, RealLinear, RealNorm, with_memory};
    use std::format;
    use std::vec;
    use std::vec::Vec;

    const WIDTH: usize = 20;
    const HIDDEN: usize = 13;

    /// Logits are by so much larger than activations, as a power of two.
    const LARGER: i8 = 3;

    /// Random weights, in real numbers and in a file.
    struct Case {
        norm: RealNorm,
        linears: [RealLinear; 3],
        builder: Builder,
    }

    impl Case {
        fn new(seed: u64) -> Self {
            let mut builder = Builder::new(seed);
            let norm = builder.norm("fold.confidence.norm", WIDTH);
            let mut linear = |name: &str, inputs, outputs, down| {
                builder.linear(&format!("fold.confidence.{name}"), [inputs, outputs], down, inputs)
            };
            let first = linear("first", WIDTH, HIDDEN, 0);
            let second = linear("second", HIDDEN, HIDDEN, 0);
            let third = linear("third", HIDDEN, CONFIDENCE_BINS, -LARGER);
            Self { norm, linears: [first, second, third], builder }
        }

        fn config() -> Config {
            let mut config = Config::default();
            config.structure.width = WIDTH;
            config.confidence_width = HIDDEN;
            config.epsilon_activation = 42_950;
            config
        }

        /// The definition, of one row.
        fn exact(&self, state: &[i32]) -> f64 {
            let x: Vec<f64> = state.iter().map(|&v| f64::from(v) / 65536.0).collect();
            let [first, second, third] = &self.linears;
            let relu = |x: Vec<f64>| x.into_iter().map(|v| v.max(0.0)).collect::<Vec<f64>>();
            let logits = third.of(&relu(second.of(&relu(first.of(&self.norm.of(&x, 1e-5))))));
            let largest = logits.iter().copied().fold(f64::MIN, f64::max);
            let share = |logit: f64| libm::exp2(libm::ldexp(logit - largest, LARGER.into()));
            let shares: Vec<f64> = logits.into_iter().map(share).collect();
            let means = shares.iter().enumerate().map(|(bin, share)| share * (bin as f64 + 0.5) / 50.0);
            means.sum::<f64>() / shares.iter().sum::<f64>()
        }
    }

    #[test]
    fn confidence_is_that_of_the_definition() {
        let random = &mut Random(3);
        let (mut worst, mut range) = (0.0, [1.0, 0.0]);
        for residues in [1, 7, 8, 9, 21, 64] {
            let case = Case::new(residues as u64);
            let file = case.builder.tensors.file();
            let file = ModelFile::parse(file.0.bytes()).unwrap();
            let head = Confidence::load(&file, &Case::config()).unwrap();
            let state = random.many(residues * WIDTH, |r| (r.normal() * 100_000.0) as i32);
            let run = |isa: Isa, executor: &dyn Executor| {
                let mut out = vec![7; residues];
                let context = Context { backend: isa.backend(), executor };
                let bytes = head.bytes(executor.workers()).unwrap();
                with_memory(bytes, |memory| {
                    head.run(&state, &mut out, memory, &context).unwrap();
                    let few = head.run(&state[1..], &mut vec![7; residues], memory, &context);
                    assert_eq!(few, Err(ArenaError::WrongChunk));
                    let short = head.run(&state, &mut [], &mut memory[..bytes - 64], &context);
                    assert_eq!(short, Err(ArenaError::TooSmall { needed: bytes, given: bytes - 64 }));
                });
                out
            };
            let found = run(Isa::scalar(), &Serial);
            for isa in Isa::all() {
                assert_eq!(run(isa, &Backwards), found);
            }
            for (&found, state) in found.iter().zip(state.chunks(WIDTH)) {
                let (found, exact) = (f64::from(found) / 65536.0, case.exact(state));
                worst = f64::max(worst, (found - exact).abs());
                range = [f64::min(range[0], exact), f64::max(range[1], exact)];
            }
        }
        assert!(worst <= 2e-3 && worst > 0.0, "{worst}");
        assert!(range[0] < 0.3 && range[1] > 0.7, "{range:?}");
    }

    #[test]
    fn any_state_has_a_confidence_in_its_range() {
        let file = Case::new(4).builder.tensors.file();
        let file = ModelFile::parse(file.0.bytes()).unwrap();
        let head = Confidence::load(&file, &Case::config()).unwrap();
        let ends = [i32::MIN, i32::MAX, 0, 1];
        let state = Random(4).many(16 * WIDTH, |r| ends[r.below(4)]);
        let mut out = [0; 16];
        let context = Context { backend: Isa::best().backend(), executor: &Serial };
        with_memory(head.bytes(1).unwrap(), |memory| head.run(&state, &mut out, memory, &context)).unwrap();
        // The centres of the first and of the last bin.
        assert!(out.iter().all(|c| (655..=64_881).contains(c)), "{out:?}");
    }

    #[test]
    fn a_head_that_lacks_a_tensor_is_refused_by_its_name() {
        let all = Case::new(1).builder.tensors;
        for name in all.0.keys() {
            let mut others = all.clone();
            others.0.remove(name);
            let file = others.file();
            let file = ModelFile::parse(file.0.bytes()).unwrap();
            let refused = Confidence::load(&file, &Case::config()).unwrap_err();
            assert_eq!(refused, FormatError::missing_tensor(name));
        }
        assert_eq!(all.0.len(), 2 + 3 * 6);
    }
}

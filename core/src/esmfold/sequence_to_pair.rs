//! What the sequence representation adds to the pairs: products and differences of two projections.

use super::memory::{Dims, PairScratch, SequenceScratch, Trunk};
use super::rows::{Stored, TILE};
use super::run::Pass;
use crate::esm2::Norm;
use crate::executor::Executor;
use crate::fixed::ACT_FRAC;
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::linear::{Linear, PANEL, Then};
use crate::kernels::rows::Rows;

/// The weights.
#[derive(Clone, Copy, Debug)]
pub struct SequenceToPair<'a> {
    norm: Norm<'a>,
    /// Sequence width to pair width: q, then k.
    projection: Linear<'a>,
    /// Pair width to pair width, pair units: reads products, then differences.
    output: Linear<'a>,
}

impl<'a> SequenceToPair<'a> {
    /// Reads the tensors of the block `name`.
    pub fn load(
        file: &ModelFile<'a>,
        name: &str,
        config: &super::config::Config,
    ) -> Result<Self, FormatError> {
        let (width, pair_width) = (config.sequence_width, config.pair_width);
        let name = join(name, "sequence_to_pair")?;
        Ok(Self {
            norm: Norm::load(file, &join(&name, "norm")?, width)?,
            projection: Linear::load(file, &join(&name, "projection")?, width, pair_width)?,
            output: Linear::load(file, &join(&name, "output")?, pair_width, pair_width)?,
        })
    }

    /// Adds to the pair representation, stored at `stored` and then at `next`.
    #[expect(clippy::too_many_arguments, reason = "an operation's weights, inputs and outputs")]
    pub fn run(
        &self,
        pass: &Pass,
        sequence_stored: &Stored,
        sequence: &[u8],
        stored: &Stored,
        next: &Stored,
        pair: &mut [u8],
        trunk: &mut Trunk,
        executor: &dyn Executor,
    ) {
        let dims = &pass.dims;
        let width = dims.config.pair_width;
        let chunk = PANEL * width * size_of::<i32>();
        let outer = bytemuck::cast_slice_mut(&mut *trunk.outer);
        executor.for_each(outer, chunk, trunk.scratch, &|panel, chunk, scratch| {
            let first = panel * PANEL * sequence_stored.code_row;
            let codes = sequence.get(first..).unwrap_or_default();
            if let (Ok(outer), Ok(scratch)) =
                (bytemuck::try_cast_slice_mut(chunk), SequenceScratch::carve(dims, scratch))
            {
                self.project(pass, panel, sequence_stored, codes, outer, scratch);
            }
        });
        let outer = &*trunk.outer;
        executor.for_each(pair, dims.pair_rows(), trunk.scratch, &|i, codes, scratch| {
            if let Ok(scratch) = PairScratch::carve(dims, scratch) {
                self.add_row(pass, i, outer, stored, next, codes, scratch);
            }
        });
    }

    fn project(
        &self,
        pass: &Pass,
        panel: usize,
        stored: &Stored,
        codes: &[u8],
        outer: &mut [i32],
        scratch: SequenceScratch,
    ) {
        let Dims { config, .. } = pass.dims;
        let width = config.sequence_width;
        let rows = pass.dims.panel_rows(panel);
        let SequenceScratch { stream, codes: mut quantized, .. } = scratch;
        let stream = &mut stream[..rows * width];
        stored.decode(pass.backend, codes, stream);
        let epsilons = &[config.epsilon_sequence; TILE][..rows];
        let stream = Rows::new(stream, width);
        quantized.apply_to_norm(
            pass.backend,
            &self.projection,
            &self.norm,
            epsilons,
            stream,
            Then::Store,
            outer,
        );
    }

    /// Adds to the pairs (i, j): from q of j and k of i.
    #[expect(clippy::too_many_arguments, reason = "one row's inputs and outputs")]
    fn add_row(
        &self,
        pass: &Pass,
        i: usize,
        outer: &[i32],
        stored: &Stored,
        next: &Stored,
        codes: &mut [u8],
        scratch: PairScratch,
    ) {
        let Dims { residues, config, .. } = pass.dims;
        let (width, half) = (config.pair_width, config.pair_width / 2);
        let PairScratch { stream, codes: mut quantized, .. } = scratch;
        let k = &outer[i * width + half..(i + 1) * width];
        for from in (0..residues).step_by(TILE) {
            let rows = TILE.min(residues - from);
            let stream = &mut stream[..rows * width];
            let codes = &mut codes[from * stored.code_row..];
            stored.decode(pass.backend, codes, stream);
            let input = |row: usize, x: &mut [i32]| {
                let q = &outer[(from + row) * width..][..half];
                let (products, differences) = x.split_at_mut(half);
                let channels = products.iter_mut().zip(differences).zip(q.iter().zip(k));
                for ((product, difference), (&q, &k)) in channels {
                    *product = multiply(q, k);
                    *difference = q.saturating_sub(k);
                }
            };
            quantized.apply_with(pass.backend, &self.output, rows, input, next.then(codes), stream);
        }
    }
}

/// A product of two activations, rounded half up, saturating.
fn multiply(a: i32, b: i32) -> i32 {
    let product = (i64::from(a) * i64::from(b) + (1 << (ACT_FRAC - 1))) >> ACT_FRAC;
    i32::try_from(product).unwrap_or_else(|_| extreme(product))
}

/// The value nearest to what none is. A call, since vectors without 64-bit products, shifts and comparisons take three times as many
/// instructions.
#[cold]
#[inline(never)]
fn extreme(value: i64) -> i32 {
    if value < 0 { i32::MIN } else { i32::MAX }
}

#[cfg(test)]
mod tests {
    use super::multiply;

    #[test]
    fn products_of_activations_round_half_up_and_saturate() {
        assert_eq!(multiply(3 << 15, 5 << 16), 15 << 15);
        assert_eq!([multiply(1, 1 << 15), multiply(-1, 1 << 15), multiply(1, (1 << 15) - 1)], [1, 0, 0]);
        assert_eq!([multiply(i32::MIN, i32::MIN), multiply(i32::MIN, i32::MAX)], [i32::MAX, i32::MIN]);
    }
}

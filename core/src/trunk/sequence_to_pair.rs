//! What the sequence representation adds to the pairs: products and differences of two projections.

use super::memory::Memory;
use super::scratch::{PairScratch, SequenceScratch};
use super::shape::{Representation, Setting, Shape};
use crate::arena::{Arena, ArenaError};
use crate::format::{FormatError, ModelFile, join};
use crate::kernels::linear::{Epilogue, Linear, PANEL};
use crate::kernels::scalar::activation::multiply;
use crate::nn::Norm;
use crate::nn::quantized_tile::TILE;
use crate::nn::stream::{Formats, Stream};

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
    /// Reads the tensors of the block `name`, for representations of so many channels.
    pub fn load(
        file: &ModelFile<'a>,
        name: &str,
        width: usize,
        pair_width: usize,
    ) -> Result<Self, FormatError> {
        let name = join(name, "sequence_to_pair");
        let norm = Norm::load(file, &join(&name, "norm"), width)?;
        let projection = Linear::load(file, &join(&name, "projection"), width, pair_width)?;
        let output = Linear::load(file, &join(&name, "output"), pair_width, pair_width)?;
        Ok(Self { norm, projection, output })
    }

    /// Adds to the pair representation.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run(
        &self,
        on: &Setting,
        sequence: &Stream,
        formats: &Formats,
        pair: &mut [u8],
        memory: &mut Memory<Arena>,
    ) -> Result<(), ArenaError> {
        let Setting { context, shape } = *on;
        let Memory { outer, scratch, .. } = memory;
        context.for_each(outer, PANEL * shape.pair.width, scratch, |panel, outer, mut scratch| {
            let scratch = SequenceScratch::take(&mut scratch, shape)?;
            self.project(on, panel, sequence, outer, scratch);
            Ok(())
        })?;
        let outer = &**outer;
        context.for_each(pair, shape.pair_row(), scratch, |i, codes, mut scratch| {
            let scratch = PairScratch::take(&mut scratch, shape)?;
            self.add_row(on, i, outer, formats, codes, scratch);
            Ok(())
        })
    }

    fn project(
        &self,
        on: &Setting,
        panel: usize,
        sequence: &Stream,
        outer: &mut [i32],
        scratch: SequenceScratch<Arena>,
    ) {
        let (backend, shape) = (on.context.backend, on.shape);
        let Representation { width, epsilon, .. } = shape.sequence;
        let rows = shape.panel_rows(panel);
        let SequenceScratch { stream, mut tile, .. } = scratch;
        let stream = &mut stream[..rows * width];
        sequence.decode(backend, panel * PANEL, stream);
        tile.make_norm(backend, &self.norm, epsilon, stream);
        tile.apply_made(backend, &self.projection, rows, Epilogue::Store, outer);
    }

    /// Adds to the pairs (i, j): from q of j and k of i.
    fn add_row(
        &self,
        on: &Setting,
        i: usize,
        outer: &[i32],
        formats: &Formats,
        codes: &mut [u8],
        scratch: PairScratch<Arena>,
    ) {
        let (backend, shape) = (on.context.backend, on.shape);
        let Shape { residues, pair: Representation { width, code_row, .. }, .. } = *shape;
        let half = width / 2;
        let PairScratch { stream, mut tile, .. } = scratch;
        let k = &outer[i * width + half..(i + 1) * width];
        for from in (0..residues).step_by(TILE) {
            let rows = TILE.min(residues - from);
            let stream = &mut stream[..rows * width];
            let codes = &mut codes[from * code_row..];
            formats.before.decode(backend, codes, stream);
            tile.make(rows, width, |row, x| {
                let q = &outer[(from + row) * width..][..half];
                let (products, differences) = x.split_at_mut(half);
                let channels = products.iter_mut().zip(differences).zip(q.iter().zip(k));
                for ((product, difference), (&q, &k)) in channels {
                    *product = multiply(q, k);
                    *difference = q.saturating_sub(k);
                }
            });
            tile.apply_made(backend, &self.output, rows, formats.after.epilogue(codes), stream);
        }
    }
}

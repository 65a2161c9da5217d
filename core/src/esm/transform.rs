//! The rest of a layer: attention, its projection, the feed-forward network, and the stream's two additions.
//! If there are several workers, a block then begins with the next layer at once, so that they meet once a
//! layer.

use super::contacts;
use super::memory::{Dims, Memory, Scratch, State};
use super::pass::Pass;
use super::project::Projection;
use super::request::RunError;
use crate::arena::{Arena, ArenaError};
use crate::kernels::linear::{Epilogue, Linear};
use crate::nn::attention::{Keys, Queries};
use crate::nn::feed_forward::FeedForward;
use crate::nn::stream::StreamFormat;
use core::ops::Range;

/// The layer's weights.
struct Weights<'s> {
    attention_output: &'s Linear<'s>,
    feed_forward: &'s FeedForward<'s>,
}

/// One layer's work.
pub struct Step<'s> {
    /// The layer.
    pub layer: usize,
    /// The next one, if blocks begin with it at once.
    pub ahead: Option<usize>,
    /// How the stream is stored before the layer.
    pub before: &'s StreamFormat<'s>,
    /// ... and after it.
    pub after: &'s StreamFormat<'s>,
}

/// Updates every block's stream (and contact rows), and fills its queries, keys and values of the layer
/// [`ahead`](Step::ahead).
pub fn run(pass: &Pass, step: &Step, memory: &mut Memory<Arena>) -> Result<(), RunError> {
    let (model, dims) = (pass.model, &pass.dims);
    let attention_output = model.attention_output(step.layer)?;
    let feed_forward = model.feed_forward(step.layer)?;
    let weights = Weights { attention_output: &attention_output, feed_forward: &feed_forward };
    let ahead = step.ahead.map(|layer| model.projection(layer)).transpose()?;
    let Memory { states, records, next_records, rotary, scales, scratch, .. } = memory;
    let keys = Keys { shape: dims.attention(), records, scales: scales.read() };
    let ahead = ahead.as_ref().map(|weights| Projection { weights, stored: step.after, rotary });
    let lens = [dims.state_bytes()?, dims.record_bytes()?];
    pass.context.for_each_pair(
        [states, next_records],
        lens,
        scratch,
        |block, [chunk, record], mut scratch| {
            let mut state = State::take(&mut Arena::new(chunk)?, dims)?;
            let mut scratch = Scratch::take(&mut scratch, dims)?;
            step.block(pass, &weights, &keys, block, &mut state, &mut scratch)?;
            match &ahead {
                Some(projection) => projection.block(pass, block, state.codes, record, &mut scratch),
                None => Ok(()),
            }
        },
    )?;
    Ok(())
}

impl Step<'_> {
    fn block(
        &self,
        pass: &Pass,
        weights: &Weights,
        keys: &Keys,
        block: usize,
        state: &mut State<Arena>,
        scratch: &mut Scratch<Arena>,
    ) -> Result<(), ArenaError> {
        let Dims { config, tile_rows, .. } = pass.dims;
        state.columns.fill(0);
        let count = pass.dims.rows_of(block);
        for from in (0..count).step_by(tile_rows) {
            let rows = tile_rows.min(count - from);
            let attended = &mut scratch.tile.rows()[..rows * config.width];
            let queries = Queries { record: block, from, count: rows };
            keys.attend(pass.context.backend, queries, None, &mut scratch.attention, attended, |maps| {
                if pass.dims.request.contacts {
                    contacts::add_rows(pass, self.layer, block, &maps, state);
                }
            })?;
            self.update(pass, weights, from..from + rows, state.codes, scratch);
        }
        Ok(())
    }

    /// Adds attention's projection and the feed-forward network to `rows` rows of the stream.
    fn update(
        &self,
        pass: &Pass,
        weights: &Weights,
        rows: Range<usize>,
        codes: &mut [u8],
        scratch: &mut Scratch<Arena>,
    ) {
        let Pass { dims, context: crate::nn::Context { backend, .. }, .. } = pass;
        let Scratch { stream, tile, outputs, .. } = scratch;
        let stream = &mut stream[..rows.len() * dims.config.width];
        let codes = codes.get_mut(rows.start * dims.code_row()..).unwrap_or_default();
        self.before.decode(backend, codes, stream);
        tile.apply_made(backend, weights.attention_output, rows.len(), Epilogue::Add, stream);
        let stored = self.after.epilogue(codes);
        weights.feed_forward.add(backend, dims.config.epsilon, stream, tile, outputs, stored);
    }
}

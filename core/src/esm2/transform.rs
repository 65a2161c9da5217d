//! The rest of a layer: attention, its projection, the feed-forward network, and the stream's two additions. If
//! there are several workers, a block then begins with the next layer at once, so that they meet once a layer.

use super::contacts;
use super::memory::{HeadsLayout, Memory, Scratch, State};
use super::project::Projection;
use super::run::{Pass, RunError};
use super::weights::Layer;
use crate::executor::Executor;
use crate::kernels::attention::{Head, Logits, QUERY_TILE, RowTile, Temperature, unpack};
use crate::kernels::linear::{Coded, Then};
use crate::kernels::rows::Rows;
use crate::quant::Site;

/// What all blocks read.
pub(super) struct Shared<'s> {
    pub heads: &'s [u8],
    pub heads_len: usize,
    pub layout: HeadsLayout,
    pub key_scale: &'s [i16],
    pub value_scale: &'s [i16],
    pub largest: &'s [u32],
}

/// Updates every block's stream (and contact rows) by layer `index`, and fills its queries, keys and values of the `next` layer, if there is one.
pub fn run(
    pass: &Pass,
    index: usize,
    layer: &Layer,
    next: Option<&Layer>,
    site: &Site,
    memory: &mut Memory,
    executor: &dyn Executor,
) -> Result<(), RunError> {
    let dims = &pass.dims;
    let layout = dims.heads_layout();
    let shared = Shared {
        heads: memory.heads,
        heads_len: layout.all.bytes()?,
        layout,
        key_scale: memory.key_scale,
        value_scale: memory.value_scale,
        largest: memory.largest,
    };
    let (state_len, heads_len) = (dims.state_layout().bytes()?, shared.heads_len);
    let next = next.map(|next| Projection { layer: next, site: &layer.stored, rotary: memory.rotary });
    executor.for_each_pair(
        [&mut *memory.states, &mut *memory.next_heads],
        [state_len, heads_len],
        memory.scratch,
        &|block, [chunk, heads], scratch| {
            // Both chunks are as long as the layouts say, so carving them succeeds.
            if let (Ok(state), Ok(mut scratch)) = (State::carve(dims, chunk), Scratch::carve(dims, scratch)) {
                let codes = transform_block(pass, index, layer, site, &shared, block, state, &mut scratch);
                if let Some(next) = &next {
                    next.block(pass, block, codes, heads, &mut scratch);
                }
            }
        },
    );
    Ok(())
}

/// Returns the codes of the updated stream.
#[expect(clippy::too_many_arguments, reason = "one block's inputs and outputs")]
fn transform_block<'s>(
    pass: &Pass,
    index: usize,
    layer: &Layer,
    site: &Site,
    shared: &Shared,
    block: usize,
    mut state: State<'s>,
    scratch: &mut Scratch,
) -> &'s [u8] {
    let dims = &pass.dims;
    state.columns.fill(0);
    let count = dims.rows_of(block);
    for from in (0..count).step_by(dims.tile_rows) {
        let rows = dims.tile_rows.min(count - from);
        attend(pass, index, shared, block, from, rows, &mut state, scratch);
        update(pass, layer, site, from, rows, state.codes, scratch);
    }
    state.codes
}

/// Fills `scratch.context` for `rows` rows of a block.
#[expect(clippy::too_many_arguments, reason = "one tile's inputs and outputs")]
fn attend(
    pass: &Pass,
    index: usize,
    shared: &Shared,
    block: usize,
    from: usize,
    rows: usize,
    state: &mut State,
    scratch: &mut Scratch,
) {
    let dims = &pass.dims;
    let (width, head_width, stride) = (dims.config.width, dims.config.head_width(), dims.stride);
    let head_codes = dims.block_rows * head_width;
    let own = shared.heads.get(block * shared.heads_len..(block + 1) * shared.heads_len).unwrap_or_default();
    let (queries, query_scales) = own_queries(pass, own);
    for head_index in 0..dims.config.heads {
        let scales_at = head_index * stride;
        let key_max = unpack(shared.largest[head_index]);
        let at =
            |layout: crate::arena::Layout| layout.bytes().unwrap_or(usize::MAX / 2) + head_index * head_codes;
        let head = Head {
            blocks: shared.heads,
            block_len: shared.heads_len,
            keys_at: at(shared.layout.keys),
            values_at: at(shared.layout.values),
            block_rows: dims.block_rows,
            width: head_width,
            keys: dims.tokens,
            key_scale: &shared.key_scale[scales_at..][..dims.tokens],
            value_scale: &shared.value_scale[scales_at..][..dims.tokens],
            value_max: unpack(shared.largest[dims.config.heads + head_index]),
        };
        for tile in (from..from + rows).step_by(QUERY_TILE) {
            let tile_rows = QUERY_TILE.min(from + rows - tile);
            let mut temperatures = [Temperature::default(); QUERY_TILE];
            let scales = &query_scales[head_index * dims.block_rows + tile..][..tile_rows];
            for (temperature, &scale) in temperatures.iter_mut().zip(scales) {
                *temperature = Temperature::new(unpack(scale), key_max, dims.config.temperature);
            }
            let mut sums = [0; QUERY_TILE];
            let out_at = (tile - from) * width + head_index * head_width;
            (pass.backend.attention)(
                &head,
                RowTile {
                    queries: &queries[head_index * head_codes + tile * head_width..]
                        [..tile_rows * head_width],
                    logits: Logits::Plain(&temperatures[..tile_rows]),
                    scores: &mut scratch.scores[..tile_rows * stride],
                    weights: &mut scratch.weights[..tile_rows * stride],
                    stride,
                    sums: &mut sums[..tile_rows],
                    out: &mut scratch.context[out_at..],
                    out_stride: width,
                },
            );
            if dims.want.contacts {
                let map = index * dims.config.heads + head_index;
                let tile = contacts::Tile { block, row: tile, head: head_index, map };
                contacts::add_rows(pass, tile, &sums[..tile_rows], scratch.weights, state);
            }
        }
    }
}

/// A block's query codes and scales, read only.
fn own_queries<'s>(pass: &Pass, own: &'s [u8]) -> (&'s [i8], &'s [u32]) {
    let dims = &pass.dims;
    let codes = dims.block_rows * dims.config.width;
    let scales = dims.block_rows * dims.config.heads;
    // Three arrays of codes of equal padded length, then the query scales.
    let scales_at = 3 * codes.next_multiple_of(crate::arena::ALIGN);
    (
        bytemuck::cast_slice(own.get(..codes).unwrap_or_default()),
        own.get(scales_at..scales_at + 4 * scales)
            .and_then(|bytes| bytemuck::try_cast_slice(bytes).ok())
            .unwrap_or_default(),
    )
}

/// Adds attention's projection and the feed-forward network to `rows` rows of the stream.
fn update(
    pass: &Pass,
    layer: &Layer,
    site: &Site,
    from: usize,
    rows: usize,
    codes: &mut [u8],
    scratch: &mut Scratch,
) {
    let (dims, backend) = (&pass.dims, pass.backend);
    let Scratch { stream, context, codes: quantized, scales, outputs, .. } = scratch;
    let (width, ffn) = (dims.config.width, dims.config.ffn);
    let stream = &mut stream[..rows * width];
    let code_row = dims.code_row();
    let codes = codes.get_mut(from * code_row..).unwrap_or_default();
    (backend.decode)(site, codes, code_row, stream);

    let scales = &mut scales[..rows];
    let context = &mut context[..rows * width];
    let attended = Rows::new(context, width);
    layer.attention_output.apply(backend, attended, quantized, scales, Then::Add, stream);

    // The context's memory is free now.
    layer.ffn_norm.apply(backend, dims.config.epsilon, stream, context);
    let hidden = &mut outputs[..rows * ffn];
    layer.up.apply(backend, Rows::new(context, width), quantized, scales, Then::Gelu, hidden);
    let stored = Then::Encode(Coded { site: &layer.stored, codes, code_row });
    layer.down.apply(backend, Rows::new(hidden, ffn), quantized, scales, stored, stream);
}

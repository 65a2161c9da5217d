//! One pass over one sequence.

use super::memory::{Dims, Memory, State};
use super::weights::LanguageModel;
use super::{contacts, embed, lm_head, project, transform};
use crate::arena::ArenaError;
use crate::executor::Executor;
use crate::format::FormatError;
use crate::kernels::{Backend, Isa};
use crate::quant::Site;
use core::mem;
use thiserror::Error;

/// Which hidden states the sink is handed. Numbers are `transformers`': 0 is the embedding, `i` the output of layer `i`,
/// the last one after the final LayerNorm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HiddenLayers {
    /// None.
    #[default]
    None,
    /// The last.
    Last,
    /// All, `layers + 1` of them.
    All,
}

/// What a pass is to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The contact map.
    pub contacts: bool,
    /// The language model's logits.
    pub logits: bool,
    /// Hidden states.
    pub hidden: HiddenLayers,
}

/// One token's hidden state at one layer.
#[derive(Clone, Copy, Debug)]
pub struct HiddenRow<'a> {
    /// 0 to `layers`.
    pub layer: usize,
    /// Index of the token; `<cls>` is 0.
    pub token: usize,
    /// One value a channel, unit 2^-16.
    pub values: &'a [i32],
}

/// What a pass computed; lies in the arena.
#[derive(Debug)]
pub struct Outputs<'m> {
    /// Contact probabilities of all pairs of residues, `[L, L]`, unit 2^-16.
    pub contacts: Option<&'m [u16]>,
    /// Logits of all tokens, `[L + 2, vocab]`, unit 2^-16.
    pub logits: Option<&'m [i32]>,
}

/// Why a pass can't be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// A token is outside the vocabulary, or is `<pad>`.
    #[error("token {token} at position {index} is not in the model's vocabulary or is padding")]
    BadToken {
        /// Its position; `<cls>` is 0.
        index: usize,
        /// Its value.
        token: u8,
    },
    /// Fewer than three tokens: `<cls>`, at least one residue, `<eos>`.
    #[error("the sequence has no residues")]
    EmptyInput,
    /// More tokens than the arithmetic is proved for.
    #[error("{tokens} tokens exceed the limit of {limit}")]
    TooLong {
        /// Tokens given.
        tokens: usize,
        /// Most there may be.
        limit: usize,
    },
    /// The arena is too small, misaligned, or would exceed the address width.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// The model file has no contact head.
    #[error("the model has no contact head")]
    NoContactHead,
    /// The model file has no language model head.
    #[error("the model has no language model head")]
    NoLmHead,
    /// A tensor can't be used.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// What every step of a pass reads.
pub(super) struct Pass<'r, 'a> {
    pub model: &'r LanguageModel<'a>,
    pub dims: Dims,
    pub backend: &'static Backend,
}

impl<'a> LanguageModel<'a> {
    /// Bytes of working memory for a sequence of `tokens` tokens (`<cls>` and `<eos>` included) on `workers` workers.
    pub fn plan(&self, tokens: usize, workers: usize, want: Want) -> Result<usize, RunError> {
        Ok(self.dims(tokens, workers, want)?.layout().bytes()?)
    }

    fn dims(&self, tokens: usize, workers: usize, want: Want) -> Result<Dims, RunError> {
        if want.contacts && self.contact_head.is_none() {
            return Err(RunError::NoContactHead);
        }
        if want.logits && self.lm_head.is_none() {
            return Err(RunError::NoLmHead);
        }
        Dims::new(&self.config, self.code_bytes(), tokens, workers, want)
    }

    /// Runs the model over one sequence.
    ///
    /// `tokens` are ESM alphabet numbers, `<cls>` first and `<eos>` last, masks allowed, no padding. `arena` holds at least
    /// [`plan`](Self::plan)'s bytes for `executor.workers()` workers and starts at a multiple of 64; its contents don't matter. `sink` gets
    /// the wanted hidden states, layer by layer and token by token. The result depends on the model and the tokens alone.
    pub fn run<'m>(
        &self,
        tokens: &[u8],
        want: Want,
        arena: &'m mut [u8],
        isa: Isa,
        executor: &dyn Executor,
        sink: &mut dyn FnMut(HiddenRow),
    ) -> Result<Outputs<'m>, RunError> {
        let bad = |&(_, &token): &(usize, &u8)| usize::from(token) >= self.config.vocab || token == PAD;
        if let Some((index, &token)) = tokens.iter().enumerate().find(bad) {
            return Err(RunError::BadToken { index, token });
        }
        let dims = self.dims(tokens.len(), executor.workers(), want)?;
        let pass = Pass { model: self, dims, backend: isa.backend() };
        let mut memory = Memory::carve(&dims, arena)?;
        pass.forward(tokens, &mut memory, executor, sink)?;
        Ok(Outputs {
            contacts: want.contacts.then_some(&*memory.contacts),
            logits: want.logits.then_some(&*memory.logits),
        })
    }
}

/// The padding token of the ESM alphabet.
const PAD: u8 = 1;

impl Pass<'_, '_> {
    fn forward(
        &self,
        tokens: &[u8],
        memory: &mut Memory,
        executor: &dyn Executor,
        sink: &mut dyn FnMut(HiddenRow),
    ) -> Result<(), RunError> {
        let (model, dims) = (self.model, &self.dims);
        let all = dims.want.hidden == HiddenLayers::All;
        embed::rotary_table(model.rotary, memory.rotary);
        self.embed(tokens, memory.states)?;
        let mut site = model.embedded;
        let layer = |index: usize| (index < model.config.layers).then(|| model.layer(index)).transpose();
        let mut next = layer(0)?;
        if let Some(first) = &next {
            project::run(self, first, &site, memory, executor)?;
        }
        for index in 0.. {
            let Some(current) = next else { break };
            if all {
                self.hand_out(index, &site, memory, sink)?;
            }
            next = layer(index + 1)?;
            project::relate_scales(self, memory)?;
            match &next {
                Some(next) if !dims.projects_ahead() => {
                    transform::run(self, index, &current, None, &site, memory, executor)?;
                    project::run(self, next, &current.stored, memory, executor)?;
                }
                _ => {
                    transform::run(self, index, &current, next.as_ref(), &site, memory, executor)?;
                    mem::swap(&mut memory.heads, &mut memory.next_heads);
                }
            }
            if dims.want.contacts {
                contacts::sum_maps(self, index, memory)?;
            }
            site = current.stored;
        }
        if dims.want.hidden != HiddenLayers::None {
            self.hand_out_last(&site, memory, sink)?;
        }
        if let (true, Some(head)) = (dims.want.logits, &model.lm_head) {
            lm_head::run(self, head, &site, memory, executor)?;
        }
        if let (true, Some(head)) = (dims.want.contacts, &model.contact_head) {
            contacts::finish(self, head, memory, executor)?;
        }
        Ok(())
    }

    /// The codes of each token's stream.
    fn coded_rows<'s>(&self, states: &'s [u8]) -> impl Iterator<Item = &'s [u8]> + use<'s> {
        let dims = &self.dims;
        let row = dims.code_row();
        let (block_rows, state_len) = (dims.block_rows, states.len() / dims.blocks.max(1));
        states
            .chunks(state_len.max(1))
            .flat_map(move |state| state.chunks_exact(row).take(block_rows))
            .take(dims.tokens)
    }

    /// Hands the stream itself to the sink.
    fn hand_out(
        &self,
        layer: usize,
        site: &Site,
        memory: &mut Memory,
        sink: &mut dyn FnMut(HiddenRow),
    ) -> Result<(), RunError> {
        let to_activation = crate::fixed::ACT_FRAC - self.model.config.stream_frac;
        let (values, _) = memory.hidden.split_at_mut(self.dims.config.width);
        for (token, codes) in self.coded_rows(memory.states).enumerate() {
            (self.backend.decode)(site, codes, codes.len(), values);
            // Decoded values are at most 2^23: 8 more bits fit, further ones saturate.
            let widen =
                |x: i32| (i64::from(x) << to_activation).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
            values.iter_mut().for_each(|x| *x = widen(*x));
            sink(HiddenRow { layer, token, values });
        }
        Ok(())
    }

    /// Hands the final LayerNorm of the stream to the sink.
    fn hand_out_last(
        &self,
        site: &Site,
        memory: &mut Memory,
        sink: &mut dyn FnMut(HiddenRow),
    ) -> Result<(), RunError> {
        let (x, values) = memory.hidden.split_at_mut(self.dims.config.width);
        let norm = &self.model.final_norm;
        for (token, codes) in self.coded_rows(memory.states).enumerate() {
            (self.backend.decode)(site, codes, codes.len(), x);
            self.backend.layer_norm(x, norm.gain, norm.bias, self.model.config.epsilon, values);
            sink(HiddenRow { layer: self.model.config.layers, token, values });
        }
        Ok(())
    }

    /// Fills the states of all blocks with the embedded tokens and no contacts.
    fn embed(&self, tokens: &[u8], states: &mut [u8]) -> Result<(), RunError> {
        let dims = &self.dims;
        let scale = embed::Dropout::new(tokens, &dims.config);
        let state_len = dims.state_layout().bytes()?;
        for (state, tokens) in states.chunks_exact_mut(state_len).zip(tokens.chunks(dims.block_rows)) {
            let state = State::carve(dims, state)?;
            state.contact_rows.fill(0);
            for (codes, &token) in state.codes.chunks_exact_mut(dims.code_row()).zip(tokens) {
                self.embed_token(token, scale, codes);
            }
        }
        Ok(())
    }
}

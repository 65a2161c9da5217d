//! One run over one sequence: the loop over layers.

use super::embed::Dropout;
use super::memory::{Dims, Memory, State};
use super::pass::Pass;
use super::request::{Event, HiddenLayers, HiddenRow, Outputs, Request, RunError};
use super::weights::LanguageModel;
use super::{contacts, lm_head, project, transform};
use crate::alphabet::{CLS, EOS, PAD};
use crate::arena::{Arena, bytes_of};
use crate::nn::rotary;
use crate::nn::stream::{StreamFormat, to_activation};
use crate::runtime::Runtime;
use core::mem;
use core::ops::ControlFlow;

/// Who is told of a run's events, and can break it off.
pub type Hook<'h> = dyn FnMut(Event) -> ControlFlow<()> + 'h;

impl LanguageModel<'_> {
    /// Bytes of working memory for a sequence of `tokens` tokens (`<cls>` and `<eos>` included).
    ///
    /// # Errors
    /// There are too few or too many tokens, the model has no head for what is requested, or the bytes exceed
    /// the address width.
    pub fn arena_bytes(
        &self,
        tokens: usize,
        request: &Request,
        runtime: &Runtime,
    ) -> Result<usize, RunError> {
        let dims = self.dims(tokens, request, runtime)?;
        Ok(bytes_of(|counter| Memory::take(counter, &dims))?)
    }

    fn dims(&self, tokens: usize, request: &Request, runtime: &Runtime) -> Result<Dims, RunError> {
        if request.contacts && self.contact_head.is_none() {
            return Err(RunError::NoContactHead);
        }
        if request.logits && !self.has_lm_head() {
            return Err(RunError::NoLmHead);
        }
        Dims::new(&self.config, self.code_bytes()?, tokens, runtime.workers(), *request)
    }

    /// Runs the model over one sequence.
    ///
    /// `tokens` are ESM alphabet numbers, `<cls>` first and `<eos>` last ([`Alphabet`](crate::alphabet);
    /// unless [`Request::piece`]), masks allowed, no padding. `arena` holds at least [`arena_bytes`](Self::arena_bytes) for the same
    /// request and runtime and starts at a multiple of [`ALIGN`](crate::ALIGN) ([`Aligned`](crate::Aligned)
    /// does); its contents don't matter. The result depends on the model and the tokens alone.
    ///
    /// # Errors
    /// Nothing is computed if the tokens, the request or the arena can't be used.
    pub fn run<'m>(
        &self,
        tokens: &[u8],
        request: &Request,
        arena: &'m mut [u8],
        runtime: &Runtime,
    ) -> Result<Outputs<'m>, RunError> {
        self.run_with(tokens, request, arena, runtime, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`run`](Self::run); `hook` is told of every finished layer, gets the hidden states that are
    /// requested, and can break off the run.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`RunError::Stopped`] if the hook breaks.
    pub fn run_with<'m>(
        &self,
        tokens: &[u8],
        request: &Request,
        arena: &'m mut [u8],
        runtime: &Runtime,
        hook: &mut Hook,
    ) -> Result<Outputs<'m>, RunError> {
        let bad = |&(_, &token): &(usize, &u8)| usize::from(token) >= self.config.vocab || token == PAD;
        if let Some((index, &token)) = tokens.iter().enumerate().find(bad) {
            return Err(RunError::BadToken { index, token });
        }
        let dims = self.dims(tokens.len(), request, runtime)?;
        if let (Some(&first), Some(&last)) = (tokens.first(), tokens.last())
            && [first, last] != [CLS, EOS]
            && (request.contacts || !request.piece)
        {
            return Err(RunError::NotFramed { first, last });
        }
        let needed = bytes_of(|counter| Memory::take(counter, &dims))?;
        let mut memory = Memory::take(&mut Arena::of_size(needed, arena)?, &dims)?;
        Pass { model: self, dims, context: runtime.context() }.forward(tokens, &mut memory, hook)?;
        Ok(Outputs {
            contacts: request.contacts.then_some(&*memory.contacts),
            logits: request.logits.then_some(&*memory.logits),
        })
    }
}

impl Pass<'_, '_> {
    /// The whole pass.
    fn forward(&self, tokens: &[u8], memory: &mut Memory<Arena>, hook: &mut Hook) -> Result<(), RunError> {
        let (model, request) = (self.model, self.dims.request);
        rotary::rotary_table(model.rotary, memory.rotary);
        let mut stored = self.format(&model.stored(0)?);
        self.embed(tokens, &stored, memory.states)?;
        project::run(self, 0, &stored, memory)?;
        for layer in 0..model.config.layers {
            if request.hidden == HiddenLayers::All {
                self.hand_out(layer, &stored, memory, hook)?;
            }
            memory.scales.fill(&self.dims.attention(), memory.records)?;
            let after = self.format(&model.stored(layer + 1)?);
            let next = Some(layer + 1).filter(|&next| next < model.config.layers);
            let ahead = next.filter(|_| self.dims.projects_ahead());
            let step = transform::Step { layer, ahead, before: &stored, after: &after };
            transform::run(self, &step, memory)?;
            match next {
                Some(next) if ahead.is_none() => project::run(self, next, &after, memory)?,
                _ => mem::swap(&mut memory.records, &mut memory.next_records),
            }
            if request.contacts {
                contacts::sum_maps(self, layer, memory)?;
            }
            tell(hook, Event::Layer { layer })?;
            stored = after;
        }
        if request.hidden != HiddenLayers::None {
            self.hand_out_last(&stored, memory, hook)?;
        }
        if request.logits {
            lm_head::run(self, &stored, memory)?;
        }
        if let (true, Some(head)) = (request.contacts, &model.contact_head) {
            contacts::finish(self, head, memory)?;
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

    /// Hands the stream itself to the hook.
    fn hand_out(
        &self,
        layer: usize,
        stored: &StreamFormat,
        memory: &mut Memory<Arena>,
        hook: &mut Hook,
    ) -> Result<(), RunError> {
        let (values, _) = memory.hidden.split_at_mut(self.dims.config.width);
        for (token, codes) in self.coded_rows(memory.states).enumerate() {
            stored.decode(self.context.backend, codes, values);
            values.iter_mut().for_each(|x| *x = to_activation(*x, self.model.config.stream_frac));
            tell(hook, Event::Hidden(HiddenRow { layer, token, values }))?;
        }
        Ok(())
    }

    /// Hands the final LayerNorm of the stream to the hook.
    fn hand_out_last(
        &self,
        stored: &StreamFormat,
        memory: &mut Memory<Arena>,
        hook: &mut Hook,
    ) -> Result<(), RunError> {
        let (x, values) = memory.hidden.split_at_mut(self.dims.config.width);
        let layer = self.model.config.layers;
        for (token, codes) in self.coded_rows(memory.states).enumerate() {
            stored.decode(self.context.backend, codes, x);
            self.model.final_norm.apply(self.context.backend, self.model.config.epsilon, x, values);
            tell(hook, Event::Hidden(HiddenRow { layer, token, values }))?;
        }
        Ok(())
    }

    /// Fills the states of all blocks with the embedded tokens and no contacts.
    fn embed(&self, tokens: &[u8], stored: &StreamFormat, states: &mut [u8]) -> Result<(), RunError> {
        let dims = &self.dims;
        let scale = Dropout::new(tokens, &dims.config);
        let state_len = dims.state_bytes()?;
        for (state, tokens) in states.chunks_exact_mut(state_len).zip(tokens.chunks(dims.block_rows)) {
            let state = State::take(&mut Arena::new(state)?, dims)?;
            state.contact_rows.fill(0);
            for (codes, &token) in state.codes.chunks_exact_mut(dims.code_row()).zip(tokens) {
                self.embed_token(token, scale, &stored.site, codes);
            }
        }
        Ok(())
    }
}

fn tell(hook: &mut Hook, event: Event) -> Result<(), RunError> {
    match hook(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(RunError::Stopped),
    }
}

//! ESM-2: tokens to hidden states, contact map and logits.
//!
//! Reference: `transformers`, `models/esm/modeling_esm.py`. Per layer there are two parallel steps over
//! blocks of rows: `project` makes queries, keys and values; `transform` attends, projects, and runs the
//! feed-forward network, all of which need no other block's rows. Files: `config` and `weights` read the
//! model, `request` is what is asked and answered, `memory` plans and carves the arena, `run` is the loop
//! over layers, `pass` what all of them read.

mod config;
mod contacts;
mod embed;
mod lm_head;
mod memory;
mod pass;
mod project;
mod request;
mod run;
#[cfg(test)]
mod tests;
mod transform;
mod weights;

pub use config::{CONFIG, CONFIG_LEN, Config};
pub use request::{Event, HiddenLayers, HiddenRow, Outputs, Request, RunError};
pub use run::Hook;

pub use crate::heads::log_softmax;
#[cfg(feature = "kernels")]
pub use weights::LOGIT_FRAC;
pub use weights::LanguageModel;

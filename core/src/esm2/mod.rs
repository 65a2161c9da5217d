//! ESM-2: tokens to hidden states, contact map and logits.
//!
//! Reference: `transformers`, `models/esm/modeling_esm.py`. Per layer there are two parallel steps over blocks of rows:
//! `project` makes queries, keys and values; `transform` attends, projects, and runs the feed-forward network, all
//! of which need no other block's rows. Files: `config` and `weights` read the model, `memory` plans and carves the
//! arena, `run` is the pass.

mod config;
mod contacts;
mod embed;
mod lm_head;
mod memory;
mod project;
mod run;
#[cfg(test)]
mod tests;
mod transform;
mod weights;

pub use config::{CONFIG, CONFIG_LEN, Config};
pub use run::{HiddenLayers, HiddenRow, Outputs, RunError, Want};
pub(crate) use weights::numbered;
pub use weights::{ContactHead, LOGIT_FRAC, LanguageModel, Layer, LmHead, Norm};

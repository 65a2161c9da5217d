//! Whether a checkpoint's tensors are those of its configuration, and what to say about the rest.

use std::collections::{BTreeMap, BTreeSet};

use super::expected::Expected;
use super::names::{DECODER, EMBEDDING};
use super::{Checkpoint, CheckpointError, Element, Remark, foreign, rotary};

/// Tensors that no result depends on: numbers of positions, tables of a geometry that is built in, a head on
/// the trunk that ESMFold doesn't use, and what wrappers and optimisers leave behind.
const BOOKKEEPING: [&str; 12] = [
    "position_ids",
    "embeddings.position_embeddings.weight",
    "embed_positions._float_tensor",
    "version",
    "_extra_state",
    "num_batches_tracked",
    "n_averaged",
    "af2_to_esm",
    "trunk.structure_module.default_frames",
    "trunk.structure_module.group_idx",
    "trunk.structure_module.atom_mask",
    "trunk.structure_module.lit_positions",
];

impl Checkpoint {
    /// Checks that every tensor of the configuration is there and has its shape, and that no other takes part
    /// in what the model computes.
    pub(super) fn check_tensors(&self) -> Result<(), CheckpointError> {
        self.check_whole()?;
        let expected = self.expected();
        let missing: Vec<String> =
            expected.iter().filter(|(name, _)| !self.contains(name)).map(|(name, _)| name.clone()).collect();
        if !missing.is_empty() {
            let names = self.archives.iter().flat_map(|archive| archive.entries().keys().map(String::as_str));
            return Err(match foreign::tensors(names) {
                Some(what) => CheckpointError::NotACheckpoint {
                    path: self.path.clone(),
                    reason: format!("this is {what} ({} missing, as {})", missing.len(), missing[0]),
                },
                None => CheckpointError::MissingTensors { path: self.path.clone(), names: missing },
            });
        }
        let unexpected: Vec<String> = self
            .unexpected(&expected)
            .filter(|name| name.starts_with("encoder.layer.") || name.starts_with("trunk."))
            .filter(|name| !self.is_bookkeeping(name))
            .map(str::to_owned)
            .collect();
        if !unexpected.is_empty() {
            return Err(CheckpointError::UnexpectedTensors { path: self.path.clone(), names: unexpected });
        }
        for (name, shape) in expected {
            let Some((path, entry)) = self.entry(&name) else { continue };
            if entry.element == Element::Other {
                return Err(CheckpointError::NotFloat {
                    path: path.into(),
                    tensor: name,
                    found: entry.element,
                });
            }
            if entry.shape != shape {
                return Err(CheckpointError::Shape {
                    path: path.into(),
                    tensor: name,
                    expected: shape,
                    found: entry.shape.clone(),
                });
            }
        }
        Ok(())
    }

    /// Refuses weights that hold an adapter's tensors too: without them they are another model.
    fn check_whole(&self) -> Result<(), CheckpointError> {
        for archive in self.archives.iter().filter(|archive| !self.is_adapter(archive.path())) {
            let part = |name: &&String| {
                name.split('.').any(|part| part.starts_with("lora_") || part == "base_layer")
            };
            if let Some(name) = archive.entries().keys().find(part) {
                return Err(CheckpointError::Adapter {
                    path: archive.path().into(),
                    reason: format!(
                        "an adapter that isn't merged lies among the weights ({name}); save the model after \
                         `merge_and_unload()` of PEFT, or the adapter by itself with `save_pretrained`"
                    ),
                });
            }
        }
        Ok(())
    }

    fn unexpected(&self, expected: &[Expected]) -> impl Iterator<Item = &str> {
        let expected: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let names: Vec<&str> = self.names().filter(|name| !expected.contains(name)).collect();
        names.into_iter()
    }

    /// Notes what of the checkpoint isn't used, what it lacks, and what in it looks wrong.
    pub(super) fn inspect(&mut self) -> Result<(), CheckpointError> {
        let expected = self.expected();
        let mut unused: BTreeMap<String, usize> = BTreeMap::new();
        let others = self.others.iter().map(String::as_str).filter(|name| !self.is_bookkeeping(name));
        for name in others.chain(self.unexpected(&expected)) {
            *unused.entry(head(name)).or_default() += 1;
        }
        let count = |n: usize| if n == 1 { "1 tensor".into() } else { format!("{n} tensors") };
        let unused: Vec<String> = unused.iter().map(|(head, n)| format!("{head} ({})", count(*n))).collect();
        let mut remarks = Vec::new();
        if !unused.is_empty() {
            remarks.push(Remark::note(format!("not used: {}", unused.join(", "))));
        }
        if self.fold.is_none() {
            if !self.has_contact_head() {
                remarks.push(Remark::note("it has no contact head: contacts can't be predicted".into()));
            }
            if !self.has_lm_head() {
                remarks.push(Remark::note("it has no language-model head: logits can't be predicted".into()));
            }
        }
        if let Some(text) = self.rotary_frequencies().ok().and_then(|stored| rotary::deviation(&stored)) {
            remarks.push(Remark::warning(text));
        }
        if self.config.tied_decoder && self.has_untied_decoder()? {
            remarks.push(Remark::warning(
                "lm_head.decoder.weight is not the embedding, though the configuration ties them (`tie_word_embeddings`); the \
                 stored decoder is used, as transformers 5 does"
                    .into(),
            ));
        }
        self.remarks.append(&mut remarks);
        Ok(())
    }

    /// Whether the weights hold a decoder that differs from the embedding.
    fn has_untied_decoder(&self) -> Result<bool, CheckpointError> {
        let (Some(decoder), Some(embedding)) = (self.tensors.get(DECODER), self.tensors.get(EMBEDDING))
        else {
            return Ok(false);
        };
        let is_adapters = self.is_adapter(self.archives[decoder.location.archive].path());
        if is_adapters || !self.has_lm_head() || decoder.location == embedding.location {
            return Ok(false);
        }
        Ok(self.read_at(&decoder.location, DECODER)? != self.read_at(&embedding.location, EMBEDDING)?)
    }

    fn is_bookkeeping(&self, name: &str) -> bool {
        let fold_head = self.fold.is_some() && name.starts_with("lm_head.");
        let is =
            |what: &str| name.strip_suffix(what).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        fold_head || BOOKKEEPING.iter().any(|what| is(what))
    }
}

/// The module on top of the model that `name` belongs to.
fn head(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let kept = if parts[0] == "esm" || parts[0] == "encoder" || parts[0] == "trunk" { 2 } else { 1 };
    parts[..kept.min(parts.len())].join(".")
}

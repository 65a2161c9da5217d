//! The configuration of a fair-esm ESMFold checkpoint (`esmfold_3B_v1.pt`), from the shapes of its tensors.
//!
//! fair-esm names the folding tensors as HuggingFace's port does, because the port was made from it:
//! `trunk.blocks.N.*`, `trunk.structure_module.*` (OpenFold's names), `esm_s_mlp.*`, `embedding.weight`,
//! `lddt_head.*` and so on; both index the residue embedding in AlphaFold order without a shift
//! (`self.embedding(aa)` in `esm/esmfold/v1/esmfold.py`). The published file leaves out the language model,
//! which fair-esm loads from `esm2_t36_3B_UR50D.pt`; it must lie beside the file unless the file holds it
//! under `esm.`. Shapes don't tell the number of structure iterations, the scale of translations, epsilon and
//! the number of recycles: both published versions have the defaults of `esm/esmfold/v1/trunk.py`.

use std::path::{Path, PathBuf};

use super::open::Tensors;
use super::{CheckpointError, FoldConfig, fold_config::StructureConfig};

/// The file beside the folding model at `path` that holds its language model: `esm2_tN_*.pt` for N layers.
///
/// # Errors
/// There is none, or more than one.
pub(super) fn language_model(path: &Path, tensors: &Tensors) -> Result<PathBuf, CheckpointError> {
    let layers = dimension(path, tensors, "esm_s_combine", 0)?.saturating_sub(1);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let prefix = format!("esm2_t{layers}_");
    let is_language_model = |name: &str| {
        name.starts_with(&prefix) && name.ends_with(".pt") && !name.ends_with("-contact-regression.pt")
    };
    let entries =
        std::fs::read_dir(folder).map_err(|source| CheckpointError::Io { path: folder.into(), source })?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_language_model))
        .map(|entry| entry.path())
        .collect();
    match (found.pop(), found.len()) {
        (Some(file), 0) => Ok(file),
        (file, others) => Err(CheckpointError::NotACheckpoint {
            path: path.into(),
            reason: format!(
                "it is a folding model without its language model, and {} files {prefix}*.pt are beside it; expected one",
                others + usize::from(file.is_some())
            ),
        }),
    }
}

/// Derives the configuration of the folding model with `tensors`, which were read from `path`.
pub(super) fn config(path: &Path, tensors: &Tensors) -> Result<FoldConfig, CheckpointError> {
    let size = |name: &str, axis| dimension(path, tensors, name, axis);
    let count = |prefix: &str| {
        let indices = tensors
            .by_name
            .keys()
            .filter_map(|name| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok());
        indices.max().map_or(0, |last| last.saturating_add(1)).min(tensors.by_name.len())
    };
    let per = |total: usize, parts: usize| total.checked_div(parts).unwrap_or(0);
    let module = "trunk.structure_module";
    let heads = size(&format!("{module}.ipa.head_weights"), 0)?;
    let query_points = per(size(&format!("{module}.ipa.linear_q_points.weight"), 0)?, 3 * heads);
    let points = per(size(&format!("{module}.ipa.linear_kv_points.weight"), 0)?, 3 * heads);
    FoldConfig {
        blocks: count("trunk.blocks."),
        sequence_width: size("trunk.recycle_s_norm.weight", 0)?,
        pair_width: size("trunk.recycle_z_norm.weight", 0)?,
        sequence_heads: size("trunk.blocks.0.pair_to_sequence.linear.weight", 0)?,
        pair_heads: size("trunk.blocks.0.tri_att_start.linear.weight", 0)?,
        position_bins: size("trunk.pairwise_positional_embedding.embedding.weight", 0)?.saturating_sub(2) / 2,
        max_recycles: 4,
        plddt_width: size("lddt_head.1.weight", 0)?,
        structure: StructureConfig {
            iterations: 8,
            sequence_width: size("trunk.trunk2sm_s.weight", 0)?,
            pair_width: size("trunk.trunk2sm_z.weight", 0)?,
            heads,
            head_width: per(size(&format!("{module}.ipa.linear_q.weight"), 0)?, heads),
            query_points,
            value_points: points.saturating_sub(query_points),
            transition_layers: count(&format!("{module}.transition.layers.")),
            resnet_blocks: count(&format!("{module}.angle_resnet.layers.")),
            resnet_width: size(&format!("{module}.angle_resnet.linear_in.weight"), 0)?,
            translation_scale: 10.0,
            epsilon: 1e-8,
        },
    }
    .validate(path)
}

fn dimension(path: &Path, tensors: &Tensors, name: &str, axis: usize) -> Result<usize, CheckpointError> {
    let shape = tensors
        .shape(name)
        .ok_or_else(|| CheckpointError::MissingTensors { path: path.into(), names: vec![name.into()] })?;
    shape.get(axis).copied().ok_or_else(|| CheckpointError::Format {
        path: path.into(),
        detail: format!("tensor {name} has shape {shape:?}"),
    })
}

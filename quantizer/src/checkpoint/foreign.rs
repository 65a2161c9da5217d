//! Models and files of other kinds: what they are, and what to do.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{CheckpointError, adapter, locate};

const FLOAT_WEIGHTS: &str = "give the folder of the PyTorch checkpoint that it was made from, with config.json and \
                             model.safetensors or pytorch_model.bin";

/// Kinds of `model_type`, in lower case, that people take for ESM-2.
const MODELS: [(&str, &str); 12] = [
    (
        "nv_esm",
        "NVIDIA's port of ESM-2 to TransformerEngine, whose layers are fused: use the checkpoint that it was made from \
         (facebook/esm2_*), or turn it back with `convert_esm_te_to_hf` of NVIDIA's bionemo-recipes",
    ),
    ("esmc", "ESM C, another architecture than ESM-2"),
    ("esmplusplus", "ESM C in a port (ESM++), another architecture than ESM-2"),
    ("esm++", "ESM C in a port (ESM++), another architecture than ESM-2"),
    ("esm3", "ESM3, another architecture than ESM-2"),
    (
        "fast_esm",
        "a port of ESM-2 with its own code (FastESM, FastPLMs): use the checkpoint that it was made from (facebook/esm2_*)",
    ),
    ("t5", "T5 (ProtT5, Ankh, ProstT5), another architecture than ESM-2"),
    ("bert", "BERT (ProtBert), another architecture than ESM-2"),
    ("albert", "ALBERT (ProtAlbert), another architecture than ESM-2"),
    ("xlnet", "XLNet (ProtXLNet), another architecture than ESM-2"),
    ("gpt2", "GPT-2 (ProtGPT2, ZymCTRL), another architecture than ESM-2"),
    ("progen", "ProGen, another architecture than ESM-2"),
];

/// What a model whose `model_type` isn't `esm` is.
pub fn model_type(found: &str) -> String {
    let lower = found.to_lowercase();
    let known = MODELS.iter().find(|(name, _)| *name == lower).map(|(_, what)| *what);
    format!("this is {}", known.unwrap_or("another architecture than ESM-2"))
}

/// What a file is by how it begins, if it is no file of PyTorch weights.
const BEGINNINGS: [(&[u8], &str); 5] = [
    (
        b"version https://git-lfs",
        "a pointer of Git LFS, not the weights: run `git lfs pull` in the repository, or download the file itself",
    ),
    (b"\x89HDF\r\n\x1a\n", "HDF5, weights for TensorFlow or Keras"),
    (b"GGUF", "GGUF, weights for llama.cpp"),
    (b"\x1f\x8b", "compressed with gzip: unpack it first"),
    (b"\xfd7zXZ", "compressed with xz: unpack it first"),
];

/// What a text is by how it begins, in any case and after blanks.
const TEXTS: [(&[u8], &str); 4] = [
    (b"<!doctype", "a web page: the download failed"),
    (b"<html", "a web page: the download failed"),
    (b"<?xml", "a server's message (XML): the download failed"),
    (b"{\"error", "a server's error message: the download failed"),
];

/// What a file that begins with `bytes` is, if it is neither weights nor a configuration.
pub fn beginning(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    let is_text = |start: &[u8]| text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start));
    let known = BEGINNINGS.iter().find(|(start, _)| bytes.starts_with(start));
    known.or_else(|| TEXTS.iter().find(|(start, _)| is_text(start))).map(|(_, what)| *what)
}

/// What is the content of a file under the ending of another of the two formats.
fn other_format(path: &Path, beginning: &[u8]) -> Option<&'static str> {
    let is_safetensors = path.extension().is_some_and(|ending| ending == "safetensors");
    // The header's length, of which the upper bytes are zero, and the header.
    let holds_safetensors = beginning.get(6..10).is_some_and(|bytes| bytes == b"\0\0{\"");
    if is_safetensors && beginning.starts_with(b"PK\x03\x04") {
        return Some(
            "a PyTorch file (a zip archive), not safetensors: rename it to .bin or .pt (in a folder, pytorch_model.bin)",
        );
    }
    (!is_safetensors && holds_safetensors)
        .then_some("a safetensors file: rename it to .safetensors (in a folder, model.safetensors)")
}

/// Refuses a file that is of another kind than its name says.
///
/// # Errors
/// What it is; or it can't be read.
pub fn check_file(path: &Path) -> Result<(), CheckpointError> {
    let not_weights =
        |reason: &str| CheckpointError::NotACheckpoint { path: path.into(), reason: reason.into() };
    if !locate::is_file(path)? {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(CheckpointError::Io { path: path.into(), source });
    }
    let mut beginning = Vec::new();
    File::open(path)
        .and_then(|file| file.take(32).read_to_end(&mut beginning))
        .map_err(|source| CheckpointError::Io { path: path.into(), source })?;
    if beginning.is_empty() {
        return Err(not_weights("it is empty (0 bytes): fetch it again"));
    }
    match self::beginning(&beginning).or_else(|| other_format(path, &beginning)) {
        Some(what) => Err(not_weights(&format!("it is {what}"))),
        // Every format of weights has other bytes among its first.
        None if beginning.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            let text = String::from_utf8_lossy(beginning.trim_ascii());
            Err(not_weights(&format!("it is a text (`{text}`...): the download failed")))
        }
        None => Ok(()),
    }
}

/// Files of other programs by how their names end.
const ENDINGS: [(&str, &str); 13] = [
    (".h5", "weights for TensorFlow"),
    (".keras", "weights for Keras"),
    (".msgpack", "weights for Flax"),
    (".gguf", "weights for llama.cpp"),
    (".onnx", "an ONNX model"),
    (".ot", "weights for rust-bert"),
    (".npz", "NumPy arrays (AlphaFold's parameters, or weights for MLX)"),
    (".nemo", "a NeMo checkpoint (NVIDIA BioNeMo)"),
    (".mlmodel", "a Core ML model"),
    (".tflite", "weights for TensorFlow Lite"),
    (".distcp", "PyTorch's distributed checkpoint (FSDP, NeMo 2, BioNeMo 2)"),
    (".tar", "an archive: unpack it first"),
    (".zip", "an archive: unpack it first"),
];

/// What the file called `name` is, if it belongs to another program.
pub fn file_name(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let lower = lower.strip_suffix(".gz").unwrap_or(&lower);
    ENDINGS.iter().find(|(ending, _)| lower.ends_with(ending)).map(|(_, what)| *what)
}

/// Why `folder`, which lacks `missing`, may be no checkpoint, and what to do.
///
/// # Errors
/// The folder can't be listed.
pub fn folder(folder: &Path, missing: &str) -> Result<String, CheckpointError> {
    let entries =
        std::fs::read_dir(folder).map_err(|source| CheckpointError::Io { path: folder.into(), source })?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let reason = format!("it has {missing}");
    if let Some(part) = unfinished(folder) {
        return Ok(format!("{reason}; its download was interrupted ({part} is left of it): fetch it again"));
    }
    let inside = locate::folders(folder, |_| true)?;
    let named = |wanted: &dyn Fn(&Path) -> bool| -> Vec<String> {
        let wanted = inside.iter().filter(|path| wanted(path));
        wanted.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect()
    };
    let checkpoints = named(&|path| path.join("config.json").is_file() || adapter::is_in(path));
    if !checkpoints.is_empty() {
        return Ok(format!(
            "{reason}, but folders with checkpoints in it: give one of {}",
            checkpoints.join(", ")
        ));
    }
    let has = |name: &str| names.iter().any(|found| found == name);
    let is_distributed = |path: &Path| path.join(".metadata").is_file();
    if has(".metadata") || !named(&is_distributed).is_empty() {
        return Ok(format!(
            "{reason}; it holds PyTorch's distributed checkpoint (FSDP, NeMo 2, BioNeMo 2): export it to a HuggingFace \
             folder with the program that wrote it"
        ));
    }
    if has("zero_to_fp32.py") || names.iter().any(|name| name.starts_with("global_step")) {
        return Ok(format!("{reason}; it holds DeepSpeed's shards: join them with `zero_to_fp32.py` first"));
    }
    if names.iter().any(|name| name.starts_with("mp_rank_") || name == "latest_checkpointed_iteration.txt") {
        return Ok(format!(
            "{reason}; it holds a checkpoint of Megatron: convert it to a HuggingFace folder first"
        ));
    }
    if let Some((name, what)) = names.iter().find_map(|name| Some((name, file_name(name)?))) {
        return Ok(format!("{reason}; {name} is {what}: {FLOAT_WEIGHTS}"));
    }
    let weights = |name: &&String| {
        [".safetensors", ".bin", ".pt", ".pth", ".ckpt"].iter().any(|ending| name.ends_with(ending))
    };
    match names.iter().find(weights) {
        Some(file) => Ok(format!("{reason}; for weights under another name give the file ({file})")),
        None => Ok(reason),
    }
}

/// A file that the hub's client was downloading for the snapshot `folder`, or into it.
fn unfinished(folder: &Path) -> Option<String> {
    let blobs = folder.join("../../blobs");
    let downloads = folder.join(".cache/huggingface/download");
    for place in [folder, &blobs, &downloads] {
        let Ok(entries) = std::fs::read_dir(place) else { continue };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        if let Some(name) = names.into_iter().find(|name| name.ends_with(".incomplete")) {
            return Some(name);
        }
    }
    None
}

/// Parts of tensors' names that tell another model.
const TENSORS: [(&str, &str); 10] = [
    ("lora_", "tensors of an adapter; its folder has an adapter_config.json"),
    ("transformer.blocks.0.attn.layernorm_qkv", "ESM C or ESM3, other architectures than ESM-2"),
    (
        "layernorm_qkv",
        "a model of NVIDIA's TransformerEngine (nv_esm, BioNeMo), whose layers are fused: use the checkpoint that it was \
         made from (facebook/esm2_*), or turn it back with `convert_esm_te_to_hf` of NVIDIA's bionemo-recipes",
    ),
    (
        "self_attention.linear_qkv",
        "a model of Megatron (NeMo, BioNeMo), whose layers are fused: export it to a HuggingFace folder first",
    ),
    ("evoformer", "AlphaFold or OpenFold, other architectures than ESMFold"),
    ("pairformer", "a model like AlphaFold 3, another architecture than ESMFold"),
    ("encoder.block.0.layer.0.SelfAttention", "T5 (ProtT5, Ankh), another architecture than ESM-2"),
    ("bert.encoder", "BERT, another architecture than ESM-2"),
    ("transformer.wte", "GPT-2, another architecture than ESM-2"),
    ("msa_position_embedding", "MSA Transformer, another architecture than ESM-2"),
];

/// What a model with tensors called `names` is.
pub fn tensors<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    let is_in = |part: &str| names.clone().any(|name| name.contains(part));
    TENSORS.iter().find(|(part, _)| is_in(part)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_models_are_named() {
        assert!(model_type("nv_esm").contains("convert_esm_te_to_hf"));
        assert!(model_type("ESMC").contains("ESM C"));
        assert!(model_type("t5").contains("ProtT5"));
        assert_eq!(model_type("mamba"), "this is another architecture than ESM-2");
        let tensors = |name: &str| tensors([name].into_iter());
        assert!(
            tensors("esm.encoder.layers.0.self_attention.layernorm_qkv.weight").unwrap().contains("nv_esm")
        );
        assert!(tensors("transformer.blocks.0.attn.layernorm_qkv.1.weight").unwrap().contains("ESM C"));
        assert!(
            tensors("module.evoformer.blocks.0.core.msa_transition.linear_1.weight")
                .unwrap()
                .contains("OpenFold")
        );
        assert_eq!(tensors("vit.embeddings.weight"), None);
    }

    #[test]
    fn other_files_are_named() {
        assert_eq!(file_name("tf_model.h5"), Some("weights for TensorFlow"));
        assert_eq!(file_name("esm2.Q8_0.GGUF"), Some("weights for llama.cpp"));
        assert_eq!(file_name("model.tar.gz"), Some("an archive: unpack it first"));
        assert_eq!(file_name("model.safetensors"), None);
    }
}

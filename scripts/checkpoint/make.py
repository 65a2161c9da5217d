"""Writes a checkpoint of a published model's shapes with random weights: see scripts/make-checkpoint."""

import argparse
import json
import re
import shutil
import sys
from dataclasses import replace
from math import prod
from pathlib import Path

from files import Tensor, namespace, write_safetensors, write_torch
from shapes import MODELS, VOCAB, Model, config, folding_model, language_model, token_head
from values import Values

INTEGERS = ("position_ids", "af2_to_esm")
DTYPE_NAMES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32"}
EMBEDDING = "esm.embeddings.word_embeddings.weight"
# Module by module, what fair-esm calls a layer's parts.
FAIR_ESM = {
    "attention.self.query": "self_attn.q_proj", "attention.self.key": "self_attn.k_proj",
    "attention.self.value": "self_attn.v_proj", "attention.self.rotary_embeddings": "self_attn.rot_emb",
    "attention.output.dense": "self_attn.out_proj", "attention.LayerNorm": "self_attn_layer_norm",
    "intermediate.dense": "fc1", "output.dense": "fc2", "LayerNorm": "final_layer_norm",
}


def tensors(model: Model, dtype: str) -> list[Tensor]:
    """Every tensor under transformers' name: the language model in `dtype`, what folds in f32."""
    named = [("esm." + name, shape) for name, shape in language_model(model)]
    named += folding_model(model) if model.folds else token_head(model)
    language = lambda name: name.startswith("esm.") or not model.folds
    return [
        Tensor(name, "i64" if name.endswith(INTEGERS) else dtype if language(name) else "f32", shape, name)
        for name, shape in named
    ]


def hugging_face(folder: Path, model: Model, arguments: argparse.Namespace, values) -> None:
    """A folder as the hub has it, in shards if it is larger than one."""
    everything = tensors(model, arguments.dtype)
    safetensors = arguments.format == "safetensors"
    if not safetensors and not model.folds:
        # A pickle keeps the tied decoder under both names.
        embedding = next(tensor for tensor in everything if tensor.name == EMBEDDING)
        everything.append(replace(embedding, name="lm_head.decoder.weight"))
    limit, shards = arguments.shard_size * 1_000_000, [[]]
    for tensor in everything:
        if shards[-1] and sum(other.bytes for other in shards[-1]) + tensor.bytes > limit:
            shards.append([])
        shards[-1].append(tensor)
    stem, ending = ("model", "safetensors") if safetensors else ("pytorch_model", "bin")
    whole = f"{stem}.{ending}"
    names = [whole] if len(shards) == 1 else [
        f"{stem}-{i:05}-of-{len(shards):05}.{ending}" for i in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards):
        part = folder / f"{name}.part"
        if safetensors:
            write_safetensors(part, shard, values)
        else:
            write_torch(part, shard, values, dict)
        part.rename(folder / name)
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(tensor.bytes for tensor in everything)},
                 "weight_map": {tensor.name: name for name, shard in zip(names, shards) for tensor in shard}}
        (folder / f"{whole}.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
    # Last: without it the folder is no checkpoint.
    text = json.dumps(config(model, DTYPE_NAMES[arguments.dtype]), indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n")


def fair_esm_name(name: str) -> str | None:
    """What fair-esm calls a tensor of the language model; `None` if it hasn't any such."""
    name = name.removeprefix("esm.")
    if name.startswith("lm_head."):
        return f"encoder.{name}"
    if name.startswith("contact_head."):
        return name
    found = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(\w+)", name)
    if found:
        own = f"layers.{found[1]}.{FAIR_ESM[found[2]]}.{found[3]}"
    elif name.startswith("encoder.emb_layer_norm_after."):
        own = name.removeprefix("encoder.")
    elif name == "embeddings.word_embeddings.weight":
        own = "embed_tokens.weight"
    else:
        return None
    return f"encoder.sentence_encoder.{own}"


def fair_esm(folder: Path, model: Model, arguments: argparse.Namespace, values) -> None:
    """Files as fair-esm has them: the language model, the regression of contacts, and what folds."""
    alone = replace(model, blocks=0)
    language, regression = [], []
    for tensor in tensors(alone, arguments.dtype):
        name = fair_esm_name(tensor.name)
        if name is not None:
            (regression if name.startswith("contact_head.") else language).append(replace(tensor, name=name))
    embedding = next(tensor for tensor in language if tensor.source == EMBEDDING)
    language.append(replace(embedding, name="encoder.lm_head.weight"))
    settings = namespace(
        arch="roberta_large", encoder_layers=model.layers, encoder_embed_dim=model.width,
        encoder_ffn_embed_dim=4 * model.width, encoder_attention_heads=model.heads, token_dropout=True, dropout=0.0)
    stem = f"esm2_t{model.layers}_{model.fair_esm}"
    files = [
        (f"{stem}.pt", language, {"cfg": {"_name": None, "model": settings}}),
        (f"{stem}-contact-regression.pt", regression, {}),
    ]
    if model.folds:
        fold = [tensor for tensor in tensors(model, arguments.dtype) if not tensor.name.startswith("esm.")]
        trunk = config(model, "")["esmfold_config"]
        files.append(("esmfold_3B_v1.pt", fold, {"cfg": {"model": trunk}}))
    for name, part, beside in files:
        unfinished = folder / f"{name}.part"
        write_torch(unfinished, part, values, lambda state: {**beside, "model": state})
        unfinished.rename(folder / name)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1 was expected")
    return number


def parse() -> tuple[Model, argparse.Namespace]:
    parser = argparse.ArgumentParser(prog="make-checkpoint", description="Writes a checkpoint of a published model's shapes, names "
                                     "and file layout with random weights of realistic scales.")
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder")
    parser.add_argument("--layers", type=positive, metavar="N", help="the language model's first N layers only")
    parser.add_argument("--blocks", type=positive, metavar="N", help="the folding trunk's first N blocks only")
    parser.add_argument("--format", choices=["safetensors", "bin", "pt"], default="safetensors",
                        help="safetensors or pickles with transformers' names, or pickles with fair-esm's [%(default)s]")
    parser.add_argument("--dtype", choices=DTYPE_NAMES, default="f16",
                        help="of the language model; the trunk has f32 [%(default)s]")
    parser.add_argument("--shard-size", type=positive, metavar="MB", default=5000,
                        help="no file of transformers' is larger, in 10^6 bytes, but for one tensor's sake [%(default)s]")
    parser.add_argument("--seed", type=int, default=17, metavar="N", help="[%(default)s]")
    arguments = parser.parse_args()
    model = MODELS[arguments.model]
    if arguments.blocks and not model.folds:
        parser.error(f"--blocks: {arguments.model} has no folding trunk")
    for key in ("layers", "blocks"):
        wanted, there = getattr(arguments, key), getattr(model, key)
        if wanted and wanted > there:
            parser.error(f"--{key}: {arguments.model} has {there}")
    model = replace(model, layers=arguments.layers or model.layers, blocks=arguments.blocks or model.blocks)
    return model, arguments


def main() -> None:
    model, arguments = parse()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"make-checkpoint: {folder}: a new or empty folder was expected")
    everything = tensors(model, arguments.dtype)
    total, free = sum(tensor.bytes for tensor in everything), shutil.disk_usage(folder).free
    if total > free:
        sys.exit(f"make-checkpoint: {folder}: {total / 1e9:.1f} GB to write, and {free / 1e9:.1f} GB are free")
    random, done = Values(model, arguments.seed), 0

    def values(tensor: Tensor):
        nonlocal done
        done += tensor.bytes
        if sys.stderr.isatty():
            print(f"\r{100 * done // total} %", end="", file=sys.stderr)
        return random.of(tensor.source, tensor.shape)

    (fair_esm if arguments.format == "pt" else hugging_face)(folder, model, arguments, values)
    weights = sum(prod(tensor.shape) for tensor in everything if tensor.dtype != "i64")
    print(f"\r{folder}: {weights / 1e6:.1f} million weights, {total / 1e9:.2f} GB")


if __name__ == "__main__":
    main()

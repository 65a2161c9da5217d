#!/usr/bin/env python3
"""Writes the golden fixtures of LoRA adapters: a small random ESM-2, adapters for it, and what PyTorch computes with both.

    python -m venv venv
    venv/bin/pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0 numpy
    venv/bin/python tests/golden/make_adapter.py

Needed only to change the fixtures; the tests read the committed ones. Each adapter is written by PEFT's own
`save_pretrained`, filled with random values that matter, and PyTorch runs the model that `merge_and_unload` gives, which
must be the model that was trained (the adapter beside the weights).

    esm2-lora/base/        transformers, model.safetensors in f16, 2 layers, 2 heads of 16, decoder tied
    esm2-lora/all-linear/  every Linear (`all-linear`), ranks and alphas by pattern, scaled by alpha / sqrt(r)
    esm2-lora/regex/       chosen by a regular expression, adapter_model.bin, all biases, embedding, a language-model head of its own

Each adapter's folder holds `expected.safetensors` with the names of `make_esm2.py`'s.
"""

import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import EsmConfig, EsmForMaskedLM

SEED = 20261128
HERE = Path(__file__).parent / "esm2-lora"
CLS, EOS, MASK = 0, 2, 32
ALPHABET = "LAGVSERTIDPKQNFYMHWCXBUZO"


def encode(residues: str) -> list[int]:
    """Token numbers of `residues`, in which `_` is <mask>."""
    return [CLS, *(MASK if r == "_" else 4 + ALPHABET.index(r) for r in residues), EOS]


SEQUENCES = [encode("MKTAYIAKQRQI"), encode("GAVL_MKW"), encode("W")]


@torch.no_grad()
def run(model: EsmForMaskedLM) -> list[dict[str, torch.Tensor]]:
    results = []
    for sequence in SEQUENCES:
        tokens = torch.tensor([sequence])
        attention_mask = torch.ones_like(tokens)
        output = model(tokens, attention_mask=attention_mask, output_hidden_states=True)
        contacts = model.predict_contacts(tokens, attention_mask)
        results.append({"tokens": tokens[0].to(torch.uint8), "logits": output.logits[0], "contacts": contacts[0],
                        "hidden": torch.cat(output.hidden_states)})
    return results


@torch.no_grad()
def make_base() -> None:
    config = EsmConfig(
        vocab_size=33, mask_token_id=MASK, pad_token_id=1, position_embedding_type="rotary", token_dropout=True,
        emb_layer_norm_before=False, layer_norm_eps=1e-5, max_position_embeddings=1026, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, attn_implementation="eager", num_hidden_layers=2, hidden_size=32,
        num_attention_heads=2, intermediate_size=40)
    model = EsmForMaskedLM(config).eval()
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape)
        if "regression.weight" in name:
            noise *= 3
        elif "norm" in name.lower() and name.endswith("weight"):
            noise = 1 + 0.4 * noise
        elif parameter.dim() == 2 and "embed" not in name:
            noise *= 1.5 / parameter.shape[1] ** 0.5
        else:
            noise *= 0.5
        parameter.copy_(noise.half())
    model.half().save_pretrained(HERE / "base")


@torch.no_grad()
def make_adapter(name: str, config: LoraConfig, safetensors: bool) -> None:
    folder = HERE / name
    base = EsmForMaskedLM.from_pretrained(HERE / "base", dtype=torch.float32, attn_implementation="eager")
    model = get_peft_model(base, config, adapter_name="trained").eval()
    for parameter_name, parameter in model.named_parameters():
        if "lora_" in parameter_name:
            parameter.copy_(torch.randn(parameter.shape) * 0.15)
        elif "modules_to_save" in parameter_name or (config.bias == "all" and parameter_name.endswith(".bias")):
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    trained = run(model.base_model.model)
    model.peft_config["trained"].base_model_name_or_path = "example/esm2-tiny"
    model.save_pretrained(folder, safe_serialization=safetensors)
    # PEFT writes an adapter that isn't called `default` into a folder of its name.
    for file in (folder / "trained").iterdir():
        shutil.move(file, folder / file.name)
    (folder / "trained").rmdir()
    (folder / "README.md").unlink(missing_ok=True)
    merged = run(model.merge_and_unload())
    original = run(EsmForMaskedLM.from_pretrained(HERE / "base", dtype=torch.float32, attn_implementation="eager"))
    for a, b, c in zip(trained, merged, original):
        for kind in ("logits", "contacts", "hidden"):
            assert torch.allclose(a[kind], b[kind], rtol=1e-5, atol=3e-5), (name, kind)
        assert (a["logits"] - c["logits"]).abs().max() > 0.1, "the adapter changes nothing"
    named = {f"{i}.{key}": value.contiguous() for i, result in enumerate(merged) for key, value in result.items()}
    for key, value in named.items():
        assert torch.isfinite(value.float()).all(), key
    save_file(named, folder / "expected.safetensors")


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    make_base()
    make_adapter("all-linear", LoraConfig(
        r=3, lora_alpha=8, target_modules="all-linear", use_rslora=True,
        rank_pattern={"layer.0.attention.self.query": 5, "intermediate.dense": 2},
        alpha_pattern={r"esm\.encoder\.layer\.1\.[io].*": 5, "attention.self.value": 11}), safetensors=True)
    make_adapter("regex", LoraConfig(
        r=4, lora_alpha=6, bias="all", modules_to_save=["lm_head"],
        target_modules=r"esm\.embeddings\.word_embeddings|.*\.layer\.[01]\.attention\.self\.(query|value)"),
        safetensors=False)


if __name__ == "__main__":
    main()

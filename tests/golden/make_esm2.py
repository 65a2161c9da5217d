#!/usr/bin/env python3
"""Writes the golden fixtures of ESM-2: small random checkpoints and what PyTorch computes with them.

    python -m venv venv
    venv/bin/pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0 numpy
    venv/bin/pip install --no-deps fair-esm==2.0.0
    venv/bin/python tests/golden/make_esm2.py

Needed only to change the fixtures; the tests read the committed ones. Weights, biases and LayerNorm parameters are
random and large enough that a wrong one shows in every output. Expected values are computed in f32 from the weights as
stored. Each folder holds a checkpoint and `expected.safetensors` with, for each sequence N = 0, 1, ...:

    N.tokens   u8  [tokens]                 token numbers, <cls> and <eos> included
    N.logits   f32 [tokens, 33]
    N.contacts f32 [residues, residues]
    N.hidden   f32 [layers + 1, tokens, width]   0: embedding, last: after the final LayerNorm

    esm2-head16/  transformers, model.safetensors in f16, decoder tied, rotary frequencies stored, LayerNorms spelt
                  gamma and beta, 3 layers, 4 heads of 16
    esm2-head24/  transformers, pytorch_model.bin in bf16, decoder of its own, rotary frequencies not stored, LayerNorms
                  spelt weight and bias, 2 layers, 2 heads of 24
    esm2-fair/    fair-esm, tiny.pt and tiny-contact-regression.pt in f16, rotary frequencies stored, 2 layers, 2 heads of 16
"""

from argparse import Namespace
from pathlib import Path

import esm
import torch
from safetensors.torch import save_file
from transformers import EsmConfig, EsmForMaskedLM

SEED = 20260101
HERE = Path(__file__).parent
CLS, EOS, MASK = 0, 2, 32
ALPHABET = "LAGVSERTIDPKQNFYMHWCXBUZO"


def encode(residues: str) -> list[int]:
    """Token numbers of `residues`, in which `_` is <mask>."""
    return [CLS, *(MASK if r == "_" else 4 + ALPHABET.index(r) for r in residues), EOS]


SEQUENCES = [
    encode("MKTAYIAKQRQISFVKSH"),
    encode("GAVL_MKWC_DE_RH"),
    encode("W"),
    encode("ACDXBUZOEFGHNPV"),
]


@torch.no_grad()
def randomize(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Fills every parameter with random values that `dtype` can hold."""
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
        parameter.copy_(noise.to(dtype))


@torch.no_grad()
def change_frequencies(buffers: list[torch.Tensor], dtype: torch.dtype) -> None:
    """Gives rotary embeddings frequencies that no formula gives: published checkpoints store them, rounded."""
    factors = 1 + 0.1 * torch.rand(buffers[0].shape)
    for frequencies in buffers:
        frequencies.copy_((frequencies * factors).to(dtype))


def save_expected(folder: Path, results: list[dict[str, torch.Tensor]]) -> None:
    named = {f"{i}.{key}": value.contiguous() for i, result in enumerate(results) for key, value in result.items()}
    for name, value in named.items():
        assert torch.isfinite(value.float()).all(), name
    save_file(named, folder / "expected.safetensors")


@torch.no_grad()
def run_transformers(model: EsmForMaskedLM) -> list[dict[str, torch.Tensor]]:
    results = []
    for sequence in SEQUENCES:
        tokens = torch.tensor([sequence])
        attention_mask = torch.ones_like(tokens)
        output = model(tokens, attention_mask=attention_mask, output_hidden_states=True)
        last = model.esm(tokens, attention_mask=attention_mask).last_hidden_state
        hidden = torch.cat(output.hidden_states)
        assert len(hidden) == model.config.num_hidden_layers + 1
        assert torch.equal(hidden[-1], last[0]), "the last hidden state is after the final LayerNorm"
        contacts = model.predict_contacts(tokens, attention_mask)
        results.append({"tokens": tokens[0].to(torch.uint8), "logits": output.logits[0],
                        "contacts": contacts[0], "hidden": hidden})
    return results


def make_transformers(name: str, dtype: torch.dtype, as_bin: bool, **shape: int) -> None:
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    config = EsmConfig(
        vocab_size=33, mask_token_id=MASK, pad_token_id=1, position_embedding_type="rotary", token_dropout=True,
        emb_layer_norm_before=False, layer_norm_eps=1e-5, max_position_embeddings=1026, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, tie_word_embeddings=not as_bin, attn_implementation="eager", **shape)
    model = EsmForMaskedLM(config).eval()
    randomize(model, dtype)
    if not as_bin:
        change_frequencies([model.esm.rotary_embeddings.inv_freq], dtype)
    save_expected(folder, run_transformers(model))
    model.to(dtype).save_pretrained(folder)
    if as_bin:
        (folder / "model.safetensors").unlink()
        state = {name: value for name, value in model.state_dict().items() if not name.endswith("inv_freq")}
        torch.save(state, folder / "pytorch_model.bin")


@torch.no_grad()
def make_fair_esm(name: str, layers: int, width: int, heads: int) -> None:
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    model = esm.model.esm2.ESM2(num_layers=layers, embed_dim=width, attention_heads=heads).eval()
    randomize(model, torch.float16)
    change_frequencies([layer.self_attn.rot_emb.inv_freq for layer in model.layers], torch.float16)
    results = []
    for sequence in SEQUENCES[:3]:
        tokens = torch.tensor([sequence])
        output = model(tokens, repr_layers=range(layers + 1), return_contacts=True)
        hidden = torch.cat([output["representations"][i] for i in range(layers + 1)])
        results.append({"tokens": tokens[0].to(torch.uint8), "logits": output["logits"][0],
                        "contacts": output["contacts"][0], "hidden": hidden})
    save_expected(folder, results)
    state = model.half().state_dict()
    regression = {key: state.pop(key) for key in list(state) if key.startswith("contact_head.")}
    # The published files keep the names of the training code, and its arguments in a namespace.
    renamed = {("encoder." if key.startswith("lm_head.") else "encoder.sentence_encoder.") + key: value
               for key, value in state.items()}
    arguments = Namespace(encoder_layers=layers, encoder_embed_dim=width, encoder_attention_heads=heads,
                          token_dropout=True, arch="esm2", dropout=0.0, data=None, lr=[4e-4])
    torch.save({"cfg": {"_name": None, "model": arguments}, "model": renamed}, folder / "tiny.pt")
    torch.save({"model": regression}, folder / "tiny-contact-regression.pt")


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    make_transformers("esm2-head16", torch.float16, as_bin=False,
                      num_hidden_layers=3, hidden_size=64, num_attention_heads=4, intermediate_size=72)
    make_transformers("esm2-head24", torch.bfloat16, as_bin=True,
                      num_hidden_layers=2, hidden_size=48, num_attention_heads=2, intermediate_size=72)
    make_fair_esm("esm2-fair", layers=2, width=32, heads=2)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes the golden fixture of ESMFold's real widths: what PyTorch computes with weights that anyone can make again.

    venv/bin/python tests/golden/make_esmfold_wide.py        # the virtual environment of make_esmfold.py

Trunk and structure module have the widths, heads and iterations of esmfold_v1, and 2 blocks instead of 48; the language model below is
narrow (2 layers of 320 channels), since its own widths are tested elsewhere. No weights are stored. Element i of a tensor is

    offset + scale * u,  u = (mix((FNV-1a of the name) + (i + 1) * 0x9e3779b97f4a7c15) >> 40) / 2^23 - 1,    in f32

with 64-bit words that wrap around and the finalizer of SplitMix64 as `mix`. `esmfold-wide/` holds

    config.json            as of a checkpoint
    tensors.txt            a line for each tensor: name, offset, scale, shape
    expected.safetensors   tokens u8 [L + 2]; for R = 0 and 1 recycles R.atom37 f32 [L, 37, 3], R.plddt [L, 37], R.pae [L, L], R.ptm [1]
"""

import json
from pathlib import Path

import numpy as np
import torch
from make_esmfold import VOCAB, run, save
from transformers import EsmConfig, EsmForProteinFolding

HERE = Path(__file__).parent
FOLDER = HERE / "esmfold-wide"
SEQUENCE = "MKTAYIAKQRQISFVDHCNEPGLWX"
CONFIG = dict(
    vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=320, num_hidden_layers=2, num_attention_heads=20,
    intermediate_size=1280, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_position_embeddings=1026,
    layer_norm_eps=1e-5, position_embedding_type="rotary", emb_layer_norm_before=False, token_dropout=True,
    is_folding_model=True, vocab_list=VOCAB,
    esmfold_config=dict(
        fp16_esm=False, lddt_head_hid_dim=128,
        trunk=dict(
            num_blocks=2, sequence_state_dim=1024, pairwise_state_dim=128, sequence_head_width=32,
            pairwise_head_width=32, position_bins=32, max_recycles=2, chunk_size=None,
            structure_module=dict(
                sequence_dim=384, pairwise_dim=128, ipa_dim=16, resnet_dim=128, num_heads_ipa=12, num_qk_points=4,
                num_v_points=8, num_blocks=8, num_transition_layers=1, num_resnet_blocks=2))))


def offset_and_scale(name: str, shape: tuple[int, ...]) -> tuple[np.float32, np.float32]:
    """Large enough that every parameter shows, small enough that random layers don't drown the signal."""
    module, leaf = name.lower(), name.rsplit(".", 1)[-1]
    offset, scale = 0.0, 0.3
    if len(shape) == 1:
        norm = "norm" in module or "mlp.0." in module or "lddt_head.0." in module
        offset = 1.0 if norm and leaf == "weight" else 0.0
    elif "embed" in name or "recycle_disto" in name:
        scale = 0.5
    else:
        scale = (3 / shape[1]) ** 0.5
        scale *= 0.2 if "bb_update" in name else 0.3 if "ptm_head" in name else 1.0
    return np.float32(offset), np.float32(scale)


def values(name: str, shape: tuple[int, ...], offset: np.float32, scale: np.float32) -> np.ndarray:
    seed = 0xcbf29ce484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001b3 % 2**64
    x = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15) + np.uint64(seed)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    x = x ^ (x >> np.uint64(31))
    u = (x >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    return (offset + scale * u).astype(np.float32).reshape(shape)


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    model = EsmForProteinFolding(EsmConfig(**CONFIG)).eval()
    lines = []
    for name, parameter in sorted(model.named_parameters()):
        shape = tuple(parameter.shape)
        offset, scale = offset_and_scale(name, shape)
        parameter.copy_(torch.from_numpy(values(name, shape, offset, scale)))
        lines.append(f"{name} {offset} {scale} {' '.join(map(str, shape))}\n")
    (FOLDER / "tensors.txt").write_text("".join(lines))
    tokens = [0, *(VOCAB.index(r) for r in SEQUENCE), 2]
    expected = {"tokens": torch.tensor(tokens, dtype=torch.uint8)}
    for recycles in (0, 1):
        outputs = run(model, SEQUENCE, recycles)
        for key in ("atom37", "plddt", "pae", "ptm"):
            assert torch.isfinite(outputs[key]).all(), key
            expected[f"{recycles}.{key}"] = outputs[key].float().contiguous()
    save(expected, FOLDER / "expected.safetensors")
    (FOLDER / "config.json").write_text(
        json.dumps({"model_type": "esm", "architectures": ["EsmForProteinFolding"], **CONFIG}, indent=1) + "\n")


if __name__ == "__main__":
    main()

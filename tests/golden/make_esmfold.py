#!/usr/bin/env python3
"""Writes the golden fixtures of ESMFold: small random checkpoints and what PyTorch computes with them.

    python -m venv venv
    venv/bin/pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0 numpy==2.4.6
    venv/bin/python tests/golden/make_esmfold.py

Needed only to change the fixtures; the tests read the committed ones. Every parameter is random and large enough that a
wrong one shows (transformers starts many gates and last Linears at zero). Expected values are computed in f32 from the
weights as stored, f16.

    esmfold-tiny/  transformers, model.safetensors, 2 layers of 32 channels below 2 trunk blocks, 8 structure iterations
    esmfold-fair/  the same weights under fair-esm's names: fold.pt without the language model, esm2_t2_tiny.pt with it

`esmfold-tiny/expected.safetensors` has for each sequence N = 0, 1, ... of L residues, with R = 0 and 2 recycles:

    N.tokens        u8  [L + 2]           numbers of the language model's tokens
    N.R.sequence.B  f32 [L, 32]           after trunk block B of the last pass
    N.R.pair.B      f32 [L, L, 16]        the same
    N.R.frames      f32 [8, L, 7]         quaternion and translation in angstroms after each iteration
    N.R.torsions    f32 [8, L, 7, 2]
    N.R.atom37      f32 [L, 37, 3]
    N.R.atom37_mask f32 [L, 37]
    N.R.plddt       f32 [L, 37]
    N.R.pae_logits  f32 [L, L, 64]        R = 2 only
    N.R.pae         f32 [L, L]
    N.R.ptm         f32 [1]
    N.R.distogram   f32 [L, L, 64]        R = 2 only
"""

import json
from argparse import Namespace
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import EsmConfig, EsmForProteinFolding
from transformers.models.esm.modeling_esmfold import EsmFoldingTrunk
from transformers.models.esm.openfold_utils import atom14_to_atom37
from transformers.models.esm.openfold_utils.residue_constants import restype_order_with_x

SEED = 20260102
HERE = Path(__file__).parent
VOCAB = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO", ".", "-", "<null_1>", "<mask>"]
# Every amino acid and X; one residue, two residues, more residues than position bins.
SEQUENCES = ["W", "XG", "MKTAYIA", "RQISFVKDHCNEPGLV"]
BLOCKS = 2

CONFIG = dict(
    vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=40, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_position_embeddings=1026,
    layer_norm_eps=1e-5, position_embedding_type="rotary", emb_layer_norm_before=False, token_dropout=True,
    is_folding_model=True, vocab_list=VOCAB,
    esmfold_config=dict(
        fp16_esm=False, lddt_head_hid_dim=12,
        trunk=dict(
            num_blocks=BLOCKS, sequence_state_dim=32, pairwise_state_dim=16, sequence_head_width=8,
            pairwise_head_width=8, position_bins=6, max_recycles=4, chunk_size=None,
            structure_module=dict(
                sequence_dim=24, pairwise_dim=12, ipa_dim=5, resnet_dim=10, num_heads_ipa=3, num_qk_points=2,
                num_v_points=3, num_blocks=8, num_transition_layers=2, num_resnet_blocks=2))))


@torch.no_grad()
def randomize(model: torch.nn.Module) -> None:
    """Fills every parameter with random values that f16 can hold."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape)
        leaf, module = name.rsplit(".", 1)[-1], name.lower()
        is_norm = "norm" in module or module.endswith(("mlp.0.weight", "mlp.0.bias", "lddt_head.0.weight",
                                                       "lddt_head.0.bias"))
        if is_norm:
            noise = 1 + 0.3 * noise if leaf == "weight" else 0.3 * noise
        elif "bb_update" in name:
            noise *= 1.2 / parameter.shape[-1] ** 0.5 if leaf == "weight" else 0.3
        elif "ptm_head" in name:
            noise *= 0.3 / 4
        elif parameter.dim() == 2 and "embed" not in name and "recycle_disto" not in name:
            noise *= 1 / parameter.shape[1] ** 0.5
        else:
            noise *= 0.5
        parameter.copy_(noise.half())


def run(model: EsmForProteinFolding, sequence: str, recycles: int) -> dict[str, torch.Tensor]:
    blocks: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    hooks = [block.register_forward_hook(lambda _m, _i, out, index=index: blocks.update({index: out}))
             for index, block in enumerate(model.trunk.blocks)]
    coordinates = []
    bins = EsmFoldingTrunk.distogram
    EsmFoldingTrunk.distogram = staticmethod(lambda coords, *a: coordinates.append(coords) or bins(coords, *a))
    aa = torch.tensor([[restype_order_with_x[r] for r in sequence]])
    output = model(aa, num_recycles=recycles)
    EsmFoldingTrunk.distogram = staticmethod(bins)
    for hook in hooks:
        hook.remove()
    for coords in coordinates[:-1]:
        check_edges(coords)
    result = {f"sequence.{index}": s[0] for index, (s, _) in blocks.items()}
    result |= {f"pair.{index}": z[0] for index, (_, z) in blocks.items()}
    if recycles > 0:
        result |= {"pae_logits": output.ptm_logits[0], "distogram": output.distogram_logits[0]}
    return result | {
        "frames": output.frames[:, 0], "torsions": output.angles[:, 0],
        "atom37": atom14_to_atom37(output.positions[-1], output)[0], "atom37_mask": output.atom37_atom_exists[0],
        "plddt": output.plddt[0], "pae": output.predicted_aligned_error[0], "ptm": output.ptm.reshape(1),
    }


def check_edges(coords: torch.Tensor) -> None:
    """No distance may be so near to a bin's edge that rounding decides."""
    for lower, upper in [(edge - 2e-4, edge + 2e-4) for edge in torch.linspace(3.375, 21.375, 14)]:
        below = EsmFoldingTrunk.distogram(coords, float(lower), float(lower) + 1, 3)
        above = EsmFoldingTrunk.distogram(coords, float(upper), float(upper) + 1, 3)
        assert torch.equal(below > 0, above > 0), "choose another seed"


def save_fair_esm(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """The same weights as fair-esm names them."""
    folder.mkdir(exist_ok=True)
    names = {"attention.self.query": "self_attn.q_proj", "attention.self.key": "self_attn.k_proj",
             "attention.self.value": "self_attn.v_proj", "attention.output.dense": "self_attn.out_proj",
             "attention.LayerNorm": "self_attn_layer_norm", "intermediate.dense": "fc1", "output.dense": "fc2",
             "LayerNorm": "final_layer_norm"}
    language_model, fold = {}, {}
    for name, value in state.items():
        if not name.startswith("esm."):
            fold[name] = value
            continue
        name = name.removeprefix("esm.")
        if name == "embeddings.word_embeddings.weight":
            name = "embed_tokens.weight"
        elif name.startswith("encoder.emb_layer_norm_after."):
            name = name.removeprefix("encoder.")
        elif name.startswith("encoder.layer."):
            _, _, index, rest = name.split(".", 3)
            module, leaf = rest.rsplit(".", 1)
            if module not in names:
                continue
            name = f"layers.{index}.{names[module]}.{leaf}"
        else:
            continue
        language_model["encoder.sentence_encoder." + name] = value
    arguments = Namespace(encoder_attention_heads=CONFIG["num_attention_heads"], token_dropout=True)
    torch.save({"cfg": {"model": arguments}, "model": language_model}, folder / "esm2_t2_tiny.pt")
    torch.save({"cfg": {"model": {"lddt_head_hid_dim": 12}}, "model": fold}, folder / "fold.pt")


def save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)


@torch.no_grad()
def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    folder = HERE / "esmfold-tiny"
    folder.mkdir(exist_ok=True)
    model = EsmForProteinFolding(EsmConfig(**CONFIG)).eval()
    randomize(model)
    expected = {}
    for index, sequence in enumerate(SEQUENCES):
        tokens = [0, *(VOCAB.index(r) for r in sequence), 2]
        expected[f"{index}.tokens"] = torch.tensor(tokens, dtype=torch.uint8)
        for recycles in (0, 2):
            for key, value in run(model, sequence, recycles).items():
                assert torch.isfinite(value).all(), key
                expected[f"{index}.{recycles}.{key}"] = value.float().contiguous()
    save(expected, folder / "expected.safetensors")
    state = {name: value.half() if value.is_floating_point() else value
             for name, value in model.state_dict().items() if not name.endswith("position_ids")}
    # Rotary frequencies follow from the width; the published file does not store all of them either.
    state = {name: value for name, value in state.items() if not name.endswith("inv_freq")}
    save(state, folder / "model.safetensors")
    (folder / "config.json").write_text(
        json.dumps({"model_type": "esm", "architectures": ["EsmForProteinFolding"], **CONFIG}, indent=1) + "\n")
    save_fair_esm(HERE / "esmfold-fair", state)


if __name__ == "__main__":
    main()

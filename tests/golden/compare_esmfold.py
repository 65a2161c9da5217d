#!/usr/bin/env python3
"""Compares what `quantizer reference` wrote for a folding checkpoint with PyTorch (`transformers`).

    target/release/quantizer reference CHECKPOINT --fasta SHORT.fasta -o REFERENCE
    venv/bin/python tests/golden/compare_esmfold.py CHECKPOINT SHORT.fasta REFERENCE     # the virtual environment of make_esmfold.py

CHECKPOINT is a HuggingFace folder. Prints the largest differences of each sequence: atoms in angstroms (over atoms that there are), pLDDT
and pTM from 0 to 1.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import EsmForProteinFolding
from transformers.models.esm.openfold_utils import atom14_to_atom37
from transformers.models.esm.openfold_utils.residue_constants import restype_order_with_x


def records(path: str) -> dict[str, str]:
    sequences: dict[str, str] = {}
    for line in Path(path).read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            sequences[name] = ""
        else:
            sequences[name] += line.strip().upper()
    return sequences


@torch.no_grad()
def main(checkpoint: str, fasta: str, reference: str) -> None:
    model = EsmForProteinFolding.from_pretrained(checkpoint, dtype=torch.float32).eval()
    recycles = model.config.esmfold_config.trunk.max_recycles - 1
    worst = [0.0, 0.0, 0.0]
    for name, sequence in records(fasta).items():
        output = model(torch.tensor([[restype_order_with_x[r] for r in sequence]]), num_recycles=recycles)
        expected = {
            "atom37": atom14_to_atom37(output.positions[-1], output)[0], "plddt": output.plddt[0], "ptm": output.ptm}
        found = load_file(Path(reference, f"{name}.safetensors"))
        there = found[f"{name}.atom37_mask"] > 0.5
        differences = [
            (found[f"{name}.{key}"].flatten() - expected[key].flatten()).abs() for key in ("atom37", "plddt", "ptm")]
        differences[0] = differences[0].view(*there.shape, 3)[there]
        differences[1] = differences[1].view(there.shape)[there]
        row = [float(difference.max()) for difference in differences]
        worst = [max(pair) for pair in zip(worst, row)]
        print(f"{name:12} {len(sequence):4} residues: atoms {row[0]:.2e} A, pLDDT {row[1]:.1e}, pTM {row[2]:.1e}", flush=True)
    print(f"largest: atoms {worst[0]:.2e} A, pLDDT {worst[1]:.1e}, pTM {worst[2]:.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Which residues a language model expects where: all single variants of a protein as a heat map.

    python variants.py MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG variants.png

The score of a variant is how much likelier it is than the wild type where its residue is masked: the masked
marginals of Meier et al. (2021), doi.org/10.1101/2021.07.09.450648. Below 0 the model doubts it.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

import foldpoint as fp

ORDER = "GAVLIMFWYPSTCNQHKRDE"
"""Rows of the picture, alike letters together."""


def heat_map(sequence: str, scores: NDArray[np.float64]) -> plt.Figure:
    """A picture of the scores [L, 20] of all substitutions, columns as `AMINO_ACIDS`."""
    rows = scores[:, [fp.AMINO_ACIDS.index(letter) for letter in ORDER]].T
    figure, axes = plt.subplots(figsize=(max(6, 0.16 * len(sequence)), 4), layout="constrained")
    limit = np.abs(rows).max()
    picture = axes.imshow(rows, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    axes.scatter(range(len(sequence)), [ORDER.index(letter) for letter in sequence], s=6, color="black")
    axes.set_yticks(range(len(ORDER)), ORDER)
    places = np.arange(9, len(sequence), 10)
    axes.set_xticks(places, places + 1)
    axes.set_xlabel("residue (dots: the wild type)")
    figure.colorbar(picture, label="log-likelihood ratio")
    return figure


def main(sequence: str, out: str) -> None:
    scores = fp.Model().score(sequence, strategy="masked-marginals")
    heat_map(sequence, scores).savefig(out, dpi=120)
    mean = scores.mean(axis=1)
    print("the model minds a change most at", [f"{sequence[i]}{i + 1}" for i in np.argsort(mean)[:5]])


if __name__ == "__main__":
    main(*sys.argv[1:])

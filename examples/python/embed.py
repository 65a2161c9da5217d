"""Embeddings under a classifier of scikit-learn: helices told from strands by the sequence alone.

    python embed.py

The peptides are drawn from the propensities of Chou and Fasman, so this shows the way, not an accuracy.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from foldpoint.sklearn import Embedder

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
HELIX = [1.42, 0.70, 1.01, 1.51, 1.13, 0.57, 1.00, 1.08, 1.16, 1.21, 1.45, 0.67, 0.57, 1.11, 0.98, 0.77, 0.83, 1.06, 1.08, 0.69]
STRAND = [0.83, 1.19, 0.54, 0.37, 1.38, 0.75, 0.87, 1.60, 0.74, 1.30, 1.05, 0.89, 0.55, 1.10, 0.93, 0.75, 1.19, 1.70, 1.37, 1.47]


def peptides(propensities: list[float], count: int, random: np.random.Generator) -> list[str]:
    chances = np.array(propensities) / sum(propensities)
    return ["".join(random.choice(list(LETTERS), 24, p=chances)) for _ in range(count)]


def main() -> None:
    random = np.random.default_rng(1)
    sequences = peptides(HELIX, 60, random) + peptides(STRAND, 60, random)
    is_helix = np.repeat([True, False], 60)
    pipeline = make_pipeline(Embedder(), StandardScaler(), LogisticRegression(C=0.01))
    scores = cross_val_score(pipeline, sequences, is_helix, cv=5)
    print(f"accuracy {scores.mean():.2f} (of guesses: 0.50), of each fold {np.round(scores, 2).tolist()}")


if __name__ == "__main__":
    main()

"""Embeddings as a step of scikit-learn's pipelines; needs `pip install foldpoint[sklearn]`."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn.base import BaseEstimator, TransformerMixin  # type: ignore[import-untyped,unused-ignore]
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped,unused-ignore]

from foldpoint import Model


class Embedder(TransformerMixin, BaseEstimator):  # type: ignore[misc,unused-ignore]
    """Sequences to vectors of a language model: `transform` gives float32 [N, width].

    `model` is what `foldpoint.Model` takes, None for the model that is built in; `layer` the number of a
    hidden state, -1 for the last; `pool` "mean" (over residues) or "cls" (the token before them); `threads`
    as of `Model`. There is nothing to learn: `fit` only opens the model.

        make_pipeline(Embedder(), StandardScaler(), Ridge()).fit(sequences, values)
    """

    def __init__(
        self,
        model: str | PathLike[str] | None = None,
        *,
        layer: int = -1,
        pool: str = "mean",
        threads: int | None = None,
    ) -> None:
        self.model = model
        self.layer = layer
        self.pool = pool
        self.threads = threads

    def fit(self, sequences: Iterable[str], y: object = None) -> Embedder:
        """Opens the model."""
        self.model_ = Model(self.model, threads=self.threads)
        self.n_features_out_ = self.model_.width
        return self

    def transform(self, sequences: Iterable[str]) -> NDArray[np.float32]:
        """Vectors of the sequences: float32 [N, width]. Errors are those of `Model.embed`."""
        check_is_fitted(self)
        if isinstance(sequences, str):
            raise TypeError("expected sequences, got a str: give it in a list")
        return self.model_.embed(list(sequences), layers=self.layer, pool=self.pool)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[Any]:
        """Names of the columns: embedding0, embedding1, ..."""
        return np.array([f"embedding{column}" for column in range(self.n_features_out_)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = True
        return tags

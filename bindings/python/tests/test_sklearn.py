"""The transformer of scikit-learn."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from conftest import PEPTIDE, SHORT
from foldpoint.sklearn import Embedder

SEQUENCES = [PEPTIDE[:n] for n in range(4, 20)] + [SHORT[:n] for n in range(4, 16)]


def test_vectors(model):
    embedder = Embedder(threads=1)
    with pytest.raises(NotFittedError):
        embedder.transform(SEQUENCES)
    vectors = embedder.fit_transform(SEQUENCES)
    assert np.array_equal(vectors, model.embed(SEQUENCES, pool="mean"))
    assert len(embedder.get_feature_names_out()) == vectors.shape[1]
    other = clone(embedder).set_params(layer=0, pool="cls").fit(SEQUENCES)
    assert np.array_equal(other.transform(SEQUENCES[:2]), model.embed(SEQUENCES[:2], layers=0, pool="cls"))
    again = pickle.loads(pickle.dumps(embedder))
    assert np.array_equal(again.transform(SEQUENCES[:2]), vectors[:2])


def test_in_a_pipeline():
    lengths = [len(sequence) for sequence in SEQUENCES]
    pipeline = make_pipeline(Embedder(threads=1), Ridge(1.0))
    scores = cross_val_score(pipeline, SEQUENCES, lengths, cv=4)
    assert scores.shape == (4,) and np.isfinite(scores).all()

"""A checkpoint of transformers, quantized from Python, against what PyTorch computed with it."""

import json
import pickle

import numpy as np
import pytest

import foldpoint as fp
from conftest import REPOSITORY, SHORT

CHECKPOINT = REPOSITORY / "tests/golden/esm2-head16"


def tensors(path):
    """The tensors of a safetensors file."""
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    kinds = {"F32": np.float32, "U8": np.uint8}
    return {
        name: np.frombuffer(data, kinds[entry["dtype"]], offset=begin + entry["data_offsets"][0],
                            count=int(np.prod(entry["shape"]))).reshape(entry["shape"])
        for name, entry in json.loads(data[8:begin]).items() if name != "__metadata__"
    }  # fmt: skip


@pytest.fixture(scope="module")
def expected():
    return tensors(CHECKPOINT / "expected.safetensors")


@pytest.fixture(scope="module")
def sequences(expected):
    """The sequences of the fixture that the engine reads as PyTorch did: with no rare letters."""
    of_all = {n: fp.alphabet.decode(expected[f"{n}.tokens"]) for n in range(4)}
    return {n: sequence for n, sequence in of_all.items() if not set("BUZO") & set(sequence)}


@pytest.fixture(scope="module")
def model(tmp_path_factory, sequences):
    folder = tmp_path_factory.mktemp("models")
    calibration = folder / "calibration.fasta"
    calibration.write_text("".join(f">{n}\n{s}\n" for n, s in sequences.items() if "<mask>" not in s))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDPOINT_MODELS", str(folder))
        fp.quantize(CHECKPOINT, calibration=calibration, options=["--outliers", "100"])
        return fp.Model.from_pretrained("someone/esm2-head16")


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def test_embeddings_are_those_of_transformers(model, sequences, expected):
    assert len(sequences) == 3 and any("<mask>" in sequence for sequence in sequences.values())
    for n, sequence in sequences.items():
        hidden = model.embed(sequence, layers="all")
        right = expected[f"{n}.hidden"][:, 1:-1]
        assert hidden.shape == right.shape
        # The embedding has no 8-bit weights in it.
        assert np.abs(hidden[0] - right[0]).max() < 1e-3 * np.abs(right[0]).max()
        for layer, (found, exact) in enumerate(zip(hidden, right, strict=True)):
            assert cosine(found, exact) > 0.99, (n, layer)
        assert cosine(model.embed(sequence, pool="mean"), right[-1].mean(axis=0)) > 0.99
        assert cosine(model.embed(sequence, pool="cls"), expected[f"{n}.hidden"][-1, 0]) > 0.99
        logits = model.logits(sequence, all_tokens=True)
        assert cosine(logits, expected[f"{n}.logits"][1:-1]) > 0.99
        if len(sequence) > 1:
            assert np.abs(model.contacts(sequence) - expected[f"{n}.contacts"]).max() < 0.2


def test_a_model_that_does_not_fold(model):
    assert not model.folds
    for call in [lambda: model.fold(SHORT), lambda: model.fold_many([SHORT])]:
        with pytest.raises(fp.ModelError, match="esm2-head16.fpm: "):
            call()
    assert len(model.digest([SHORT])) == 64


def test_what_can_not_be_quantized(tmp_path, capfd):
    with pytest.raises(fp.ModelError, match="no/such"):
        fp.quantize("no/such/folder", tmp_path / "a.fpm")
    with pytest.raises(fp.ModelError, match="its folder isn't there"):
        fp.quantize(CHECKPOINT, tmp_path / "no/a.fpm")


def test_tokens_are_those_of_the_fixture(expected, sequences):
    for n, sequence in sequences.items():
        assert fp.alphabet.encode(sequence) == expected[f"{n}.tokens"].tolist()
    assert fp.alphabet.decode([0, 20, 32, 2], skip_special_tokens=False) == "<cls>M<mask><eos>"
    assert fp.alphabet.encode("mj") == [0, 20, 24, 2]
    for bad in ["M-", "M1", "M.", "<cls>"]:
        with pytest.raises(ValueError, match="column"):
            fp.alphabet.encode(bad)


@pytest.fixture(scope="module")
def omegafold(tmp_path_factory):
    """A tiny OmegaFold."""
    path = tmp_path_factory.mktemp("models") / "omegafold.fpm"
    options = ["--fold-limit", "2", "--fold-max-len", "40"]
    fp.quantize(REPOSITORY / "tests/golden/omegafold-tiny", path, options=options)
    return fp.Model(path, threads=2)


def test_an_omegafold_folds_and_has_nothing_else(omegafold, command, fasta, tmp_path):
    assert omegafold.kind == "OmegaFold" and omegafold.folds
    structure = omegafold.fold(SHORT, id="a", cycles=2, rows=1)
    assert structure.ptm is None and structure.pae is None and structure.iptm is None
    assert structure.confidence["cycle"] in (1, 2)
    again = pickle.loads(pickle.dumps(structure))
    assert again.to_pdb() == structure.to_pdb() and again.confidence == structure.confidence
    assert "pTM" not in structure._repr_html_() and "pTM" not in repr(structure)
    path = fasta({"a": SHORT})
    model = ["--model", omegafold.name]
    command("predict", path, "-o", tmp_path, *model, "--cycles", "2", "--rows", "1")
    assert structure.to_pdb() == (tmp_path / "a.pdb").read_text()
    assert omegafold.digest(path) == command("digest", path, *model).split()[0]
    for call in [lambda: omegafold.embed(SHORT), lambda: omegafold.score(SHORT), lambda: omegafold.layers]:
        with pytest.raises(fp.ModelError, match="it has structures alone"):
            call()
    with pytest.raises(fp.ModelError, match="it has structures alone"):
        omegafold.digest(SHORT, fold=False)
    with pytest.raises(ValueError, match="OmegaFold, which has no recycles; expected cycles"):
        omegafold.fold(SHORT, recycles=1)
    with pytest.raises(ValueError, match="OmegaFold folds one chain at a time"):
        omegafold.fold("MKV:MKV")


def test_options_of_an_omegafold_are_not_an_esmfolds():
    esmfold = fp.Model()
    with pytest.raises(ValueError, match="cycles is for an OmegaFold"):
        esmfold.fold(SHORT, cycles=1)
    with pytest.raises(ValueError, match="rows is for an OmegaFold"):
        esmfold.fold_many([SHORT], rows=1)

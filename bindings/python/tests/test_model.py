"""Shapes, forms of input, and errors."""

import os
import warnings
from types import SimpleNamespace
from pathlib import Path

import numpy as np
import pytest
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

import foldpoint as fp
from conftest import PEPTIDE, REPOSITORY, SHORT

TINY = REPOSITORY / "examples/bare-metal/tiny.fpm"


def test_shapes_of_embeddings(model):
    width, several = model.width, [SHORT, "MKV"]
    assert model.embed(SHORT).shape == (18, width)
    assert model.embed(SHORT, layers=[-1]).shape == (1, 18, width)
    assert model.embed(SHORT, layers="all").shape == (model.layers + 1, 18, width)
    assert model.embed(SHORT, pool="cls").shape == (width,)
    assert [array.shape for array in model.embed(several)] == [(18, width), (3, width)]
    assert model.embed(several, pool="mean").shape == (2, width)
    assert model.embed(several, layers=[0, -1], pool="mean").shape == (2, 2, width)
    assert model.embed([], pool="mean").shape == (0, width)
    assert model.embed([]) == []
    assert model.embed([SHORT], pool="mean").shape == (1, width)


def test_layers_keep_their_order(model):
    both = model.embed(SHORT, layers=[-1, 0, -1])
    assert np.array_equal(both[0], both[2])
    assert np.array_equal(both[1], model.embed(SHORT, layers=0))
    assert np.array_equal(both[0], model.embed(SHORT))
    mean = model.embed(SHORT).astype(np.float64).mean(axis=0)
    assert np.abs(model.embed(SHORT, pool="mean") - mean).max() < 1e-6


def test_arrays_own_what_the_engine_made(model):
    embedding = model.embed(SHORT)
    assert embedding.flags.writeable and embedding.flags.c_contiguous
    before = model.embed(SHORT)
    embedding[:] = 0
    assert np.array_equal(before, model.embed(SHORT))


def test_forms_of_input(model, fasta):
    path = fasta({"a": SHORT, "b": "MKV"})
    forms = [
        path,
        [SHORT, "MKV"],
        (sequence for sequence in [SHORT, "MKV"]),
        [("a", SHORT), ("b", "MKV")],
        [SeqRecord(Seq(SHORT), id="a"), SeqRecord(Seq("MKV"), id="b")],
        [SHORT.lower(), "M K\nV*"],
    ]
    expected = model.contacts(forms[1])
    for form in forms:
        for found, array in zip(model.contacts(form), expected, strict=True):
            assert np.array_equal(found, array)
    ids = [structure.id for structure in model.fold_many(forms[4])]
    assert ids == ["a", "b"]
    assert [structure.id for structure in model.fold_many(os.fspath(path))] == ["a", "b"]


@pytest.mark.parametrize(
    ("sequence", "words"),
    [
        ("", "the sequence is empty"),
        ("MK1V", "column 3: found `1`; expected one of the amino-acid letters"),
        ("MKV\nM-V", "line 2, column 2: found the gap `-`"),
        ("MK*V", r"column 3: found `\*` \(stop\) inside"),
        ("MK_V", "column 3: found a mask"),
        ("MKV::MK", "chain 2 is empty"),
        ("MKV\n>b\nMKV", "found `>` at the beginning of a line; expected one sequence"),
        ("MetLysValLeuAlaAla", "three-letter codes"),
        ("MK\0V", "."),
        ("MKÄ", "column 3: found"),
        ("\ud800", "surrogates not allowed"),
    ],
)
def test_bad_sequences(model, sequence, words):
    with pytest.raises(ValueError, match=words):
        model.fold(sequence)
    if "mask" not in words and "surrogates" not in words:
        with pytest.raises(ValueError, match=rf"sequences\[1\].*{words}"):
            model.embed(["MKV", sequence])


def test_what_is_no_sequence(model):
    for nothing in [None, 3, b"MKV", [3], [("a", "b", "c")], [b"MKV"], [None]]:
        with pytest.raises(TypeError):
            model.embed(nothing)
    with pytest.raises(TypeError):
        model.fold(["MKV"])


def test_bad_files(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="no.fasta: cannot be read"):
        model.fold_many(tmp_path / "no.fasta")
    path = tmp_path / "in.fasta"
    path.write_text("MKV\n")
    with pytest.raises(ValueError, match="in.fasta: line 1, column 1: expected a header"):
        model.embed(path)
    path.write_text(">a\nMKV\n>b\nMK1\n")
    with pytest.raises(ValueError, match=r"in.fasta: line 4, column 3: record 2 \(`b`\): found `1`"):
        model.embed(path)


def test_bad_options(model, serial):
    for options, words in [
        ({"layers": 99}, "layer `99`: expected `last`, `all`, a number from 0"),
        ({"layers": -12}, "layer `-12`: expected"),
        ({"layers": []}, "layers: expected at least one"),
        ({"pool": "max"}, 'pool: expected "mean", "cls" or None, got "max"'),
    ]:
        with pytest.raises(ValueError, match=words):
            model.embed(SHORT, **options)
    with pytest.raises(ValueError, match="errors: expected"):
        model.fold_many([], errors="ignore")
    with pytest.raises(ValueError, match="threads: expected at least 1"):
        fp.Model(threads=0)
    with pytest.raises(ValueError, match="isa: this machine runs auto"):
        fp.Model(isa="none")
    with pytest.raises(ValueError, match="memory_limit: expected a size such as 800M"):
        fp.Model(memory_limit="much")


def test_memory_limit(command, fasta, tmp_path):
    words = "not enough memory: 20 residues need .*, --memory-limit allows 300.0 KiB; the longest sequence"
    small = fp.Model(memory_limit=300 << 10)
    for call in [lambda: small.fold(PEPTIDE), lambda: list(small.fold_many([PEPTIDE]))]:
        with pytest.raises(MemoryError, match=words):
            call()
    with pytest.raises(MemoryError, match=r"sequences\[1\]: not enough memory"):
        fp.Model(memory_limit="300K").embed(["MKV", "M" * 2000])


def test_other_models(tmp_path, monkeypatch):
    tiny = fp.Model(TINY)
    assert tiny.layers == 2 and tiny.folds and tiny.name == str(TINY)
    monkeypatch.setenv("FOLDPOINT_MODELS", str(tmp_path))
    with pytest.raises(fp.ModelError, match="nor is it the name of a model in .*, which holds none"):
        fp.Model("tiny")
    with pytest.raises(fp.ModelError, match="there is no model `esm2` in .*quantized before"):
        fp.Model.from_pretrained("facebook/esm2@main")
    (tmp_path / "tiny.fpm").write_bytes(TINY.read_bytes())
    for by_name in [fp.Model("tiny", threads=1), fp.Model.from_pretrained("someone/tiny", threads=1)]:
        assert by_name.threads == 1
        assert by_name.digest([SHORT]) == tiny.digest([SHORT])
    damaged = bytearray(TINY.read_bytes())
    damaged[-1] ^= 1
    path = tmp_path / "damaged.fpm"
    path.write_bytes(damaged)
    with pytest.raises(fp.ModelError, match="damaged.fpm: "):
        fp.Model(path)
    for text in ["", "FOLDPNT", "MKV"]:
        path.write_text(text)
        with pytest.raises(fp.ModelError, match="damaged.fpm: "):
            fp.Model(path)
    with pytest.raises(fp.ModelError, match="it is a directory"):
        fp.Model(tmp_path)


def test_warnings(model):
    with pytest.warns(UserWarning, match=r"^1 residue \(B\) is read as X$"):
        model.embed("MKB")
    with pytest.warns(UserWarning, match=r"sequences\[1\]: 2 residues \(UZ\) are read as X"):
        model.embed(["MKV", "MUKZ"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.embed("MKX_")
        with pytest.raises(UserWarning):
            model.embed("MKB")


def test_fold_many(model, serial):
    sequences = [("a", PEPTIDE), ("b", "MK1"), ("c", "MKV"), ("d", "")]
    many = serial.fold_many(sequences, errors="return")
    assert len(many) == 4
    results = list(many)
    assert [type(result) for result in results] == [fp.Structure, ValueError, fp.Structure, ValueError]
    assert str(results[1]).startswith("sequences[1], column 3: found `1`")
    told = []
    many = model.fold_many(sequences, progress=lambda done, total: told.append((done, total)))
    assert next(many).to_pdb() == results[0].to_pdb()
    with pytest.raises(ValueError, match="found `1`"):
        next(many)
    assert next(many).to_pdb() == results[2].to_pdb()
    with pytest.raises(ValueError, match="is empty"):
        next(many)
    with pytest.raises(StopIteration):
        next(many)
    with pytest.raises(StopIteration):
        next(many)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert list(model.fold_many([])) == []


def test_progress_is_told_on_the_standard_error(model, capsys):
    list(model.fold_many(["MKV", "MKVL"], progress=True))
    lines = capsys.readouterr().err.split("\r")
    assert lines[1].startswith("1 of 2 folded") and lines[2].startswith("2 of 2 folded")


def test_a_batch_that_is_left_ends(model):
    many = model.fold_many([PEPTIDE] * 20)
    next(many)
    del many
    assert model.fold("MKV").sequence == "MKV"


def test_names(model):
    assert repr(model) == "<foldpoint.Model embedded model: ESMFold, 2 threads>"
    assert Path(fp.__file__).with_name("py.typed").exists()
    for name in fp.__all__:
        assert hasattr(fp, name)
    assert fp.Model.fold.__doc__ and fp.Structure.coords.__doc__ and fp.Model.__doc__


def test_a_single_sequence_is_not_its_letters(model):
    expected = model.embed(SHORT, pool="mean")
    for one in (Seq(SHORT), SeqRecord(Seq(SHORT), id="one")):
        assert np.array_equal(model.embed(one, pool="mean"), expected)
        assert model.digest(one, fold=False) == model.digest(SHORT, fold=False)
        with pytest.raises(TypeError, match="a single sequence: give it in a list"):
            model.fold_many(one)
    with pytest.raises(TypeError, match="expected sequences, got dict"):
        model.embed({"a": SHORT})
    with pytest.raises(TypeError, match=r"sequences\[0\]: expected a str"):
        model.embed([SimpleNamespace(id="nothing", seq=None)])


def test_what_is_no_amino_acid_has_no_substitutions(model):
    scores = model.score("MKXLA")
    assert np.isnan(scores[2]).all() and not np.isnan(np.delete(scores, 2, axis=0)).any()

"""The package and the command are one engine: the same bits, the same files, the same words."""

import json

import numpy as np
import pytest

import foldpoint as fp
from conftest import PEPTIDE, SHORT

RECORDS = {"a": PEPTIDE, "b": SHORT, "c": "MKVLAAGIVG:GXIVKM", "d": "W"}


@pytest.mark.parametrize("threads", [1, 2])
def test_digest(command, fasta, threads):
    path = fasta(RECORDS)
    expected = command("digest", path).split()[0]
    model = fp.Model(threads=threads)
    assert model.digest(path) == model.digest(list(RECORDS.values())) == expected
    masked = ["MK_VLA", SHORT]
    expected = command("digest", "--no-fold", fasta(dict(enumerate(masked)), "masked.fasta")).split()[0]
    assert model.digest(masked, fold=False) == expected


def test_files_of_structures(command, model, fasta, tmp_path):
    path = fasta(RECORDS)
    for form, pae in [("pdb", "json"), ("cif", "cif")]:
        command("predict", path, "-o", tmp_path / form, "--format", form, "--pae", pae)
    structures = list(model.fold_many(path))
    for structure in structures:
        name = structure.id
        assert structure.to_pdb() == (tmp_path / f"pdb/{name}.pdb").read_text()
        assert structure.to_mmcif(pae=True) == (tmp_path / f"cif/{name}.cif").read_text()
        assert structure.confidence == json.loads((tmp_path / f"pdb/{name}.confidence.json").read_text())
        errors = json.loads((tmp_path / f"pdb/{name}.pae.json").read_text())[0]["predicted_aligned_error"]
        there = structure.atom_mask[:, 0]
        assert np.abs(structure.pae[there][:, there] - errors).max() <= 0.005
    results = [json.loads(line) for line in (tmp_path / "pdb/results.jsonl").read_text().splitlines()]
    warnings = {result["id"]: result["warnings"] for result in results}
    for structure in structures:
        # A chain that ends, or is read otherwise, is the record's to warn of.
        assert set(structure.warnings) <= set(warnings[structure.id])
    alone = model.fold(PEPTIDE, id="a")
    assert alone.to_pdb() == structures[0].to_pdb()


def test_arrays(command, model, fasta, tmp_path):
    records = {"a": PEPTIDE, "b": "MK_VLA", "c": "MKVLAAGIVG:GXIVKM"}
    path = fasta(records)
    command("embed", path, "-o", tmp_path, "--layers", "0,-1", "--mean", "--cls")
    command("contacts", path, "-o", tmp_path)
    command("logits", path, "-o", tmp_path)
    command("logits", path, "-o", tmp_path / "all", "--all-tokens")
    letters = (tmp_path / "logits.alphabet.txt").read_text().split()
    assert "".join(letters) == fp.AMINO_ACIDS
    assert (tmp_path / "all/logits.alphabet.txt").read_text().split() == fp.TOKENS

    def read(name, id):
        return np.load(tmp_path / f"{id}.{name}.npy")

    for id, sequence in records.items():
        embedding = model.embed(sequence, layers=[0, -1])
        assert embedding.dtype == np.float32 and embedding.flags.c_contiguous
        for place, layer in enumerate([0, model.layers]):
            assert np.array_equal(embedding[place], read(f"layer{layer}", id))
            for pool in ["mean", "cls"]:
                vector = model.embed(sequence, layers=layer, pool=pool)
                assert np.array_equal(vector, read(f"layer{layer}.{pool}", id))
        assert np.array_equal(model.contacts(sequence), read("contacts", id))
        assert np.array_equal(model.logits(sequence), read("logits", id))
        everything = np.load(tmp_path / f"all/{id}.logits.npy")
        assert np.array_equal(model.logits(sequence, all_tokens=True), everything)


def test_command_is_of_this_version(command):
    assert command("--version").split()[-1] == fp.__version__


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "wt-marginals"},
        {"strategy": "masked-marginals"},
        {"strategy": "wt-marginals", "window": "overlapping"},
    ],
)
def test_scores(command, model, tmp_path, options):
    variants = ["N24A", "L25P:Y26W", "S43S", "I27V"]
    table = tmp_path / "scan.csv"
    table.write_text("mutant\n" + "\n".join(variants) + "\n")
    asked = [f"--scoring-{name}={value}" for name, value in options.items()]
    out = tmp_path / "scored.csv"
    command(
        "score", "--sequence", PEPTIDE, "--offset-idx", "24", "--dms-input", table, "--dms-output", out, *asked
    )  # fmt: skip
    expected = [float(line.split(",")[1]) for line in out.read_text().splitlines()[1:]]
    scores = model.score(PEPTIDE, variants, offset=24, **options)
    assert scores.dtype == np.float64
    assert np.abs(scores - expected).max() < 1e-6
    every = model.score(PEPTIDE, **options)
    assert every.shape == (20, 20)
    assert every[3, fp.AMINO_ACIDS.index("V")] == scores[3]
    assert (every[range(20), [fp.AMINO_ACIDS.index(letter) for letter in PEPTIDE]] == 0).all()


def test_a_score_is_a_difference_of_logits(model):
    logits = model.logits(PEPTIDE).astype(np.float64)
    wild_type = logits[range(20), [fp.AMINO_ACIDS.index(letter) for letter in PEPTIDE]]
    # Both log probabilities are rounded to 2^-16.
    assert np.abs(model.score(PEPTIDE) - (logits - wild_type[:, None])).max() <= 2**-15


def test_bad_variants(model):
    for variant, words in [
        ("A12", r"variants\[1\]: `A12` is no mutation; expected"),
        ("A1V", "`A1V`: residue 1 of the sequence is N"),
        ("N99A", "outside the sequence"),
        ("N1B", "none of the 20 amino acids"),
    ]:
        with pytest.raises(ValueError, match=words):
            model.score(PEPTIDE, ["N1A", variant])
    with pytest.raises(TypeError, match="expected several"):
        model.score(PEPTIDE, "N1A")
    with pytest.raises(ValueError, match="2 chains"):
        model.score("MKV:MKV")
    with pytest.raises(ValueError, match="strategy: expected"):
        model.score(PEPTIDE, strategy="mean")
    with pytest.raises(ValueError, match="is for strategy"):
        model.score(PEPTIDE, strategy="masked-marginals", window="overlapping")
    assert model.score(PEPTIDE, []).shape == (0,)

"""What the tests share: models, sequences, and the command of the same wheel."""

import subprocess
import sys
from pathlib import Path

import pytest

import foldpoint as fp

REPOSITORY = Path(__file__).parents[3]

SHORT = "MKTAYIAKQRQISFVKSH"
PEPTIDE = "NLYIQWLKDGGPSSGRPPPS"
"""Trp-cage, 1L2Y."""


@pytest.fixture(scope="session")
def model():
    return fp.Model(threads=2)


@pytest.fixture(scope="session")
def serial():
    return fp.Model(threads=1)


@pytest.fixture(scope="session")
def folded(model):
    return model.fold(PEPTIDE, id="1L2Y")


@pytest.fixture(scope="session")
def complex_folded(model):
    return model.fold("MKVLAAGIVG:GXIVKM", id="two")


@pytest.fixture(scope="session")
def command():
    """Runs the command that the wheel has installed beside this interpreter, and returns what it prints."""
    program = Path(sys.executable).parent / "foldpoint"

    def run(*arguments):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def fasta(tmp_path):
    """Writes records, and returns the file."""

    def write(records, name="in.fasta"):
        path = tmp_path / name
        path.write_text("".join(f">{id}\n{residues}\n" for id, residues in records.items()))
        return path

    return write


@pytest.fixture
def in_python():
    """Starts a Python that runs a script."""
    return lambda script: subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

"""The quantizer: a checkpoint of float weights to a model file."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from os import PathLike, fspath
from pathlib import Path

from foldpoint._foldpoint import ModelError


def quantize(
    checkpoint: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    calibration: str | PathLike[str] | None = None,
    options: Iterable[str] = (),
) -> None:
    """Makes a model file of a checkpoint of ESM-2, ESMFold or OmegaFold.

    `checkpoint` is a path, or a name at the HuggingFace hub, which is taken from the hub's cache or downloaded
    into it. `out` is the file to write; by default it goes to the user's folder of models, where `Model`
    finds it by the last part of its name. `calibration` is a FASTA file of natural proteins, by default 66
    that are built in. `options` are others of the command `quantizer`, which this runs: what it says of its
    progress goes to the standard error. A run that is interrupted goes on where it was when it is called
    again.

    Raises ModelError if the checkpoint can't be quantized, and RuntimeError if this wheel was built without
    the quantizer.
    """
    command = [_program(), fspath(checkpoint), "--verbose", *options]
    if out is not None:
        command += ["--out", fspath(out)]
    if calibration is not None:
        command += ["--calibration", fspath(calibration)]
    said = ""
    # What Python calls the standard error may be a notebook.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            said += line
    if process.returncode != 0:
        error = said[said.rfind("error: ") :].removeprefix("error: ").strip()
        raise ModelError(error or f"quantizer ended with status {process.returncode}")


def _program() -> str:
    """The one that the wheel has installed."""
    beside = Path(sysconfig.get_path("scripts")) / "quantizer"
    program = str(beside) if beside.exists() else shutil.which("quantizer")
    if program is None:
        raise RuntimeError("no quantizer: this wheel of foldpoint was built without it")
    return program

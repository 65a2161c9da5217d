"""What a call costs, for docs/PYTHON.md: beside the engine, beside the command, and with two threads.

    python measure.py [COMMAND]

Needs foldpoint to be installed; COMMAND is by default the one beside this interpreter. Smallest of several
times, turn by turn, since other programs disturb.
"""

import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import foldpoint as fp
from conftest import REPOSITORY

COMMAND = sys.argv[1] if len(sys.argv) > 1 else str(Path(sys.executable).parent / "foldpoint")
TURNS = 12


def seconds(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def overhead():
    """A whole call on a toy model of two layers and one residue, most of which is not the engine's."""
    for threads in [1, 2]:
        model = fp.Model(REPOSITORY / "examples/bare-metal/tiny.fpm", threads=threads)
        for _ in range(200):
            model.embed("M", pool="cls")
        times = sorted(seconds(lambda: model.embed("M", pool="cls")) for _ in range(5000))
        print(f"call with {threads} threads: {times[0] * 1e6:.0f} us, median {times[2500] * 1e6:.0f} us")


def batch():
    """64 sequences of 40 to 80 residues, beside the command without what it takes to start."""
    letters = random.Random(1)
    sequences = ["".join(letters.choices(fp.AMINO_ACIDS, k=letters.randint(40, 80))) for _ in range(64)]
    model = fp.Model()
    with tempfile.TemporaryDirectory() as folder:

        def fasta(name, records):
            path = Path(folder) / name
            path.write_text("".join(f">{n}\n{sequence}\n" for n, sequence in enumerate(records)))
            return path

        def command(path):
            arguments = [COMMAND, "embed", "--matrix", "--quiet", path, "-o", Path(folder) / "out"]
            return seconds(lambda: subprocess.run(arguments, check=True))

        whole, one = fasta("all.fasta", sequences), fasta("one.fasta", sequences[:1])
        turns = [
            (command(whole), command(one), seconds(lambda: model.embed(sequences[:1], pool="mean")),
             seconds(lambda: model.embed(sequences, pool="mean"))) for _ in range(TURNS)
        ]  # fmt: skip
    all_, first, alone, here = (min(column) for column in zip(*turns, strict=True))
    there = all_ - first + alone
    print(f"64 sequences: {here * 1e3:.1f} ms, the command {there * 1e3:.1f} ms ({here / there - 1:+.1%})")


def two_threads():
    """The same fold on two threads of Python, and on one."""
    model = fp.Model(threads=1)
    sequence = "NLYIQWLKDGGPSSGRPPPS" * 3

    def both():
        threads = [threading.Thread(target=model.fold, args=(sequence,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    turns = [(seconds(lambda: model.fold(sequence)), seconds(both)) for _ in range(TURNS)]
    one, two = (min(column) for column in zip(*turns, strict=True))
    print(f"two folds at the same time take {two / one:.2f} times one")


if __name__ == "__main__":
    overhead()
    batch()
    two_threads()

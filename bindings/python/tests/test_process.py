"""What the package does to its process: memory, threads, forks, signals."""

import multiprocessing
import pickle
import signal
import threading
from pathlib import Path

import pytest

import foldpoint as fp
from conftest import PEPTIDE, SHORT

SEQUENCES = ["MKV", SHORT, PEPTIDE]


def resident():
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_a_thousand_calls_take_no_memory(model):
    def calls(count):
        for _ in range(count):
            model.embed("MKV", pool="mean")
            model.contacts("MKV")
            model.logits("MKV")
            with pytest.raises(ValueError):
                model.embed("1")

    calls(100)
    before = resident()
    calls(250)
    # An array of the smallest ones leaked by each call would be 640 KB with what is around it; measured: 4 KB.
    assert resident() - before < 128 << 10


def test_batches_take_no_memory(model):
    def calls(count):
        for _ in range(count):
            model.embed([SHORT * 2, PEPTIDE * 2])

    calls(50)
    before = resident()
    calls(100)
    # 10 MB of arrays. Measured: up to 0.6 MB, of the allocator, for threads that come and go; it ends there.
    assert resident() - before < 3 << 20


def test_folds_take_no_memory(model):
    def calls(count):
        for _ in range(count):
            structure = model.fold("MKVLA")
            pickle.loads(pickle.dumps(structure)).to_pdb()
            structure.coords, structure.pae, structure.confidence
            list(model.fold_many(["MKV"]))

    calls(20)
    before = resident()
    calls(50)
    assert resident() - before < 512 << 10


@pytest.mark.parametrize("threads", [1, 2])
def test_other_threads_run_meanwhile(threads):
    model = fp.Model(threads=threads)
    done = threading.Event()

    def work():
        model.fold(PEPTIDE * 3)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    turns = 0
    while not done.wait(0.005):
        turns += 1
    thread.join()
    # The fold takes half a second and more: were the interpreter held, there would be one turn.
    assert turns > 10


def test_threads_share_a_model(model):
    expected = [model.digest([sequence]) for sequence in SEQUENCES]
    found = {}

    def work(number):
        found[number] = [model.digest([sequence]) for sequence in SEQUENCES]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [expected] * 4


def digest_of(model, sequence):
    return model.digest([sequence])


def fold_of(sequence):
    return fp.Model(threads=1).fold(sequence)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(model, method):
    # Its threads are there before it is forked.
    expected = [model.digest([sequence]) for sequence in SEQUENCES]
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.starmap(digest_of, [(model, sequence) for sequence in SEQUENCES])
        folded = pool.map(fold_of, SEQUENCES)
    assert found == expected
    assert [structure.to_pdb() for structure in folded] == [model.fold(s).to_pdb() for s in SEQUENCES]


INHERIT = """
import os
import foldpoint as fp
model = fp.Model(threads=2)
many = model.fold_many(["MKV"] * 50)
next(many)
expected = model.digest(["MKVLAAGIVG"])
child = os.fork()
if child == 0:
    assert model.digest(["MKVLAAGIVG"]) == expected
    try:
        next(many)
    except RuntimeError as error:
        assert "fork" in str(error)
    else:
        os._exit(1)
    del many
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert len(list(many)) == 49
print("done")
"""


def test_a_fork_inherits_the_model(in_python):
    process = in_python(INHERIT)
    out, err = process.communicate(timeout=120)
    assert out == "done\n" and process.returncode == 0, err


INTERRUPTED = """
import foldpoint as fp
model = fp.Model(threads={threads})
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    print(model.digest(["MKV"]))
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "call",
    [
        'model.fold("MKVLAAGIVG" * 100)',
        'list(model.fold_many(["MKVLAAGIVG" * 100]))',
        'model.embed(["MKVLAAGIVG" * 10] * 5000)',
        'model.digest(["MKVLAAGIVG" * 100])',
    ],
)
def test_interrupt(model, in_python, threads, call):
    process = in_python(INTERRUPTED.format(threads=threads, call=call))
    try:
        assert process.stdout.readline() == "ready\n"
        threading.Event().wait(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    # Uninterrupted, each would take minutes.
    assert out == f"interrupted\n{model.digest(['MKV'])}\n", err


def test_a_model_is_pickled_as_where_it_is(tmp_path):
    model = fp.Model(threads=1, memory_limit="1G")
    again = pickle.loads(pickle.dumps(model))
    assert (again.threads, again.name, again.digest(["MKV"])) == (1, model.name, model.digest(["MKV"]))

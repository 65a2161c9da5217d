"""What a folding model of full size takes: seconds, memory and the share of each part by length, beside PyTorch on the same checkpoint, and
whether it comes to the same files with little memory. Prints Markdown. Run by scripts/bench-full-size, which sees to what it needs."""

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ["language model", "trunk", "structure module"]
# Of every file that `predict` writes these alone have seconds in them.
TIMED = {"results.jsonl", "summary.tsv"}


def sequence_of(length):
    """A sequence of random residues, the same one each time."""
    return "".join(random.Random(length).choices("ACDEFGHIKLMNPQRSTVWY", k=length))


class Peak(threading.Thread):
    """Watches a process's resident memory in MiB: its own, and that of mapped files, which others share and the system can take back."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.all, self.files = pid, 0, 0
        self.start()

    def run(self):
        with contextlib.suppress(OSError, IndexError):
            while True:
                status = Path(f"/proc/{self.pid}/status").read_text()
                resident, files = (int(status.split(f"{name}:")[1].split()[0]) / 1024 for name in ("VmRSS", "RssFile"))
                if resident > self.all:
                    self.all, self.files = resident, files
                time.sleep(0.02)


def predict(options, folder, length, enter=None):
    """Runs `foldpoint predict` on a sequence of so many residues; returns (seconds of the fold, Peak). `enter` is called in the new process."""
    fasta = folder / f"L{length}.fasta"
    fasta.write_text(f">L{length}\n{sequence_of(length)}\n")
    out = folder / f"out{length}"
    command = [options.foldpoint, "-q", "predict", fasta, "-o", out, "--model", options.model, "--threads", options.threads,
               "--recycles", options.passes - 1, "--pae", "npy", "--json"]
    process = subprocess.Popen([str(part) for part in command], text=True, stdout=subprocess.PIPE, preexec_fn=enter)
    peak = Peak(process.pid)
    answer, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"foldpoint predict ended with {process.returncode} for {length} residues")
    peak.join()
    return json.loads(answer)["seconds"], peak


def shares(options, length):
    """Seconds of each part of a fold, as the program `serve` tells them."""
    request = json.dumps({"lengths": [length], "passes": options.passes, "seconds": 0})
    command = [str(part) for part in (options.serve, options.model, options.threads)]
    done = subprocess.run(command, input=request + "\n", text=True, check=True, stdout=subprocess.PIPE)
    answer = json.loads(done.stdout.splitlines()[-1])
    return dict(zip(PARTS, answer["parts"])), answer["seconds"][0]


def torch_times(options):
    """PyTorch's seconds by length, in all and of each part."""
    command = [sys.executable, HERE / "torch_fold.py", options.checkpoint, options.threads, options.passes]
    command += [sequence_of(length) for length in options.lengths]
    done = subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE)
    if done.returncode != 0:
        raise SystemExit(f"PyTorch ended with {done.returncode}")
    return dict(zip(options.lengths, map(json.loads, done.stdout.splitlines())))


class Group:
    """A control group (v1 or v2) that holds whoever enters it to so many bytes of memory, page cache included."""

    def __init__(self, limit):
        kinds = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        found = [(root, file) for root, file in kinds if Path(root, "cgroup.procs").exists()]
        if not found:
            raise OSError("no control group with memory is mounted")
        root, self.limit_file = found[0]
        self.folder = Path(root, f"foldpoint-{os.getpid()}")
        self.folder.mkdir()
        try:
            (self.folder / self.limit_file).write_text(str(limit))
        except OSError:
            self.folder.rmdir()
            raise

    def enter(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def peak(self):
        """The most memory that was charged, in MiB; `None` where the system doesn't say."""
        files = [self.folder / name for name in ("memory.max_usage_in_bytes", "memory.peak")]
        return next((int(file.read_text()) / 2**20 for file in files if file.exists()), None)

    def end(self):
        self.folder.rmdir()


def forget(path):
    """Takes a file out of the page cache: what is there already is charged to nobody who maps it."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def differing(one, other):
    """Names of the files that are not the same bytes in both folders."""
    names = [{path.name for path in folder.iterdir()} - TIMED for folder in (one, other)]
    return sorted(name for name in names[0] | names[1]
                  if name not in names[0] & names[1] or (one / name).read_bytes() != (other / name).read_bytes())


def table(columns, rows):
    print(f"\n| {' | '.join(columns)} |\n|{'---:|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def fold_tables(options, folder):
    rows, parts = [], []
    peers = torch_times(options) if options.torch else {}
    for length in options.lengths:
        seconds, peak = predict(options, folder, length)
        torch = peers.get(length)
        beside = [f"{torch['seconds']:.1f}", f"{torch['seconds'] / seconds:.1f}"] if torch else ["-", "-"]
        rows.append([str(length), f"{seconds:.1f}", f"{peak.all:.0f}", f"{peak.files:.0f}", *beside])
        ours, total = shares(options, length)
        of_torch = [f"{100 * torch[part] / torch['seconds']:.0f}%" if torch else "-" for part in PARTS]
        parts.append([str(length), *(f"{100 * ours[part] / total:.0f}%" for part in PARTS), *of_torch])
    print(f"\n{options.model.name}: {options.passes} passes, {options.threads} threads")
    table(["L", "predict, s", "peak resident, MiB", "of it the mapped model", "PyTorch fp32, s", "times as fast"], rows)
    table(["L", *PARTS, *(f"PyTorch: {part}" for part in PARTS)], parts)


def limited_table(options, folder):
    rows = []
    for length in options.lengths:
        free = folder / f"out{length}"
        (folder / "limited").mkdir(exist_ok=True)
        try:
            group = Group(options.memory << 20)
        except OSError as error:
            print(f"\nNot measured: a run within {options.memory} MiB: no control group can be made here ({error}).")
            return
        try:
            forget(options.model)
            seconds, _ = predict(options, folder / "limited", length, group.enter)
            peak = group.peak()
        finally:
            group.end()
        wrong = differing(free, folder / "limited" / free.name)
        rows.append([str(length), f"{seconds:.1f}", f"{peak:.0f}" if peak else "-", "no: " + ", ".join(wrong) if wrong else "yes"])
    print(f"\nHeld to {options.memory} MiB by a control group, the model file not in memory before:")
    table(["L", "predict, s", "peak of the group, MiB", "same files"], rows)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench-full-size", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="folder of the folding checkpoint")
    parser.add_argument("model", type=Path, help="the model file made of it")
    parser.add_argument("--lengths", default=[64, 128, 256, 384], type=lambda text: [int(n) for n in text.split(",")], metavar="N,N")
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--memory", type=int, default=2048, metavar="MIB", help="of the run with little memory (default: 2048)")
    parser.add_argument("--no-torch", dest="torch", action="store_false", help="without PyTorch")
    for program in ("foldpoint", "serve"):
        parser.add_argument(f"--{program}", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for path in (options.checkpoint / "config.json", options.model):
        if not path.is_file():
            parser.error(f"{path}: there is no such file")
    with tempfile.TemporaryDirectory() as folder:
        fold_tables(options, Path(folder))
        limited_table(options, Path(folder))


if __name__ == "__main__":
    main()

"""Foldpoint against its peers; prints Markdown. Run by scripts/bench-peers, which sees to what it needs."""

import argparse
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import checkpoints
import turns

TORCH, SDPA, ONNX, ESM_CPP = "torch fp32", "torch fp32 sdpa", "onnxruntime int8", "esm-cpp int8"
LANGUAGE_MODELS = [TORCH, SDPA, ONNX, ESM_CPP]
SIDE_BY_SIDE = "onnxruntime int8, one thread each"
FOLD = "torch fp32 fold"

# <cls> and <eos> count as tokens of a length, too.
ENDS = 2


class Bench:
    def __init__(self, options):
        self.options, self.cache = options, options.cache

    def model(self, name):
        """A random model file of Foldpoint's."""
        path = self.cache / f"{name}.fpm"
        if not path.exists():
            subprocess.run([self.options.random_model, name, path], check=True)
        return path

    def checkpoint(self, name):
        # In a process of its own, so that its memory is given back.
        folder = self.cache / name
        code = f"import checkpoints, pathlib; checkpoints.make(pathlib.Path({str(folder)!r}), {name!r})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=turns.HERE, stdout=subprocess.DEVNULL)
        return folder

    @contextlib.contextmanager
    def engines(self, peers, folder, model, threads):
        started = [turns.peer(name, folder, threads) for name in peers]
        started.append(turns.foldpoint(self.options.serve, model, threads))
        try:
            yield started
        finally:
            for engine in started:
                engine.end()

    def single(self):
        """One sequence to logits."""
        for name in self.options.models:
            lengths = self.options.lengths or ([256, 512] if name == "650M" else [128, 256, 512, 1024])
            folder, model = self.checkpoint(name), self.model(f"esm2-{name.lower()}")
            for threads in (1, 2):
                with self.engines(LANGUAGE_MODELS, folder, model, threads) as engines:
                    columns = {}
                    for length in lengths:
                        request = {"lengths": [length - ENDS]}
                        columns[length] = turns.race(engines, [request] * len(engines), self.options.rounds)
                    title = f"ESM-2 {name}, one sequence, {threads} thread{'s' * (threads - 1)}"
                    speed_table(title, columns)
                    if threads == 1:
                        memory_table(f"ESM-2 {name}, memory", engines)

    def batch(self):
        """64 sequences of 50 to 250 residues."""
        folder, model = self.checkpoint("8M"), self.model("esm2-8m")
        lengths = [int(n) for n in np.random.default_rng(7).integers(50, 251, 64)]
        ways = {SDPA: ["one by one", "sorted"], ONNX: ["one by one", "sorted"], SIDE_BY_SIDE: ["side by side"],
                ESM_CPP: ["one by one", "packed"]}
        with self.engines(list(ways), folder, model, 2) as engines:
            *peers, foldpoint = engines
            runs = [(peer, way) for peer in peers for way in ways[peer.name]] + [(foldpoint, "")]
            times = {}
            for number in range(self.options.rounds + 1):
                for engine, way in runs:
                    seconds, _ = engine.turn({"lengths": lengths, "way": way, "seconds": 0})
                    if number > 0:
                        times.setdefault(f"{engine.name}, {way}".rstrip(", "), turns.Times()).runs.append(seconds)
        speed_table(f"ESM-2 8M, {len(lengths)} sequences of 50 to 250 residues, 2 threads", {"batch": times})

    def fold(self):
        """A trunk block as wide as esmfold_v1's, and the default model."""
        default = json.loads((self.options.root / "models/default/train/config.json").read_text())
        wide = wide_trunk(default)
        path = self.cache / "esmfold-v1-trunk.json"
        path.write_text(json.dumps(wide))
        with self.engines([FOLD], path, self.model("esmfold-v1-trunk"), 1) as engines:
            columns = {}
            for length in (128, 256):
                request = {"lengths": [length], "passes": 1}
                times = turns.race(engines, [request] * 2, self.options.rounds, seconds=0)
                columns[length] = {name: turns.Times(t.blocks) for name, t in times.items()}
            speed_table("Trunk block at esmfold_v1's widths, 1 thread", columns)
        config = self.options.root / "models/default/train/config.json"
        passes = default["esmfold_config"]["trunk"]["max_recycles"]
        for threads in (1, 2):
            with self.engines([FOLD], config, self.options.root / "models/default.fpm", threads) as engines:
                columns = {}
                for length in (64, 128, 256):
                    request = {"lengths": [length], "passes": passes}
                    columns[length] = turns.race(engines, [request] * 2, self.options.rounds, seconds=0)
                speed_table(f"Default model, whole fold, {passes} passes, {threads} thread{'s' * (threads - 1)}", columns)

    def threads(self):
        """Two threads against one, and both beside two programs that never rest."""
        rows = []
        runs = [("esm2-8m", n, 0) for n in (256, 512)] + [("esm2-150m", n, 0) for n in (256, 512)]
        runs += [("default", n, 1) for n in (128, 256)]
        for name, length, passes in runs:
            model = self.options.root / "models/default.fpm" if name == "default" else self.model(name)
            request = {"lengths": [length - (0 if passes else ENDS)], "passes": passes}
            engines = [turns.foldpoint(self.options.serve, model, threads) for threads in (1, 2)]
            for engine, threads in zip(engines, (1, 2)):
                engine.name = threads
            quiet = turns.race(engines, [request] * 2, self.options.rounds, seconds=1)
            with busy(2):
                loaded = turns.race(engines[1:], [request], self.options.rounds, seconds=1)
            for engine in engines:
                engine.end()
            one, two, both = quiet[1].median(), quiet[2].median(), loaded[2].median()
            speedup = turns.ratio(quiet[1].runs, quiet[2].runs)
            rows.append([name, length, ms(one), ms(two), f"{speedup:.2f}x", ms(both), f"{both / two:.2f}x"])
        table("Threads", ["model", "L", "1 thread", "2 threads", "speedup", "2 threads, 2 busy programs", "to quiet"], rows)


@contextlib.contextmanager
def busy(count):
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def wide_trunk(default):
    """esmfold_v1's trunk, three blocks of it, on ESM-2 8M."""
    wide = json.loads(json.dumps(default)) | {"num_hidden_layers": 6, "num_attention_heads": 20}
    trunk = wide["esmfold_config"]["trunk"]
    trunk |= {"num_blocks": 3, "sequence_state_dim": 1024, "pairwise_state_dim": 128, "max_recycles": 1}
    trunk["structure_module"] |= {"sequence_dim": 384, "pairwise_dim": 128, "num_heads_ipa": 12, "resnet_dim": 128, "num_blocks": 8}
    return wide


def ms(seconds):
    return f"{1000 * seconds:.1f} ms"


def table(title, head, rows):
    print(f"\n### {title}\n\n| {' | '.join(map(str, head))} |\n|---|{'---:|' * (len(head) - 1)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    sys.stdout.flush()


def speed_table(title, columns):
    """Median times, and how many times faster Foldpoint was (the median of the rounds' ratios)."""
    names = next(iter(columns.values())).keys()

    def cell(times, name):
        time, ours = times[name], times["foldpoint"]
        return ms(time.median()) + ("" if name == "foldpoint" else f" ({turns.ratio(time.runs, ours.runs):.2f}x)")

    head = ["engine"] + [f"L = {column}" if isinstance(column, int) else column for column in columns]
    table(title, head, [[name] + [cell(times, name) for times in columns.values()] for name in names])


def memory_table(title, engines):
    rows = [[engine.name, f"{engine.loaded:.0f} MiB", f"{engine.peak_memory():.0f} MiB"] for engine in engines]
    table(title, ["engine", "to load", "while serving"], rows)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench-peers", description=__doc__)
    benches = ["single", "batch", "fold", "threads"]
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"{', '.join(benches)} (default: all)")
    parser.add_argument("--models", default="8M,150M", type=lambda text: text.split(","), help="of 8M,35M,150M,650M")
    parser.add_argument("--lengths", type=lambda text: [int(n) for n in text.split(",")], help="tokens, for `single`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--random-model", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.benches) - set(benches):
        parser.error(f"no bench {', '.join(unknown)}")
    bench = Bench(options)
    for name in options.benches or benches:
        getattr(bench, name)()


if __name__ == "__main__":
    main()

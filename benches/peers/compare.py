"""Foldpoint against its peers; prints Markdown. Run by scripts/bench-peers, which sees to what it needs."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import checkpoints
import held
import turns

TORCH, SDPA, ONNX, ESM_CPP = "torch fp32", "torch fp32 sdpa", "onnxruntime int8", "esm-cpp int8"
LANGUAGE_MODELS = [TORCH, SDPA, ONNX, ESM_CPP]
SIDE_BY_SIDE = "onnxruntime int8, one thread each"
FOLD = "torch fp32 fold"
PEERS = ["torch", "onnxruntime", "esm-cpp"]

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

    def peers(self, names):
        """Those of the names that were asked for and can be held to the instruction set."""
        asked = [name for name in names if name.startswith(tuple(self.options.engines))]
        return held.can_be(asked) if self.options.isa else asked

    @contextlib.contextmanager
    def engines(self, peers, folder, model, threads):
        started = [turns.peer(name, folder, threads) for name in self.peers(peers)]
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
                    columns = self.race(engines, {length: {"lengths": [length - ENDS]} for length in lengths})
                    note = self.estimate(name, columns) if threads == 1 else ""
                    title = f"ESM-2 {name}, one sequence, {threads} thread{'s' * (threads - 1)}"
                    speed_table(title, columns, note)
                    if threads == 1:
                        memory_table(f"ESM-2 {name}, memory", engines)

    def batch(self):
        """64 sequences of 50 to 250 residues."""
        folder, model = self.checkpoint("8M"), self.model("esm2-8m")
        lengths = [int(n) for n in np.random.default_rng(7).integers(50, 251, 64)]
        ways = {SDPA: ["one by one", "sorted"], ONNX: ["one by one", "sorted"], SIDE_BY_SIDE: ["side by side"],
                ESM_CPP: ["one by one", "packed"]}
        with self.engines(list(ways), folder, model, 2) as engines:
            runs = [
                (f"{engine.name}, {way}".rstrip(", "), engine, {"lengths": lengths, "way": way})
                for engine in engines for way in ways.get(engine.name, [""])
            ]
            times = turns.race(runs, self.options.rounds, set(), seconds=0)
        speed_table(f"ESM-2 8M, {len(lengths)} sequences of 50 to 250 residues, 2 threads", {"batch": times})

    def fold(self):
        """A trunk block as wide as esmfold_v1's, and the default model."""
        default = json.loads((self.options.root / "models/default/train/config.json").read_text())
        wide = wide_trunk(default)
        path = self.cache / "esmfold-v1-trunk.json"
        path.write_text(json.dumps(wide))
        with self.engines([FOLD], path, self.model("esmfold-v1-trunk"), 1) as engines:
            columns = self.race(engines, {n: {"lengths": [n], "passes": 1} for n in (128, 256)}, seconds=0)
            for length, times in columns.items():
                columns[length] = {name: turns.Times(t.blocks) for name, t in times.items()}
            speed_table("Trunk block at esmfold_v1's widths, 1 thread", columns)
        config = self.options.root / "models/default/train/config.json"
        passes = default["esmfold_config"]["trunk"]["max_recycles"]
        for threads in (1, 2):
            with self.engines([FOLD], config, self.options.root / "models/default.fpm", threads) as engines:
                columns = self.race(engines, {n: {"lengths": [n], "passes": passes} for n in (64, 128, 256)}, seconds=0)
                speed_table(f"Default model, whole fold, {passes} passes, {threads} thread{'s' * (threads - 1)}", columns)

    def race(self, engines, requests, seconds=turns.SECONDS):
        """Times by column and name. Who is dropped in one column takes no part in the next ones."""
        dropped = set()
        return {
            column: turns.race([(e.name, e, request) for e in engines], self.options.rounds, dropped, seconds)
            for column, request in requests.items()
        }

    def estimate(self, model, columns):
        """Adds ONNX Runtime's times where it can't be held, and says so in a note."""
        asked = ONNX.startswith(tuple(self.options.engines))
        ratios = {column: ratio for column, ratio in held.ONNX_TO_SDPA.get(model, {}).items() if SDPA in columns.get(column, {})}
        if not self.options.isa or not asked or self.peers([ONNX]) or not ratios:
            return ""
        for column, ratio in ratios.items():
            seconds = [seconds / ratio for seconds in columns[column][SDPA].runs]
            columns[column][f"{ONNX}, estimated"] = turns.Times(seconds)
        return held.estimated(ONNX, SDPA, ratios)

    def threads(self):
        """Two threads against one, and both beside two programs that never rest."""
        rows = []
        runs = [("esm2-8m", n, 0) for n in (256, 512)] + [("esm2-150m", n, 0) for n in (256, 512)]
        runs += [("default", n, 1) for n in (128, 256)]
        for name, length, passes in runs:
            model = self.options.root / "models/default.fpm" if name == "default" else self.model(name)
            request = {"lengths": [length - (0 if passes else ENDS)], "passes": passes}
            runs = [(threads, turns.foldpoint(self.options.serve, model, threads), request) for threads in (1, 2)]
            quiet = turns.race(runs, self.options.rounds, set(), seconds=1)
            with busy(2):
                loaded = turns.race(runs[1:], self.options.rounds, set(), seconds=1)
            for _, engine, _ in runs:
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


def speed_table(title, columns, note=""):
    """Median times, and how many times faster Foldpoint was (the median of the rounds' ratios)."""
    peers = [name for name in dict.fromkeys(name for times in columns.values() for name in times) if name != turns.FOLDPOINT]

    def cell(times, name):
        if name not in times:
            return ""
        ratio = "" if name == turns.FOLDPOINT else f" ({turns.ratio(times[name].runs, times[turns.FOLDPOINT].runs):.2f}x)"
        return ms(times[name].median()) + ratio

    head = ["engine"] + [f"L = {column}" if isinstance(column, int) else column for column in columns]
    rows = [[name] + [cell(times, name) for times in columns.values()] for name in [*peers, turns.FOLDPOINT]]
    table(title, head, rows)
    if note:
        print(f"\n{note}", flush=True)


def memory_table(title, engines):
    rows = [[engine.name, f"{engine.loaded:.0f} MiB", f"{engine.peak_memory():.0f} MiB"] for engine in engines]
    table(title, ["engine", "to load", "while serving"], rows)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench-peers", description=__doc__)
    benches = ["single", "batch", "fold", "threads"]
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"{', '.join(benches)} (default: all)")
    parser.add_argument("--models", default="8M,150M", type=lambda text: text.split(","), help="of 8M,35M,150M,650M")
    parser.add_argument("--lengths", type=lambda text: [int(n) for n in text.split(",")], help="tokens, for `single`")
    parser.add_argument("--engines", default=PEERS, type=lambda text: text.split(","), help=f"beside Foldpoint: of {','.join(PEERS)}")
    parser.add_argument("--isa", choices=held.VARIABLES, help="hold Foldpoint and PyTorch to this instruction set")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--random-model", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.benches) - set(benches):
        parser.error(f"no bench {', '.join(unknown)}")
    if unknown := set(options.engines) - set(PEERS):
        parser.error(f"no engine {', '.join(unknown)}")
    bench = Bench(options)
    if options.isa:
        # Engines inherit them.
        os.environ.update(held.VARIABLES[options.isa])
        print(f"Held to {options.isa}: Foldpoint, {', '.join(bench.peers(PEERS)) or 'no peer'}", flush=True)
    for name in options.benches or benches:
        getattr(bench, name)()


if __name__ == "__main__":
    main()

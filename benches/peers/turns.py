"""Engines that take turns: each in a process of its own that stays warm, one after another, round after round (A B C A B C ...)."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SECONDS = 0.3
FOLDPOINT = "foldpoint"
# Times Foldpoint's time. PyTorch's eager attention takes 12 for 1024 tokens; esm-cpp without a kernel for the machine 30 and more.
HOPELESS = 20


class Engine:
    """One process. `command` speaks the protocol of engines.py."""

    def __init__(self, name, command, threads, cores):
        variables = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ESM_NUM_THREADS")}
        self.name, self.threads = name, threads
        self.process = subprocess.Popen(
            [str(part) for part in command], env=os.environ | variables, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        self._answer()
        self.loaded = self.peak_memory()
        # The peak begins anew: from here on it is what serving takes.
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended: {self.process.wait()}")
        return json.loads(line)

    def _cpu_seconds(self):
        # The process's own clock (`clock_getcpuclockid`), which counts threads that have ended, too.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def turn(self, request):
        """(seconds of a run, median seconds of a trunk block). On one thread the processor's time, which waiting for a core does not
        lengthen."""
        before = self._cpu_seconds()
        answer = self.ask(request)
        cpu = (self._cpu_seconds() - before) / len(answer["seconds"])
        wall = statistics.median(answer["seconds"])
        block = statistics.median(answer["blocks"]) if answer["blocks"] else None
        return (cpu if self.threads == 1 else wall), block

    def ask(self, request):
        """The answer as it is."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def peak_memory(self):
        """MiB, mapped files included."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def cores(threads):
    """The last ones: interrupts prefer the first."""
    return sorted(os.sched_getaffinity(0))[-threads:]


def peer(name, folder, threads):
    return Engine(name, [sys.executable, HERE / "engines.py", name, folder, threads], threads, cores(threads))


def foldpoint(serve, model, threads):
    return Engine(FOLDPOINT, [serve, model, threads], threads, cores(threads))


@dataclass
class Times:
    """Of one engine, one entry a round; less where it was dropped."""

    runs: list = field(default_factory=list)
    blocks: list = field(default_factory=list)

    def median(self):
        return statistics.median(self.runs)


def race(runs, rounds, dropped, seconds=SECONDS):
    """Times by name. `runs` are (name, engine, request); those whose names are in `dropped` are left out, and those that turn out to be
    hopeless beside Foldpoint are added to it. A run that takes seconds needs no second one to be warm."""
    times = {name: Times() for name, _, _ in runs if name not in dropped}
    for number in range(rounds):
        for name, engine, request in runs:
            if name in dropped:
                continue
            known = times[name].runs
            if number == 0 or known[0] < 0.5:
                engine.ask(request | {"seconds": 0})
            run, block = engine.turn(request | {"seconds": seconds})
            known.append(run)
            if block is not None:
                times[name].blocks.append(block)
            time.sleep(0.02)
        if number == 0 and FOLDPOINT in times:
            drop(times, dropped)
    return times


def drop(times, dropped):
    """Drops, and says so, what took too long to wait for in its first turn."""
    for name, of in times.items():
        factor = of.runs[0] / times[FOLDPOINT].runs[0]
        if factor > HOPELESS:
            dropped.add(name)
            print(f"\n{name} took {factor:.0f} times as long as Foldpoint: dropped after its first turn", flush=True)


def ratio(slow, fast):
    """How many times faster `fast` was: the median over the rounds that both took part in."""
    return statistics.median(a / b for a, b in zip(slow, fast))

"""Counts the instructions of kernels and passes under Callgrind and holds them to pins.tsv; run by scripts/check-instructions, which
sees to what it needs. AVX2 is the best that Valgrind knows, and what it reports of the processor is the same on every machine."""

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PINS = Path(__file__).parent / "pins.tsv"
ISA = "avx2"
# What inlining may change without anybody's doing.
MARGIN = 0.03


def works(options):
    """Arguments of the program `count` by name: its kernels, then passes, as short as leaves every operation its usual share."""
    kernels = subprocess.run([options.count], text=True, check=True, stdout=subprocess.PIPE).stdout.splitlines()
    return {name: [name] for name in kernels} | {
        "ESM-2 8M, 64 tokens to logits": [options.esm2_8m, "64"],
        "default model, fold of 32 residues, 2 passes": [options.default_model, "32", "2"],
    }


def instructions(options, arguments):
    """Executed in `counted_work` by Foldpoint's own code: the system's memcpy depends on the system."""
    with tempfile.NamedTemporaryFile() as profile:
        command = [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={profile.name}", "--toggle-collect=*counted_work*",
            options.count, *arguments,
        ]
        run = subprocess.run(command, env=os.environ | {"FOLDPOINT_ISA": ISA}, text=True, stderr=subprocess.PIPE)
        if run.returncode != 0:
            raise SystemExit(f"check-instructions: {arguments} ended with {run.returncode}:\n{run.stderr}")
        count = own(Path(profile.name).read_text(), options.count)
    if count == 0:
        raise SystemExit(f"check-instructions: {arguments}: Callgrind met no function counted_work")
    return count


def own(profile, program):
    """The sum of the costs of all functions of the file `program` in Callgrind's format, without what they call."""
    objects, ours, called, total = {}, False, False, 0
    for line in profile.splitlines():
        if line.startswith("ob="):
            number, _, path = line.removeprefix("ob=").partition(" ")
            objects.setdefault(number, path)
            ours = objects[number] == program
        elif line.startswith("cob="):
            number, _, path = line.removeprefix("cob=").partition(" ")
            objects.setdefault(number, path)
        elif line.startswith("calls="):
            # The next line is the cost of the call.
            called = True
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            if ours and not called:
                total += int(line.split()[1])
            called = False
    return total


def read_pins():
    """(the compiler, instructions by name)"""
    compiler, *lines = PINS.read_text().splitlines()
    return compiler.removeprefix("# "), {name: int(count) for count, name in (line.split("\t") for line in lines)}


def write_pins(compiler, counts):
    PINS.write_text("\n".join([f"# {compiler}", *(f"{count}\t{name}" for name, count in counts.items())]) + "\n")


def verdict(count, pin):
    """(what to print beside a count, what is wrong with it)"""
    if pin is None:
        return "", "is not pinned"
    change = count / pin - 1
    if change > MARGIN:
        return f"{change:+.1%}", "is slower than pinned"
    if change < -MARGIN:
        return f"{change:+.1%}", "is faster than pinned"
    return f"{change:+.1%}", None


def hold(compiler, counts, named):
    """Prints counts beside their pins; says what is wrong and ends with it."""
    pinned_by, pins = read_pins()
    wrong = [] if named else [f"{name} is pinned, but not counted" for name in pins if name not in counts]
    for name, count in counts.items():
        change, problem = verdict(count, pins.get(name))
        print(f"  {count:>13,}  {change:>7}  {name}")
        if problem:
            wrong.append(f"{name} {problem}")
    if not wrong:
        return
    print("\n".join(f"check-instructions: {problem}" for problem in wrong), file=sys.stderr)
    print(
        f"check-instructions: more than {MARGIN:.0%} off {PINS.name}; where that is meant, and whenever a count has fallen, run\n"
        "    scripts/check-instructions --update",
        file=sys.stderr,
    )
    if compiler != pinned_by:
        print(f"check-instructions: pinned with {pinned_by}, compiled with {compiler}", file=sys.stderr)
        print("SKIPPED: another compiler's instructions are not held to these pins")
        return
    raise SystemExit(1)


def main():
    parser = argparse.ArgumentParser(prog="scripts/check-instructions", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="count these, or what begins so, alone")
    parser.add_argument("--update", action="store_true", help="write the counts to pins.tsv")
    parser.add_argument("--count", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--esm2-8m", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--default-model", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    wanted = {
        name: arguments for name, arguments in works(options).items()
        if not options.names or name.startswith(tuple(options.names))
    }
    if not wanted:
        parser.error(f"nothing is called {', '.join(options.names)}")
    compiler = subprocess.run(["rustc", "--version"], text=True, check=True, stdout=subprocess.PIPE).stdout.strip()
    # The longest ones, which are the last, go first.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        counts = dict(pool.map(lambda work: (work[0], instructions(options, work[1])), reversed(wanted.items())))
    counts = {name: counts[name] for name in wanted}
    if options.update:
        kept = read_pins()[1] if options.names else {}
        write_pins(compiler, kept | counts)
    hold(compiler, counts, options.names)


if __name__ == "__main__":
    main()

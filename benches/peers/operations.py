"""Where Foldpoint's time goes, operation by operation, on one thread; prints Markdown. Needs Linux's perf.

    scripts/bench-operations MODEL LENGTH... [--shape 8M] [--passes N]
"""

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path

from checkpoints import SHAPES

# Of the module where a sample was taken; the first match counts.
OPERATIONS = {
    "gemm": r"kernels::.*(gemm|linear|matrix)",
    "attention": r"kernels::.*attention",
    "product": r"kernels::.*product",
    "LayerNorm": r"kernels::.*layer_norm",
    "quantize_row": r"kernels::.*quantize",
    "gate": r"kernels::.*(gate|sigmoid)",
    "rotary": r"kernels::.*rotary",
    "decode": r"kernels::.*decode",
    "encode": r"kernels::.*encode",
    "structure module": r"esmfold::structure|geometry::",
    "between kernels": r"foldpoint_core::",
    "copying": r"mem(cpy|move|set)",
}
ELSE = "system"


def least_seconds(shape, length, limits):
    """The least time of each operation in one pass of an ESM-2 with its language-model head: its products at the best instruction's
    rate, or its values read and written once at the rate of the second cache."""
    layers, width = SHAPES[shape]
    products, second_cache = limits
    values = length * width
    # 5% of a layer's inputs have a second limb; the stream has two bytes a value.
    return {
        "gemm": 1.05 * (12 * layers * width**2 + width**2 + 33 * width) * length / products,
        "attention": 2 * layers * width * length**2 / products,
        "LayerNorm": 8 * (2 * layers + 2) * values / second_cache,
        "quantize_row": 5 * (10 * layers + 2) * values / second_cache,
        "rotary": 8 * 2 * layers * values / second_cache,
        "decode": 6 * (2 * layers + 1) * values / second_cache,
        "encode": 6 * (layers + 1) * values / second_cache,
    }


def machine_limits(peak):
    """(8-bit products a second, bytes a second from the second cache) of one core, as the program `peak` prints them."""
    text = subprocess.run([peak], text=True, check=True, stdout=subprocess.PIPE).stdout
    products = max(float(rate) for rate in re.findall(r"([\d.]+) GMAC/s", text))
    (second_cache,) = re.findall(r"reading 512 KiB: ([\d.]+) GB/s", text)
    return 1e9 * products, 1e9 * float(second_cache)


def profile(serve, model, length, passes):
    """(seconds of the fastest run, share of the samples by symbol)"""
    request = {"lengths": [length], "passes": passes, "seconds": 5}
    with tempfile.NamedTemporaryFile() as data:
        command = ["perf", "record", "--quiet", "--event", "cpu-clock", "--freq", "1999", "--output", data.name]
        answers = subprocess.run(
            [*command, "--", serve, model, "1"], input=2 * (json.dumps(request) + "\n"), text=True, check=True, stdout=subprocess.PIPE
        ).stdout.splitlines()
        report = subprocess.run(
            ["perf", "report", "--input", data.name, "--stdio", "--no-children", "--fields", "overhead,symbol",
             "--percent-limit", "0.01"],
            text=True, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ).stdout
    fastest = min(json.loads(answers[-1])["seconds"])
    samples = re.findall(r"^\s*([\d.]+)%\s+\[.\]\s+(.+?)\s*$", report, re.MULTILINE)
    return fastest, [(float(share) / 100, symbol) for share, symbol in samples]


def operation(symbol):
    return next((name for name, pattern in OPERATIONS.items() if re.search(pattern, symbol)), ELSE)


def table(seconds, samples, least, symbols):
    shares = {}
    for share, symbol in samples:
        shares[operation(symbol)] = shares.get(operation(symbol), 0) + share
    print("| operation | share | ms | least, ms | least to time |\n|---|---:|---:|---:|---:|")
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        time = share * seconds
        limit = f"{1000 * least[name]:.2f} | {100 * least[name] / time:.0f}%" if name in least else " | "
        print(f"| {name} | {100 * share:.1f}% | {1000 * time:.2f} | {limit} |")
    for share, symbol in samples[:symbols]:
        print(f"<!-- {100 * share:.1f}% {operation(symbol)}: {symbol} -->")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("lengths", type=int, nargs="+", help="residues if folded, otherwise tokens")
    parser.add_argument("--shape", choices=SHAPES, help="of the language model, for the least times")
    parser.add_argument("--passes", type=int, default=0, help="fold in so many passes")
    parser.add_argument("--symbols", type=int, default=0, help="list so many symbols, too")
    parser.add_argument("--serve", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--peak", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    limits = machine_limits(options.peak) if options.shape else None
    for length in options.lengths:
        residues = length if options.passes else length - 2
        seconds, samples = profile(options.serve, options.model, residues, options.passes)
        print(f"\n### {options.model.name}, L = {length}: {1000 * seconds:.1f} ms\n")
        least = least_seconds(options.shape, length, limits) if limits else {}
        table(seconds, samples, least, options.symbols)


if __name__ == "__main__":
    main()

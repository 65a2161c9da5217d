"""Counts the instructions that ARM's backends execute, under QEMU; run by scripts/count-arm, which sees to what it needs.

QEMU logs the address of each instruction that it executes. Addresses are counted, and those between a backward branch and its target are a
loop; the innermost ones with products are the inner loops. What else linear layers execute is said by output: epilogues, and what it takes
to begin and end a tile."""

import argparse
import collections
import os
import re
import subprocess

# Products of an instruction, by how it is spelt.
PRODUCTS = {
    r"sdot\s+v\d+\.4s": 16,
    r"smmla\s": 32,
    r"smull2?\s+v\d+\.8h": 8,
    r"smlal2?\s+v\d+\.4s": 4,
}
BACKWARD = re.compile(r"(?:b(?:\.\w+)?|cbn?z\s+\w+,|tbn?z\s+\w+, #\S+,)\s+0x([0-9a-f]+)")
# Rows, outputs, inputs, passes over the weights by 8-bit products: two where all inputs have two limbs.
SHAPE = re.compile(r"gemm (\d+)x(\d+)x(\d+)(, all outliers|, 5% outliers)?")


def disassemble(options):
    """Instructions by address."""
    command = [options.objdump, "--mattr=+dotprod,+i8mm", "--disassemble", "--no-show-raw-insn", options.count]
    text = subprocess.run(command, text=True, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    lines = (line.partition(":") for line in text.splitlines() if re.match(r"\s+[0-9a-f]+:", line))
    return {int(address, 16): " ".join(instruction.split()) for address, _, instruction in lines}


def execute(options, isa, kernel):
    """How often each address of core's functions is executed in `counted_work`, and what it calls: a closure in a backend's table may be
    named after the trait by which it is called."""
    command = f'exec {options.qemu} -cpu max -singlestep -d nochain,exec -D /dev/stderr "$@" 2>&1 >/dev/null'
    # Far faster than Python.
    script = r"""
        /counted_work/ { counting = 1 }
        counting && /foldpoint_core|core3ops8function6FnOnce9call_once|memcpy|memset|memmove/ { split($4, at, "/"); executed[at[2]]++ }
        END { for (address in executed) print address, executed[address] }
    """
    with subprocess.Popen(
        ["sh", "-c", command, "sh", options.count, kernel],
        env=os.environ | {"FOLDPOINT_ISA": isa}, stdout=subprocess.PIPE,
    ) as run:
        table = subprocess.run(["awk", script], stdin=run.stdout, text=True, check=True, stdout=subprocess.PIPE).stdout
    if run.wait() != 0 or not table:
        raise SystemExit(f"count-arm: {isa}, {kernel}: ended with {run.returncode}, {len(table)} bytes of counts")
    return {int(address, 16): int(count) for address, count in map(str.split, table.splitlines())}


def products(instruction):
    return next((count for pattern, count in PRODUCTS.items() if re.match(pattern, instruction)), 0)


def inner_loops(code, executed):
    """The executed loops without another one inside, as (first, last) addresses."""
    branches = ((at, BACKWARD.match(code.get(at, ""))) for at in executed)
    loops = sorted((int(to[1], 16), at) for at, to in branches if to and int(to[1], 16) <= at)
    return [
        (first, last) for first, last in loops
        if not any((a, b) != (first, last) and first <= a and b <= last for a, b in loops)
    ]


Loop = collections.namedtuple("Loop", "times length products")


def loops_with_products(code, executed):
    found = []
    for first, last in inner_loops(code, executed):
        inside = [at for at in range(first, last + 4, 4) if at in executed]
        made = sum(executed[at] * products(code[at]) for at in inside)
        if made:
            times = executed[last]
            found.append(Loop(times, sum(executed[at] for at in inside) / times, made / times))
    return sorted(found, key=lambda loop: -loop.times * loop.length)


def report(code, isa, kernel, executed, verbose):
    total = sum(executed.values())
    loops = loops_with_products(code, executed)
    inside = sum(loop.times * loop.length for loop in loops)
    made = sum(loop.times * loop.products for loop in loops)
    cells = [isa, kernel, f"{total:,}"]
    cells.append(f"{made / inside:.2f}" if inside else "")
    shape = SHAPE.match(kernel)
    if shape:
        rows, outputs, inputs = map(int, shape.groups()[:3])
        cells += [f"{rows * outputs * inputs / total:.2f}", f"{(total - inside) / rows / outputs:.2f}"]
    else:
        cells += ["", ""]
    print("| " + " | ".join(cells) + " |", flush=True)
    if verbose:
        for loop in loops[:6]:
            print(f"    {loop.times:9} times {loop.length:6.1f} instructions, {loop.products:6.1f} products: "
                  f"{loop.products / loop.length:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", required=True, help="the program `count` of benches/, for 64-bit ARM")
    parser.add_argument("--qemu", default="qemu-aarch64-static")
    parser.add_argument("--objdump", default="llvm-objdump")
    parser.add_argument("--isa", action="append", help="default: all three")
    parser.add_argument("--kernel", action="append", help="default: linear layers, products and attention")
    parser.add_argument("--verbose", action="store_true", help="each inner loop with products")
    options = parser.parse_args()
    command = [options.qemu, options.count]
    kernels = options.kernel or [
        name for name in subprocess.run(command, text=True, check=True, stdout=subprocess.PIPE).stdout.splitlines()
        if name.split()[0] in ("gemm", "product", "attention")
    ]
    code = disassemble(options)
    print("| backend | kernel | instructions | products per instruction of the inner loops | multiplications per instruction "
          "| instructions per output outside of them |")
    print("|---|---|---:|---:|---:|---:|")
    for kernel in kernels:
        for isa in options.isa or ["neon", "dotprod", "i8mm"]:
            report(code, isa, kernel, execute(options, isa, kernel), options.verbose)


main()

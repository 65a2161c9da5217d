"""Who can be held to an instruction set below the machine's, how, and what stands for who can't."""

import re
from pathlib import Path

# Variables by instruction set. PyTorch reads the last three: its own kernels, oneDNN's and MKL's.
VARIABLES = {
    "avx2": {
        "FOLDPOINT_ISA": "avx2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }
}

# What Linux calls the instructions above AVX2 that engines look for.
ABOVE = {"avx512f", "avx_vnni"}

# ONNX Runtime int8 in times PyTorch's speed (fp32 sdpa, one thread), by model and tokens, where both have AVX2 alone.
ONNX_TO_SDPA = {
    "8M": {128: 2.16, 256: 1.83, 512: 1.45, 1024: 1.46},
    "150M": {128: 591 / 279, 512: 3285 / 1845},
}
MEASURED_ON = "an AMD EPYC of Zen 3, ONNX Runtime 1.32, PyTorch 2.15, 28 November 2026"


def can_be(engines):
    """Those of the engines that use no more than is allowed here: all of them where the machine has no more itself."""
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if flags and not ABOVE & set(flags[1].split()):
        return engines
    # Neither ONNX Runtime nor esm-cpp has a switch.
    return [name for name in engines if name.startswith("torch")]


def estimated(engine, by, ratios):
    """A note under a table."""
    factors = ", ".join(f"{ratio:.2f}" for ratio in ratios.values())
    lengths = ", ".join(map(str, ratios))
    return f"{engine} is estimated: {by}'s time by {factors} (L = {lengths}), as measured with AVX2 alone on {MEASURED_ON}."

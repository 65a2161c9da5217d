"""Files of tensors, written one tensor at a time: safetensors, and the ZIP archives of torch.save (without PyTorch)."""

import argparse
import json
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path

import numpy as np

# Type: its name in safetensors, the class of its storage in PyTorch, bytes.
DTYPES = {
    "f32": ("F32", "FloatStorage", 4), "f16": ("F16", "HalfStorage", 2), "bf16": ("BF16", "BFloat16Storage", 2),
    "i64": ("I64", "LongStorage", 8),
}


@dataclass(frozen=True)
class Tensor:
    """A tensor to write: its name in the file, and where its values come from."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: str  # its name in transformers; tensors of one source share their values

    @property
    def bytes(self) -> int:
        return prod(self.shape) * DTYPES[self.dtype][2]


def encode(values: np.ndarray, dtype: str) -> memoryview:
    """The bytes of `values`, little-endian, in row-major order."""
    if dtype == "bf16":
        bits = np.ascontiguousarray(values, "<f4").view("<u4")
        values = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")
    else:
        values = np.ascontiguousarray(values, {"f32": "<f4", "f16": "<f2", "i64": "<i8"}[dtype])
    return memoryview(values).cast("B")


def write_safetensors(path: Path, tensors: list[Tensor], values: Callable[[Tensor], np.ndarray]) -> None:
    """`tensors` in the order in which the library writes them: wide types first, then by name."""
    tensors = sorted(tensors, key=lambda tensor: (-DTYPES[tensor.dtype][2], tensor.name))
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for tensor in tensors:
        header[tensor.name] = {"dtype": DTYPES[tensor.dtype][0], "shape": tensor.shape,
                               "data_offsets": [end, end + tensor.bytes]}
        end += tensor.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            file.write(encode(values(tensor), tensor.dtype))


@dataclass(frozen=True)
class Storage:
    """What torch.save keeps beside the pickle: a tensor's values."""

    key: str
    kind: type
    length: int


def stand_in(module: str, name: str, value) -> object:
    """`value` as `module.name`, which a pickle can then refer to without the module being installed."""
    here = sys.modules.setdefault(module, types.ModuleType(module))
    value.__module__, value.__qualname__ = module, name
    setattr(here, name, value)
    return value


REBUILD = stand_in("torch._utils", "_rebuild_tensor_v2", lambda *_: None)
STORAGES = {dtype: stand_in("torch", kind, type(kind, (), {})) for dtype, (_, kind, _) in DTYPES.items()}


class TorchPickler(pickle.Pickler):
    """Pickles `(Storage, shape)` pairs in `Reference` as torch.save does tensors."""

    def persistent_id(self, value):
        return ("storage", value.kind, value.key, "cpu", value.length) if isinstance(value, Storage) else None

    def reducer_override(self, value):
        if not isinstance(value, Reference):
            return NotImplemented
        strides = tuple(prod(value.shape[i + 1:]) for i in range(len(value.shape)))
        return REBUILD, (value.storage, 0, value.shape, strides, False, OrderedDict())


@dataclass(frozen=True)
class Reference:
    """A tensor within the pickled object."""

    storage: Storage
    shape: tuple[int, ...]


def write_torch(
    path: Path, tensors: list[Tensor], values: Callable[[Tensor], np.ndarray], wrap: Callable[[dict], object]
) -> None:
    """What `torch.save(wrap(state_dict), path)` writes."""
    stored: dict[tuple[str, str], tuple[Storage, Tensor]] = {}
    state = OrderedDict()
    for tensor in tensors:
        new = Storage(str(len(stored)), STORAGES[tensor.dtype], prod(tensor.shape)), tensor
        storage, _ = stored.setdefault((tensor.source, tensor.dtype), new)
        state[tensor.name] = Reference(storage, tensor.shape)
    text = BytesIO()
    TorchPickler(text, protocol=2).dump(wrap(state))
    root = path.name.removesuffix(".part").rsplit(".", 1)[0]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        def add(name: str, data: memoryview | bytes) -> None:
            entry = zipfile.ZipInfo(f"{root}/{name}")
            entry.file_size = len(data)
            # Values begin at multiples of 64, as PyTorch's, so that they can be mapped.
            padding = -(archive.fp.tell() + 30 + len(entry.filename) + 4) % 64
            entry.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
            with archive.open(entry, "w") as member:
                member.write(data)

        add("data.pkl", text.getvalue())
        add("byteorder", b"little")
        for storage, tensor in stored.values():
            add(f"data/{storage.key}", encode(values(tensor), tensor.dtype))
        add("version", b"3\n")


def namespace(**arguments) -> argparse.Namespace:
    """Training arguments, as fair-esm keeps them."""
    return argparse.Namespace(**arguments)

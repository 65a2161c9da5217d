"""PyTorch's time for a fold by a checkpoint that does not fit into memory as a whole: transformers' own ESMFold, whose layers and blocks
take turns in one module each. Their weights are read when they run; that time is not counted.

    torch_fold.py CHECKPOINT THREADS PASSES SEQUENCE...

prints a line of JSON for each sequence: seconds in all, and of the language model's layers, the trunk's blocks and the structure module.
"""

import json
import sys
import time
from pathlib import Path

import torch
import transformers

LAYER, BLOCK = "esm.encoder.layer", "trunk.blocks"


class Weights:
    """The tensors of a checkpoint, read one by one."""

    def __init__(self, folder):
        self.readers = {}
        if files := sorted(folder.glob("*.safetensors")):
            from safetensors import safe_open

            for file in files:
                opened = safe_open(file, "pt")
                self.readers |= {name: opened.get_tensor for name in opened.keys()}
        for file in [] if files else sorted(folder.glob("pytorch_model*.bin")):
            tensors = torch.load(file, mmap=True, weights_only=True)
            self.readers |= {name: tensors.__getitem__ for name in tensors}
        if not self.readers:
            raise SystemExit(f"{folder}: neither *.safetensors nor pytorch_model*.bin is there")

    def read(self, name):
        tensor = self.readers[name](name)
        return tensor.float() if tensor.is_floating_point() else tensor

    def rest(self):
        """Everything outside layers and blocks but the contact head, which takes no part in a fold."""
        others = (LAYER + ".", BLOCK + ".", "esm.contact_head.")
        return {name: self.read(name) for name in self.readers if not name.startswith(others)}


class Clock:
    def __init__(self):
        self.seconds = dict.fromkeys(["loading", "language model", "trunk", "structure module"], 0.0)

    def timed(self, part, work):
        start = time.perf_counter()
        result = work()
        self.seconds[part] += time.perf_counter() - start
        return result


class Streamed(torch.nn.Module):
    """A layer or block: the module that all of them share, with its own weights."""

    def __init__(self, shared, number, prefix, weights, clock, part):
        super().__init__()
        if number == 0:
            # transformers collects the results of all layers that it finds: it shall find one, once.
            self.shared = shared
        self.run, self.prefix = [shared], f"{prefix}.{number}"
        self.weights, self.clock, self.part = weights, clock, part

    def load(self):
        (shared,) = self.run
        shared.load_state_dict({name: self.weights.read(f"{self.prefix}.{name}") for name in shared.state_dict()})

    def forward(self, *arguments, **options):
        (shared,) = self.run
        self.clock.timed("loading", self.load)
        return self.clock.timed(self.part, lambda: shared(*arguments, **options))


def model_of(folder, clock):
    config = json.loads((folder / "config.json").read_text())
    fold = config.get("esmfold_config")
    if not fold:
        raise SystemExit(f"{folder}/config.json has no esmfold_config: only folding checkpoints are timed")
    layers, blocks = config["num_hidden_layers"], fold["trunk"]["num_blocks"]
    # One of each, in f32.
    config["num_hidden_layers"], fold["trunk"]["num_blocks"], fold["fp16_esm"] = 1, 1, False
    model = transformers.EsmForProteinFolding(transformers.EsmConfig.from_dict(config)).float().eval()
    model.esm_layers, model.esm_s_combine = layers, torch.nn.Parameter(torch.zeros(layers + 1))
    weights = Weights(folder)
    for owner, name, prefix, count, part in [
        (model.esm.encoder, "layer", LAYER, layers, "language model"),
        (model.trunk, "blocks", BLOCK, blocks, "trunk"),
    ]:
        shared = getattr(owner, name)[0]
        streamed = [Streamed(shared, number, prefix, weights, clock, part) for number in range(count)]
        setattr(owner, name, torch.nn.ModuleList(streamed))
    missing, _ = model.load_state_dict(weights.rest(), strict=False)
    # What a model computes itself (rotary frequencies) is in no checkpoint; layers and blocks come later.
    missing = [name for name in missing if ".shared." not in name and not any(part in name for part in ("rotary", "position", "contact_head"))]
    if missing:
        raise SystemExit(f"{folder}: tensors are missing: {', '.join(missing)}")
    structure = model.trunk.structure_module
    forward = structure.forward
    structure.forward = lambda *arguments, **options: clock.timed("structure module", lambda: forward(*arguments, **options))
    return model


def main():
    folder, threads, passes, *sequences = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    clock = Clock()
    model = model_of(Path(folder), clock)
    letters = transformers.models.esm.openfold_utils.residue_constants.restypes_with_x
    for sequence in sequences:
        clock.seconds = dict.fromkeys(clock.seconds, 0.0)
        residues = torch.tensor([[letters.index(letter) for letter in sequence]])
        start = time.perf_counter()
        # The model adds one to the number it is given.
        model(residues, num_recycles=int(passes) - 1)
        wall = time.perf_counter() - start
        answer = clock.seconds | {"seconds": wall - clock.seconds["loading"]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

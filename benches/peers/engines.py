"""A peer in a process of its own: `engines.py ENGINE FOLDER THREADS` reads a request a line and answers with a line of JSON, as
benches/src/bin/serve.rs does for Foldpoint. Requests: see `Turn` there; `way` says how a batch is run."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

REPETITIONS = 20
PAD = 1


def import_torch():
    """PyTorch, as it is or held to less than the machine has."""
    import torch

    held, found = os.environ.get("ATEN_CPU_CAPABILITY"), torch.backends.cpu.get_cpu_capability()
    if held and held != found.lower():
        raise SystemExit(f"PyTorch uses {found} in place of {held}")
    return torch


def torch_language_model(folder, threads, attention):
    import transformers

    torch = import_torch()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    model = transformers.EsmForMaskedLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()
    return lambda tokens, mask: model(input_ids=torch.from_numpy(tokens), attention_mask=torch.from_numpy(mask)).logits


def onnx_language_model(folder, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(folder / "int8.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda tokens, mask: session.run(None, {"input_ids": tokens, "attention_mask": mask})


class LanguageModel:
    """Logits by a function of tokens and mask, both [batch, length]."""

    def __init__(self, forward, threads):
        self.forward, self.threads = forward, threads

    def run(self, sequences, way):
        if way == "sorted":
            ordered = sorted(sequences, key=len)
            for start in range(0, len(ordered), 8):
                self._padded(ordered[start : start + 8])
        elif way == "side by side":
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(lambda sequence: self._padded([sequence]), sorted(sequences, key=len, reverse=True)))
        else:
            for sequence in sequences:
                self._padded([sequence])

    def _padded(self, sequences):
        tokens = np.full((len(sequences), max(map(len, sequences))), PAD, np.int64)
        mask = np.zeros_like(tokens)
        for row, sequence in enumerate(sequences):
            tokens[row, : len(sequence)], mask[row, : len(sequence)] = sequence, 1
        self.forward(tokens, mask)


class EsmCpp:
    """esm-cpp; takes its threads from ESM_NUM_THREADS."""

    def __init__(self, folder, threads):
        import esm_cpp

        self.model = esm_cpp.Model.load_from_gguf(str(folder / "w8a8.gguf"))
        assert self.model.num_threads == threads

    def run(self, sequences, way):
        sequences = [sequence.astype(np.int32) for sequence in sequences]
        if way == "packed":
            self.model.forward_scheduled(sequences)
        else:
            for sequence in sequences:
                self.model.forward(sequence, np.ones_like(sequence))


class TorchFold:
    """transformers' ESMFold with random weights. `blocks` are the times of a pass's trunk blocks but the first."""

    def __init__(self, config, threads):
        import transformers

        torch = import_torch()
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        torch.manual_seed(0)
        self.torch, self.blocks = torch, []
        self.model = transformers.EsmForProteinFolding(transformers.EsmConfig.from_dict(config)).float().eval()
        for block in list(self.model.trunk.blocks)[1:]:
            block.forward = self._timed(block.forward)

    def _timed(self, forward):
        def timed(*arguments, **options):
            start = time.perf_counter()
            result = forward(*arguments, **options)
            self.blocks.append(time.perf_counter() - start)
            return result

        return timed

    def fold(self, length, passes):
        residues = self.torch.from_numpy(np.random.default_rng(1).integers(0, 20, (1, length)))
        # The model adds one to the number it is given.
        self.model(residues, num_recycles=passes - 1)


def load(name, folder, threads):
    if name == "torch fp32":
        return LanguageModel(torch_language_model(folder, threads, "eager"), threads)
    if name == "torch fp32 sdpa":
        return LanguageModel(torch_language_model(folder, threads, "sdpa"), threads)
    if name == "onnxruntime int8":
        return LanguageModel(onnx_language_model(folder, threads), threads)
    if name == "onnxruntime int8, one thread each":
        return LanguageModel(onnx_language_model(folder, 1), threads)
    if name == "esm-cpp int8":
        return EsmCpp(folder, threads)
    if name == "torch fp32 fold":
        return TorchFold(json.loads(folder.read_text()), threads)
    raise SystemExit(f"no engine {name}")


def take(engine, turn):
    random = np.random.default_rng(1)
    sequences = [np.concatenate([[0], random.integers(4, 24, n), [2]]) for n in turn["lengths"]]

    def run():
        if turn.get("passes"):
            engine.fold(turn["lengths"][0], turn["passes"])
        else:
            engine.run(sequences, turn.get("way"))

    if hasattr(engine, "blocks"):
        engine.blocks.clear()
    seconds, start = [], time.perf_counter()
    while not seconds or (time.perf_counter() - start < turn["seconds"] and len(seconds) < REPETITIONS):
        repetition = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - repetition)
    return {"seconds": seconds, "blocks": list(getattr(engine, "blocks", []))}


def main():
    name, folder, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    # Whatever the libraries print goes to the standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    engine = load(name, folder, threads)
    say(name)
    for line in sys.stdin:
        say(take(engine, json.loads(line)))


if __name__ == "__main__":
    main()

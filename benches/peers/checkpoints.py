"""Random checkpoints of ESM-2's real shapes for every engine, made once. Speed depends on shapes alone."""

from pathlib import Path

# Layers and width; all have 20 heads and a feed-forward network four times as wide.
SHAPES = {"8M": (6, 320), "35M": (12, 480), "150M": (30, 640), "650M": (33, 1280)}


def make(folder: Path, name: str) -> None:
    """Fills `folder` with what the peers read: model.safetensors, int8.onnx, w8a8.gguf."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "complete").exists():
        return
    import torch
    from transformers import EsmConfig, EsmForMaskedLM

    layers, width = SHAPES[name]
    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=width, num_hidden_layers=layers,
        num_attention_heads=20, intermediate_size=4 * width, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        max_position_embeddings=1026, layer_norm_eps=1e-5, position_embedding_type="rotary",
        emb_layer_norm_before=False, token_dropout=True,
    )
    model = EsmForMaskedLM(config).float().eval()
    _save(model, folder)
    _gguf(folder)
    _onnx(model, folder)
    (folder / "complete").touch()


def _save(model, folder: Path) -> None:
    """Names as in the published checkpoints: the ones transformers 5 writes are not those that esm-cpp reads."""
    import torch
    from safetensors.torch import save_file

    config = model.config
    head = config.hidden_size // config.num_attention_heads
    config.save_pretrained(folder)
    tensors = {name: t.detach().clone().contiguous() for name, t in model.state_dict().items() if "inv_freq" not in name}
    for layer in range(config.num_hidden_layers):
        name = f"esm.encoder.layer.{layer}.attention.self.rotary_embeddings.inv_freq"
        tensors[name] = 1.0 / 10000 ** (torch.arange(0, head, 2).float() / head)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _gguf(folder: Path) -> None:
    """esm-cpp's W8A8, as its own calibration tool makes it."""
    import esm_cpp
    import numpy as np

    model = esm_cpp.Model.load_from_safetensors(str(folder / "model.safetensors"))
    observer, random = esm_cpp.ActivationObserver(), np.random.default_rng(0)
    for _ in range(4):
        tokens = np.concatenate([[0], random.integers(4, 24, 120), [2]]).astype(np.int32)
        model.forward_with_observer(tokens, np.ones_like(tokens), observer)
    model.apply_smoothquant(observer.percentile(99.9), 0.5)
    model.quantize_weights()
    model.save_to_gguf(str(folder / "w8a8.gguf"))


def _onnx(model, folder: Path) -> None:
    """Exported as float32, then ONNX Runtime's dynamic quantization."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask, return_dict=True).logits

    model.set_attn_implementation("eager")
    tokens = torch.randint(4, 24, (2, 40))
    mask = torch.ones_like(tokens)
    mask[1, 30:] = 0
    batch, length = torch.export.Dim("batch", min=1, max=256), torch.export.Dim("length", min=4, max=4096)
    dynamic = {0: batch, 1: length}
    whole = folder / "fp32.onnx"
    torch.onnx.export(
        Logits().eval(), (tokens, mask), str(whole), input_names=["input_ids", "attention_mask"], output_names=["logits"],
        dynamo=True, external_data=True, verbose=False, dynamic_shapes={"input_ids": dynamic, "attention_mask": dynamic},
    )
    large = model.config.hidden_size >= 1280
    quantize_dynamic(str(whole), str(folder / "int8.onnx"), weight_type=QuantType.QInt8, use_external_data_format=large)
    for part in folder.glob("fp32.onnx*"):
        part.unlink()

"""Random values with the scales that trained weights have.

The scales of the language model are those of ESM-2 8M (scripts/fetch-esm2-8m), by kind of tensor and depth: standard deviations of
Linears relative to 1 / sqrt(inputs), LayerNorm gains that grow with depth, biases; but for queries and keys of
the first layers, which without training need larger ones to tell residues apart. Rows and columns differ by lognormal factors, which
gives the heavy tails of trained weights. A few channels of each residual stream are written to much more strongly than the others and
read with smaller gains: they are the outlier channels that quantization has to live with. What is trained and what no scale tells (the
low rank of real activations, attention sinks) is missing: errors on such weights are larger than on trained ones.
"""

import hashlib
import re

import numpy as np
from shapes import AF2_TO_ESM, POSITIONS, Model

# Of a residual stream's channels, and how much more strongly they are written to.
OUTLIERS, STRONGER = 6, 12.0
SPREAD = 0.3

# Kind of a Linear, by its name: standard deviation times sqrt(inputs) at the first layer or block and at the last, and of its bias.
# Folding tensors have no trained example at hand: theirs keep every residual stream growing as evenly as the language model's.
LINEARS = [
    (r"attention\.self\.query", 3.0, 2.0, 0.25),
    (r"attention\.self\.key", 3.0, 1.8, 1.0),
    (r"attention\.self\.value", 1.3, 2.1, 0.03),
    (r"attention\.output\.dense", 1.0, 1.8, 0.1),
    (r"intermediate\.dense", 1.9, 1.9, 0.07),
    (r"layer\.\d+\.output\.dense", 2.0, 4.5, 0.07),
    (r"lm_head\.dense", 1.5, 1.5, 0.1),
    (r"seq_attention\.proj", 1.4, 1.4, 0.0),
    (r"(seq_attention\.g_proj|mha\.linear_g|linear_[ab]_g|tri_mul_\w+\.linear_g)", 1.0, 1.0, 0.5),
    (r"(seq_attention\.o_proj|mha\.linear_o)", 0.4, 0.8, 0.02),
    (r"mlp\.3", 1.0, 2.0, 0.05),
    (r"(sequence_to_pair\.o_proj|tri_mul_\w+\.linear_z)", 0.7, 1.2, 0.05),
    (r"(pair_to_sequence|tri_att_\w+)\.linear", 1.0, 1.0, 0.0),
    # They read a stream that has no norm before it.
    (r"(ptm_head|distogram_head|trunk\.trunk2sm_\w)", 0.25, 0.25, 0.1),
    (r"bb_update\.linear", 0.3, 0.3, 0.05),
    (r"ipa\.linear_out", 0.7, 0.7, 0.05),
    (r".", 1.2, 1.2, 0.1),
]
# Linears after a GELU or ReLU. Their rows sum to nearly nothing: else the activations' mean, the same for all residues, would drown what
# tells residues apart after some layers.
AFTER_ACTIVATIONS = re.compile(r"(layer\.\d+\.output\.dense|mlp_\w+\.mlp\.3|esm_s_mlp\.3)\.weight")
# What writes to a residual stream: its outputs are the stream's channels.
WRITERS = re.compile(
    r"(attention\.output\.dense|layer\.\d+\.output\.dense|word_embeddings|mlp_\w+\.mlp\.3|seq_attention\.o_proj"
    r"|sequence_to_pair\.o_proj|mha\.linear_o|tri_mul_\w+\.linear_z|esm_s_mlp\.3)")
# LayerNorms that read a residual stream.
READERS = re.compile(r"(LayerNorm|layernorm|layer_norm_in|tri_att_\w+\.layer_norm|mlp_\w+\.mlp\.0|emb_layer_norm_after|esm_s_mlp\.0)")
NORMS = re.compile(r"(norm|mlp\.0\.|esm_s_mlp\.0|lddt_head\.0)", re.IGNORECASE)
TABLES = {"word_embeddings": 0.14, "position_embeddings": 0.02, "embedding.weight": 0.3, "recycle_disto": 0.3}


class Values:
    """Values of a model's tensors by name: the same ones for a seed, whatever file they go to."""

    def __init__(self, model: Model, seed: int):
        self.model, self.seed = model, seed

    def of(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """f32 values of the tensor that transformers calls `name` (i64 of the tables of numbers)."""
        if name.endswith("position_ids"):
            return np.arange(POSITIONS, dtype=np.int64).reshape(shape)
        if name == "af2_to_esm":
            return np.array(AF2_TO_ESM, dtype=np.int64)
        if name.endswith("inv_freq"):
            return (10000.0 ** (-np.arange(shape[0]) / shape[0])).astype(np.float32)
        random = self.random(name)
        noise = random.standard_normal(shape, dtype=np.float32)
        if name == "esm_s_combine":
            return noise
        if name.endswith("head_weights"):
            # softplus gives about 1.
            return np.float32(0.54) + np.float32(0.3) * noise
        if "contact_head" in name:
            # Trained with an L1 penalty: most maps count for nothing.
            return np.where(np.abs(noise) > 1.5, noise, np.float32(0)) if name.endswith("weight") else np.full(shape, -4.8, np.float32)
        if len(shape) == 1 and NORMS.search(name):
            return self.norm(name, noise)
        table = next((scale for part, scale in TABLES.items() if part in name), None)
        if table is not None:
            return self.table(name, table * noise)
        return self.linear(name, noise, random)

    def random(self, name: str) -> np.random.Generator:
        digest = hashlib.sha256(f"{self.seed} {name}".encode()).digest()
        return np.random.Generator(np.random.SFC64(np.frombuffer(digest, np.uint32).tolist()))

    def depth(self, name: str) -> float:
        """0 in the first layer or block, 1 in the last."""
        found = re.search(r"(layer|blocks)\.(\d+)\.", name)
        if not found:
            return 1.0
        last = (self.model.layers if found[1] == "layer" else self.model.blocks) - 1
        return int(found[2]) / max(last, 1)

    def outliers(self, channels: int) -> np.ndarray:
        """The channels of a residual stream that are its outliers: the same in all layers."""
        return self.random(f"outliers of {channels}").choice(channels, OUTLIERS, replace=False)

    def norm(self, name: str, noise: np.ndarray) -> np.ndarray:
        if not name.endswith("weight"):
            return 0.1 * noise
        gains = 0.35 + 0.45 * self.depth(name) + 0.06 * noise
        if READERS.search(name):
            gains[self.outliers(len(gains))] *= 0.4
        return gains

    def table(self, name: str, values: np.ndarray) -> np.ndarray:
        if WRITERS.search(name):
            values[:, self.outliers(values.shape[1])] *= 4
        if name.endswith("word_embeddings.weight"):
            values[1] = 0  # <pad>
        if name == "embedding.weight":
            values[0] = 0
        return values

    def linear(self, name: str, noise: np.ndarray, random: np.random.Generator) -> np.ndarray:
        first, last, bias = next((row[1:] for row in LINEARS if re.search(row[0], name)))
        outlying = self.outliers(noise.shape[0]) if WRITERS.search(name) else []
        if noise.ndim == 1:
            noise *= np.float32(bias)
            noise[outlying] *= STRONGER
            if "g_proj" in name or "linear_g" in name or name.endswith(("_a_g.bias", "_b_g.bias")):
                noise += 1  # gates are more open than shut
            return noise
        outputs, inputs = noise.shape
        scale = (first + (last - first) * self.depth(name)) / inputs**0.5
        # Lognormal factors of mean square 1.
        rows = np.exp(SPREAD * random.standard_normal(outputs, dtype=np.float32) - SPREAD**2)
        columns = np.exp(SPREAD * random.standard_normal(inputs, dtype=np.float32) - SPREAD**2)
        # Not in each layer: each outlier channel has a few that write to it.
        rows[[channel for channel in outlying if random.random() < 0.25]] *= STRONGER
        noise *= (np.float32(scale) * rows)[:, None]
        noise *= columns
        if AFTER_ACTIVATIONS.search(name):
            noise -= noise.mean(axis=1, keepdims=True)
        return noise

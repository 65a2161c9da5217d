"""The published models: their configurations, and every tensor with the name and shape that transformers gives it."""

from dataclasses import dataclass

VOCAB = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO", ".", "-", "<null_1>", "<mask>"]
POSITIONS = 1026
# AlphaFold's 20 amino acids, X and a mask, after the padding; their numbers in ESM's alphabet.
RESIDUES = 23
AF2_TO_ESM = [1] + [VOCAB.index(residue) for residue in "ARNDCQEGHILKMFPSTWYVX"]


@dataclass(frozen=True)
class Model:
    """A published model, or the first layers and blocks of one."""

    hub: str  # its name on the hub
    fair_esm: str  # its size and data in fair-esm's file names
    layers: int
    width: int
    heads: int
    blocks: int  # of the folding trunk; 0: a language model alone

    @property
    def folds(self) -> bool:
        return self.blocks > 0


MODELS = {
    "esm2-650m": Model("facebook/esm2_t33_650M_UR50D", "650M_UR50D", 33, 1280, 20, 0),
    "esm2-3b": Model("facebook/esm2_t36_3B_UR50D", "3B_UR50D", 36, 2560, 40, 0),
    "esmfold-v1": Model("facebook/esmfold_v1", "3B_UR50D", 36, 2560, 40, 48),
}

SEQUENCE, PAIR, HEAD = 1024, 128, 32
DISTANCE_BINS, POSITION_BINS, PAIR_BINS, ATOMS, PLDDT_BINS = 15, 32, 64, 37, 50
STRUCTURE = dict(
    sequence_dim=384, pairwise_dim=128, ipa_dim=16, resnet_dim=128, num_heads_ipa=12, num_qk_points=4, num_v_points=8,
    dropout_rate=0.1, num_blocks=8, num_transition_layers=1, num_resnet_blocks=2, num_angles=7, trans_scale_factor=10,
    epsilon=1e-8, inf=1e5)
PLDDT_WIDTH = 128


def config(model: Model, dtype: str) -> dict:
    """config.json as it is published."""
    fold = dict(
        esm_type="esm2_3B", fp16_esm=True, use_esm_attn_map=False, esm_ablate_pairwise=False, esm_ablate_sequence=False,
        esm_input_dropout=0, embed_aa=True, bypass_lm=False, lddt_head_hid_dim=PLDDT_WIDTH,
        trunk=dict(
            num_blocks=model.blocks, sequence_state_dim=SEQUENCE, pairwise_state_dim=PAIR, sequence_head_width=HEAD,
            pairwise_head_width=HEAD, position_bins=POSITION_BINS, dropout=0, layer_drop=0, cpu_grad_checkpoint=False,
            max_recycles=4, chunk_size=None, structure_module=STRUCTURE))
    return dict(
        _name_or_path=model.hub, architectures=["EsmForProteinFolding" if model.folds else "EsmForMaskedLM"],
        attention_probs_dropout_prob=0.0, classifier_dropout=None, emb_layer_norm_before=False,
        esmfold_config=fold if model.folds else None, hidden_act="gelu", hidden_dropout_prob=0.0,
        hidden_size=model.width, initializer_range=0.02, intermediate_size=4 * model.width,
        is_folding_model=model.folds, layer_norm_eps=1e-5, mask_token_id=32, max_position_embeddings=POSITIONS,
        model_type="esm", num_attention_heads=model.heads, num_hidden_layers=model.layers, pad_token_id=1,
        position_embedding_type="rotary", token_dropout=True, torch_dtype="float32" if model.folds else dtype,
        transformers_version="4.24.0", use_cache=True, vocab_list=VOCAB if model.folds else None, vocab_size=len(VOCAB))


def linear(name: str, outputs: int, inputs: int, bias: bool = True):
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)


def norm(name: str, channels: int):
    yield f"{name}.weight", (channels,)
    yield f"{name}.bias", (channels,)


def language_model(model: Model):
    """Tensors of `EsmModel`, without a prefix."""
    width = model.width
    yield "embeddings.word_embeddings.weight", (len(VOCAB), width)
    if not model.folds:
        # Published, and used by no ESM-2.
        yield "embeddings.position_embeddings.weight", (POSITIONS, width)
        yield "embeddings.position_ids", (1, POSITIONS)
    for i in range(model.layers):
        layer = f"encoder.layer.{i}"
        for projection in ("query", "key", "value"):
            yield from linear(f"{layer}.attention.self.{projection}", width, width)
        yield f"{layer}.attention.self.rotary_embeddings.inv_freq", (width // model.heads // 2,)
        yield from linear(f"{layer}.attention.output.dense", width, width)
        yield from norm(f"{layer}.attention.LayerNorm", width)
        yield from linear(f"{layer}.intermediate.dense", 4 * width, width)
        yield from linear(f"{layer}.output.dense", width, 4 * width)
        yield from norm(f"{layer}.LayerNorm", width)
    yield from norm("encoder.emb_layer_norm_after", width)
    yield from linear("contact_head.regression", 1, model.layers * model.heads)


def token_head(model: Model):
    """Tensors of the head that predicts tokens; its decoder is the embedding."""
    yield "lm_head.bias", (len(VOCAB),)
    yield from linear("lm_head.dense", model.width, model.width)
    yield from norm("lm_head.layer_norm", model.width)


def block(name: str):
    """Tensors of a block of the trunk."""
    heads = SEQUENCE // HEAD
    yield from norm(f"{name}.layernorm_1", SEQUENCE)
    yield from norm(f"{name}.sequence_to_pair.layernorm", SEQUENCE)
    yield from linear(f"{name}.sequence_to_pair.proj", PAIR, SEQUENCE)
    yield from linear(f"{name}.sequence_to_pair.o_proj", PAIR, PAIR)
    yield from norm(f"{name}.pair_to_sequence.layernorm", PAIR)
    yield from linear(f"{name}.pair_to_sequence.linear", heads, PAIR, bias=False)
    yield from linear(f"{name}.seq_attention.proj", 3 * SEQUENCE, SEQUENCE, bias=False)
    yield from linear(f"{name}.seq_attention.o_proj", SEQUENCE, SEQUENCE)
    yield from linear(f"{name}.seq_attention.g_proj", SEQUENCE, SEQUENCE)
    for side in ("tri_mul_out", "tri_mul_in"):
        for part in ("a_p", "a_g", "b_p", "b_g", "g", "z"):
            yield from linear(f"{name}.{side}.linear_{part}", PAIR, PAIR)
        yield from norm(f"{name}.{side}.layer_norm_in", PAIR)
        yield from norm(f"{name}.{side}.layer_norm_out", PAIR)
    for side in ("tri_att_start", "tri_att_end"):
        yield from norm(f"{name}.{side}.layer_norm", PAIR)
        yield from linear(f"{name}.{side}.linear", PAIR // HEAD, PAIR, bias=False)
        for part in "qkv":
            yield from linear(f"{name}.{side}.mha.linear_{part}", PAIR, PAIR, bias=False)
        for part in "og":
            yield from linear(f"{name}.{side}.mha.linear_{part}", PAIR, PAIR)
    for side, width in (("mlp_seq", SEQUENCE), ("mlp_pair", PAIR)):
        yield from norm(f"{name}.{side}.mlp.0", width)
        yield from linear(f"{name}.{side}.mlp.1", 4 * width, width)
        yield from linear(f"{name}.{side}.mlp.3", width, 4 * width)


def structure_module(name: str):
    """Tensors of the structure module, which its iterations share."""
    width, pair, heads, head = (STRUCTURE[key] for key in ("sequence_dim", "pairwise_dim", "num_heads_ipa", "ipa_dim"))
    queries, values, resnet = (STRUCTURE[key] for key in ("num_qk_points", "num_v_points", "resnet_dim"))
    yield from norm(f"{name}.layer_norm_s", width)
    yield from norm(f"{name}.layer_norm_z", pair)
    yield from linear(f"{name}.linear_in", width, width)
    yield f"{name}.ipa.head_weights", (heads,)
    yield from linear(f"{name}.ipa.linear_q", heads * head, width)
    yield from linear(f"{name}.ipa.linear_kv", 2 * heads * head, width)
    yield from linear(f"{name}.ipa.linear_q_points", 3 * heads * queries, width)
    yield from linear(f"{name}.ipa.linear_kv_points", 3 * heads * (queries + values), width)
    yield from linear(f"{name}.ipa.linear_b", heads, pair)
    yield from linear(f"{name}.ipa.linear_out", width, heads * (head + 4 * values + pair))
    yield from norm(f"{name}.layer_norm_ipa", width)
    for i in range(STRUCTURE["num_transition_layers"]):
        for part in (1, 2, 3):
            yield from linear(f"{name}.transition.layers.{i}.linear_{part}", width, width)
    yield from norm(f"{name}.transition.layer_norm", width)
    yield from linear(f"{name}.bb_update.linear", 6, width)
    yield from linear(f"{name}.angle_resnet.linear_in", resnet, width)
    yield from linear(f"{name}.angle_resnet.linear_initial", resnet, width)
    for i in range(STRUCTURE["num_resnet_blocks"]):
        yield from linear(f"{name}.angle_resnet.layers.{i}.linear_1", resnet, resnet)
        yield from linear(f"{name}.angle_resnet.layers.{i}.linear_2", resnet, resnet)
    yield from linear(f"{name}.angle_resnet.linear_out", 2 * STRUCTURE["num_angles"], resnet)


def folding_model(model: Model):
    """Tensors of `EsmForProteinFolding` without its language model."""
    structure, pair = STRUCTURE["sequence_dim"], STRUCTURE["pairwise_dim"]
    yield "esm_s_combine", (model.layers + 1,)
    yield "af2_to_esm", (len(AF2_TO_ESM),)
    yield from norm("esm_s_mlp.0", model.width)
    yield from linear("esm_s_mlp.1", SEQUENCE, model.width)
    yield from linear("esm_s_mlp.3", SEQUENCE, SEQUENCE)
    yield "embedding.weight", (RESIDUES, SEQUENCE)
    yield "trunk.pairwise_positional_embedding.embedding.weight", (2 * POSITION_BINS + 2, PAIR)
    for i in range(model.blocks):
        yield from block(f"trunk.blocks.{i}")
    yield from norm("trunk.recycle_s_norm", SEQUENCE)
    yield from norm("trunk.recycle_z_norm", PAIR)
    yield "trunk.recycle_disto.weight", (DISTANCE_BINS, PAIR)
    yield from structure_module("trunk.structure_module")
    yield from linear("trunk.trunk2sm_s", structure, SEQUENCE)
    yield from linear("trunk.trunk2sm_z", pair, PAIR)
    yield from linear("distogram_head", PAIR_BINS, PAIR)
    yield from linear("ptm_head", PAIR_BINS, PAIR)
    yield from linear("lm_head", RESIDUES, SEQUENCE)
    yield from norm("lddt_head.0", structure)
    yield from linear("lddt_head.1", PLDDT_WIDTH, structure)
    yield from linear("lddt_head.2", PLDDT_WIDTH, PLDDT_WIDTH)
    yield from linear("lddt_head.3", ATOMS * PLDDT_BINS, PLDDT_WIDTH)

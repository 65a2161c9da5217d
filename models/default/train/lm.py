"""ESM-2's forward pass over transformers' modules with few kernels, and batches of masked sequences."""
import io
import lzma

import numpy as np
import torch
import torch.nn.functional as F


def rotary(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def layer(m, x, bias, cos, sin, pair, w):
    """One layer over x [B, T, C]. pair: None, or which pairs of residues count [B, 1, T - 2, T - 2]; then w [H] weighs the heads' attention
    maps. -> x, the layer's share of the contact logits (None without pair). A function of its own, so that it compiles once for all layers."""
    B, T, C = x.shape
    att = m.attention
    own = getattr(att, "self")
    H, D = own.num_attention_heads, C // own.num_attention_heads
    W = torch.cat([own.query.weight, own.key.weight, own.value.weight])
    b = torch.cat([own.query.bias, own.key.bias, own.value.bias])
    q, k, v = F.linear(att.LayerNorm(x), W, b).view(B, T, 3, H, D).permute(2, 0, 3, 1, 4).unbind(0)
    q, k = rotary(q, cos, sin).to(v.dtype), rotary(k, cos, sin).to(v.dtype)
    logits = None
    if pair is None:
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(v.dtype).expand(B, H, T, T))
    else:
        a = (q @ k.transpose(-1, -2) * D ** -0.5 + bias).softmax(-1).to(v.dtype)
        o = a @ v
        # a + a^T less the average product correction, weighted over the heads; only the sum over heads is transposed
        a, w = torch.where(pair, a[:, :, 1:-1, 1:-1].float(), 0.0), w.float().view(1, H, 1, 1)
        r = a.sum(-1) + a.sum(-2)
        u = (w * (a - 0.5 * r[..., None] * r[:, :, None] / (r.sum(-1)[..., None, None] + 1e-6))).sum(1)
        logits = u + u.transpose(-1, -2)
    x = x + att.output.dense(o.transpose(1, 2).reshape(B, T, C))
    return x + m.output.dense(F.gelu(m.intermediate.dense(m.LayerNorm(x)))), logits


def forward(esm, ids, contact=None, run_layer=layer):
    """esm: EsmModel; ids int64 [B, T] with <cls>, <eos> and trailing <pad>. -> hidden states, list of layers + 1 of [B, T, C]; the last one
    is after the final LayerNorm. contact: None or a contact head; then also contact logits [B, T - 2, T - 2] (rows without <cls>).
    run_layer: `layer`, perhaps compiled."""
    cfg = esm.config
    B, T = ids.shape
    D = cfg.hidden_size // cfg.num_attention_heads
    keep = ids != cfg.pad_token_id
    table = esm.embeddings.word_embeddings.weight
    x = (F.one_hot(ids, len(table)).to(table.dtype) @ table).float()        # a product: its gradient is one too
    if cfg.token_dropout:
        masked = ids == cfg.mask_token_id
        x = x.masked_fill(masked[..., None], 0.0)
        x = x * (0.88 / (1 - masked.sum(1).float() / keep.sum(1)))[:, None, None]
    x = x * keep[..., None]
    f = torch.arange(T, device=ids.device)[:, None].float() / 10000 ** (torch.arange(0, D, 2, device=ids.device).float() / D)
    cos, sin = torch.cat([f, f], -1).cos(), torch.cat([f, f], -1).sin()
    bias = torch.where(keep, 0.0, -30000.0)[:, None, None]
    hidden, logits, pair, w = [x], None, None, None
    if contact is not None:
        res = keep & (ids != 2) & (ids != 0)
        w = contact.regression.weight.view(len(esm.encoder.layer), cfg.num_attention_heads)
        pair = (res[:, 1:-1, None] & res[:, None, 1:-1])[:, None]
        logits = contact.regression.bias.float().view(1, 1, 1)
    for i, m in enumerate(esm.encoder.layer):
        x, part = run_layer(m, x, bias, cos, sin, pair, None if w is None else w[i])
        logits = logits if part is None else logits + part
        hidden.append(x)
    hidden[-1] = esm.encoder.emb_layer_norm_after(x)
    return (hidden, logits) if contact is not None else hidden


def token_logits(esm, head, x):
    """Last hidden states -> logits over the vocabulary; the decoder shares its weight with the embeddings."""
    return F.linear(head.layer_norm(F.gelu(head.dense(x))), esm.embeddings.word_embeddings.weight) + head.bias


def masked_loss(esm, head, batch, run_layer=layer):
    ids, labels = batch
    logits = token_logits(esm, head, forward(esm, ids, None, run_layer)[-1]).float()
    per = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum")
    return per / (labels >= 0).sum()


class Sequences:
    """DIR/tokens.bin.xz (uint8 ESM vocabulary ids) and DIR/lengths.npy (uint16), on the GPU. One in 200 sequences is held out."""

    def __init__(self, folder, dev, crop=254):
        tokens = np.frombuffer(lzma.open(folder + "/tokens.bin.xz").read(), np.uint8).copy()
        lens = np.load(folder + "/lengths.npy").astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(lens)])
        keep = starts[1:] <= len(tokens)            # a shortened tokens file is allowed (timing)
        lens, starts = lens[keep], starts[:keep.sum() + 1]
        self.dev, self.crop, self.n = dev, crop, len(lens)
        self.tokens = torch.from_numpy(tokens).to(dev)
        self.start, self.len = torch.from_numpy(starts).to(dev), torch.from_numpy(lens).to(dev)
        w = np.minimum(lens, 1024).astype(np.float64)
        held = np.arange(len(lens)) % 200 == 0
        self.train, self.test = (torch.from_numpy(np.cumsum(np.where(h, w, 0))).to(dev) for h in (~held, held))

    def batch(self, b, test=False):
        """-> ids with 15% of the residues chosen (80% <mask>, 10% another residue, 10% kept), labels (-100 where not chosen); [b, crop + 2]."""
        dev, cum = self.dev, self.test if test else self.train
        i = torch.searchsorted(cum, torch.rand(b, device=dev, dtype=torch.float64) * cum[-1]).clamp(max=self.n - 1)
        L = self.len[i]
        c = L.clamp(max=self.crop)
        off = (torch.rand(b, device=dev) * (L - c + 1)).long()
        pos = torch.arange(self.crop + 2, device=dev)[None]
        ids = self.tokens[((self.start[i] + off)[:, None] + pos - 1).clamp(0, len(self.tokens) - 1)].long()
        ids = torch.where(pos == 0, 0, ids)
        ids = torch.where(pos == c[:, None] + 1, 2, ids)
        ids = torch.where(pos > c[:, None] + 1, 1, ids)
        pick = (torch.rand(ids.shape, device=dev) < 0.15) & (ids > 2)
        r = torch.rand(ids.shape, device=dev)
        other = (torch.rand(ids.shape, device=dev) * 20).long() + 4
        inp = torch.where(pick & (r < 0.8), 32, torch.where(pick & (r < 0.9), other, ids))
        return inp, torch.where(pick, ids, -100)


def is_matrix(name, p):
    """Matrices inside layers: Muon's. Embeddings and heads are AdamW's."""
    return p.ndim == 2 and ".layer." in name


def load(path):
    """A checkpoint: .pt, .pt.xz; 8-bit entries (int8 values, fp16 row scales) become float32."""
    raw = lzma.open(path).read() if path.endswith(".xz") else open(path, "rb").read()
    sd = torch.load(io.BytesIO(raw), map_location="cpu")
    return {k: v[0].float() * v[1].float() if isinstance(v, tuple) else v.float() for k, v in sd.items()}


def pack(sd):
    """Matrices as int8 with one scale a row: a quarter of the size, to resume a training run from."""
    def one(v):
        if v.ndim != 2 or v.numel() < 4096:
            return v.half()
        s = v.float().abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
        return (v.float() / s).round().to(torch.int8), s.half()
    return {k: one(v) for k, v in sd.items()}

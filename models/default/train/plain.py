"""The operations on the pair representation z [B, L, L, C], each with its residual connection, in PyTorch: what fused.py computes.
Parameters are tensors in the order weight, bias of each layer; mask [B, L] is 1 where there is a residue."""
import torch
import torch.nn.functional as F


def norm(x, w, b):
    return F.layer_norm(x.float(), (x.shape[-1],), w, b)


def transition(z, nw, nb, w1, b1, w2, b2):
    return z + F.linear(F.linear(norm(z, nw, nb), w1, b1).relu(), w2, b2).to(z.dtype)


def multiplication(z, mask, outgoing, nw, nb, wap, bap, wag, bag, wbp, bbp, wbg, bbg, ow, ob, wz, bz, wg, bg):
    x = norm(z, nw, nb)
    pair = (mask[:, :, None] * mask[:, None])[..., None]
    a, b = ((F.linear(x, p, c) * F.linear(x, g, d).sigmoid() * pair).permute(0, 3, 1, 2) for p, c, g, d in
            ((wap, bap, wag, bag), (wbp, bbp, wbg, bbg)))
    t = (a @ b.mT if outgoing else a.mT @ b).permute(0, 2, 3, 1)
    return z + (F.linear(norm(t, ow, ob), wz, bz) * F.linear(x, wg, bg).sigmoid()).to(z.dtype)


def attention(z, mask, ending, nw, nb, wb, wq, wk, wv, wo, bo, wg, bg):
    (B, L, _, C), H = z.shape, len(wb)
    x = norm(z, nw, nb)
    if ending:
        x = x.transpose(1, 2)
    q, k, v = (F.linear(x, w).view(B, L, L, H, C // H).transpose(2, 3) for w in (wq, wk, wv))
    hidden = torch.where(mask > 0, 0.0, -30000.0)[:, None, None]
    a = (q @ k.mT * (C // H) ** -0.5 + (F.linear(x, wb).permute(0, 3, 1, 2) + hidden)[:, None]).softmax(-1).to(v.dtype)
    o = F.linear((a @ v).transpose(2, 3).flatten(3) * F.linear(x, wg, bg).sigmoid(), wo, bo)
    return z + (o.transpose(1, 2) if ending else o).to(z.dtype)


def bias(z, nw, nb, w):
    """-> the sequence track's attention bias [B, H, L, L], and z."""
    return F.linear(norm(z, nw, nb), w).permute(0, 3, 1, 2), z


def outer(z, qk, w, b):
    """qk [B, L, 2 D] of the sequence track: q of a pair's second residue, k of its first."""
    q, k = qk.chunk(2, -1)
    q, k = q[:, None], k[:, :, None]
    return z + F.linear(torch.cat([q * k, q - k], -1), w, b).to(z.dtype)


def cross_entropy(z, target, weight, symmetric, w, b):
    """The sum over pairs of weight * cross-entropy of the logits W z + b (symmetric: of their mean with the mirrored pair's; then target and weight
    are symmetric too)."""
    y = F.linear(z.float(), w, b)
    y = (y + y.transpose(1, 2)) / 2 if symmetric else y
    return (F.cross_entropy(y.permute(0, 3, 1, 2), target.long(), reduction="none") * weight).sum()

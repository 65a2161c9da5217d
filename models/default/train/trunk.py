"""The forward pass of transformers' EsmForProteinFolding over the same parameters with few kernels, for training (`python check.py` compares)."""
import math

import torch
import torch.nn.functional as F

import plain

if torch.cuda.is_available():
    import fused


def operations(z):
    """The operations on the pair representation z where it lies."""
    return fused if z.is_cuda else plain


def tensors(*layers):
    """The weights and biases of layers, in this order."""
    return [x for m in layers for x in (m.weight, m.bias) if x is not None]


def norm(m, x):
    return F.layer_norm(x.float(), (x.shape[-1],), m.weight, m.bias, m.eps)


def sequence_update(b, s, bias, mask):
    """The sequence track of a block. s [B, L, c_s], bias [B, H, L, L] of the pairs -> s, and what the pairs get: [B, L, c_z]."""
    B, L, C = s.shape
    hidden = torch.where(mask > 0, 0.0, -30000.0)[:, None, None]
    m = b.seq_attention
    y = norm(b.layernorm_1, s)
    q, k, v = m.proj(y).view(B, L, m.num_heads, 3, -1).permute(3, 0, 2, 1, 4).unbind(0)
    a = (q @ k.transpose(-1, -2) * m.rescale_factor + bias + hidden).softmax(-1).to(v.dtype)
    s = s + m.o_proj(m.g_proj(y).sigmoid() * (a @ v).transpose(1, 2).reshape(B, L, C))
    s = s + b.mlp_seq.mlp[3](b.mlp_seq.mlp[1](norm(b.mlp_seq.mlp[0], s)).relu())
    p = b.sequence_to_pair
    return s, p.proj(norm(p.layernorm, s))


def block(b, s, z, mask, run_sequence=sequence_update):
    """One trunk block. s [B, L, c_s], z [B, L, L, c_z], mask float [B, L]; run_sequence: `sequence_update`, perhaps compiled."""
    pairs = operations(z)
    bias, z = pairs.bias(z, *tensors(b.pair_to_sequence.layernorm, b.pair_to_sequence.linear))
    s, qk = run_sequence(b, s, bias, mask)
    z = pairs.outer(z, qk, *tensors(b.sequence_to_pair.o_proj))
    for m, outgoing in ((b.tri_mul_out, True), (b.tri_mul_in, False)):
        z = pairs.multiplication(z, mask, outgoing, *tensors(m.layer_norm_in, m.linear_a_p, m.linear_a_g, m.linear_b_p, m.linear_b_g,
                                                             m.layer_norm_out, m.linear_z, m.linear_g))
    for m, ending in ((b.tri_att_start, False), (b.tri_att_end, True)):
        A = m.mha
        z = pairs.attention(z, mask, ending, *tensors(m.layer_norm, m.linear, A.linear_q, A.linear_k, A.linear_v, A.linear_o, A.linear_g))
    m = b.mlp_pair.mlp
    return s, pairs.transition(z, *tensors(m[0], m[1], m[3]))


def turn(R, x):
    return (R * x[..., None, :]).sum(-1)


def product(A, B):
    return (A[..., :, :, None] * B[..., None, :, :]).sum(-2)


def rotation(q):
    """Unit quaternion (w, x, y, z) -> matrix."""
    w, x, y, z = q.unbind(-1)
    return torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1).view(*q.shape[:-1], 3, 3)


def point_attention(m, s, z, R, t, bias):
    """Invariant point attention; bias [B, H, L, L]: of the pairs and the mask, the same in all iterations. Squared point distances as
    |q|^2 + |k|^2 - 2 q.k: one matrix product per head."""
    B, L, H, C, Pq, Pv = *s.shape[:2], m.num_heads, m.hidden_dim, m.num_qk_points, m.num_v_points
    q = m.linear_q(s).view(B, L, H, C)
    k, v = m.linear_kv(s).view(B, L, H, 2 * C).split(C, -1)

    def place(x):
        return turn(R[:, :, None], torch.stack(x.chunk(3, -1), -1)) + t[:, :, None]
    qp = place(m.linear_q_points(s)).view(B, L, H, Pq, 3)
    kp, vp = place(m.linear_kv_points(s)).view(B, L, H, Pq + Pv, 3).split([Pq, Pv], 3)
    hw = F.softplus(m.head_weights) * math.sqrt(1 / (3 * (Pq * 9.0 / 2)))
    a = torch.einsum("bihc,bjhc->bhij", q, k) * math.sqrt(1 / (3 * C))
    center = t.mean(1)[:, None, None, None]
    qc, kc = qp - center, kp - center
    qk = torch.einsum("bihp,bjhp->bhij", qc.flatten(3), kc.flatten(3))
    d2 = qc.square().sum((3, 4)).transpose(1, 2)[..., None] + kc.square().sum((3, 4)).transpose(1, 2)[:, :, None] - 2 * qk
    a = (a - 0.5 * hw[:, None, None] * d2 + bias).softmax(-1)
    o = torch.einsum("bhij,bjhc->bihc", a, v).flatten(2)
    op = torch.einsum("bhij,bjhx->bihx", a, vp.flatten(3)).view(B, L, H, Pv, 3) - t[:, :, None, None]
    op = turn(R.transpose(-1, -2)[:, :, None, None], op).flatten(2, 3)
    n = (op.square().sum(-1) + m.config.epsilon).sqrt()
    oz = torch.einsum("bhij,bijc->bihc", a.to(z.dtype), z).float().flatten(2)
    return m.linear_out(torch.cat([o, *op.unbind(-1), n, oz], -1))


def structure_step(sm, s, z, q, t, bias, lit):
    """-> state, rotation (quaternion) and translation, and the backbone N, CA, C [B, L, 3, 3] from its ideal positions lit."""
    R = rotation(q)
    s = sm.transition(sm.layer_norm_ipa(s + point_attention(sm.ipa, s, z, R, t, bias)))
    u = sm.bb_update(s)
    w, x, y, k = q.unbind(-1)
    a, b, c = u[..., :3].unbind(-1)
    dq = torch.stack([-x * a - y * b - k * c, w * a + y * c - k * b, w * b + k * a - x * c, w * c + x * b - y * a], -1)
    q, t = F.normalize(q + dq, dim=-1), t + turn(R, u[..., 3:])
    return s, q, t, turn(rotation(q)[:, :, None], lit) + 10 * t[:, :, None]


def atom14(sm, s, s0, q, t, aa):
    """-> positions [B, L, 14, 3], unnormalised angles."""
    unnormalised, angles = sm.angle_resnet(s, s0)
    D = sm.default_frames[aa]
    Dr, Dt = D[..., :3, :3], D[..., :3, 3]
    identity = torch.zeros_like(angles[:, :, :1]) + torch.arange(2, device=q.device)
    s, c = torch.cat([identity, angles], 2).unbind(-1)
    o, one = torch.zeros_like(s), torch.ones_like(s)
    Rf = product(Dr, torch.stack([one, o, o, o, c, -s, o, s, c], -1).view(*s.shape, 3, 3))
    R, T = [Rf[:, :, i] for i in range(5)], [Dt[:, :, i] for i in range(5)]
    for i in (5, 6, 7):
        T.append(turn(R[-1], Dt[:, :, i]) + T[-1])
        R.append(product(R[-1], Rf[:, :, i]))
    R0 = rotation(q)[:, :, None]
    T, R = turn(R0, torch.stack(T, 2)) + 10 * t[:, :, None], product(R0, torch.stack(R, 2))
    pick = F.one_hot(sm.group_idx[aa], 8).to(R.dtype)                       # [B, L, 14, 8]; a product, for a fast gradient
    Ra, Ta = torch.einsum("blag,blgx->blax", pick, R.flatten(3)).unflatten(-1, (3, 3)), torch.einsum("blag,blgx->blax", pick, T)
    return (turn(Ra, sm.lit_positions[aa]) + Ta) * sm.atom_mask[aa][..., None], unnormalised


def structure(sm, s, z, bias, aa, mask):
    """s, z, bias: structure_input. -> backbone N, CA, C [B, L, 3, 3] of each iteration; atom14, unnormalised angles and states of the last."""
    s0, s = s, sm.linear_in(s)
    B, L = aa.shape
    q = torch.zeros(B, L, 4, device=s.device) + (torch.arange(4, device=s.device) == 0)
    t = torch.zeros(B, L, 3, device=s.device)
    lit, bb = sm.lit_positions[aa][:, :, :3], []
    for _ in range(sm.config.num_blocks):
        s, q, t, backbone = structure_step(sm, s, z, q.detach(), t, bias, lit)
        bb.append(backbone)
    return bb, *atom14(sm, s, s0, q, t, aa), s


def distance_bins(bb):
    """The recycled distogram: bins of CB distances of backbone N, CA, C [B, L, 3, 3]."""
    N, CA, C = bb.unbind(2)
    b, c = CA - N, C - CA
    CB = -0.58273431 * torch.linalg.cross(b, c, dim=-1) + 0.56802827 * b - 0.54067466 * c + CA
    edges = torch.linspace(3.375, 21.375, 14, device=bb.device).square()
    return ((CB[:, None] - CB[:, :, None]).square().sum(-1, keepdim=True) > edges).sum(-1)


def start(model, hidden, aa):
    """The trunk's single input from the language model's hidden states (list of [B, L + 2.., C]): [B, L, c_s]."""
    w, L = model.esm_s_combine.softmax(0), aa.shape[1]
    es = sum(w[i] * h[:, 1:L + 1].float() for i, h in enumerate(hidden))
    return model.esm_s_mlp(es).float() + look_up(model.embedding.weight, aa)


def look_up(table, i):
    """table[i] as a product with one-hot rows: its gradient is a product too, where indexing adds up rows one by one (450 ms a step)."""
    return F.one_hot(i, len(table)).to(table.dtype) @ table


def pair_input(T, rz, bins, res, mask):
    """Relative positions (row 0 for masked pairs), the recycled pair representation and the recycled distogram: [B, L, L, c_z]."""
    k = T.pairwise_positional_embedding.bins
    rel = ((res[:, None] - res[:, :, None]).clamp(-k, k) + k + 1) * (mask[:, :, None] * mask[:, None]).long()
    both = torch.cat([F.one_hot(rel, 2 * k + 2), F.one_hot(bins, T.recycle_bins)], -1).to(rz.dtype)
    table = torch.cat([T.pairwise_positional_embedding.embedding.weight, T.recycle_disto.weight])
    return (both @ table.to(rz.dtype) + norm(T.recycle_z_norm, rz)).to(rz.dtype)


def structure_input(T, s, z, mask):
    """-> the structure module's s, z, and the pairs' and the mask's part of the attention logits [B, H, L, L]."""
    sm = T.structure_module

    def linear(m, x):                               # autocast is off here
        return F.linear(x, m.weight.to(x.dtype), m.bias.to(x.dtype))
    z = norm(sm.layer_norm_z, linear(T.trunk2sm_z, z)).to(z.dtype)
    bias = math.sqrt(1 / 3) * linear(sm.ipa.linear_b, z).float().permute(0, 3, 1, 2)
    return norm(sm.layer_norm_s, T.trunk2sm_s(s.float())), z, bias + 1e5 * (mask[:, :, None] * mask[:, None] - 1)[:, None]


def trunk_pass(model, s0, rs, rz, bins, res, aa, mask, run_sequence=sequence_update):
    T = model.trunk
    s, z = s0 + T.recycle_s_norm(rs), pair_input(T, rz, bins, res, mask)
    for b in T.blocks:
        s, z = block(b, s, z, mask, run_sequence)
    with torch.autocast(s.device.type, enabled=False):
        r = structure(T.structure_module, *structure_input(T, s, z, mask), aa, mask)
    return s, z, r


def heads(model, z):
    """Logits of the distogram and of the predicted aligned error."""
    with torch.autocast(z.device.type, enabled=False):
        d = model.distogram_head(z.float())
        return (d + d.transpose(1, 2)) / 2, model.ptm_head(z.float())

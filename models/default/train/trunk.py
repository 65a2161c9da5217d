"""The forward pass of transformers' EsmForProteinFolding over the same parameters with few kernels, for training (`python check.py` compares)."""
import math

import torch
import torch.nn.functional as F

import triangle


def joined(*layers):
    """Several linear layers over one input as one weight and bias."""
    return torch.cat([m.weight for m in layers]), torch.cat([m.bias for m in layers])


def norm(m, x):
    return F.layer_norm(x.float(), (x.shape[-1],), m.weight, m.bias, m.eps)


def triangle_multiplication(m, z, pair, outgoing):
    """-> the update [B, L, L, C]. Between the projections and the last product channels come first: matrix products change the layout for
    nothing, pointwise kernels do not (mixing layouts in one of them made the backward pass 20 ms slower)."""
    B, L, _, C = z.shape
    x = norm(m.layer_norm_in, z)
    W, b = joined(m.linear_a_p, m.linear_a_g, m.linear_b_p, m.linear_b_g)
    y = (W @ x.view(B, L * L, C).transpose(1, 2) + b[:, None]).view(B, 4, C, L, L)
    pair = pair[:, None, :, :, 0]
    a, b = y[:, 0] * y[:, 1].sigmoid() * pair, y[:, 2] * y[:, 3].sigmoid() * pair
    t = (a @ b.transpose(2, 3) if outgoing else a.transpose(2, 3) @ b).float()
    mean = t.mean(1, keepdim=True)
    t = (t - mean) * ((t - mean).square().mean(1, keepdim=True) + m.layer_norm_out.eps).rsqrt()
    t = t * m.layer_norm_out.weight[:, None, None] + m.layer_norm_out.bias[:, None, None]
    o = (m.linear_z.weight @ t.view(B, C, L * L)).transpose(1, 2).view(B, L, L, C) + m.linear_z.bias
    return o * m.linear_g(x).sigmoid()


def triangle_attention(m, z, key_bias, ending):
    B, L, _, C = z.shape
    H, A = m.no_heads, m.mha
    x = norm(m.layer_norm, z)
    qkv = F.linear(x, torch.cat([A.linear_q.weight, A.linear_k.weight, A.linear_v.weight])).view(B, L, L, 3, H, C // H)
    g = A.linear_g(x)
    bias = m.linear(x)
    bias = bias.permute(0, 3, 2, 1) if ending else bias.permute(0, 3, 1, 2)
    o = triangle.attention(qkv, (bias + key_bias).to(qkv.dtype), ending)
    return A.linear_o(o.flatten(3) * g.sigmoid())


def block(b, s, z, mask):
    """One trunk block. s [B, L, c_s], z [B, L, L, c_z], mask float [B, L]."""
    B, L, C = s.shape
    key_bias = torch.where(mask > 0, 0.0, -30000.0)[:, None, None]
    pair = (mask[:, :, None] * mask[:, None])[..., None].to(z.dtype)
    m = b.seq_attention
    y = norm(b.layernorm_1, s)
    q, k, v = m.proj(y).view(B, L, m.num_heads, 3, -1).permute(3, 0, 2, 1, 4).unbind(0)
    bias = b.pair_to_sequence.linear(norm(b.pair_to_sequence.layernorm, z)).permute(0, 3, 1, 2)
    a = (q @ k.transpose(-1, -2) * m.rescale_factor + bias + key_bias).softmax(-1).to(v.dtype)
    s = s + m.o_proj(m.g_proj(y).sigmoid() * (a @ v).transpose(1, 2).reshape(B, L, C))
    s = s + b.mlp_seq.mlp[3](b.mlp_seq.mlp[1](norm(b.mlp_seq.mlp[0], s)).relu())
    p = b.sequence_to_pair
    q, k = p.proj(norm(p.layernorm, s)).chunk(2, -1)
    q, k = q[:, None], k[:, :, None]
    z = z + p.o_proj(torch.cat([q * k, q - k], -1)).to(z.dtype)
    z = z + triangle_multiplication(b.tri_mul_out, z, pair, True).to(z.dtype)
    z = z + triangle_multiplication(b.tri_mul_in, z, pair, False).to(z.dtype)
    z = z + triangle_attention(b.tri_att_start, z, key_bias, False).to(z.dtype)
    z = z + triangle_attention(b.tri_att_end, z, key_bias, True).to(z.dtype)
    return s, z + b.mlp_pair.mlp[3](b.mlp_pair.mlp[1](norm(b.mlp_pair.mlp[0], z)).relu()).to(z.dtype)


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
    """Invariant point attention. Squared point distances as |q|^2 + |k|^2 - 2 q.k: one matrix product per head."""
    B, L, H, C, Pq, Pv = *s.shape[:2], m.num_heads, m.hidden_dim, m.num_qk_points, m.num_v_points
    q = m.linear_q(s).view(B, L, H, C)
    k, v = m.linear_kv(s).view(B, L, H, 2 * C).split(C, -1)

    def place(x):
        return turn(R[:, :, None], torch.stack(x.chunk(3, -1), -1)) + t[:, :, None]
    qp = place(m.linear_q_points(s)).view(B, L, H, Pq, 3)
    kp, vp = place(m.linear_kv_points(s)).view(B, L, H, Pq + Pv, 3).split([Pq, Pv], 3)
    hw = F.softplus(m.head_weights) * math.sqrt(1 / (3 * (Pq * 9.0 / 2)))
    a = torch.einsum("bihc,bjhc->bhij", q, k) * math.sqrt(1 / (3 * C)) + math.sqrt(1 / 3) * m.linear_b(z).permute(0, 3, 1, 2)
    center = t.mean(1)[:, None, None, None]
    qc, kc = qp - center, kp - center
    qk = torch.einsum("bihp,bjhp->bhij", qc.flatten(3), kc.flatten(3))
    d2 = qc.square().sum((3, 4)).transpose(1, 2)[..., None] + kc.square().sum((3, 4)).transpose(1, 2)[:, :, None] - 2 * qk
    a = (a - 0.5 * hw[:, None, None] * d2 + bias).softmax(-1)
    o = torch.einsum("bhij,bjhc->bihc", a, v).flatten(2)
    op = torch.einsum("bhij,bjhx->bihx", a, vp.flatten(3)).view(B, L, H, Pv, 3) - t[:, :, None, None]
    op = turn(R.transpose(-1, -2)[:, :, None, None], op).flatten(2, 3)
    n = (op.square().sum(-1) + m.config.epsilon).sqrt()
    oz = torch.einsum("bhij,bijc->bihc", a, z).flatten(2)
    return m.linear_out(torch.cat([o, *op.unbind(-1), n, oz], -1))


def structure_step(sm, s, z, q, t, bias):
    R = rotation(q)
    s = sm.transition(sm.layer_norm_ipa(s + point_attention(sm.ipa, s, z, R, t, bias)))
    u = sm.bb_update(s)
    w, x, y, k = q.unbind(-1)
    a, b, c = u[..., :3].unbind(-1)
    dq = torch.stack([-x * a - y * b - k * c, w * a + y * c - k * b, w * b + k * a - x * c, w * c + x * b - y * a], -1)
    return s, F.normalize(q + dq, dim=-1), t + turn(R, u[..., 3:])


def atom14(sm, q, t, angles, aa):
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
    return (turn(Ra, sm.lit_positions[aa]) + Ta) * sm.atom_mask[aa][..., None]


def structure(sm, s, z, aa, mask):
    """s, z: structure_input. -> backbone N, CA, C [B, L, 3, 3] of each iteration; atom14, unnormalised angles and states of the last."""
    s0, s = s, sm.linear_in(s)
    B, L = aa.shape
    q = torch.zeros(B, L, 4, device=s.device) + (torch.arange(4, device=s.device) == 0)
    t = torch.zeros(B, L, 3, device=s.device)
    bias = (1e5 * (mask[:, :, None] * mask[:, None] - 1))[:, None]
    lit, bb = sm.lit_positions[aa][:, :, :3], []
    for _ in range(sm.config.num_blocks):
        s, q, t = structure_step(sm, s, z, q.detach(), t, bias)
        bb.append(turn(rotation(q)[:, :, None], lit) + 10 * t[:, :, None])
    angles, normalised = sm.angle_resnet(s, s0)
    return bb, atom14(sm, q, t, normalised, aa), angles, s


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


def structure_input(T, s, z):
    sm = T.structure_module
    return norm(sm.layer_norm_s, T.trunk2sm_s(s.float())), norm(sm.layer_norm_z, T.trunk2sm_z(z.float()))


def trunk_pass(model, s0, rs, rz, bins, res, aa, mask, run_block=block):
    T = model.trunk
    s, z = s0 + T.recycle_s_norm(rs), pair_input(T, rz, bins, res, mask)
    for b in T.blocks:
        s, z = run_block(b, s, z, mask)
    with torch.autocast(s.device.type, enabled=False):
        r = structure(T.structure_module, *structure_input(T, s, z), aa, mask)
    return s, z, r


def heads(model, z, states):
    with torch.autocast(z.device.type, enabled=False):
        d = model.distogram_head(z.float())
        return dict(disto=(d + d.transpose(1, 2)) / 2, lddt=model.lddt_head(states).unflatten(-1, (-1, 50)), pae=model.ptm_head(z.float()))

"""Losses and measures of predicted structures. All of shape-static tensor code, so that they compile and can be captured in a CUDA graph."""
import torch
import torch.nn.functional as F


def frames(x):
    """N, CA, C [..., 3, 3] -> rotation (columns), origin."""
    N, A, C = x[..., 0, :], x[..., 1, :], x[..., 2, :]
    e1 = F.normalize(C - A, dim=-1, eps=1e-4)
    u = N - A
    e2 = F.normalize(u - (e1 * u).sum(-1, keepdim=True) * e1, dim=-1, eps=1e-4)
    return torch.stack([e1, e2, torch.linalg.cross(e1, e2, dim=-1)], -1), A


def local(R, t, p):
    """Points p [B, J, 3] in the frames (R, t) [B, I] -> [B, I, J, 3]."""
    B, I = R.shape[:2]
    q = (p @ R.permute(0, 2, 1, 3).reshape(B, 3, I * 3)).view(B, -1, I, 3) - torch.einsum("bix,bixy->biy", t, R)[:, None]
    return q.transpose(1, 2)


def fape(pred, true, frame_mask, point_mask, clamp):
    """pred, true: (frame atoms [B, I, 3, 3], points [B, J, 3]) -> [B], in units of 10 A."""
    e = (local(*frames(pred[0]), pred[1]) - local(*frames(true[0]), true[1])).square().sum(-1)
    e = (e + 1e-4).sqrt().minimum(clamp)
    w = frame_mask[:, :, None] * point_mask[:, None]
    return (e * w).sum((1, 2)) / (w.sum((1, 2)) + 1e-6) / 10


def distances(x):
    return ((x[:, :, None] - x[:, None]).square().sum(-1) + 1e-6).sqrt()


def neighbours(dt, m2):
    return (dt < 15) & m2 & ~torch.eye(dt.shape[1], dtype=torch.bool, device=dt.device)


def lddt(dp, dt, m2):
    """CA lDDT of each residue from predicted and true distances."""
    near = neighbours(dt, m2)
    s = sum(((dp - dt).abs() < k).float() for k in (0.5, 1, 2, 4)) / 4
    return (s * near).sum(-1) / (near.sum(-1) + 1e-6)


def ideal_cb(x, am):
    return torch.where(am[..., 4, None], x[..., 4, :], x[..., 1, :])


@torch.no_grad()
def pair_targets(atoms, batch):
    """-> bins of the distances between CB and of the predicted atoms' aligned errors, int32 [B, L, L], and the weight of a pair."""
    _, x, am, _, _ = batch
    dev, cam = x.device, am[..., 1]
    m2 = (cam[:, :, None] & cam[:, None]).float()
    edges = torch.linspace(2.3125, 21.6875, 63, device=dev)
    bins = (distances(ideal_cb(x, am))[..., None] > edges).sum(-1)
    e = local(*frames(atoms), atoms[..., 1, :]) - local(*frames(x), x[..., 1, :])
    errors = (e.norm(dim=-1) / 31 * 64).long().clamp(0, 63)
    return bins.int(), errors.int(), m2 / m2.sum()


def total(o, batch, frac, weights):
    """o: the model's output, with the losses of distogram and aligned error; frac: how far training is, tensor in 0..1. -> loss, dict of scalars."""
    aa, x, am, ok, res = batch
    B, L = aa.shape
    dev = aa.device
    bb, cam = (am[..., 0] & am[..., 1] & am[..., 2]).float(), am[..., 1]
    m2, ca_count = cam[:, :, None] & cam[:, None], cam.sum()
    last, ca = o["atoms"], x[..., 1, :]
    clamp = torch.where(torch.rand(B, 1, 1, device=dev) < 0.5, 10.0, 30.0)
    inter = sum(fape((p, p[..., 1, :]), (x, ca), bb, cam.float(), clamp) for p in o["bb"]).mean() / len(o["bb"])
    sub = torch.rand(L, device=dev).argsort()[:32]
    ten = torch.full((1, 1, 1), 10.0, device=dev)
    full = fape((last[:, sub], last.flatten(1, 2)), (x[:, sub], x.flatten(1, 2)), bb[:, sub], am.flatten(1).float(), ten).mean()
    angle = (o["angles"].norm(dim=-1) - 1).abs().mean()
    dcb = distances(ideal_cb(x, am))
    dp, dt = distances(last[..., 1, :]), distances(ca)
    with torch.no_grad():
        ld = lddt(dp, dt, m2)
        lb = (ld * 50).long().clamp(0, 49)
    plddt = F.cross_entropy(o["lddt"].permute(0, 3, 1, 2), lb[..., None].expand(-1, -1, 37), reduction="none").mean(-1)
    plddt = (plddt * cam).sum() / ca_count
    # geometry of the chain: C-N and CA-CA distances of neighbours, no two CA nearer than 3.7 A
    chain = (res[:, 1:] - res[:, :-1] == 1) & ok[:, 1:]
    bond = (((last[:, 1:, 0] - last[:, :-1, 2]).square().sum(-1) + 1e-6).sqrt() - 1.33).abs().clamp(max=2.0)
    gap = (((last[:, 1:, 1] - last[:, :-1, 1]).square().sum(-1) + 1e-6).sqrt() - 3.80).abs().clamp(max=2.0)
    bond, gap = (bond * chain).sum() / chain.sum(), (gap * chain).sum() / chain.sum()
    clash = (F.relu(3.7 - dp - 10 * torch.eye(L, device=dev)) * m2).sum() / ca_count
    geometry = bond + 0.5 * gap + 0.2 * clash
    near = neighbours(dt, m2)                               # smooth lDDT (AlphaFold 3, algorithm 27)
    sl = sum(torch.sigmoid(k - (dp - dt).abs()) for k in (0.5, 1, 2, 4)) / 4
    smooth = 1 - ((sl * near).sum((1, 2)) / (near.sum((1, 2)) + 1e-6)).mean()
    far = m2 & ((res[:, :, None] - res[:, None]).abs() >= 6)
    contact = (F.binary_cross_entropy_with_logits(o["contact"], (dcb < 8).float(), reduction="none") * far).sum() / far.sum()
    w = weights
    loss = (w["smooth"] * smooth + w["full"] * full + w["inter"] * inter + w["disto"] * o["disto"] + 0.02 * angle + 0.05 * plddt
            + 0.03 * o["pae"] + (0.05 + 0.4 * frac) * geometry + w["contact"] * contact)
    return loss, dict(inter=inter, full=full, disto=o["disto"], contact=contact, plddt=plddt, bond=bond, clash=clash, lddt=(ld * cam).sum() / ca_count)


def tm_score(p, t, m):
    """TM-score (Zhang & Skolnick 2004) of CA [B, L, 3] with known pairing, by reweighted superposition: a lower bound. -> [B]"""
    m = m.float()
    n = m.sum(1)
    d0 = (1.24 * (n - 15).clamp(min=3.0).pow(1 / 3) - 1.8).clamp(min=0.5)[:, None]
    best = torch.zeros_like(n)
    L = p.shape[1]
    pos = torch.arange(L, device=p.device)[None]
    for lo, hi in ((0, 1), (0, 0.5), (0.25, 0.75), (0.5, 1), (0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)):
        w = m * (pos >= lo * n[:, None]) * (pos < hi * n[:, None])
        for _ in range(15):
            s = w.sum(1, keepdim=True)[..., None] + 1e-6
            cp, ct = (p * w[..., None]).sum(1, keepdim=True) / s, (t * w[..., None]).sum(1, keepdim=True) / s
            U, _, Vt = torch.linalg.svd(((p - cp) * w[..., None]).transpose(1, 2) @ (t - ct))
            sign = torch.ones_like(U[:, 0])
            sign[:, 2] = torch.linalg.det(U @ Vt)
            d2 = (((p - cp) @ (U * sign[:, None]) @ Vt) - (t - ct)).square().sum(-1)
            score = m / (1 + d2 / d0 ** 2)
            best = torch.maximum(best, score.sum(1) / n)
            w = score ** 2
    return best


def precision_at_length(logits, dcb, mask, res):
    """Mean share of true contacts (CB nearer than 8 A) in the L best scored pairs, |i - j| >= 6."""
    out = []
    for s, d, m, r in zip(logits.float(), dcb, mask, res):
        pair = (m[:, None] & m[None] & (r[None] - r[:, None] >= 6)).nonzero(as_tuple=True)
        top = s[pair].topk(min(int(m.sum()), len(pair[0]))).indices
        out.append((d[pair][top] < 8).float().mean())
    return torch.stack(out).mean()

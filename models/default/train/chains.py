"""Crops of experimental chains with natural, homologous or designed sequences, drawn on the GPU.

FOLD.npz.xz: aatype uint8 [R] in AlphaFold order (20 unknown), alt uint8 [R, 2] residues drawn from the sequence profile, dca int8 [R, 3] CA steps in
0.04 A, rel int8 [R, 3, 3] N, C, O minus CA in 0.02 A, sc int8 [S, 10, 3] side-chain slots 4.. minus CA in 0.06 A (-128 missing) of the residues
with `has`, starts int64 [n + 1], test bool [n], cluster int64 [n]. DESIGNED.npy.xz: uint8 [R, K], 255 where there is none.
"""
import io
import lzma

import numpy as np
import torch


def read(path):
    return np.load(io.BytesIO(lzma.open(path).read()))


def coordinates(d):
    """-> atom14 positions float32 [R, 14, 3] in A and their mask; CB is idealised where no side chain is known."""
    aatype, starts, has = d["aatype"], d["starts"].astype(np.int64), d["has"]
    step = d["dca"].astype(np.int64)
    total = np.cumsum(step, 0)
    first = total[starts[:-1]] - step[starts[:-1]]
    ca = ((total - np.repeat(first, np.diff(starts), 0)) / 25).astype(np.float32)
    rel = d["rel"].astype(np.float32) / 50
    X, M = np.zeros((len(aatype), 14, 3), np.float32), np.zeros((len(aatype), 14), bool)
    X[:, 0], X[:, 1], X[:, 2], X[:, 3] = ca + rel[:, 0], ca, ca + rel[:, 1], ca + rel[:, 2]
    b, c = -rel[:, 0], rel[:, 1]
    X[:, 4] = -0.58273431 * np.cross(b, c) + 0.56802827 * b - 0.54067466 * c + ca
    M[:, :4], M[:, 4] = True, aatype != 7
    X[has, 4:] = d["sc"].astype(np.float32) * 0.06 + ca[has][:, None]
    M[has, 4:] = (d["sc"] > -128).all(-1)
    return X, M


class Chains:
    """COLUMNS designed sequences at most; `load_designed` fills them in, also while training runs. share (a tensor): of the draws, the part
    with a designed sequence."""

    COLUMNS = 24

    def __init__(self, path, dev, crop, designed_share):
        d = dict(read(path))
        X, M = coordinates(d)
        starts, length, test = d["starts"].astype(np.int64), np.diff(d["starts"]), d["test"]
        self.dev, self.crop, self.n = dev, crop, len(length)
        self.share = torch.full((), designed_share, device=dev)
        self.aa, self.alt = torch.from_numpy(d["aatype"].astype(np.int64)).to(dev), torch.from_numpy(d["alt"]).to(dev)
        self.designed = torch.full((len(X), self.COLUMNS), 255, dtype=torch.uint8, device=dev)
        self.loaded = 0
        self.columns = torch.ones((), device=dev)           # filled so far
        self.X, self.M = torch.from_numpy(X).to(dev), torch.from_numpy(M).to(dev)
        self.start, self.len = torch.from_numpy(starts[:-1]).to(dev), torch.from_numpy(length.astype(np.int64)).to(dev)
        size = np.bincount(d["cluster"])[d["cluster"]]      # a draw per cluster; whole chains more often than crops of long ones
        w = np.sqrt(np.minimum(length, 128)) / np.sqrt(size) * np.where(length > 1.25 * crop, 0.5, 1.0)
        self.cum = torch.from_numpy(np.cumsum(np.where(test, 0, w))).to(dev)
        self.held, self.held_designed = torch.from_numpy(np.flatnonzero(test & (length <= 1.2 * crop))).to(dev), 0

    def load_designed(self, path):
        """Appends a DESIGNED file's columns, in place: a captured CUDA graph sees them."""
        des = torch.from_numpy(np.load(path) if path.endswith(".npy") else read(path)).to(self.dev)
        at = self.loaded
        des = des[:, :self.COLUMNS - at]
        self.designed[:, at:at + des.shape[1]] = des
        self.loaded = at + des.shape[1]
        self.columns.fill_(max(self.loaded, 1))
        has = self.designed[self.start[self.held], 0] < 20
        self.held = self.held[(~has).long().argsort(stable=True)]
        self.held_designed = int(has.sum())

    def crops(self, i, off):
        c = self.len[i].clamp(max=self.crop)
        pos = torch.arange(self.crop, device=self.dev)[None]
        ok = pos < c[:, None]
        return torch.where(ok, (self.start[i] + off)[:, None] + pos, 0), ok, off[:, None] + pos

    def batch(self, b):
        """-> residues int64 [b, L], atom14 [b, L, 14, 3], its mask, valid positions bool [b, L], residue numbers."""
        dev = self.dev
        i = torch.searchsorted(self.cum, torch.rand(b, device=dev, dtype=torch.float64) * self.cum[-1]).clamp(max=self.n - 1)
        off = (torch.rand(b, device=dev) * (self.len[i] - self.len[i].clamp(max=self.crop) + 1)).long()
        src, ok, res = self.crops(i, off)
        a = self.aa[src]

        def draw(*shape):
            return torch.rand(*shape, device=dev)
        # half of the natural sequences: mixed with residues drawn from the profile
        rate = draw(b, 1) * 0.8 * (draw(b, 1) < 0.5)
        alt = self.alt[src]
        v = torch.where(draw(*a.shape) < 0.5, alt[..., 0], alt[..., 1]).long()
        v = torch.where(draw(*a.shape) < rate, v, a)
        # or a sequence designed for this backbone, sometimes with a few of the natural residues
        k = (draw(b, 1) * self.columns).long().expand(-1, a.shape[1])
        w = self.designed[src].gather(2, k[..., None])[..., 0].long()
        use = (draw(b, 1) < self.share) & (draw(*a.shape) > 0.15 * draw(b, 1))
        v = torch.where((w < 20) & use, w, v)
        return self.pack(src, ok, res, torch.where(a == 20, a, v), a)

    def pack(self, src, ok, res, v, a):
        m = self.M[src] & ok[..., None]
        slot = torch.arange(14, device=self.dev)
        only_cb = (slot < 4) | ((slot == 4) & (v != 7)[..., None])          # a changed residue's side chain is unknown
        m = torch.where((v != a)[..., None], m & only_cb, m)
        return torch.where(ok, v, 20), self.X[src], m, ok, res

    def held_out(self, first, b, designed):
        """b held-out chains from number `first` on, with their natural or first designed sequence."""
        i = self.held[first:first + b]
        src, ok, res = self.crops(i, torch.zeros_like(i))
        a = self.aa[src]
        w = self.designed[src, 0].long()
        return self.pack(src, ok, res, torch.where((w < 20) & (a != 20), w, a) if designed else a, a)

"""The cross-entropy of a linear head on the pairs. One kernel makes the logits of a tile, their loss and its gradients; no logit leaves the chip."""
import torch
import triton
import triton.language as tl

from tiles import LOG2E, linear, matrix, ones, parameter_gradients, put_linear, shares, vector

SCALE = dict(N=2048, num_warps=4)
OPTIONS = dict(M=64, ONES=16, num_warps=4, num_stages=3)


@triton.jit
def kernel(z, target, weight, w, b, dz, part, tiles, SYMMETRIC: tl.constexpr, BINS: tl.constexpr, L: tl.constexpr, C: tl.constexpr,
           M: tl.constexpr, ONES: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    c, bins, v, one = tl.arange(0, C)[None, :], tl.arange(0, BINS)[None, :], matrix(w, C, BINS, C, T), ones(M, ONES, T)
    dw, ds, total = tl.zeros([BINS, C], tl.float32), tl.zeros([BINS, ONES], tl.float32), tl.zeros([M], tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        x = tl.load(z + rows[:, None] * C + c)
        if SYMMETRIC:
            place = rows % (L * L)
            mirrored = rows - place + place % L * L + place // L
            x = (0.5 * (x.to(tl.float32) + tl.load(z + mirrored[:, None] * C + c).to(tl.float32))).to(T)
        y = linear(x, v) + vector(b, BINS)[None, :]
        y -= tl.max(y, 1)[:, None]
        e = tl.exp2(y * LOG2E)
        s, g = tl.sum(e, 1), tl.load(weight + rows)
        hit = bins == tl.load(target + rows)[:, None]
        total += g * (tl.log(s) - tl.sum(tl.where(hit, y, 0.0), 1))
        d = ((e * (1 / s)[:, None] - tl.where(hit, 1.0, 0.0)) * g[:, None]).to(T)
        dw, ds = tl.dot(tl.trans(d), x, dw), tl.dot(tl.trans(d), one, ds)
        tl.store(dz + rows[:, None] * C + c, tl.dot(d, v).to(T))
    part += tl.program_id(0) * ((C + 1) * BINS + 1)
    put_linear(part, dw, ds, BINS, C)
    tl.store(part + (C + 1) * BINS, tl.sum(total, 0))


@triton.jit
def scale_kernel(x, g, out, N: tl.constexpr):
    """x * g, a number in memory, which PyTorch does three times slower for x and g of different types."""
    i = tl.program_id(0) * N + tl.arange(0, N)
    tl.store(out + i, (tl.load(x + i).to(tl.float32) * tl.load(g)).to(x.dtype.element_ty))


class CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, target, weight, symmetric, w, b):
        (_, L, _, C), bins, dz = z.shape, len(w), torch.empty_like(z)
        n, tiles = shares(z, OPTIONS)
        part = torch.empty(n, (C + 1) * bins + 1, device=z.device)
        kernel[(n,)](z, target.contiguous(), weight.contiguous(), w, b, dz, part, tiles, symmetric, bins, L, C, **OPTIONS)
        dw, db, loss = parameter_gradients(part, (bins, C), (bins,), (1,))
        ctx.save_for_backward(dz, dw, db)
        return loss[0]

    @staticmethod
    def backward(ctx, g):
        dz, dw, db = ctx.saved_tensors
        scaled = torch.empty_like(dz)
        scale_kernel[(dz.numel() // SCALE["N"],)](dz, g, scaled, **SCALE)
        return scaled, None, None, None, dw * g, db * g

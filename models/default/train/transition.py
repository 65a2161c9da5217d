"""The pair transition z + W2 relu(W1 norm(z) + b1) + b2. The hidden layer exists a chunk at a time and on the chip only."""
import torch
import triton
import triton.language as tl

from tiles import (affine, linear, matrix, norm_gradient, normalised, ones, parameter_gradients, put_linear, put_norm, put_normed, shares,
                   vector)

FORWARD = dict(M=128, num_warps=8)
INPUT = dict(M=128, num_warps=8)
WEIGHT = dict(M=64, K=64, ONES=8, num_warps=4, num_stages=3)


@triton.jit
def forward_kernel(z, out, nw, nb, w1, b1, w2, b2, C: tl.constexpr, HIDDEN: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    at = (tl.program_id(0) * M + tl.arange(0, M))[:, None] * C + tl.arange(0, C)[None, :]
    acc = tl.load(z + at).to(tl.float32)
    n, _ = normalised(acc, C)
    x = affine(n, nw, nb, C, T)
    acc += vector(b2, C)[None, :]
    for k in tl.static_range(0, HIDDEN, C):
        h = tl.maximum(linear(x, matrix(w1 + k * C, C, C, C, T), vector(b1 + k, C)), 0.0).to(T)
        acc = tl.dot(h, tl.trans(matrix(w2 + k, HIDDEN, C, C, T)), acc)
    tl.store(out + at, acc.to(T))


@triton.jit
def input_kernel(z, dout, dz, nw, nb, w1, b1, w2, C: tl.constexpr, HIDDEN: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    at = (tl.program_id(0) * M + tl.arange(0, M))[:, None] * C + tl.arange(0, C)[None, :]
    g = tl.load(dout + at)
    n, r = normalised(tl.load(z + at).to(tl.float32), C)
    x = affine(n, nw, nb, C, T)
    dx = tl.zeros([M, C], tl.float32)
    for k in tl.static_range(0, HIDDEN, C):
        w = matrix(w1 + k * C, C, C, C, T)
        h = linear(x, w, vector(b1 + k, C))
        dh = tl.dot(g, matrix(w2 + k, HIDDEN, C, C, T))
        dx = tl.dot(tl.where(h > 0, dh, 0.0).to(T), w, dx)
    tl.store(dz + at, (g.to(tl.float32) + norm_gradient(dx, nw, n, r, C)).to(T))


@triton.jit
def weight_kernel(z, dout, part, nw, nb, w1, b1, w2, tiles, C: tl.constexpr, HIDDEN: tl.constexpr, M: tl.constexpr, K: tl.constexpr,
                  ONES: tl.constexpr):
    """One program: K hidden units, and every so many-th tile. The programs of all hidden units of a tile run at the same time."""
    T: tl.constexpr = z.dtype.element_ty
    chunk = tl.program_id(0)
    k = chunk * K
    v1, v2, one = matrix(w1 + k * C, C, K, C, T), matrix(w2 + k, HIDDEN, C, K, T), ones(M, ONES, T)
    dw1, ds1 = tl.zeros([K, C], tl.float32), tl.zeros([K, ONES], tl.float32)
    dw2, ds2 = tl.zeros([C, K], tl.float32), tl.zeros([C, ONES], tl.float32)
    for tile in range(tl.program_id(1), tiles, tl.num_programs(1)):
        at = (tile * M + tl.arange(0, M))[:, None] * C + tl.arange(0, C)[None, :]
        g = tl.load(dout + at)
        n, _ = normalised(tl.load(z + at).to(tl.float32), C)
        h = linear(affine(n, nw, nb, C, T), v1, vector(b1 + k, K))
        dh = tl.where(h > 0, tl.dot(g, v2), 0.0).to(T)
        dw1, ds1 = tl.dot(tl.trans(dh), n.to(T), dw1), tl.dot(tl.trans(dh), one, ds1)
        dw2, ds2 = tl.dot(tl.trans(g), tl.maximum(h, 0.0).to(T), dw2), tl.dot(tl.trans(g), one, ds2)
    part += (tl.program_id(1) * tl.num_programs(0) + chunk) * ((2 * C + 1) * K + 3 * C)
    dnorm = put_normed(part, (0.0, 0.0), matrix(w1 + k * C, C, K, C, tl.float32), nw, nb, dw1, ds1, K, C)
    put_linear(part + (C + 1) * K, dw2, ds2, C, K)
    put_norm(part + (2 * C + 1) * K + C, dnorm, C)


class Transition(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, nw, nb, w1, b1, w2, b2):
        ctx.save_for_backward(z, nw, nb, w1, b1, w2)
        H, C = w1.shape
        out = torch.empty_like(z)
        forward_kernel[(z.numel() // C // FORWARD["M"],)](z, out, nw, nb, w1, b1, w2, b2, C, H, **FORWARD)
        return out

    @staticmethod
    def backward(ctx, dout):
        z, nw, nb, w1, b1, w2 = ctx.saved_tensors
        (H, C), dout, dz = w1.shape, dout.contiguous(), torch.empty_like(z)
        input_kernel[(z.numel() // C // INPUT["M"],)](z, dout, dz, nw, nb, w1, b1, w2, C, H, **INPUT)
        (n, tiles), K = shares(z, WEIGHT), WEIGHT["K"]
        n = max(1, n * K // H)
        part = torch.empty(n, H // K, (2 * C + 1) * K + 3 * C, device=z.device)
        weight_kernel[(H // K, n)](z, dout, part, nw, nb, w1, b1, w2, tiles, C, H, **WEIGHT)
        dw1, db1, dw2, db2, dnorm = parameter_gradients(part, (K, C), (K,), (C, K), (C,), (2, C))     # each [H / K, ...]
        return dz, *dnorm.sum(0), dw1.reshape(H, C), db1.reshape(H), dw2.transpose(0, 1).reshape(C, H), db2[0]

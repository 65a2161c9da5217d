"""The pair transition z + W2 relu(W1 norm(z) + b1) + b2. The hidden layer exists a chunk at a time and on the chip only."""
import torch
import triton
import triton.language as tl

from tiles import (fold, linear, matrix, norm_gradient, normalised, ones, parameter_gradients, put_matrix, put_norm, put_normed,
                   put_vector, shares, vector, wide)

FORWARD = dict(M=64, num_warps=4, num_stages=3)
INPUT = dict(M=128, ONES=16, num_warps=8, num_stages=3)
WEIGHT = dict(M=128, K=128, num_warps=8, num_stages=3)


@triton.jit
def into(w1, b1, nw, nb, k, K: tl.constexpr, C: tl.constexpr, T: tl.constexpr):
    """Of W1 and the LayerNorm before it, K rows from k * K on."""
    return fold(matrix(w1 + k * K * C, C, K, C, tl.float32), vector(b1 + k * K, K), nw, nb, C, T)


@triton.jit
def out_of(w2, k, K: tl.constexpr, HIDDEN: tl.constexpr, C: tl.constexpr, T: tl.constexpr):
    return matrix(w2 + k * K, HIDDEN, C, K, T)


@triton.jit
def chunks(w1, b1, nw, nb, w2, HIDDEN: tl.constexpr, C: tl.constexpr, T: tl.constexpr):
    tl.static_assert(HIDDEN == 4 * C)
    return ((into(w1, b1, nw, nb, 0, C, C, T), into(w1, b1, nw, nb, 1, C, C, T), into(w1, b1, nw, nb, 2, C, C, T), into(w1, b1, nw, nb, 3, C, C, T)),
            (out_of(w2, 0, C, HIDDEN, C, T), out_of(w2, 1, C, HIDDEN, C, T), out_of(w2, 2, C, HIDDEN, C, T), out_of(w2, 3, C, HIDDEN, C, T)))


@triton.jit
def forward_kernel(z, out, nw, nb, w1, b1, w2, b2, tiles, C: tl.constexpr, HIDDEN: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    v1, v2 = chunks(w1, b1, nw, nb, w2, HIDDEN, C, T)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        at = (tile * M + tl.arange(0, M))[:, None] * C + tl.arange(0, C)[None, :]
        acc = wide(tl.load(z + at), C)
        x, _ = normalised(acc, C)
        x = x.to(T)
        acc += vector(b2, C)[None, :]
        for k in tl.static_range(4):
            acc = tl.dot(tl.maximum(linear(x, v1[k]), 0.0).to(T), tl.trans(v2[k]), acc)
        tl.store(out + at, acc.to(T))


@triton.jit
def input_kernel(z, dout, dz, part, nw, nb, w1, b1, w2, tiles, C: tl.constexpr, HIDDEN: tl.constexpr, M: tl.constexpr, ONES: tl.constexpr):
    """The gradients of z and, since it reads all of dout only once, of b2."""
    T: tl.constexpr = z.dtype.element_ty
    v1, v2 = chunks(w1, b1, nw, nb, w2, HIDDEN, C, T)
    one, ds2 = ones(M, ONES, T), tl.zeros([C, ONES], tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        at = (tile * M + tl.arange(0, M))[:, None] * C + tl.arange(0, C)[None, :]
        g = tl.load(dout + at)
        x, r = normalised(wide(tl.load(z + at), C), C)
        xt, dx = x.to(T), tl.zeros([M, C], tl.float32)
        ds2 = tl.dot(tl.trans(g), one, ds2)
        for k in tl.static_range(4):
            dh = tl.dot(g, v2[k])                   # before h: a comparison kept for later takes instructions to pack and unpack
            dx = tl.dot(tl.where(linear(xt, v1[k]) > 0, dh, 0.0).to(T), v1[k], dx)
        tl.store(dz + at, (wide(g, C) + norm_gradient(dx, x, r, C)).to(T))
    put_vector(part + tl.program_id(0) * C, tl.sum(ds2, 1) / ONES, C)


@triton.jit
def weight_kernel(z, dout, part, nw, nb, w1, b1, w2, tiles, C: tl.constexpr, HIDDEN: tl.constexpr, M: tl.constexpr, K: tl.constexpr):
    """One program: K hidden units, and every so many-th tile. The programs of all hidden units of a tile run at the same time."""
    T: tl.constexpr = z.dtype.element_ty
    chunk = tl.program_id(0)
    v1, v2 = into(w1, b1, nw, nb, chunk, K, C, T), out_of(w2, chunk, K, HIDDEN, C, T)
    dw1, dw2 = tl.zeros([K, C], tl.float32), tl.zeros([C, K], tl.float32)
    for tile in range(tl.program_id(1), tiles, tl.num_programs(1)):
        at = (tile * M + tl.arange(0, M))[:, None] * C + tl.arange(0, C)[None, :]
        g = tl.load(dout + at)
        x, _ = normalised(wide(tl.load(z + at), C), C)
        x = x.to(T)
        dh, h = tl.dot(g, v2), linear(x, v1)
        dh = tl.where(h > 0, dh, 0.0).to(T)
        dw1 = tl.dot(tl.trans(dh), x, dw1)
        dw2 = tl.dot(tl.trans(g), tl.maximum(h, 0.0).to(T), dw2)
    part += (tl.program_id(1) * tl.num_programs(0) + chunk) * ((2 * C + 1) * K + 2 * C)
    dnorm = put_normed(part, (0.0, 0.0), matrix(w1 + chunk * K * C, C, K, C, tl.float32), nw, nb, dw1, K, C)
    put_matrix(part + (C + 1) * K, K, dw2, C, K)
    put_norm(part + (2 * C + 1) * K, dnorm, C)


class Transition(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, nw, nb, w1, b1, w2, b2):
        ctx.save_for_backward(z, nw, nb, w1, b1, w2)
        H, C = w1.shape
        out = torch.empty_like(z)
        n, tiles = shares(z, FORWARD)
        forward_kernel[(n,)](z, out, nw, nb, w1, b1, w2, b2, tiles, C, H, **FORWARD)
        return out

    @staticmethod
    def backward(ctx, dout):
        z, nw, nb, w1, b1, w2 = ctx.saved_tensors
        (H, C), dout, dz = w1.shape, dout.contiguous(), torch.empty_like(z)
        n, tiles = shares(z, INPUT)
        db2 = torch.empty(n, C, device=z.device)
        input_kernel[(n,)](z, dout, dz, db2, nw, nb, w1, b1, w2, tiles, C, H, **INPUT)
        (n, tiles), K = shares(z, WEIGHT), WEIGHT["K"]
        n = max(1, n * K // H)
        part = torch.empty(n, H // K, (2 * C + 1) * K + 2 * C, device=z.device)
        weight_kernel[(H // K, n)](z, dout, part, nw, nb, w1, b1, w2, tiles, C, H, **WEIGHT)
        dw1, db1, dw2, dnorm = parameter_gradients(part, (K, C), (K,), (C, K), (2, C))     # each [H / K, ...]
        return dz, *dnorm.sum(0), dw1.reshape(H, C), db1.reshape(H), dw2.transpose(0, 1).reshape(C, H), db2.sum(0)

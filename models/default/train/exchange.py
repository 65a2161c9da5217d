"""Between the sequence and the pair track: the pairs' attention bias for the sequence, and the outer product and difference for the pairs."""
import torch
import triton
import triton.language as tl

from tiles import (HEADS, folded_heads, head_tile, linear, matrix, norm_gradient, normalised, ones, parameter_gradients, put_matrix, put_norm,
                   put_normed_heads, put_vector, shares, vector, wide)

BIAS = dict(M=64, num_warps=4, num_stages=3)
BIAS_BACKWARD = dict(M=64, num_warps=4, num_stages=3)
OUTER = dict(num_warps=4)
OUTER_BACKWARD = dict(ROWS=16, ONES=16, num_warps=4)    # rows of pairs per program


@triton.jit
def bias_kernel(z, bias, nw, nb, w, tiles, H: tl.constexpr, L: tl.constexpr, C: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    v = folded_heads(w, nw, nb, H, C, T)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        x, _ = normalised(wide(tl.load(z + rows[:, None] * C + tl.arange(0, C)[None, :]), C), C)
        to, real = head_tile(bias, tile * M // (L * L), rows % (L * L), H, L, False)
        tl.store(to, linear(x.to(T), v).to(T), mask=real)


@triton.jit
def bias_backward_kernel(z, dbias, dout, dz, part, nw, nb, w, tiles, H: tl.constexpr, L: tl.constexpr, C: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    v, dw = folded_heads(w, nw, nb, H, C, T), tl.zeros([HEADS, C], tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        at = rows[:, None] * C + tl.arange(0, C)[None, :]
        x, r = normalised(wide(tl.load(z + at), C), C)
        of, real = head_tile(dbias, tile * M // (L * L), rows % (L * L), H, L, False)
        d = tl.load(of, mask=real, other=0.0).to(T)
        dw = tl.dot(tl.trans(d), x.to(T), dw)
        tl.store(dz + at, (wide(tl.load(dout + at), C) + norm_gradient(tl.dot(d, v), x, r, C)).to(T))
    part += tl.program_id(0) * (HEADS * (C + 1) + 2 * C)
    put_norm(part + HEADS * (C + 1), put_normed_heads(part, (0.0, 0.0), w, nw, nb, dw, H, C), C)


class Bias(torch.autograd.Function):
    """-> the bias [B, H, L, L], and z itself for the layers after it, so that the two gradients of z meet in one kernel."""

    @staticmethod
    def forward(ctx, z, nw, nb, w):
        ctx.save_for_backward(z, nw, nb, w)
        B, L, _, C = z.shape
        bias = z.new_empty(B, len(w), L, L)
        n, tiles = shares(z, BIAS, 16)
        bias_kernel[(n,)](z, bias, nw, nb, w, tiles, len(w), L, C, **BIAS)
        return bias, z.view_as(z)

    @staticmethod
    def backward(ctx, dbias, dout):
        z, nw, nb, w = ctx.saved_tensors
        (_, L, _, C), H, dz = z.shape, len(w), torch.empty_like(z)
        n, tiles = shares(z, BIAS_BACKWARD)
        part = torch.empty(n, HEADS.value * (C + 1) + 2 * C, device=z.device)
        bias_backward_kernel[(n,)](z, dbias.contiguous(), dout.contiguous(), dz, part, nw, nb, w, tiles, H, L, C, **BIAS_BACKWARD)
        dw, _, dnw, dnb = parameter_gradients(part, (HEADS.value, C), (HEADS.value,), (C,), (C,))
        return dz, dnw, dnb, dw[:H]


@triton.jit
def outer_kernel(z, qk, out, w, b, L: tl.constexpr, C: tl.constexpr, D: tl.constexpr):
    """A program takes a row of pairs. w [C, 2 D]: first for the products, then for the differences."""
    T: tl.constexpr = z.dtype.element_ty
    row, d = tl.program_id(0), tl.arange(0, D)
    at = (row * L + tl.arange(0, L))[:, None] * C + tl.arange(0, C)[None, :]
    q = tl.load(qk + (row // L * L + tl.arange(0, L))[:, None] * 2 * D + d[None, :]).to(tl.float32)
    k = tl.load(qk + row * 2 * D + D + d).to(tl.float32)[None, :]
    acc = tl.load(z + at).to(tl.float32) + vector(b, C)[None, :]
    acc = tl.dot((q * k).to(T), tl.trans(matrix(w, 2 * D, C, D, T)), acc)
    acc = tl.dot((q - k).to(T), tl.trans(matrix(w + D, 2 * D, C, D, T)), acc)
    tl.store(out + at, acc.to(T))


@triton.jit
def outer_backward_kernel(dout, qk, dq, dk, part, w, L: tl.constexpr, C: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr,
                          ONES: tl.constexpr):
    T: tl.constexpr = dout.dtype.element_ty
    program, d, j = tl.program_id(0), tl.arange(0, D), tl.arange(0, L)
    q = tl.load(qk + (program * ROWS // L * L + j)[:, None] * 2 * D + d[None, :]).to(tl.float32)
    wp, wd = matrix(w, 2 * D, C, D, T), matrix(w + D, 2 * D, C, D, T)
    one, aq, s = ones(L, ONES, T), tl.zeros([L, D], tl.float32), tl.zeros([C, ONES], tl.float32)
    dwp, dwd = tl.zeros([C, D], tl.float32), tl.zeros([C, D], tl.float32)
    for row in range(program * ROWS, program * ROWS + ROWS):
        k = tl.load(qk + row * 2 * D + D + d).to(tl.float32)[None, :]
        g = tl.load(dout + (row * L + j)[:, None] * C + tl.arange(0, C)[None, :])
        product, difference = tl.dot(g, wp), tl.dot(g, wd)
        aq += product * k + difference
        tl.store(dk + row * D + d, tl.sum(product * q - difference, 0))
        dwp = tl.dot(tl.trans(g), (q * k).to(T), dwp)
        dwd = tl.dot(tl.trans(g), (q - k).to(T), dwd)
        s = tl.dot(tl.trans(g), one, s)
    tl.store(dq + (program * L + j)[:, None] * D + d[None, :], aq)
    part += program * (2 * D + 1) * C
    put_matrix(part, 2 * D, dwp, C, D)
    put_matrix(part + D, 2 * D, dwd, C, D)
    put_vector(part + 2 * D * C, tl.sum(s, 1) / ONES, C)


class Outer(torch.autograd.Function):
    """z + W [q * k, q - k] + b, with qk [B, L, 2 D] of the sequence track: q of the pair's second residue, k of its first."""

    @staticmethod
    def forward(ctx, z, qk, w, b):
        qk, out = qk.contiguous(), torch.empty_like(z)
        B, L, _, C = z.shape
        outer_kernel[(B * L,)](z, qk, out, w, b, L, C, qk.shape[-1] // 2, **OUTER)
        ctx.save_for_backward(qk, w)
        return out

    @staticmethod
    def backward(ctx, dout):
        qk, w = ctx.saved_tensors
        (B, L, D), C, dout = qk.shape, len(w), dout.contiguous()
        D //= 2
        rows = OUTER_BACKWARD["ROWS"]
        n = B * L // rows
        dq, dk = torch.empty(B, L // rows, L, D, device=w.device), torch.empty(B, L, D, device=w.device)
        part = torch.empty(n, (2 * D + 1) * C, device=w.device)
        outer_backward_kernel[(n,)](dout, qk, dq, dk, part, w, L, C, D, **OUTER_BACKWARD)
        return dout, torch.cat([dq.sum(1), dk], -1).to(qk.dtype), *parameter_gradients(part, (C, 2 * D), (C,))

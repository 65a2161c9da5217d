"""Triangle attention, residual included: three kernels forward (projections, attention, gated output) and as many backward. For crops of L
residues, L a power of two up to 128.

A row's whole L x L score tile fits on the chip, so no score leaves it. The bias is the same for all rows: one program takes several rows,
and sums the bias gradient over them in registers; the sum over programs is a small reduction afterwards.
"""
import torch
import triton
import triton.language as tl

from tiles import (HEADS, affine, head_matrix, head_tile, linear, matrix, norm_gradient, normalised, ones, parameter_gradients, put_linear,
                   put_norm, put_normed_heads, put_normed_linear, shares, vector)

FORWARD = dict(M=128, num_warps=4)
IN_BACKWARD = dict(M=64, ONES=8, num_warps=4, num_stages=2)
OUT_BACKWARD = dict(M=64, ONES=16, num_warps=4, num_stages=3)
ROWS = 32                                           # per program
ATTENTION = dict(num_warps=8, num_stages=3)
ATTENTION_BACKWARD = dict(num_warps=8, num_stages=3)


@triton.jit
def in_forward_kernel(z, mask, qkv, bias, nw, nb, wb, wq, wk, wv, ENDING: tl.constexpr, H: tl.constexpr, L: tl.constexpr, C: tl.constexpr,
                      M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    rows, c = tl.program_id(0) * M + tl.arange(0, M), tl.arange(0, C)
    crop, place = tl.program_id(0) * M // (L * L), rows % (L * L)
    n, _ = normalised(tl.load(z + rows[:, None] * C + c[None, :]).to(tl.float32), C)
    x = affine(n, nw, nb, C, T)
    to = qkv + rows[:, None] * (3 * C) + c[None, :]
    tl.store(to, tl.dot(x, tl.trans(matrix(wq, C, C, C, T))).to(T))
    tl.store(to + C, tl.dot(x, tl.trans(matrix(wk, C, C, C, T))).to(T))
    tl.store(to + 2 * C, tl.dot(x, tl.trans(matrix(wv, C, C, C, T))).to(T))
    key = place // L if ENDING else place % L
    hidden = tl.where(tl.load(mask + crop * L + key) > 0, 0.0, -30000.0)
    to, real = head_tile(bias, crop, place, H, L, ENDING)
    tl.store(to, (tl.dot(x, tl.trans(head_matrix(wb, H, C, T))) + hidden[:, None]).to(T), mask=real)


@triton.jit
def in_backward_kernel(z, dqkv, dbias, dz_out, dz, part, nw, nb, wb, wq, wk, wv, tiles, ENDING: tl.constexpr, H: tl.constexpr,
                       L: tl.constexpr, C: tl.constexpr, M: tl.constexpr, ONES: tl.constexpr):
    """dz_out: the gradient that reaches z through the output kernel."""
    T: tl.constexpr = z.dtype.element_ty
    c, one = tl.arange(0, C), ones(M, ONES, T)
    vb, vq, vk, vv = head_matrix(wb, H, C, T), matrix(wq, C, C, C, T), matrix(wk, C, C, C, T), matrix(wv, C, C, C, T)
    dwb, dsb = tl.zeros([HEADS, C], tl.float32), tl.zeros([HEADS, ONES], tl.float32)
    dwq, dwk, dwv = tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32)
    dsq, dsk, dsv = tl.zeros([C, ONES], tl.float32), tl.zeros([C, ONES], tl.float32), tl.zeros([C, ONES], tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        crop, place = tile * M // (L * L), rows % (L * L)
        at = rows[:, None] * C + c[None, :]
        n, r = normalised(tl.load(z + at).to(tl.float32), C)
        x = n.to(T)
        of, real = head_tile(dbias, crop, place, H, L, ENDING)
        d = tl.load(of, mask=real, other=0.0).to(T)
        dx = tl.dot(d, vb)
        dwb, dsb = tl.dot(tl.trans(d), x, dwb), tl.dot(tl.trans(d), one, dsb)
        first = dqkv + rows[:, None] * (3 * C) + c[None, :]
        d = tl.load(first)
        dx, dwq, dsq = dx + tl.dot(d, vq), tl.dot(tl.trans(d), x, dwq), tl.dot(tl.trans(d), one, dsq)
        d = tl.load(first + C)
        dx, dwk, dsk = dx + tl.dot(d, vk), tl.dot(tl.trans(d), x, dwk), tl.dot(tl.trans(d), one, dsk)
        d = tl.load(first + 2 * C)
        dx, dwv, dsv = dx + tl.dot(d, vv), tl.dot(tl.trans(d), x, dwv), tl.dot(tl.trans(d), one, dsv)
        tl.store(dz + at, (tl.load(dz_out + at).to(tl.float32) + norm_gradient(dx, nw, n, r, C)).to(T))
    size: tl.constexpr = (C + 1) * C
    part += tl.program_id(0) * (3 * size + HEADS * (C + 1) + 2 * C)
    dnorm = put_normed_linear(part, (0.0, 0.0), wq, nw, nb, dwq, dsq, C)
    dnorm = put_normed_linear(part + size, dnorm, wk, nw, nb, dwk, dsk, C)
    dnorm = put_normed_linear(part + 2 * size, dnorm, wv, nw, nb, dwv, dsv, C)
    dnorm = put_normed_heads(part + 3 * size, dnorm, wb, nw, nb, dwb, dsb, H, C)
    put_norm(part + 3 * size + HEADS * (C + 1), dnorm, C)


@triton.jit
def probabilities(q, k, b, scale):
    s = tl.dot(q, tl.trans(k)) * scale + b
    p = tl.exp(s - tl.max(s, 1)[:, None])
    return p / tl.sum(p, 1)[:, None]


@triton.jit
def attention_kernel(qkv, bias, out, row_stride, pos_stride, row_stride_o, pos_stride_o, scale,
                     L: tl.constexpr, H: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr):
    bh, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b, h = bh // H, bh % H
    i, d = tl.arange(0, L), tl.arange(0, D)
    bt = tl.load(bias + bh * L * L + i[:, None] * L + i[None, :]).to(tl.float32)
    for r in range(ROWS):
        row = chunk * ROWS + r
        at = qkv + b * L * L * 3 * H * D + row * row_stride + h * D + i[:, None] * pos_stride + d[None, :]
        q, k, v = tl.load(at), tl.load(at + H * D), tl.load(at + 2 * H * D)
        o = tl.dot(probabilities(q, k, bt, scale).to(v.dtype), v)
        to = out + b * L * L * H * D + row * row_stride_o + h * D + i[:, None] * pos_stride_o + d[None, :]
        tl.store(to, o.to(v.dtype))


@triton.jit
def attention_backward_kernel(qkv, bias, grad, dqkv, dbias, row_stride, pos_stride, row_stride_o, pos_stride_o, scale,
                              L: tl.constexpr, H: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr):
    bh, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b, h = bh // H, bh % H
    i, d = tl.arange(0, L), tl.arange(0, D)
    tile = i[:, None] * L + i[None, :]
    acc = tl.zeros([L, L], tl.float32)
    for r in range(ROWS):
        row = chunk * ROWS + r
        bt = tl.load(bias + bh * L * L + tile).to(tl.float32)
        off = b * L * L * 3 * H * D + row * row_stride + h * D + i[:, None] * pos_stride + d[None, :]
        q, k, v = tl.load(qkv + off), tl.load(qkv + off + H * D), tl.load(qkv + off + 2 * H * D)
        do = tl.load(grad + b * L * L * H * D + row * row_stride_o + h * D + i[:, None] * pos_stride_o + d[None, :])
        p = probabilities(q, k, bt, scale)
        tl.store(dqkv + off + 2 * H * D, tl.dot(tl.trans(p.to(q.dtype)), do).to(q.dtype))
        dp = tl.dot(do, tl.trans(v))
        ds = p * (dp - tl.sum(p * dp, 1)[:, None])
        acc += ds
        dsb = (ds * scale).to(q.dtype)
        tl.store(dqkv + off, tl.dot(dsb, k).to(q.dtype))
        tl.store(dqkv + off + H * D, tl.dot(tl.trans(dsb), q).to(q.dtype))
    tl.store(dbias + (bh * (L // ROWS) + chunk) * L * L + tile, acc)


@triton.jit
def out_forward_kernel(z, o, out, nw, nb, wo, bo, wg, bg, C: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    at = (tl.program_id(0) * M + tl.arange(0, M))[:, None] * C + tl.arange(0, C)[None, :]
    zt = tl.load(z + at).to(tl.float32)
    n, _ = normalised(zt, C)
    g = tl.sigmoid(linear(affine(n, nw, nb, C, T), matrix(wg, C, C, C, T), vector(bg, C)))
    y = (tl.load(o + at).to(tl.float32) * g).to(T)
    tl.store(out + at, (zt + linear(y, matrix(wo, C, C, C, T), vector(bo, C))).to(T))


@triton.jit
def out_backward_kernel(z, o, dout, do, dz, part, nw, nb, wo, wg, bg, tiles, C: tl.constexpr, M: tl.constexpr, ONES: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    one, vo, vg = ones(M, ONES, T), matrix(wo, C, C, C, T), matrix(wg, C, C, C, T)
    dwo, dwg = tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32)
    dso, dsg = tl.zeros([C, ONES], tl.float32), tl.zeros([C, ONES], tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        at = (tile * M + tl.arange(0, M))[:, None] * C + tl.arange(0, C)[None, :]
        n, r = normalised(tl.load(z + at).to(tl.float32), C)
        g = tl.sigmoid(linear(affine(n, nw, nb, C, T), vg, vector(bg, C)))
        y, d = tl.load(o + at).to(tl.float32) * g, tl.load(dout + at)
        dwo, dso = tl.dot(tl.trans(d), y.to(T), dwo), tl.dot(tl.trans(d), one, dso)
        dy = tl.dot(d, vo)
        tl.store(do + at, (dy * g).to(T))
        dg = (dy * y * (1 - g)).to(T)
        dwg, dsg = tl.dot(tl.trans(dg), n.to(T), dwg), tl.dot(tl.trans(dg), one, dsg)
        tl.store(dz + at, (d.to(tl.float32) + norm_gradient(tl.dot(dg, vg), nw, n, r, C)).to(T))
    part += tl.program_id(0) * (2 * C + 4) * C
    size: tl.constexpr = (C + 1) * C
    put_linear(part, dwo, dso, C, C)
    put_norm(part + 2 * size, put_normed_linear(part + size, (0.0, 0.0), wg, nw, nb, dwg, dsg, C), C)


def strides(L, width, ending):
    return (width, L * width) if ending else (L * width, width)


class Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, mask, ending, nw, nb, wb, wq, wk, wv, wo, bo, wg, bg):
        (B, L, _, C), H = z.shape, len(wb)
        grid = (z.numel() // C // FORWARD["M"],)
        qkv, bias, o, out = z.new_empty(B, L, L, 3 * C), z.new_empty(B, H, L, L), torch.empty_like(z), torch.empty_like(z)
        in_forward_kernel[grid](z, mask, qkv, bias, nw, nb, wb, wq, wk, wv, ending, H, L, C, **FORWARD)
        D = C // H
        attention_kernel[(B * H, L // ROWS)](qkv, bias, o, *strides(L, 3 * C, ending), *strides(L, C, ending), D ** -0.5,
                                                          L, H, D, ROWS, **ATTENTION)
        out_forward_kernel[grid](z, o, out, nw, nb, wo, bo, wg, bg, C, **FORWARD)
        ctx.save_for_backward(z, qkv, bias, o, nw, nb, wb, wq, wk, wv, wo, wg, bg)
        ctx.ending = ending
        return out

    @staticmethod
    def backward(ctx, dout):
        z, qkv, bias, o, nw, nb, wb, wq, wk, wv, wo, wg, bg = ctx.saved_tensors
        (B, L, _, C), H, ending = z.shape, len(wb), ctx.ending
        D = C // H
        do, dz_out, dz, dqkv = torch.empty_like(o), torch.empty_like(z), torch.empty_like(z), torch.empty_like(qkv)
        n, tiles = shares(z, OUT_BACKWARD)
        part = torch.empty(n, (2 * C + 4) * C, device=z.device)
        out_backward_kernel[(n,)](z, o, dout.contiguous(), do, dz_out, part, nw, nb, wo, wg, bg, tiles, C, **OUT_BACKWARD)
        dwo, dbo, dwg, dbg, norm_out = parameter_gradients(part, (C, C), (C,), (C, C), (C,), (2, C))
        dbias = torch.empty(B, H, L // ROWS, L, L, device=z.device)
        attention_backward_kernel[(B * H, L // ROWS)](qkv, bias, do, dqkv, dbias, *strides(L, 3 * C, ending),
                                                                   *strides(L, C, ending), D ** -0.5, L, H, D, ROWS, **ATTENTION_BACKWARD)
        n, tiles = shares(z, IN_BACKWARD)
        part = torch.empty(n, 3 * (C + 1) * C + HEADS.value * (C + 1) + 2 * C, device=z.device)
        in_backward_kernel[(n,)](z, dqkv, dbias.sum(2), dz_out, dz, part, nw, nb, wb, wq, wk, wv, tiles, ending, H, L, C, **IN_BACKWARD)
        dwq, _, dwk, _, dwv, _, dwb, _, norm_in = parameter_gradients(part, *3 * ((C, C), (C,)), (HEADS.value, C), (HEADS.value,), (2, C))
        return dz, None, None, *(norm_in + norm_out), dwb[:H], dwq, dwk, dwv, dwo, dbo, dwg, dbg

"""Triangle attention, residual included: three kernels forward (projections, attention, gated output) and as many backward. For crops of L
residues, L a power of two up to 128.

A row's whole L x L score tile fits on the chip, so no score leaves it. The bias is the same for all rows: one program takes several rows,
and sums the bias gradient over them in registers; the sum over programs is a small reduction afterwards.
"""
import torch
import triton
import triton.language as tl

from tiles import (HEADS, LOG2E, fold, folded, folded_heads, head_matrix, head_tile, linear, matrix, norm_gradient, normalised, ones,
                   parameter_gradients, put_linear, put_norm, put_normed_heads, put_normed_linear, shares, sigmoid, vector, wide)

IN_FORWARD = dict(M=128, num_warps=8, num_stages=3)
OUT_FORWARD = dict(M=64, num_warps=4, num_stages=3)
IN_BACKWARD = dict(M=64, num_warps=4, num_stages=3)
OUT_BACKWARD = dict(M=128, ONES=16, num_warps=8, num_stages=3)
ROWS = 32                                           # per program
ATTENTION = dict(num_warps=8, num_stages=4)
ATTENTION_BACKWARD = dict(num_warps=8, num_stages=3)


@triton.jit
def in_forward_kernel(z, mask, qkv, bias, nw, nb, wb, wq, wk, wv, tiles, ENDING: tl.constexpr, H: tl.constexpr, L: tl.constexpr,
                      C: tl.constexpr, M: tl.constexpr):
    """bias: times log2(e), for powers of two."""
    T: tl.constexpr = z.dtype.element_ty
    c, vb = tl.arange(0, C), fold(head_matrix(wb, H, C, tl.float32) * LOG2E, 0.0, nw, nb, C, T)
    vq, vk, vv = folded(wq, None, nw, nb, C, T), folded(wk, None, nw, nb, C, T), folded(wv, None, nw, nb, C, T)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        crop, place = tile * M // (L * L), rows % (L * L)
        x, _ = normalised(wide(tl.load(z + rows[:, None] * C + c[None, :]), C), C)
        x = x.to(T)
        to = qkv + rows[:, None] * (3 * C) + c[None, :]
        tl.store(to, linear(x, vq).to(T))
        tl.store(to + C, linear(x, vk).to(T))
        tl.store(to + 2 * C, linear(x, vv).to(T))
        key = place // L if ENDING else place % L
        hidden = tl.where(tl.load(mask + crop * L + key) > 0, 0.0, -30000.0)
        to, real = head_tile(bias, crop, place, H, L, ENDING)
        tl.store(to, (linear(x, vb) + hidden[:, None]).to(T), mask=real)


@triton.jit
def in_backward_kernel(z, dqkv, dbias, dz_out, dz, part, nw, nb, wb, wq, wk, wv, tiles, ENDING: tl.constexpr, H: tl.constexpr,
                       L: tl.constexpr, C: tl.constexpr, M: tl.constexpr):
    """dz_out: the gradient that reaches z through the output kernel."""
    T: tl.constexpr = z.dtype.element_ty
    c, vb = tl.arange(0, C), folded_heads(wb, nw, nb, H, C, T)
    vq, vk, vv = folded(wq, None, nw, nb, C, T), folded(wk, None, nw, nb, C, T), folded(wv, None, nw, nb, C, T)
    dwb, dwq, dwk, dwv = (tl.zeros([HEADS, C], tl.float32), tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32),
                          tl.zeros([C, C], tl.float32))
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        crop, place = tile * M // (L * L), rows % (L * L)
        at = rows[:, None] * C + c[None, :]
        x, r = normalised(wide(tl.load(z + at), C), C)
        xt = x.to(T)
        of, real = head_tile(dbias, crop, place, H, L, ENDING)
        first = dqkv + rows[:, None] * (3 * C) + c[None, :]
        db, dq, dk, dv = tl.load(of, mask=real, other=0.0).to(T), tl.load(first), tl.load(first + C), tl.load(first + 2 * C)
        dx = tl.dot(dv, vv, tl.dot(dk, vk, tl.dot(dq, vq, tl.dot(db, vb))))
        dwb, dwq = tl.dot(tl.trans(db), xt, dwb), tl.dot(tl.trans(dq), xt, dwq)
        dwk, dwv = tl.dot(tl.trans(dk), xt, dwk), tl.dot(tl.trans(dv), xt, dwv)
        tl.store(dz + at, (wide(tl.load(dz_out + at), C) + norm_gradient(dx, x, r, C)).to(T))
    size: tl.constexpr = (C + 1) * C
    part += tl.program_id(0) * (3 * size + HEADS * (C + 1) + 2 * C)
    dnorm = put_normed_linear(part, (0.0, 0.0), wq, nw, nb, dwq, C)
    dnorm = put_normed_linear(part + size, dnorm, wk, nw, nb, dwk, C)
    dnorm = put_normed_linear(part + 2 * size, dnorm, wv, nw, nb, dwv, C)
    dnorm = put_normed_heads(part + 3 * size, dnorm, wb, nw, nb, dwb, H, C)
    put_norm(part + 3 * size + HEADS * (C + 1), dnorm, C)


@triton.jit
def attention_kernel(qkv, bias, out, sums, row_stride, pos_stride, row_stride_o, pos_stride_o, scale, L: tl.constexpr, H: tl.constexpr,
                     D: tl.constexpr, ROWS: tl.constexpr):
    """sums: the logarithm (base 2) of a query's sum of exponentials, [B, H, rows, L]."""
    bh, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b, h = bh // H, bh % H
    i, d = tl.arange(0, L), tl.arange(0, D)
    bt = tl.load(bias + bh * L * L + i[:, None] * L + i[None, :]).to(tl.float32)
    for r in range(ROWS):
        row = chunk * ROWS + r
        at = qkv + b * L * L * 3 * H * D + row * row_stride + h * D + i[:, None] * pos_stride + d[None, :]
        q, k, v = tl.load(at), tl.load(at + H * D), tl.load(at + 2 * H * D)
        s = linear(q, k) * (scale * LOG2E) + bt
        top = tl.max(s, 1)
        p = tl.exp2(s - top[:, None])
        total = tl.sum(p, 1)
        tl.store(sums + (bh * L + row) * L + i, top + tl.log2(total))
        to = out + b * L * L * H * D + row * row_stride_o + h * D + i[:, None] * pos_stride_o + d[None, :]
        tl.store(to, (tl.dot(p.to(v.dtype), v) * (1 / total)[:, None]).to(v.dtype))


@triton.jit
def attention_backward_kernel(qkv, bias, sums, grad, dqkv, dbias, row_stride, pos_stride, row_stride_o, pos_stride_o, scale,
                              L: tl.constexpr, H: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr):
    bh, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    b, h = bh // H, bh % H
    i, d = tl.arange(0, L), tl.arange(0, D)
    tile = i[:, None] * L + i[None, :]
    acc, later = tl.zeros([L, L], tl.float32), tl.load(sums + (bh * L + chunk * ROWS) * L + i)
    for r in range(ROWS):
        row = chunk * ROWS + r
        off = b * L * L * 3 * H * D + row * row_stride + h * D + i[:, None] * pos_stride + d[None, :]
        q, k, v = tl.load(qkv + off), tl.load(qkv + off + H * D), tl.load(qkv + off + 2 * H * D)
        do = tl.load(grad + b * L * L * H * D + row * row_stride_o + h * D + i[:, None] * pos_stride_o + d[None, :])
        bt = tl.load(bias + bh * L * L + tile).to(tl.float32)          # again for each row: it would not fit beside the rest
        total, later = later, tl.load(sums + (bh * L + tl.minimum(row + 1, L - 1)) * L + i)
        p = tl.exp2(linear(q, k) * (scale * LOG2E) + (bt - total[:, None]))
        tl.store(dqkv + off + 2 * H * D, tl.dot(tl.trans(p.to(q.dtype)), do).to(q.dtype))
        dp = linear(do, v)
        ds = p * (dp - tl.sum(p * dp, 1)[:, None])
        acc += ds
        ds = ds.to(q.dtype)
        tl.store(dqkv + off, (tl.dot(ds, k) * scale).to(q.dtype))
        tl.store(dqkv + off + H * D, (tl.dot(tl.trans(ds), q) * scale).to(q.dtype))
    tl.store(dbias + (bh * (L // ROWS) + chunk) * L * L + tile, acc)


@triton.jit
def out_forward_kernel(z, o, out, nw, nb, wo, bo, wg, bg, tiles, C: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    vo, vg = matrix(wo, C, C, C, T), folded(wg, bg, nw, nb, C, T)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        at = (tile * M + tl.arange(0, M))[:, None] * C + tl.arange(0, C)[None, :]
        zt = wide(tl.load(z + at), C)
        x, _ = normalised(zt, C)
        y = (wide(tl.load(o + at), C) * sigmoid(linear(x.to(T), vg))).to(T)
        tl.store(out + at, (zt + linear(y, vo) + vector(bo, C)[None, :]).to(T))


@triton.jit
def out_backward_kernel(z, o, dout, do, dz, part, nw, nb, wo, wg, bg, tiles, C: tl.constexpr, M: tl.constexpr, ONES: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    one, vo, vg = ones(M, ONES, T), matrix(wo, C, C, C, T), folded(wg, bg, nw, nb, C, T)
    dwo, dwg, dso = tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32), tl.zeros([C, ONES], tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        at = (tile * M + tl.arange(0, M))[:, None] * C + tl.arange(0, C)[None, :]
        x, r = normalised(wide(tl.load(z + at), C), C)
        xt, d = x.to(T), tl.load(dout + at)
        g = sigmoid(linear(xt, vg))
        y = wide(tl.load(o + at), C) * g
        dwo, dso = tl.dot(tl.trans(d), y.to(T), dwo), tl.dot(tl.trans(d), one, dso)
        dy = tl.dot(d, vo)
        tl.store(do + at, (dy * g).to(T))
        dg = (dy * y * (1 - g)).to(T)
        dwg = tl.dot(tl.trans(dg), xt, dwg)
        tl.store(dz + at, (wide(d, C) + norm_gradient(tl.dot(dg, vg), x, r, C)).to(T))
    part += tl.program_id(0) * (2 * C + 4) * C
    size: tl.constexpr = (C + 1) * C
    put_linear(part, dwo, dso, C, C)
    put_norm(part + 2 * size, put_normed_linear(part + size, (0.0, 0.0), wg, nw, nb, dwg, C), C)


def strides(L, width, ending):
    return (width, L * width) if ending else (L * width, width)


class Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, mask, ending, nw, nb, wb, wq, wk, wv, wo, bo, wg, bg):
        (B, L, _, C), H = z.shape, len(wb)
        D = C // H
        sums = torch.empty(B, H, L, L, device=z.device)
        qkv, bias, o, out = z.new_empty(B, L, L, 3 * C), z.new_empty(B, H, L, L), torch.empty_like(z), torch.empty_like(z)
        n, tiles = shares(z, IN_FORWARD)
        in_forward_kernel[(n,)](z, mask, qkv, bias, nw, nb, wb, wq, wk, wv, tiles, ending, H, L, C, **IN_FORWARD)
        attention_kernel[(B * H, L // ROWS)](qkv, bias, o, sums, *strides(L, 3 * C, ending), *strides(L, C, ending), D ** -0.5, L, H, D, ROWS,
                                             **ATTENTION)
        n, tiles = shares(z, OUT_FORWARD)
        out_forward_kernel[(n,)](z, o, out, nw, nb, wo, bo, wg, bg, tiles, C, **OUT_FORWARD)
        ctx.save_for_backward(z, qkv, bias, sums, o, nw, nb, wb, wq, wk, wv, wo, wg, bg)
        ctx.ending = ending
        return out

    @staticmethod
    def backward(ctx, dout):
        z, qkv, bias, sums, o, nw, nb, wb, wq, wk, wv, wo, wg, bg = ctx.saved_tensors
        (B, L, _, C), H, ending = z.shape, len(wb), ctx.ending
        D = C // H
        do, dz_out, dz, dqkv = torch.empty_like(o), torch.empty_like(z), torch.empty_like(z), torch.empty_like(qkv)
        n, tiles = shares(z, OUT_BACKWARD)
        part = torch.empty(n, (2 * C + 4) * C, device=z.device)
        out_backward_kernel[(n,)](z, o, dout.contiguous(), do, dz_out, part, nw, nb, wo, wg, bg, tiles, C, **OUT_BACKWARD)
        dwo, dbo, dwg, dbg, norm_out = parameter_gradients(part, (C, C), (C,), (C, C), (C,), (2, C))
        dbias = torch.empty(B, H, L // ROWS, L, L, device=z.device)
        attention_backward_kernel[(B * H, L // ROWS)](qkv, bias, sums, do, dqkv, dbias, *strides(L, 3 * C, ending),
                                                      *strides(L, C, ending), D ** -0.5, L, H, D, ROWS, **ATTENTION_BACKWARD)
        n, tiles = shares(z, IN_BACKWARD)
        part = torch.empty(n, 3 * (C + 1) * C + HEADS.value * (C + 1) + 2 * C, device=z.device)
        in_backward_kernel[(n,)](z, dqkv, dbias.sum(2), dz_out, dz, part, nw, nb, wb, wq, wk, wv, tiles, ending, H, L, C, **IN_BACKWARD)
        dwq, _, dwk, _, dwv, _, dwb, _, norm_in = parameter_gradients(part, *3 * ((C, C), (C,)), (HEADS.value, C), (HEADS.value,), (2, C))
        return dz, None, None, *(norm_in + norm_out), dwb[:H], dwq, dwk, dwv, dwo, dbo, dwg, dbg

"""Triangle multiplication, residual included: a kernel before the batched matrix product and one after it, forward and backward. Both the
kernels' sides towards the product have channels first, [B, C, L, L]; the layout changes on the chip."""
import torch
import triton
import triton.language as tl

from tiles import (folded, linear, norm_gradient, normalised, parameter_gradients, put_norm, put_normed_linear, shares, sigmoid, turned, wide)

IN_FORWARD, OUT_FORWARD = dict(M=64, num_warps=4, num_stages=3), dict(M=128, num_warps=8, num_stages=3)
IN_BACKWARD = dict(M=128, num_warps=8, num_stages=2)
OUT_BACKWARD = dict(M=128, num_warps=8, num_stages=3)


@triton.jit
def kept(mask, crop, place, L: tl.constexpr):
    return (tl.load(mask + crop * L + place // L) * tl.load(mask + crop * L + place % L))[:, None]


@triton.jit
def in_forward_kernel(z, mask, a, b, nw, nb, wap, bap, wag, bag, wbp, bbp, wbg, bbg, tiles, L: tl.constexpr, C: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    c = tl.arange(0, C)
    vap, vag = folded(wap, bap, nw, nb, C, T), folded(wag, bag, nw, nb, C, T)
    vbp, vbg = folded(wbp, bbp, nw, nb, C, T), folded(wbg, bbg, nw, nb, C, T)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        crop, place = tile * M // (L * L), rows % (L * L)
        x, _ = normalised(wide(tl.load(z + rows[:, None] * C + c[None, :]), C), C)
        x = x.to(T)
        keep = kept(mask, crop, place, L)
        to = (crop * C + c[:, None]) * (L * L) + place[None, :]
        tl.store(a + to, tl.trans((linear(x, vap) * sigmoid(linear(x, vag)) * keep).to(T)))
        tl.store(b + to, tl.trans((linear(x, vbp) * sigmoid(linear(x, vbg)) * keep).to(T)))


@triton.jit
def gated_gradient(x, dy, wp, wg, dwp, dwg):
    p, g = linear(x, wp), sigmoid(linear(x, wg))
    dp = dy * g
    dg = (dp * p * (1 - g)).to(x.dtype)
    dp = dp.to(x.dtype)
    return tl.dot(dg, wg, tl.dot(dp, wp)), tl.dot(tl.trans(dp), x, dwp), tl.dot(tl.trans(dg), x, dwg)


@triton.jit
def in_backward_kernel(z, mask, da, db, dz_out, dz, part, nw, nb, wap, bap, wag, bag, wbp, bbp, wbg, bbg, tiles,
                       L: tl.constexpr, C: tl.constexpr, M: tl.constexpr):
    """dz_out: the gradient that reaches z through the later kernel."""
    T: tl.constexpr = z.dtype.element_ty
    c = tl.arange(0, C)
    vap, vag = folded(wap, bap, nw, nb, C, T), folded(wag, bag, nw, nb, C, T)
    vbp, vbg = folded(wbp, bbp, nw, nb, C, T), folded(wbg, bbg, nw, nb, C, T)
    dwap, dwag, dwbp, dwbg = (tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32),
                              tl.zeros([C, C], tl.float32))
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        crop, place = tile * M // (L * L), rows % (L * L)
        at = rows[:, None] * C + c[None, :]
        first = (crop * C + c[:, None]) * (L * L) + place[None, :]
        x, r = normalised(wide(tl.load(z + at), C), C)
        xt, keep = x.to(T), kept(mask, crop, place, L)
        dx, dwap, dwag = gated_gradient(xt, turned(tl.load(da + first), C) * keep, vap, vag, dwap, dwag)
        dx_b, dwbp, dwbg = gated_gradient(xt, turned(tl.load(db + first), C) * keep, vbp, vbg, dwbp, dwbg)
        tl.store(dz + at, (wide(tl.load(dz_out + at), C) + norm_gradient(dx + dx_b, x, r, C)).to(T))
    part += tl.program_id(0) * (4 * C + 6) * C
    size: tl.constexpr = (C + 1) * C
    dnorm = put_normed_linear(part, (0.0, 0.0), wap, nw, nb, dwap, C)
    dnorm = put_normed_linear(part + size, dnorm, wag, nw, nb, dwag, C)
    dnorm = put_normed_linear(part + 2 * size, dnorm, wbp, nw, nb, dwbp, C)
    dnorm = put_normed_linear(part + 3 * size, dnorm, wbg, nw, nb, dwbg, C)
    put_norm(part + 4 * size, dnorm, C)


@triton.jit
def out_forward_kernel(z, t, out, nw, nb, ow, ob, wz, bz, wg, bg, tiles, L: tl.constexpr, C: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    c, vz, vg = tl.arange(0, C), folded(wz, bz, ow, ob, C, T), folded(wg, bg, nw, nb, C, T)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        crop, place = tile * M // (L * L), rows % (L * L)
        at = rows[:, None] * C + c[None, :]
        zt = wide(tl.load(z + at), C)
        x, _ = normalised(zt, C)
        y, _ = normalised(turned(tl.load(t + (crop * C + c[:, None]) * (L * L) + place[None, :]), C), C)
        tl.store(out + at, (zt + linear(y.to(T), vz) * sigmoid(linear(x.to(T), vg))).to(T))


@triton.jit
def out_backward_kernel(z, t, dout, dt, dz, part, nw, nb, ow, ob, wz, bz, wg, bg, tiles, L: tl.constexpr, C: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    c, vz, vg = tl.arange(0, C), folded(wz, bz, ow, ob, C, T), folded(wg, bg, nw, nb, C, T)
    dwz, dwg = tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        crop, place = tile * M // (L * L), rows % (L * L)
        at = rows[:, None] * C + c[None, :]
        first = (crop * C + c[:, None]) * (L * L) + place[None, :]
        x, r = normalised(wide(tl.load(z + at), C), C)
        y, ry = normalised(turned(tl.load(t + first), C), C)
        xt, yt = x.to(T), y.to(T)
        g, d = sigmoid(linear(xt, vg)), wide(tl.load(dout + at), C)
        do = d * g
        dg = (do * linear(yt, vz) * (1 - g)).to(T)
        do = do.to(T)
        dwz, dwg = tl.dot(tl.trans(do), yt, dwz), tl.dot(tl.trans(dg), xt, dwg)
        tl.store(dt + first, tl.trans(norm_gradient(tl.dot(do, vz), y, ry, C).to(T)))
        tl.store(dz + at, (d + norm_gradient(tl.dot(dg, vg), x, r, C)).to(T))
    part += tl.program_id(0) * (2 * C + 6) * C
    size: tl.constexpr = (C + 1) * C
    put_norm(part + 2 * size, put_normed_linear(part, (0.0, 0.0), wz, ow, ob, dwz, C), C)
    put_norm(part + 2 * size + 2 * C, put_normed_linear(part + size, (0.0, 0.0), wg, nw, nb, dwg, C), C)


class Multiplication(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, mask, outgoing, nw, nb, wap, bap, wag, bag, wbp, bbp, wbg, bbg, ow, ob, wz, bz, wg, bg):
        B, L, _, C = z.shape
        a, b, out = z.new_empty(B, C, L, L), z.new_empty(B, C, L, L), torch.empty_like(z)
        n, tiles = shares(z, IN_FORWARD, 12)
        in_forward_kernel[(n,)](z, mask, a, b, nw, nb, wap, bap, wag, bag, wbp, bbp, wbg, bbg, tiles, L, C, **IN_FORWARD)
        t = a @ b.mT if outgoing else a.mT @ b
        n, tiles = shares(z, OUT_FORWARD)
        out_forward_kernel[(n,)](z, t, out, nw, nb, ow, ob, wz, bz, wg, bg, tiles, L, C, **OUT_FORWARD)
        ctx.save_for_backward(z, mask, a, b, t, nw, nb, wap, bap, wag, bag, wbp, bbp, wbg, bbg, ow, ob, wz, bz, wg, bg)
        ctx.outgoing = outgoing
        return out

    @staticmethod
    def backward(ctx, dout):
        z, mask, a, b, t, nw, nb, *inner, ow, ob, wz, bz, wg, bg = ctx.saved_tensors
        B, L, _, C = z.shape
        dt, dz_out, dz = torch.empty_like(t), torch.empty_like(z), torch.empty_like(z)
        n, tiles = shares(z, OUT_BACKWARD)
        part = torch.empty(n, (2 * C + 6) * C, device=z.device)
        out_backward_kernel[(n,)](z, t, dout.contiguous(), dt, dz_out, part, nw, nb, ow, ob, wz, bz, wg, bg, tiles, L, C, **OUT_BACKWARD)
        dwz, dbz, dwg, dbg, dow, dob, norm_out = parameter_gradients(part, (C, C), (C,), (C, C), (C,), (C,), (C,), (2, C))
        da, db = (dt @ b, dt.mT @ a) if ctx.outgoing else (b @ dt.mT, a @ dt)
        n, tiles = shares(z, IN_BACKWARD)
        part = torch.empty(n, (4 * C + 6) * C, device=z.device)
        in_backward_kernel[(n,)](z, mask, da, db, dz_out, dz, part, nw, nb, *inner, tiles, L, C, **IN_BACKWARD)
        *dinner, norm_in = parameter_gradients(part, *4 * ((C, C), (C,)), (2, C))
        return dz, None, None, *(norm_in + norm_out), *dinner, dow, dob, dwz, dbz, dwg, dbg

"""Triangle multiplication, residual included: a kernel before the batched matrix product and one after it, forward and backward. Both the
kernels' sides towards the product have channels first, [B, C, L, L]; the layout changes on the chip."""
import torch
import triton
import triton.language as tl

from tiles import (affine, linear, matrix, norm_gradient, normalised, ones, parameter_gradients, put_norm, put_normed_linear, shares, turned,
                   vector)

IN_FORWARD, OUT_FORWARD = dict(M=128, num_warps=8), dict(M=128, num_warps=4)
IN_BACKWARD = dict(M=128, ONES=16, num_warps=8, num_stages=2)
OUT_BACKWARD = dict(M=64, ONES=8, num_warps=4, num_stages=2)


@triton.jit
def kept(mask, crop, place, L: tl.constexpr):
    return (tl.load(mask + crop * L + place // L) * tl.load(mask + crop * L + place % L))[:, None]


@triton.jit
def in_forward_kernel(z, mask, a, b, nw, nb, wap, bap, wag, bag, wbp, bbp, wbg, bbg, L: tl.constexpr, C: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    rows, c = tl.program_id(0) * M + tl.arange(0, M), tl.arange(0, C)
    crop, place = tl.program_id(0) * M // (L * L), rows % (L * L)
    n, _ = normalised(tl.load(z + rows[:, None] * C + c[None, :]).to(tl.float32), C)
    x = affine(n, nw, nb, C, T)
    keep = kept(mask, crop, place, L)
    to = (crop * C + c[:, None]) * (L * L) + place[None, :]
    y = linear(x, matrix(wap, C, C, C, T), vector(bap, C)) * tl.sigmoid(linear(x, matrix(wag, C, C, C, T), vector(bag, C))) * keep
    tl.store(a + to, tl.trans(y.to(T)))
    y = linear(x, matrix(wbp, C, C, C, T), vector(bbp, C)) * tl.sigmoid(linear(x, matrix(wbg, C, C, C, T), vector(bbg, C))) * keep
    tl.store(b + to, tl.trans(y.to(T)))


@triton.jit
def gated_gradient(x, n, dy, wp, bp, wg, bg, one, dwp, dsp, dwg, dsg, C: tl.constexpr):
    p, g = linear(x, wp, vector(bp, C)), tl.sigmoid(linear(x, wg, vector(bg, C)))
    dp = dy * g
    dg = (dp * p * (1 - g)).to(x.dtype)
    dp = dp.to(x.dtype)
    return (tl.dot(dg, wg) + tl.dot(dp, wp), tl.dot(tl.trans(dp), n, dwp), tl.dot(tl.trans(dp), one, dsp), tl.dot(tl.trans(dg), n, dwg),
            tl.dot(tl.trans(dg), one, dsg))


@triton.jit
def in_backward_kernel(z, mask, da, db, dz_out, dz, part, nw, nb, wap, bap, wag, bag, wbp, bbp, wbg, bbg, tiles,
                       L: tl.constexpr, C: tl.constexpr, M: tl.constexpr, ONES: tl.constexpr):
    """dz_out: the gradient that reaches z through the later kernel."""
    T: tl.constexpr = z.dtype.element_ty
    c, one = tl.arange(0, C), ones(M, ONES, T)
    vap, vag, vbp, vbg = matrix(wap, C, C, C, T), matrix(wag, C, C, C, T), matrix(wbp, C, C, C, T), matrix(wbg, C, C, C, T)
    dwap, dwag, dwbp, dwbg = (tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32),
                              tl.zeros([C, C], tl.float32))
    dsap, dsag, dsbp, dsbg = (tl.zeros([C, ONES], tl.float32), tl.zeros([C, ONES], tl.float32), tl.zeros([C, ONES], tl.float32),
                              tl.zeros([C, ONES], tl.float32))
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        crop, place = tile * M // (L * L), rows % (L * L)
        at = rows[:, None] * C + c[None, :]
        first = (crop * C + c[:, None]) * (L * L) + place[None, :]
        n, r = normalised(tl.load(z + at).to(tl.float32), C)
        x, nt = affine(n, nw, nb, C, T), n.to(T)
        keep = kept(mask, crop, place, L)
        dy = tl.trans(tl.load(da + first)).to(tl.float32) * keep
        dx, dwap, dsap, dwag, dsag = gated_gradient(x, nt, dy, vap, bap, vag, bag, one, dwap, dsap, dwag, dsag, C)
        dy = tl.trans(tl.load(db + first)).to(tl.float32) * keep
        dx_b, dwbp, dsbp, dwbg, dsbg = gated_gradient(x, nt, dy, vbp, bbp, vbg, bbg, one, dwbp, dsbp, dwbg, dsbg, C)
        tl.store(dz + at, (tl.load(dz_out + at).to(tl.float32) + norm_gradient(dx + dx_b, nw, n, r, C)).to(T))
    part += tl.program_id(0) * (4 * C + 6) * C
    size: tl.constexpr = (C + 1) * C
    dnorm = put_normed_linear(part, (0.0, 0.0), wap, nw, nb, dwap, dsap, C)
    dnorm = put_normed_linear(part + size, dnorm, wag, nw, nb, dwag, dsag, C)
    dnorm = put_normed_linear(part + 2 * size, dnorm, wbp, nw, nb, dwbp, dsbp, C)
    dnorm = put_normed_linear(part + 3 * size, dnorm, wbg, nw, nb, dwbg, dsbg, C)
    put_norm(part + 4 * size, dnorm, C)


@triton.jit
def out_forward_kernel(z, t, out, nw, nb, ow, ob, wz, bz, wg, bg, L: tl.constexpr, C: tl.constexpr, M: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    rows, c = tl.program_id(0) * M + tl.arange(0, M), tl.arange(0, C)
    crop, place = tl.program_id(0) * M // (L * L), rows % (L * L)
    at = rows[:, None] * C + c[None, :]
    zt = tl.load(z + at).to(tl.float32)
    n, _ = normalised(zt, C)
    g = tl.sigmoid(linear(affine(n, nw, nb, C, T), matrix(wg, C, C, C, T), vector(bg, C)))
    n, _ = normalised(turned(tl.load(t + (crop * C + c[:, None]) * (L * L) + place[None, :]), C), C)
    o = linear(affine(n, ow, ob, C, T), matrix(wz, C, C, C, T), vector(bz, C))
    tl.store(out + at, (zt + o * g).to(T))


@triton.jit
def out_backward_kernel(z, t, dout, dt, dz, part, nw, nb, ow, ob, wz, bz, wg, bg, tiles, L: tl.constexpr, C: tl.constexpr, M: tl.constexpr,
                        ONES: tl.constexpr):
    T: tl.constexpr = z.dtype.element_ty
    c, one, vz, vg = tl.arange(0, C), ones(M, ONES, T), matrix(wz, C, C, C, T), matrix(wg, C, C, C, T)
    dwz, dwg = tl.zeros([C, C], tl.float32), tl.zeros([C, C], tl.float32)
    dsz, dsg = tl.zeros([C, ONES], tl.float32), tl.zeros([C, ONES], tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        rows = tile * M + tl.arange(0, M)
        crop, place = tile * M // (L * L), rows % (L * L)
        at = rows[:, None] * C + c[None, :]
        first = (crop * C + c[:, None]) * (L * L) + place[None, :]
        n, r = normalised(tl.load(z + at).to(tl.float32), C)
        on, onr = normalised(turned(tl.load(t + first), C), C)
        g = tl.sigmoid(linear(affine(n, nw, nb, C, T), vg, vector(bg, C)))
        o = linear(affine(on, ow, ob, C, T), vz, vector(bz, C))
        d = tl.load(dout + at).to(tl.float32)
        do = d * g
        dg = (do * o * (1 - g)).to(T)
        do = do.to(T)
        dwz, dsz = tl.dot(tl.trans(do), on.to(T), dwz), tl.dot(tl.trans(do), one, dsz)
        dwg, dsg = tl.dot(tl.trans(dg), n.to(T), dwg), tl.dot(tl.trans(dg), one, dsg)
        tl.store(dt + first, tl.trans(norm_gradient(tl.dot(do, vz), ow, on, onr, C).to(T)))
        tl.store(dz + at, (d + norm_gradient(tl.dot(dg, vg), nw, n, r, C)).to(T))
    part += tl.program_id(0) * (2 * C + 6) * C
    size: tl.constexpr = (C + 1) * C
    put_norm(part + 2 * size, put_normed_linear(part, (0.0, 0.0), wz, ow, ob, dwz, dsz, C), C)
    put_norm(part + 2 * size + 2 * C, put_normed_linear(part + size, (0.0, 0.0), wg, nw, nb, dwg, dsg, C), C)


class Multiplication(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, mask, outgoing, nw, nb, wap, bap, wag, bag, wbp, bbp, wbg, bbg, ow, ob, wz, bz, wg, bg):
        B, L, _, C = z.shape
        a, b, out = z.new_empty(B, C, L, L), z.new_empty(B, C, L, L), torch.empty_like(z)
        pairs = z.numel() // C
        in_forward_kernel[(pairs // IN_FORWARD["M"],)](z, mask, a, b, nw, nb, wap, bap, wag, bag, wbp, bbp, wbg, bbg, L, C, **IN_FORWARD)
        t = a @ b.mT if outgoing else a.mT @ b
        out_forward_kernel[(pairs // OUT_FORWARD["M"],)](z, t, out, nw, nb, ow, ob, wz, bz, wg, bg, L, C, **OUT_FORWARD)
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

"""Triangle attention in one kernel forward and one backward (Triton), for crops of L residues, L a power of two up to 128.

A row's whole L x L score tile fits on the chip, so no score leaves it. The bias is the same for all rows: one program takes several rows,
and sums the bias gradient over them in registers; the sum over programs is a small reduction afterwards.
"""
import os

import torch

try:
    import triton
    import triton.language as tl
except ImportError:                                 # CPU without Triton: `plain` only
    triton = None

FUSED = os.environ.get("TRIANGLE", "fused") == "fused"
ROWS = 16                                           # rows per program


def plain(qkv, bias, ending):
    """The same in PyTorch. qkv [B, L, L, 3, H, D], bias [B, H, L, L] (with the mask) -> [B, L, L, H, D]."""
    q, k, v = (qkv.transpose(1, 2) if ending else qkv).permute(3, 0, 1, 4, 2, 5).unbind(0)
    a = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias[:, None]).softmax(-1).to(v.dtype)
    o = (a @ v).transpose(2, 3)
    return o.transpose(1, 2) if ending else o


if triton is not None:
    @triton.jit
    def probabilities(q, k, b, scale):
        s = tl.dot(q, tl.trans(k)) * scale + b
        p = tl.exp(s - tl.max(s, 1)[:, None])
        return p / tl.sum(p, 1)[:, None]

    @triton.jit
    def forward_kernel(qkv, bias, out, row_stride, pos_stride, row_stride_o, pos_stride_o, scale,
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
    def backward_kernel(qkv, bias, grad, dqkv, dbias, row_stride, pos_stride, row_stride_o, pos_stride_o, scale,
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


def strides(L, width, ending):
    return (width, L * width) if ending else (L * width, width)


@torch.library.custom_op("foldpoint::triangle_forward", mutates_args=())
def fused(qkv: torch.Tensor, bias: torch.Tensor, ending: bool) -> torch.Tensor:
    B, L, _, _, H, D = qkv.shape
    qkv, bias = qkv.contiguous(), bias.contiguous()
    out = torch.empty(B, L, L, H, D, dtype=qkv.dtype, device=qkv.device)
    forward_kernel[(B * H, L // ROWS)](qkv, bias, out, *strides(L, 3 * H * D, ending), *strides(L, H * D, ending), D ** -0.5,
                                       L, H, D, ROWS, num_warps=8)
    return out


@torch.library.custom_op("foldpoint::triangle_backward", mutates_args=())
def fused_backward(qkv: torch.Tensor, bias: torch.Tensor, grad: torch.Tensor, ending: bool) -> tuple[torch.Tensor, torch.Tensor]:
    B, L, _, _, H, D = qkv.shape
    qkv, bias, grad = qkv.contiguous(), bias.contiguous(), grad.contiguous()
    dqkv = torch.empty_like(qkv)
    part = torch.empty(B, H, L // ROWS, L, L, dtype=torch.float32, device=qkv.device)
    backward_kernel[(B * H, L // ROWS)](qkv, bias, grad, dqkv, part, *strides(L, 3 * H * D, ending), *strides(L, H * D, ending),
                                        D ** -0.5, L, H, D, ROWS, num_warps=8)
    return dqkv, part.sum(2).to(bias.dtype)


@fused.register_fake
def _(qkv, bias, ending):
    B, L, _, _, H, D = qkv.shape
    return qkv.new_empty(B, L, L, H, D)


@fused_backward.register_fake
def _(qkv, bias, grad, ending):
    return qkv.new_empty(qkv.shape), bias.new_empty(bias.shape)


def save(ctx, inputs, output):
    ctx.save_for_backward(inputs[0], inputs[1])
    ctx.ending = inputs[2]


def backward(ctx, grad):
    return *fused_backward(*ctx.saved_tensors, grad, ctx.ending), None


fused.register_autograd(backward, setup_context=save)


def attention(qkv, bias, ending):
    return fused(qkv, bias, ending) if FUSED and qkv.is_cuda else plain(qkv, bias, ending)

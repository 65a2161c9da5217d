"""What the Triton kernels of the pair track share. A tile is M pairs by C channels; its arithmetic is float32, its matrix products take
operands of the pair representation's type. Weights are read in float32 as the optimizer keeps them, so no kernel casts them beforehand.

Gradients of weights are summed in registers over the tiles of a program, written as one row per program, and the rows summed afterwards.
Vectors would take more registers than matrices (all threads hold a vector): sums over pairs are products with a matrix of ones, and the
gradients of a LayerNorm's weight and bias follow from those of the linear layers behind it.

The options in capitals are the fastest that were measured on an H100: M pairs a tile, ONES columns of that matrix (8 or 16 decides by which
instruction it is multiplied, and 16 takes more registers).
"""
import torch
import triton
import triton.language as tl

EPS = tl.constexpr(1e-5)                            # nn.LayerNorm's
HEADS = tl.constexpr(16)                            # least width of a matrix product: heads beyond the model's are zero


@triton.jit
def vector(p, C: tl.constexpr):
    return tl.load(p + tl.arange(0, C))


@triton.jit
def matrix(p, stride, R: tl.constexpr, C: tl.constexpr, T: tl.constexpr):
    return tl.load(p + tl.arange(0, R)[:, None] * stride + tl.arange(0, C)[None, :]).to(T)


@triton.jit
def head_matrix(p, H: tl.constexpr, C: tl.constexpr, T: tl.constexpr):
    h = tl.arange(0, HEADS)[:, None]
    return tl.load(p + h * C + tl.arange(0, C)[None, :], mask=h < H, other=0.0).to(T)


@triton.jit
def linear(x, w, b):
    return tl.dot(x, tl.trans(w)) + b[None, :]


@triton.jit
def normalised(z, C: tl.constexpr):
    d = z - (tl.sum(z, 1) / C)[:, None]
    r = tl.rsqrt(tl.sum(d * d, 1) / C + EPS)
    return d * r[:, None], r


@triton.jit
def affine(n, w, b, C: tl.constexpr, T: tl.constexpr):
    return (n * vector(w, C)[None, :] + vector(b, C)[None, :]).to(T)


@triton.jit
def norm_gradient(dx, w, n, r, C: tl.constexpr):
    d = dx * vector(w, C)[None, :]
    return r[:, None] * (d - (tl.sum(d, 1) / C)[:, None] - n * (tl.sum(d * n, 1) / C)[:, None])


@triton.jit
def turned(x, C: tl.constexpr):
    """x^T of a loaded tile [C, M]: a matrix product reads its operand in either order, where a change of layout goes through shared memory in
    small pieces."""
    i = tl.arange(0, C)
    return tl.dot(tl.trans(x), tl.where(i[:, None] == i[None, :], 1.0, 0.0).to(x.dtype))


@triton.jit
def ones(M: tl.constexpr, ONES: tl.constexpr, T: tl.constexpr):
    return tl.full([M, ONES], 1.0, T)


@triton.jit
def head_tile(base, crop, place, H: tl.constexpr, L: tl.constexpr, transposed: tl.constexpr):
    """Addresses [M, HEADS] of the pairs `place` in a tensor [B, H, L, L], and which of them exist."""
    i, j = place // L, place % L
    at = j * L + i if transposed else place
    h = tl.arange(0, HEADS)[None, :]
    return base + (crop * H + h) * (L * L) + at[:, None], (at[:, None] >= 0) & (h < H)


@triton.jit
def put_vector(p, x, C: tl.constexpr):
    tl.store(p + tl.arange(0, C), x)


@triton.jit
def put_matrix(p, stride, x, R: tl.constexpr, C: tl.constexpr):
    tl.store(p + tl.arange(0, R)[:, None] * stride + tl.arange(0, C)[None, :], x)


@triton.jit
def put_linear(part, dw, ds, R: tl.constexpr, C: tl.constexpr):
    """The gradients of a linear layer's weight and bias, one behind the other. ds: sums of d, in equal columns."""
    put_matrix(part, C, dw, R, C)
    put_vector(part + R * C, tl.sum(ds, 1) / ds.shape[1], R)


@triton.jit
def put_normed(part, dnorm, v, gain, shift, dw, ds, R: tl.constexpr, C: tl.constexpr):
    """The same for a layer with weight v over n * gain + shift, where dw is the sum of d^T n. -> dnorm, the gradients of gain and shift, with the
    layer's share added."""
    s = tl.sum(ds, 1) / ds.shape[1]
    put_matrix(part, C, dw * vector(gain, C)[None, :] + s[:, None] * vector(shift, C)[None, :], R, C)
    put_vector(part + R * C, s, R)
    dgain, dshift = dnorm
    return dgain + tl.sum(v * dw, 0), dshift + tl.sum(v * s[:, None], 0)


@triton.jit
def put_normed_linear(part, dnorm, w, gain, shift, dw, ds, C: tl.constexpr):
    return put_normed(part, dnorm, matrix(w, C, C, C, tl.float32), gain, shift, dw, ds, C, C)


@triton.jit
def put_normed_heads(part, dnorm, w, gain, shift, dw, ds, H: tl.constexpr, C: tl.constexpr):
    return put_normed(part, dnorm, head_matrix(w, H, C, tl.float32), gain, shift, dw, ds, HEADS, C)


@triton.jit
def put_norm(part, dnorm, C: tl.constexpr):
    dgain, dshift = dnorm
    put_vector(part, dgain, C)
    put_vector(part + C, dshift, C)


def shares(z, options):
    """-> the number of programs that sum gradients of weights, and of the tiles they share. Eight of their warps fill a multiprocessor's registers."""
    tiles = z.numel() // z.shape[-1] // options["M"]
    processors = torch.cuda.get_device_properties(z.device).multi_processor_count if z.is_cuda else 1
    return min(tiles, processors * (8 // options["num_warps"])), tiles


def parameter_gradients(part, *shapes):
    """part [programs, ..., n]: the sum over programs, its last dimension cut into these shapes."""
    flat, out, at = part.sum(0), [], 0
    for shape in shapes:
        n = torch.Size(shape).numel()
        out.append(flat[..., at:at + n].unflatten(-1, shape))
        at += n
    return out

"""What the Triton kernels of the pair track share. A tile is M pairs by C channels; its arithmetic is float32, its matrix products take
operands of the pair representation's type. Weights are read in float32 as the optimizer keeps them, so no kernel casts them beforehand.

A LayerNorm and the linear layer behind it are one matrix (`folded`): normalised channels sum to zero, so SHIFT added to each of them makes a
constant of their sum, and the matrix can hold the bias too. Kernels so need no vectors, which take more registers than matrices (all threads
hold a vector), and one operand serves the layer and the gradient of its weight.

Gradients of weights are summed in registers over the tiles of a program, written as one row per program, and the rows summed afterwards.
Those of the bias, and of the LayerNorm's weight and bias, follow from the same sums (`put_normed`); where no LayerNorm stands before a layer,
the sum over pairs is a product with a matrix of ones.

The options in capitals are the fastest that were measured on an H100: M pairs a tile, ONES columns of that matrix (8 or 16 decides by which
instruction it is multiplied, and 16 takes more registers).
"""
import torch
import triton
import triton.language as tl

EPS = tl.constexpr(1e-5)                            # nn.LayerNorm's
SHIFT = tl.constexpr(0.25)
LOG2E = tl.constexpr(1.4426950408889634)            # exponentials are powers of two on the chip
HEADS = tl.constexpr(16)                            # least width of a matrix product: heads beyond the model's are zero
SUM = dict(ROWS=256, COLUMNS=32, num_warps=8)


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
def linear(x, w):
    return tl.dot(x, tl.trans(w))


@triton.jit
def sigmoid(x):
    """In five instructions; tl.sigmoid takes thirteen, for denormal numbers. tl.exp and a division, too, take more than these."""
    r = tl.rsqrt(1 + tl.exp2(x * -LOG2E))
    return r * r


@triton.jit
def normalised(z, C: tl.constexpr):
    """-> LayerNorm's result before weight and bias, SHIFT added; 1 / the standard deviation."""
    d = z - (tl.sum(z, 1) / C)[:, None]
    r = tl.rsqrt(tl.sum(d * d, 1) / C + EPS)
    return d * r[:, None] + SHIFT, r


@triton.jit
def fold(w, b, gain, shift, C: tl.constexpr, T: tl.constexpr):
    """W (n * gain + shift) + b as a matrix over n + SHIFT. w: W [R, C]; b [R] or 0."""
    gain, shift = vector(gain, C)[None, :], vector(shift, C)[None, :]
    v = w * gain
    return (v + ((b + tl.sum(w * shift, 1)) / (C * SHIFT) - tl.sum(v, 1) / C)[:, None]).to(T)


@triton.jit
def folded(w, b, gain, shift, C: tl.constexpr, T: tl.constexpr):
    """b may be None."""
    return fold(matrix(w, C, C, C, tl.float32), 0.0 if b is None else vector(b, C), gain, shift, C, T)


@triton.jit
def folded_heads(w, gain, shift, H: tl.constexpr, C: tl.constexpr, T: tl.constexpr):
    return fold(head_matrix(w, H, C, tl.float32), 0.0, gain, shift, C, T)


@triton.jit
def norm_gradient(d, x, r, C: tl.constexpr):
    """d: the gradient of x, up to a constant over the channels (it has no effect); x, r: of `normalised`."""
    d -= (tl.sum(d, 1) / C)[:, None]
    m = tl.sum(d * x, 1) / C
    return r[:, None] * (d + (m * SHIFT)[:, None] - x * m[:, None])


@triton.jit
def identity(C: tl.constexpr, T: tl.constexpr):
    i = tl.arange(0, C)
    return tl.where(i[:, None] == i[None, :], 1.0, 0.0).to(T)


@triton.jit
def wide(x, C: tl.constexpr):
    """A loaded tile [M, C] in float32. A matrix product reads it where the copy engine put it, and leaves it in the layout of the other products;
    a change of layout goes through shared memory in small pieces."""
    return tl.dot(x, identity(C, x.dtype))


@triton.jit
def turned(x, C: tl.constexpr):
    """The same of x^T, for a loaded tile x [C, M]."""
    return tl.dot(tl.trans(x), identity(C, x.dtype))


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
def put_normed(part, dnorm, w, gain, shift, dw, R: tl.constexpr, C: tl.constexpr):
    """The same for a layer behind a LayerNorm, with weight w [R, C]; dw: the sum of d^T (n + SHIFT). -> dnorm, the gradients of gain and shift, with
    the layer's share added."""
    s = tl.sum(dw, 1) / (C * SHIFT)
    dw -= s[:, None] * SHIFT
    put_matrix(part, C, dw * vector(gain, C)[None, :] + s[:, None] * vector(shift, C)[None, :], R, C)
    put_vector(part + R * C, s, R)
    dgain, dshift = dnorm
    return dgain + tl.sum(w * dw, 0), dshift + tl.sum(w * s[:, None], 0)


@triton.jit
def put_normed_linear(part, dnorm, w, gain, shift, dw, C: tl.constexpr):
    return put_normed(part, dnorm, matrix(w, C, C, C, tl.float32), gain, shift, dw, C, C)


@triton.jit
def put_normed_heads(part, dnorm, w, gain, shift, dw, H: tl.constexpr, C: tl.constexpr):
    return put_normed(part, dnorm, head_matrix(w, H, C, tl.float32), gain, shift, dw, HEADS, C)


@triton.jit
def put_norm(part, dnorm, C: tl.constexpr):
    dgain, dshift = dnorm
    put_vector(part, dgain, C)
    put_vector(part + C, dshift, C)


def shares(z, options, warps=8):
    """-> the number of programs, and of the tiles they share. warps: as many of a kernel's fill a multiprocessor's registers, 8 where weights'
    gradients are summed."""
    tiles = z.numel() // z.shape[-1] // options["M"]
    processors = torch.cuda.get_device_properties(z.device).multi_processor_count if z.is_cuda else 1
    return min(tiles, processors * warps // options["num_warps"]), tiles


@triton.jit
def sum_kernel(part, out, n, size, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    rows, columns = tl.arange(0, ROWS)[:, None], (tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for first in range(0, n, ROWS):
        total += tl.load(part + (first + rows) * size + columns, mask=(first + rows < n) & (columns < size), other=0.0)
    columns = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    tl.store(out + columns, tl.sum(total, 0), mask=columns < size)


def parameter_gradients(part, *shapes):
    """part [programs, ..., n]: the sum over programs, its last dimension cut into these shapes."""
    flat, out, at = torch.empty_like(part[0]), [], 0
    sum_kernel[(triton.cdiv(flat.numel(), SUM["COLUMNS"]),)](part, flat, len(part), flat.numel(), **SUM)
    for shape in shapes:
        n = torch.Size(shape).numel()
        out.append(flat[..., at:at + n].unflatten(-1, shape))
        at += n
    return out

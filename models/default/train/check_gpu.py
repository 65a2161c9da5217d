"""Compares the pair track's Triton kernels, results and gradients, with plain PyTorch in float32, and times them; exits with an error if they
are further from it than PyTorch in bf16. TRITON_INTERPRET=1 checks them on a CPU, smaller and in float32."""
import os

import torch

import fused
import plain

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
DEV, TYPE, CROPS, LENGTHS = ("cpu", torch.float32, 1, (32,)) if interpreted else ("cuda", torch.bfloat16, 8, (64, 128))
C, HIDDEN, HEADS, SEQUENCE_HEADS = 64, 256, 2, 6


def time(f):
    f()
    a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    a.record()
    for _ in range(10):
        f()
    b.record()
    torch.cuda.synchronize()
    return a.elapsed_time(b) / 10


def norm():
    return [1 + 0.2 * torch.randn(C), 0.2 * torch.randn(C)]


def weight(rows=C, columns=C):
    return [torch.randn(rows, columns) * columns ** -0.5]


def linear(rows=C, columns=C):
    return weight(rows, columns) + [0.2 * torch.randn(rows)]


def cases(L):
    """(operation, arguments between z and the parameters, parameters)"""
    mask = (torch.rand(CROPS, L, device=DEV) > 0.1).float()
    yield "transition", (), norm() + linear(HIDDEN) + linear(C, HIDDEN)
    for direction in (True, False):
        yield "multiplication", (mask, direction), norm() + 4 * linear() + norm() + 2 * linear()
        yield "attention", (mask, direction), norm() + weight(HEADS) + 3 * weight() + 2 * linear()
    yield "bias", (), norm() + weight(SEQUENCE_HEADS)
    yield "outer", (torch.randn(CROPS, L, C, device=DEV).to(TYPE).requires_grad_(),), linear()
    weight_of_pair = mask[:, :, None] * mask[:, None] / mask.sum() ** 2
    target = torch.randint(0, C, (CROPS, L, L), device=DEV, dtype=torch.int32)
    yield "cross_entropy", (target, weight_of_pair, False), linear()
    yield "cross_entropy", (torch.maximum(target, target.mT), weight_of_pair, True), linear()


def run(f, z, extra, parameters):
    """-> results (the updates, without the residual connection, which would hide their errors) and gradients of z, of the parameters, and of
    those of the extra arguments that have one."""
    z = z.detach().requires_grad_()
    leaves = [z] + [x for x in extra if torch.is_tensor(x) and x.requires_grad] + parameters
    out = f(z, *extra, *parameters)
    out = out if isinstance(out, tuple) else (out,)
    seed = torch.Generator(DEV).manual_seed(1)
    grads = [torch.randn(o.shape, generator=seed, device=DEV).to(TYPE).to(o.dtype) for o in out]
    return [o.detach().float() - (z.detach().float() if o.shape == z.shape else 0) for o in out] + [*torch.autograd.grad(out, leaves, grads)]


def errors(a, b):
    """Relative errors; what is zero but for rounding does not count."""
    return [float((x.float() - y.float()).norm() / y.float().norm()) for x, y in zip(a, b) if y.float().abs().max() > 1e-6]


def main():
    torch.manual_seed(0)
    bad = []
    for L in LENGTHS:
        for name, extra, parameters in cases(L):
            z = torch.randn(CROPS, L, L, C, device=DEV).to(TYPE)
            parameters = [p.to(DEV, copy=True).requires_grad_() for p in parameters]
            single = [x.detach().float().requires_grad_(x.requires_grad) if torch.is_tensor(x) and x.is_floating_point() else x for x in extra]
            exact = run(getattr(plain, name), z.float(), single, parameters)
            of_fused = max(errors(run(getattr(fused, name), z, extra, parameters), exact))
            line = f"L {L} {name} {[x for x in extra if isinstance(x, bool)]}: largest relative error {of_fused:.1e}"
            allowed = 1e-4
            if not interpreted:
                with torch.autocast("cuda", torch.bfloat16):
                    of_plain = max(errors(run(getattr(plain, name), z, extra, parameters), exact))
                    ms = [time(lambda: run(getattr(m, name), z, extra, parameters)) for m in (fused, plain)]
                line += f", PyTorch's in bf16 {of_plain:.1e}; ms forward and backward of {CROPS} crops: fused {ms[0]:.3f}, plain {ms[1]:.3f}"
                allowed = 1.2 * of_plain + 1e-3
            print(line, flush=True)
            if not of_fused < allowed:
                bad.append((L, name))
    assert not bad, bad


if __name__ == "__main__":
    main()

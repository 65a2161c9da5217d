"""One optimizer for all parameters, on flat buffers: Muon for matrices inside blocks, AdamW for the rest. No host synchronisation.

Muon: Jordan et al. 2024 (momentum, then the nearest orthogonal matrix by five Newton-Schulz iterations), with the update scaled to
AdamW's usual size (0.2 sqrt(max(rows, columns)), Liu et al. 2025), so that one learning rate serves both.
"""
import torch
import torch.distributed as dist

ALIGN = 4                                           # every parameter starts at a multiple of 16 bytes, for wide loads in kernels


def orthogonalize(x):
    """x bf16 [n, r, c] -> approximately U V^T of each matrix."""
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True, dtype=torch.float32) + 1e-7).bfloat16()
    for _ in range(5):
        a = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(a, a, a, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.mT if tall else x


def decayed_momentum(p, g, m, keep, lr, rate, decay, beta):
    """Weight decay and momentum of the matrices -> what to orthogonalize. keep: what clipping leaves of the gradient, 0 if it is not finite."""
    g = torch.nan_to_num(g, 0, 0, 0) * keep
    p.mul_(1 - lr * rate * decay)
    m.lerp_(g, 1 - beta)
    return g.lerp(m, beta).bfloat16()


def descent(p, ema, update, lr, size, ema_keep):
    p.sub_(lr * size * update)
    ema.lerp_(p, 1 - ema_keep)


def adamw(p, ema, g, m, v, keep, lr, rate, ema_keep, step, decay, b1, b2):
    g = torch.nan_to_num(g, 0, 0, 0) * keep
    m.lerp_(g, 1 - b1)
    v.lerp_(g.square(), 1 - b2)
    p.sub_(lr * rate * (decay * p + (m / (1 - b1 ** step)) / ((v / (1 - b2 ** step)).sqrt() + 1e-8)))
    ema.lerp_(p, 1 - ema_keep)


class Optimizer:
    """params: list of (name, parameter, matrix: bool, scale of the learning rate). Parameters become views of one flat buffer."""

    def __init__(self, params, weight_decay, betas=(0.9, 0.98), momentum=0.95, clip=1.0, world=1):
        order = sorted(params, key=lambda p: (not p[2], p[3], tuple(p[1].shape) if p[2] else ()))
        self.names, self.params = [p[0] for p in order], [p[1] for p in order]
        size, dev = sum(-(-p.numel() // ALIGN) * ALIGN for p in self.params), self.params[0].device
        self.flat, self.grad, self.m, self.rate = (torch.zeros(size, device=dev) for _ in range(4))
        self.grads, self.groups, at, self.end = [], [], 0, 0    # groups: (first, last, count, rows, columns, scale) of equal matrices in a row
        for _, p, matrix, scale in order:
            last = at + p.numel()
            self.flat[at:last] = p.detach().float().flatten()
            self.rate[at:last] = scale
            p.data = self.flat[at:last].view_as(p)
            self.grads.append(self.grad[at:last].view_as(p))
            if matrix:
                g = self.groups[-1] if self.groups else None
                if g and g[1] == at and g[3:] == (*p.shape, scale):
                    self.groups[-1] = (g[0], last, g[2] + 1, *p.shape, scale)
                else:
                    self.groups.append((at, last, 1, *p.shape, scale))
            at += -(-p.numel() // ALIGN) * ALIGN
            self.end = at if matrix else self.end
        self.size = self.rate[:self.end].clone()                # of a Muon update
        for a, z, _, r, c, scale in self.groups:
            self.size[a:z] = scale * 0.2 * max(r, c) ** 0.5
        self.v, self.update = torch.zeros_like(self.flat[self.end:]), torch.zeros_like(self.flat[:self.end], dtype=torch.bfloat16)
        self.wd, self.betas, self.momentum, self.clip, self.world = weight_decay, betas, momentum, clip, world
        self.ema = self.flat.clone()
        self.lr, self.step_no, self.ema_keep = (torch.zeros((), device=dev) for _ in range(3))
        self.streams = [torch.cuda.Stream() if self.flat.is_cuda else None for _ in self.groups]
        self.decayed_momentum, self.descent, self.adamw = (torch.compile(f, dynamic=False) if self.flat.is_cuda else f
                                                           for f in (decayed_momentum, descent, adamw))

    @torch.no_grad()
    def step(self, loss):
        """Backward pass, mean over the GPUs, clipping (a non-finite gradient becomes no gradient), update, moving average."""
        grads = torch.autograd.grad(loss, self.params, allow_unused=True)
        into, grads = zip(*((a, g.contiguous()) for a, g in zip(self.grads, grads) if g is not None))
        torch._foreach_copy_(into, grads)           # parameters without a gradient keep the zeros they began with
        if self.world > 1:
            dist.all_reduce(self.grad)
            self.grad /= self.world
        norm = self.grad.norm()
        keep = torch.where(norm.isfinite(), (self.clip / (norm + 1e-6)).clamp(max=1), 0.0)
        self.step_no += 1
        e, p, g, m, ema = self.end, self.flat, self.grad, self.m, self.ema
        self.orthogonalize(self.decayed_momentum(p[:e], g[:e], m[:e], keep, self.lr, self.rate[:e], self.wd, self.momentum))
        self.descent(p[:e], ema[:e], self.update, self.lr, self.size, self.ema_keep)
        self.adamw(p[e:], ema[e:], g[e:], m[e:], self.v, keep, self.lr, self.rate[e:], self.ema_keep, self.step_no, self.wd, *self.betas)
        return norm

    def orthogonalize(self, x):
        """Into the update. The groups' chains of small products run beside each other."""
        for stream, (a, z, n, r, c, _) in zip(self.streams, self.groups):
            if stream:
                stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):         # None, on a CPU, changes nothing
                self.update[a:z].view(n, r, c).copy_(orthogonalize(x[a:z].view(n, r, c)))
        for stream in filter(None, self.streams):
            torch.cuda.current_stream().wait_stream(stream)

    def averaged(self):
        """The moving average of the parameters by name, fp16 on the host."""
        offset = self.flat.storage_offset()
        return {k: self.ema[p.storage_offset() - offset:][:p.numel()].view_as(p).half().cpu() for k, p in zip(self.names, self.params)}

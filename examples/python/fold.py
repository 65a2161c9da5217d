"""Folds the records of a FASTA file: a PDB file and a line of scores for each.

    python fold.py ../designed.fasta out
"""

import sys
from pathlib import Path

import foldpoint as fp


def main(fasta: str, out: str) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    model = fp.Model()
    print(f"{'':12} residues  pLDDT    pTM")
    for result in model.fold_many(fasta, errors="return"):
        if isinstance(result, Exception):
            print(result, file=sys.stderr)
            continue
        (folder / f"{result.id}.pdb").write_text(result.to_pdb())
        print(f"{result.id:12} {len(result):8} {result.mean_plddt:6.1f} {result.ptm:6.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Sequences and the files that foldpoint writes of them."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy

ROOT = Path(__file__).resolve().parents[2]
FOLDPOINT = os.environ["FOLDPOINT"]
# Random weights: its structures are no proteins, but they take no time.
TINY = ROOT / "examples/bare-metal/tiny.fpm"
# What has no atoms.
RARE = str.maketrans("UBZOJ", "XXXXX")


@dataclass
class Case:
    """A FASTA record."""

    header: str
    sequence: str
    builtin: bool = False

    @property
    def chains(self):
        return self.sequence.translate(RARE).split(":")


class Files:
    """What foldpoint makes of a case: ID.pdb with ID.pae.json, ID.pae.npy, and ID.cif with the aligned errors in it."""

    def __init__(self, case):
        self.case = case
        self.folder = tempfile.TemporaryDirectory()
        self.cif = self._fold("cif", "--pae", "cif")
        self.json = self._fold("pae.json", "--pae", "json")
        self.pdb = next(self.json.parent.glob("*.pdb"))
        self.npy = self._fold("npy", "--pae", "npy") if len(case.chains) < 9 else None
        self.block = gemmi.cif.read(str(self.cif)).sole_block()

    def _fold(self, kind, *options):
        folder = Path(self.folder.name)
        fasta, out = folder / "in.fasta", folder / kind
        fasta.write_text(f">{self.case.header}\n{self.case.sequence}\n", encoding="utf-8")
        command = [FOLDPOINT, "predict", fasta, "-o", out, "--recycles", "0", *options]
        if not self.case.builtin:
            command += ["--model", TINY]
        subprocess.run(command, check=True, capture_output=True)
        return next(out.glob(f"*.{kind}"))

    def structure(self, path):
        """A structure as gemmi reads it."""
        structure = gemmi.read_structure(str(path))
        structure.setup_entities()
        return structure

    def errors(self):
        """The aligned errors of the JSON file, and what its rows are."""
        (record,) = json.loads(self.json.read_text())
        rows = list(zip(record["token_chain_ids"], record["token_res_ids"], strict=True))
        assert record["max_predicted_aligned_error"] == 31.75
        return numpy.array(record["predicted_aligned_error"]), rows


ODD_HEADERS = [
    "sp|P69905|HBA_HUMAN Hemoglobin subunit alpha OS=Homo sapiens",
    "loop_",
    "loop_ data_ save_x",
    "data_1",
    "_atom_site.id",
    ";semicolon ; inside",
    "it's 5'-3' \"quoted\"",
    "'quoted'",
    '"',
    "#1 $x [y] {z}",
    "? ?",
    ". .",
    "T=0.1, sample=1, score=0.8123, fixed_chains=['A'], designed: B; C",
    "αβγ_蛋白質 naïve",
    "long " + "word " * 300,
    "x" * 1500,
]

CASES = [
    Case("helical a designed protein", "GSPEEEARKLLEEAKRLGVDPEEVRKLAEEAIRRGDP", builtin=True),
    Case("single", "M"),
    Case("sel", "MKVLAAGUIVGLCAXKAYR"),
    Case("ends", "XXMKVLBZOJCAKX"),
    Case("homomer", "MKVLAAG:MKVLAAG:MKVLAAG"),
    Case("complex", "MKVLAAGIVG:GSHMEELLKKAX:MKVLAAGIVG:W"),
    Case("unknown_chain", "MKVLA:XX:XGPG"),
    Case("all", "ACDEFGHIKLMNPQRSTVWY"),
    # More chains than capital letters; linkers make more of them slow. The rest of the names is tested beside the writers.
    Case("many", ":".join("GK" * 13 + "G")),
    *(Case(header, "MKX:V") for header in ODD_HEADERS),
    *(Case(header, "MKXV") for header in ODD_HEADERS[1:9]),
]

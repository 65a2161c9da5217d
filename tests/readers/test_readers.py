"""What readers of structure files that have nothing to do with this project make of foldpoint's.

Run by scripts/check-readers, which says where foldpoint and ModelCIF's dictionary are.
"""

import functools
import math
import os
import re
import subprocess
import unittest
import warnings
from pathlib import Path

import gemmi
import ihm.dictionary
import modelcif.reader
import numpy
from Bio import SeqIO
from Bio.PDB import MMCIFParser, PDBParser
from Bio.PDB.MMCIF2Dict import MMCIF2Dict

from fold import CASES, Files

DICTIONARY = os.environ["MMCIF_MA_DIC"]
NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def chain_names(count):
    return list(NAMES[:count])


def ascii_title(header):
    """The title that a header gives."""
    subject = "".join(c if " " <= c <= "~" else "?" for c in " ".join(header.split()))
    if len(subject) > 1000:
        subject = subject[:997].rstrip() + "..."
    return f"Predicted structure of {subject}"


def three_letters(sequence):
    return ["UNK" if letter == "X" else gemmi.expand_one_letter(letter, gemmi.ResidueKind.AA) for letter in sequence]


def atoms(structure):
    """Everything of a structure's atoms that a file has."""
    return [
        (chain.name, residue.seqid.num, residue.name, atom.name, atom.element.name, atom.occ,
         tuple(round(x, 3) for x in atom.pos.tolist()), round(atom.b_iso, 2))
        for chain in structure[0] for residue in chain for atom in residue
    ]  # fmt: skip


def of_each(test):
    """A test of the files of each case."""

    @functools.wraps(test)
    def of_all(self):
        for files in self.files:
            with self.subTest(header=files.case.header[:40]):
                test(self, files)

    return of_all


class Readers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = [Files(case) for case in CASES]
        with open(DICTIONARY, encoding="utf-8") as file:
            cls.dictionary = ihm.dictionary.read(file)

    def setUp(self):
        # A reader that warns does not take the file as it is.
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)

    @of_each
    def test_pdb_lines(self, files):
        order = "HEADER TITLE COMPND EXPDTA REMARK SEQRES CRYST1 ORIGX SCALE".split()
        lines = files.pdb.read_text(encoding="ascii").splitlines()
        self.assertTrue(all(len(line) == 80 for line in lines))
        records = [line[:6].strip().rstrip("123") if line.startswith(("ORIGX", "SCALE")) else line[:6].strip() for line in lines]
        head = records[: records.index("ATOM")]
        self.assertEqual(sorted(head, key=order.index), head)
        self.assertEqual((set(records[len(head) :]), records[-1]), ({"ATOM", "TER", "END"}, "END"))
        title = " ".join(line[10:].strip() for line in lines if line.startswith("TITLE"))
        self.assertEqual(title.replace(" ", ""), ascii_title(files.case.header).replace(" ", ""))

    @of_each
    def test_biopython_reads_pdb_strictly(self, files):
        structure = PDBParser(PERMISSIVE=False).get_structure("x", files.pdb)
        self.assertEqual(len(structure), 1)
        self.assertEqual(structure.header["structure_method"], "theoretical model")
        missing = [(r["chain"], r["ssseq"]) for r in structure.header["missing_residues"]]
        expected = [
            (name, number)
            for name, chain in zip(chain_names(len(files.case.chains)), files.case.chains)
            for number, letter in enumerate(chain, 1)
            if letter == "X"
        ]
        self.assertEqual(missing, expected)

    @of_each
    def test_biopython_reads_mmcif(self, files):
        structure = MMCIFParser().get_structure("x", files.cif)
        self.assertEqual(len(structure), 1)
        values = MMCIF2Dict(files.cif)
        self.assertEqual(values["_struct.title"], [ascii_title(files.case.header)])
        self.assertEqual(values["data_"], values["_entry.id"][0])

    @of_each
    def test_sequences(self, files):
        chains, names = files.case.chains, chain_names(len(files.case.chains))
        for kind, path in (("cif", files.cif), ("pdb", files.pdb)):
            records = list(SeqIO.parse(path, f"{kind}-seqres"))
            self.assertEqual([str(record.seq) for record in records], chains)
            self.assertEqual([record.annotations["chain"] for record in records], names)
            structure = files.structure(path)
            for name, chain in zip(names, chains):
                entity = structure.get_entity_of(structure[0][name].get_polymer()) if chain.strip("X") else None
                if entity:
                    self.assertEqual(entity.full_sequence, three_letters(chain))
        with warnings.catch_warnings():
            # Biopython misses an identifier in the HEADER, which a prediction has none of.
            warnings.simplefilter("ignore")
            found = {r.annotations["chain"]: str(r.seq).strip("X") for r in SeqIO.parse(files.cif, "cif-atom")}
        self.assertEqual(found, {n: c.strip("X") for n, c in zip(names, chains) if c.strip("X")})

    @of_each
    def test_both_formats_hold_the_same_atoms(self, files):
        expected = atoms(files.structure(files.cif))
        self.assertEqual(atoms(files.structure(files.pdb)), expected)
        self.assertTrue(all(0 <= atom[-1] <= 100 and atom[5] == 1 for atom in expected))

    @of_each
    def test_chains_end_in_a_carboxylate(self, files):
        model = files.structure(files.cif)[0]
        for name, letters in zip(chain_names(len(files.case.chains)), files.case.chains):
            ends = [(r, r["OXT"][0]) for r in model[name] if "OXT" in r] if letters.strip("X") else []
            self.assertEqual(len(ends), 0 if letters.endswith("X") else 1, name)
            for residue, oxt in ends:
                self.assertEqual(residue.seqid.num, len(letters))
                ca, c, o = (residue[atom][0] for atom in ("CA", "C", "O"))
                self.assertAlmostEqual(c.pos.dist(oxt.pos), 1.251, delta=0.003)
                angle = math.degrees(gemmi.calculate_angle(ca.pos, c.pos, oxt.pos))
                self.assertAlmostEqual(angle, 117.16, delta=0.3)
                plane = math.degrees(gemmi.calculate_dihedral(o.pos, ca.pos, c.pos, oxt.pos))
                self.assertAlmostEqual(abs(plane), 180, delta=0.5)
                self.assertEqual(oxt.b_iso, o.b_iso)

    @of_each
    def test_dssp_takes_them_without_a_word(self, files):
        for path in (files.pdb, files.cif):
            out = Path(files.folder.name) / "out.dssp"
            # Its old format has names of one letter for chains, of which it uses the capital ones.
            kind = "dssp" if len(files.case.chains) <= 26 else "mmcif"
            run = subprocess.run(["mkdssp", f"--output-format={kind}", path, out], capture_output=True, text=True)
            self.assertEqual((run.returncode, run.stderr + run.stdout), (0, ""), path.name)
            if kind == "mmcif":
                continue
            table = re.split(r"\n  #  RESIDUE.*\n", out.read_text())[1]
            residues = [line for line in table.splitlines() if line[13] != "!"]
            self.assertEqual(len(residues), sum(len(c) - c.count("X") for c in files.case.chains))
        # The whole of what it finds wrong with an mmCIF file.
        run = subprocess.run(["mkdssp", "--verbose", files.cif, out], capture_output=True, text=True)
        self.assertNotIn("undefined", run.stderr)

    @of_each
    def test_mmcif_is_valid_under_the_dictionary(self, files):
        run = subprocess.run(["gemmi", "validate", "-d", DICTIONARY, files.cif], capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stdout + run.stderr), (0, ""))
        with open(files.cif, encoding="ascii") as file:
            self.dictionary.validate(file)

    @of_each
    def test_modelcif_reads_what_made_it(self, files):
        with open(files.cif, encoding="ascii") as file:
            (system,) = modelcif.reader.read(file)
        self.assertEqual(system.title, ascii_title(files.case.header))
        self.assertEqual([unit.id for unit in system.asym_units], chain_names(len(files.case.chains)))
        self.assertEqual(len(system.entities), len(set(files.case.chains)))
        (software,) = system.software
        self.assertEqual(software.name, "Foldpoint")
        self.assertIsNone(files.block.find_value("_audit_author.name"))

    @of_each
    def test_scores(self, files):
        block = files.block
        metrics = {row[0]: (row[1], row[2], row[3]) for row in block.find("_ma_qa_metric.", ["id", "name", "mode", "type"])}
        values = block.find("_ma_qa_metric_global.", ["metric_id", "metric_value"])
        scores = {metrics[row[0]][0]: float(row[1]) for row in values}
        several = len(files.case.chains) > 1
        self.assertEqual(set(scores), {"pLDDT", "pTM"} | ({"ipTM"} if several else set()))
        self.assertTrue(all(0 <= scores[name] <= 1 for name in scores if name != "pLDDT"))
        structure = files.structure(files.cif)
        ca = {(c.name, r.seqid.num): r["CA"][0].b_iso for c in structure[0] for r in c}
        self.assertAlmostEqual(scores["pLDDT"], sum(ca.values()) / len(ca), delta=0.011)
        local = block.find("_ma_qa_metric_local.", ["metric_id", "label_asym_id", "label_seq_id", "metric_value"])
        self.assertEqual({metrics[row[0]] for row in local}, {("pLDDT", "local", "pLDDT")})
        self.assertEqual({(row[1], int(row[2])): float(row[3]) for row in local}, {k: round(v, 2) for k, v in ca.items()})

    @of_each
    def test_aligned_errors_are_of_the_residues_of_the_structure(self, files):
        residues = [(c.name, r.seqid.num) for c in files.structure(files.cif)[0] for r in c]
        matrix, rows = files.errors()
        self.assertEqual(matrix.shape, (len(residues),) * 2)
        self.assertEqual(rows, residues)
        self.assertEqual(rows, [(c.name, r.seqid.num) for c in files.structure(files.pdb)[0] for r in c])
        if files.npy:
            exact = numpy.load(files.npy)
            self.assertEqual((exact.dtype, exact.shape), (numpy.float32, matrix.shape))
            numpy.testing.assert_allclose(exact, matrix, atol=0.0051)
        columns = ["label_asym_id_1", "label_seq_id_1", "label_asym_id_2", "label_seq_id_2", "metric_value"]
        pairs = files.block.find("_ma_qa_metric_local_pairwise.", columns)
        place = {residue: index for index, residue in enumerate(residues)}
        inside = numpy.full(matrix.shape, numpy.nan)
        for chain, number, other_chain, other_number, value in pairs:
            inside[place[chain, int(number)], place[other_chain, int(other_number)]] = float(value)
        numpy.testing.assert_allclose(inside, matrix, atol=0.0051)


if __name__ == "__main__":
    unittest.main()

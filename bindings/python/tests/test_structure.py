"""Structures: their arrays, and what other programs read of their files."""

import io
import pickle
from base64 import b64decode
from xml.etree import ElementTree

import gemmi
import numpy as np
import pytest
from Bio.PDB import MMCIFParser, PDBParser

import foldpoint as fp
from conftest import PEPTIDE


def arrays(structure):
    """Names, coordinates and pLDDT of the atoms, as the arrays say."""
    for residue, (coords, mask) in enumerate(zip(structure.coords, structure.atom_mask, strict=True)):
        for atom in np.flatnonzero(mask):
            yield residue, atom, coords[atom]


def test_shapes(folded, complex_folded):
    for structure, length in [(folded, 20), (complex_folded, 16)]:
        assert len(structure) == length
        assert structure.plddt.shape == (length,) and structure.pae.shape == (length, length)
        assert structure.coords.shape == (length, 14, 3) and structure.atom_mask.shape == (length, 14)
        assert structure.coords.dtype == structure.plddt.dtype == structure.pae.dtype == np.float32
        assert structure.atom_mask.dtype == np.bool_
        assert (structure.coords[~structure.atom_mask] == 0).all()
        assert np.isfinite(structure.coords).all()
    assert folded.sequence == PEPTIDE and folded.iptm is None and 0 < folded.ptm < 1
    assert complex_folded.sequence == "MKVLAAGIVG:GXIVKM" and 0 < complex_folded.iptm < 1
    # X has no atoms.
    assert np.flatnonzero(np.isnan(complex_folded.plddt)).tolist() == [11]
    assert not complex_folded.atom_mask[11].any()
    assert folded.mean_plddt == pytest.approx(folded.plddt.mean(), abs=1e-4)
    # Neighbours are a peptide bond apart.
    carbon, nitrogen = folded.coords[:-1, 2], folded.coords[1:, 0]
    assert np.abs(np.linalg.norm(carbon - nitrogen, axis=1) - 1.33).max() < 0.2


def test_without_aligned_errors(model, folded):
    structure = model.fold(PEPTIDE, id="1L2Y", pae=False)
    assert structure.pae is None
    assert structure.to_pdb() == folded.to_pdb()
    with pytest.raises(ValueError, match="no predicted aligned errors"):
        structure.to_mmcif(pae=True)


def test_recycles(model, folded):
    assert model.fold(PEPTIDE, recycles=0).to_pdb() != model.fold(PEPTIDE).to_pdb()
    assert "PASSES 1" in model.fold(PEPTIDE, recycles=0).to_pdb()


@pytest.mark.parametrize("which", ["folded", "complex_folded"])
@pytest.mark.parametrize("form", ["pdb", "cif"])
def test_gemmi_reads_it_back(which, form, request):
    structure = request.getfixturevalue(which)
    if form == "pdb":
        read = gemmi.read_pdb_string(structure.to_pdb())
    else:
        read = gemmi.make_structure_from_block(gemmi.cif.read_string(structure.to_mmcif()).sole_block())
    atoms = [atom for chain in read[0] for residue in chain for atom in residue if atom.name != "OXT"]
    places = np.array([atom.pos.tolist() for atom in atoms])
    expected = np.array([place for _, _, place in arrays(structure)])
    assert places.shape == expected.shape
    assert np.abs(places - expected).max() < 0.00051
    scores = [atom.b_iso for atom in atoms if atom.name == "CA"]
    assert np.abs(np.array(scores) - structure.plddt[structure.atom_mask[:, 1]]).max() < 0.0051
    assert [chain.name for chain in read[0]] == ["A", "B"][: 1 + structure.sequence.count(":")]


@pytest.mark.parametrize("form", ["pdb", "cif"])
def test_biopython_reads_it_back(complex_folded, form):
    text = complex_folded.to_pdb() if form == "pdb" else complex_folded.to_mmcif()
    parser = PDBParser(QUIET=True) if form == "pdb" else MMCIFParser(QUIET=True)
    read = parser.get_structure("a", io.StringIO(text))
    places = [atom.coord for atom in read.get_atoms() if atom.name != "OXT"]
    expected = np.array([place for _, _, place in arrays(complex_folded)])
    assert np.abs(np.array(places) - expected).max() < 0.00051


def test_pickles(folded, complex_folded, model):
    for structure in [folded, complex_folded, model.fold("MKV", pae=False)]:
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(structure, protocol))
            assert type(again) is fp.Structure
            assert again.id == structure.id and again.sequence == structure.sequence
            assert again.to_pdb() == structure.to_pdb() and again.to_mmcif() == structure.to_mmcif()
            assert again.confidence == structure.confidence
            assert np.array_equal(again.pae, structure.pae) if structure.pae is not None else again.pae is None
    with pytest.raises(ValueError, match="not the state of a structure"):
        function, (state,) = folded.__reduce__()
        parts, made, predicted = state
        function((parts, made, (predicted[0][:-1], *predicted[1:])))


def test_html(folded, complex_folded, model):
    for structure in [folded, complex_folded, model.fold("X"), model.fold("W"), model.fold("MK", pae=False)]:
        html = structure._repr_html_()
        page = ElementTree.fromstring(f"<body>{html}</body>")
        lines = page.findall(".//{http://www.w3.org/2000/svg}line")
        there = structure.atom_mask[:, 1]
        bonds = 0 if len(structure) == 1 else int((there[1:] & there[:-1]).sum()) - structure.sequence.count(":")
        assert len(lines) == 2 * bonds
        image = page.find(".//img")
        if structure.pae is None:
            assert image is None
        else:
            assert b64decode(image.attrib["src"].split(",")[1]).startswith(b"\x89PNG")
    assert "&lt;b&gt;" in model.fold("MKV", id="<b>")._repr_html_()


def test_repr(folded, complex_folded):
    assert repr(folded).startswith('<foldpoint.Structure "1L2Y", 20 residues, mean pLDDT ')
    assert "ipTM" in repr(complex_folded)

"""Atomic models as files have them, the beads that stand for them, and moved models as files again."""

import os
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryodrgn_plugin.engine.atoms.beads import beads_of
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.atoms.model_writing import beads_as_atoms, moved_atoms, write_models
from cryodrgn_plugin.engine.atoms.packed_model import packed, unpacked
from cryodrgn_plugin.engine.atoms.restraints import chain_steps

SHARED = Path(os.environ.get("CRYODRGN_PLUGIN_SHARED", ""))

LINES = """\
ATOM      1  N   ALA A   1      -1.200   0.000   0.000  1.00  0.00           N
ATOM      2  CA AALA A   1       0.000   0.000   0.000  0.30  0.00           C
ATOM      3  CA BALA A   1       0.500   0.000   0.000  0.70  0.00           C
ATOM      4  C   ALA A   1       1.200   0.000   0.000  1.00  0.00           C
ATOM      5  CB AALA A   1       0.000   1.500   0.000  0.30  0.00           C
ATOM      6  CB BALA A   1       0.500   1.500   0.000  0.70  0.00           C
ATOM      7  N   GLY A   2       2.600   0.000   0.000  1.00  0.00           N
ATOM      8  CA  GLY A   2       3.800   0.000   0.000  1.00  0.00           C
ATOM      9  C   GLY A   2       5.000   0.000   0.000  1.00  0.00           C
ATOM     10  H   GLY A   2       5.000   1.000   0.000  1.00  0.00           H
ATOM     11  CA  SER A   5      12.000   0.000   0.000  1.00  0.00           C
ATOM     12  OG  SER A   5      12.000   2.500   0.000  1.00  0.00           O
TER
ATOM     13  P     U B   1       0.000  10.000   0.000  1.00  0.00           P
ATOM     14  C1'   U B   1       2.000  10.000   0.000  1.00  0.00           C
ATOM     15  N1    U B   1       3.000  10.000   0.000  1.00  0.00           N
ATOM     16  C1'   A B   2       7.000  10.000   0.000  1.00  0.00           C
HETATM   17 CA    CA C   1       0.000  20.000   0.000  1.00  0.00          CA
HETATM   18  O   HOH C   2       0.000  30.000   0.000  1.00  0.00           O
"""
PROTEIN = ["backbone", "side", "backbone", "backbone", "side"]


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.pdb").write_text(f"MODEL        1\n{LINES}ENDMDL\nMODEL        2\n{LINES}ENDMDL\n")
    return read_model(tmp_path / "model.pdb")


def test_the_first_model_is_read_in_its_likeliest_conformation_without_waters_and_hydrogens(model):
    assert len(model) == 14
    assert model.coords_ang[model.names == "CA"][0, 0] == 0.5
    assert model.coords_ang[model.names == "CB"][0, 0] == 0.5
    assert model.residue_names.tolist()[:4] == ["ALA"] * 4


def test_a_residue_is_a_backbone_and_a_side_chain_and_a_nucleotide_sugar_and_base(model):
    beads = beads_of(model)
    assert beads.kinds.tolist() == [
        "backbone",
        "side",
        "backbone",
        "backbone",
        "side",
        "sugar",
        "base",
        "sugar",
        "ligand",
    ]
    np.testing.assert_allclose(beads.centres_ang[:2], [[0.5, 0, 0], [0.5, 1.5, 0]])
    assert beads.electrons.tolist() == [7 + 6 + 6, 6, 7 + 6 + 6, 6, 8, 15 + 6, 7, 6, 20]
    assert beads.electrons[beads.bead_of_atom[model.names == "N1"]] == 7
    assert beads.residue.tolist() == [0, 0, 1, 2, 2, 3, 3, 4, 5]
    assert beads.described() == "9 beads for 3 amino acids, 2 nucleotides, 1 ligands and ions in 3 chains"


def test_chains_are_not_joined_across_gaps(model):
    beads = beads_of(model)
    assert [tuple(beads.numbers[list(pair)]) for pair in chain_steps(beads)] == [(1, 2), (1, 2)]


def test_all_electrons_are_in_beads_however_coarse(model):
    for per, residues, count in (("part", 1, 9), ("residue", 1, 6), ("atom", 1, 14), ("part", 3, 5)):
        beads = beads_of(model, per, residues)
        assert len(beads) == count, (per, residues)
        assert beads.electrons.sum() == model.weights.sum()


def test_a_trace_of_alpha_carbons_is_backbone(tmp_path):
    lines = [
        line for line in LINES.splitlines() if line[12:16].strip() == "CA" and line[16] in " B" and line[21] == "A"
    ]
    (tmp_path / "trace.pdb").write_text("\n".join(line[:76] for line in lines) + "\nEND\n")
    beads = beads_of(read_model(tmp_path / "trace.pdb"))
    assert beads.kinds.tolist() == ["backbone"] * 3
    assert beads.electrons.tolist() == [6] * 3


def test_moved_models_come_back_from_their_file(model, tmp_path):
    places = np.stack([model.coords_ang, model.coords_ang + [1, 2, 3]])
    spread = np.linspace(0, 2, len(model))
    write_models(tmp_path / "out.cif", model, places, spread)
    structure = gemmi.read_structure(str(tmp_path / "out.cif"))
    assert len(structure) == 2
    again = [[atom for chain in one for residue in chain for atom in residue] for one in structure]
    np.testing.assert_allclose([[atom.pos.tolist() for atom in atoms] for atoms in again], places, atol=1e-3)
    np.testing.assert_allclose([atom.b_iso for atom in again[1]], 8 * np.pi**2 / 3 * spread**2, atol=0.01)
    assert [atom.element.atomic_number for atom in again[0]] == model.weights.astype(int).tolist()
    assert read_model(tmp_path / "out.cif").residue_names.tolist() == model.residue_names.tolist()


def test_beads_are_written_as_a_model(model, tmp_path):
    beads = beads_of(model)
    write_models(tmp_path / "beads.cif", beads_as_atoms(beads), beads.centres_ang[None])
    again = beads_of(read_model(tmp_path / "beads.cif"))
    assert again.kinds.tolist() == beads.kinds.tolist()
    np.testing.assert_allclose(again.centres_ang, beads.centres_ang, atol=1e-3)


def test_a_model_comes_back_from_its_tensors(model):
    again = unpacked(packed(model))
    for column in ("coords_ang", "weights", "chains", "residues", "names", "residue_names"):
        assert getattr(again, column).tolist() == getattr(model, column).tolist(), column
    assert unpacked(packed(replace(model, residue_names=None))).residue_names is None


@pytest.mark.shared
def test_atoms_turn_with_their_residues():
    model = read_model(SHARED / "adk" / "adk_open.pdb")
    beads = beads_of(model)
    angle = np.radians(70)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    (found,) = moved_atoms(model, beads, (beads.centres_ang @ turn.T + [5, 0, 0])[None])
    np.testing.assert_allclose(found, model.coords_ang @ turn.T + [5, 0, 0], atol=1e-6)


@pytest.mark.shared
def test_an_antibody_and_a_ribosome_become_beads():
    antibody = beads_of(read_model(SHARED / "models" / "1igt.pdb.gz"))
    assert set(antibody.chains) >= {"A", "B", "C", "D"}
    assert (antibody.kinds == "backbone").sum() - len(chain_steps(antibody)) == 4
    ribosome = beads_of(read_model(SHARED / "models" / "1xnr_30S.cif"))
    assert (ribosome.kinds == "sugar").sum() == (ribosome.kinds == "base").sum() == 1494
    steps = np.linalg.norm(np.diff(ribosome.centres_ang[chain_steps(ribosome)], axis=1)[:, 0], axis=1)
    assert np.percentile(steps, 1) > 3.0 and np.percentile(steps, 99) < 8.0

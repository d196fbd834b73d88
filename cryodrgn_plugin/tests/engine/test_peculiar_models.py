"""Peculiar files of atomic models, which people have: each is read as it was meant, or refused in one sentence."""

import gzip

import numpy as np
import pytest

from cryodrgn_plugin.engine.atoms.beads import beads_of
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.atoms.model_writing import write_models
from cryodrgn_plugin.engine.atoms.packed_model import packed, unpacked
from cryodrgn_plugin.engine.errors import DataError

BACKBONE = ("N", "CA", "C", "O")
COLUMNS = (
    "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id label_seq_id "
    "pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id auth_asym_id pdbx_PDB_model_num"
).split()


def line(name, number="1", x="0.000", residue="ALA", code=" ", alternate=" ", occupancy="1.00", y="1.000"):
    """A line of a PDB file; numbers are put into their columns as they are."""
    return (
        f"ATOM      1 {' ' + name:<4}{alternate}{residue:>3} A{number:>4}{code}   {x:>8}{y:>8}{'2.000':>8}"
        f"{occupancy:>6}{'0.00':>6}{'':10}{name[0]:>2}"
    )


def residues(count=4, names=BACKBONE, **given):
    return [line(name, str(i + 1), f"{3.8 * i + j:.3f}", **given) for i in range(count) for j, name in enumerate(names)]


def pdb(tmp_path, lines, name="model.pdb"):
    file, text = tmp_path / name, "\n".join([*lines, "END", ""])
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return file


def cif(tmp_path, rows):
    """An mmCIF file of CA atoms, rows of chain, number, x and occupancy."""
    lines = ["data_m", "loop_", *(f"_atom_site.{column}" for column in COLUMNS)]
    for chain, number, x, occupancy in rows:
        lines.append(f"ATOM 1 C CA . ALA {chain} 1 {number} ? {x} 0.0 0.0 {occupancy} 0.0 {number} {chain} 1")
    file = tmp_path / "model.cif"
    file.write_text("\n".join([*lines, ""]))
    return file


def test_a_model_without_alpha_carbons_has_a_bead_per_residue_at_the_centre_of_its_atoms(tmp_path):
    beads = beads_of(read_model(pdb(tmp_path, residues(names=("N", "C", "O")))), "residue")
    assert beads.kinds.tolist() == ["backbone"] * 4
    assert beads.centres_ang[0, 0] == pytest.approx((7 * 0 + 6 * 1 + 8 * 2) / 21)


def test_of_two_models_the_first_is_read(tmp_path):
    both = ["MODEL        1", *residues(4), "ENDMDL", "MODEL        2", *residues(9), "ENDMDL"]
    assert len(read_model(pdb(tmp_path, both))) == 16


def test_numbers_beyond_9999_are_read_in_hybrid_36(tmp_path):
    numbered = [line("CA", number, f"{i}.000") for i, number in enumerate(("9999", "A000", "A00Z", "A010"))]
    assert read_model(pdb(tmp_path, numbered)).residues.tolist() == [9999, 10000, 10035, 10036]


def test_a_chain_longer_than_9999_residues_goes_through_a_file(tmp_path):
    model = read_model(cif(tmp_path, [("A", i + 1, 3.8 * (i % 100), 1) for i in range(10_050)]))
    write_models(tmp_path / "again.cif", model, model.coords_ang[None])
    assert read_model(tmp_path / "again.cif").residues.tolist() == list(range(1, 10_051))
    assert len(beads_of(model, "residue")) == 10_050


def test_residues_with_insertion_codes_stay_apart_in_a_file(tmp_path):
    coded = [*residues(2), *residues(2, code="A")[4:], *residues(2, code="B")[4:], line("CA", "3", "30.000")]
    model = read_model(pdb(tmp_path, coded))
    assert len(beads_of(model, "residue")) == 5
    write_models(tmp_path / "again.cif", model, model.coords_ang[None])
    again = read_model(tmp_path / "again.cif")
    assert again.names.tolist() == model.names.tolist() and again.residues.tolist() == model.residues.tolist()
    np.testing.assert_allclose(again.coords_ang, model.coords_ang, atol=1e-3)


def test_long_and_foreign_names_of_chains_stay_apart_in_a_stored_model(tmp_path):
    names = ["assembly_one", "assembly_two"]
    model = read_model(cif(tmp_path, [(name, 1, 10 * i, 1) for i, name in enumerate(names)]))
    assert model.chains.tolist() == names
    assert unpacked(packed(model)).chains.tolist() == names
    assert unpacked(packed(model.renamed("β"))).chains.tolist() == ["β", "β"]


def test_occupancies_that_are_no_numbers_count_as_none(tmp_path):
    assert len(read_model(pdb(tmp_path, residues(occupancy="nan")))) == 16
    assert len(read_model(cif(tmp_path, [("A", i, i, "?") for i in range(3)]))) == 3
    either = [
        line("CA", alternate=place, x=x, occupancy=there)
        for place, x, there in (("A", "1.000", "nan"), ("B", "2.000", "0.40"))
    ]
    assert read_model(pdb(tmp_path, either)).coords_ang[0, 0] == 2.0


@pytest.mark.parametrize(
    "lines, said",
    [
        ([], "has no heavy atoms but water's; give the atomic model of a molecule"),
        ([line("O", residue="HOH")], "has no heavy atoms but water's"),
        (residues(names=("H",)), "has no heavy atoms but water's"),
        ([*residues(), line("CA", "9", "********")], r"has \*{8} for a coordinate in line 17; mend that line"),
        ([*residues(), line("CA", "9", "")], "has nothing for a coordinate in line 17"),
        ([*residues(), line("CA", "9", "12345.6789", y="1.0")], "for a coordinate in line 17; .* or give .* as mmCIF"),
        ([*residues(), line("CA", "9", "nan")], "not a number, of atom CA of ALA 9 in chain A; mend or remove it"),
        ([*residues(), line("CA", "9", "1.0e+20")], r"has atom CA of ALA 9 in chain A 1e\+20 Å from the middle of the"),
        ([*residues(), line("CA", "9", "99999.00")], r"CA of ALA 9 in chain A 99,.* Å from the middle of the model"),
    ],
    ids=["empty", "water", "hydrogen", "stars", "blank", "too long", "nan", "huge", "far"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["model.pdb", "model.pdb.gz"])
def test_what_cannot_be_meant_is_refused_in_a_sentence(tmp_path, lines, said, name):
    with pytest.raises(DataError, match=said) as told:
        read_model(pdb(tmp_path, lines, name))
    assert str(tmp_path / name) in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("x", ["?", ".", "nan"])
def test_a_coordinate_that_is_missing_is_named_in_mmcif_too(tmp_path, x):
    with pytest.raises(DataError, match="has a coordinate that is not a number, of atom CA of ALA 2 in chain A; mend"):
        read_model(cif(tmp_path, [("A", 1, 0, 1), ("A", 2, x, 1), ("A", 3, 8, 1)]))


def test_a_model_far_from_the_origin_is_read(tmp_path):
    assert np.ptp(read_model(cif(tmp_path, [("A", i, 1e6 + i, 1) for i in range(4)])).coords_ang[:, 0]) == 3

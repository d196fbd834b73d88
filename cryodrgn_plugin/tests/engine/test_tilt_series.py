"""Tilt series become tilt images whose poses, CTFs and origins are the tilts' own; a real set gives RELION's map."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.data.batch import centred
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.hand import mirrored_map
from cryodrgn_plugin.engine.io.mrc import read_map, write_stack
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.io.tables import read_table
from cryodrgn_plugin.engine.io.tomogram_set import Tomogram, read_tomograms
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.reconstruction.homogeneous import reconstruct

from .tilt_sets import BOX, EXACT, PIXEL, VISIBLE, TiltSet, plant, relion_projection

FORMS = {
    "WarpTools: matrices, all tilts stored, multiplied by their CTF": TiltSet(premultiplied=True, dose=True),
    "RELION 4: matrices, coordinates in pixels": TiltSet(whole_stacks=False, coordinates="pixels"),
    "RELION 5: angles, centred coordinates": TiltSet(whole_stacks=False, angles=True, coordinates="centred", dose=True),
    "RELION 5, particles cut out turned": TiltSet(
        whole_stacks=False, angles=True, coordinates="centred", cut_out_turned=True, premultiplied=True, dose=True
    ),
}


@pytest.mark.parametrize("how", FORMS.values(), ids=FORMS)
def test_tilt_images_have_the_views_origins_and_ctfs_that_were_planted(tmp_path, how):
    planted = plant(tmp_path, how)
    dataset = ParticleDataset.open(tmp_path / "set.star", EXACT)
    assert dataset.n == 3 * 4 and dataset.table.frame["rlnTomoFrame"].tolist() == [1, 3, 4, 5] * 3
    assert dataset.table.frame["rlnTomoParticleName"].nunique() == 3

    def seen(values):
        return values[:, VISIBLE].reshape(12, *values.shape[2:])

    batch = dataset.batch(np.arange(12))
    np.testing.assert_allclose(dataset.rotations, seen(planted.views), atol=1e-5)
    np.testing.assert_allclose(-dataset.shifts_ang, seen(planted.origins_ang), atol=1e-4)
    np.testing.assert_allclose(batch.ctf, seen(planted.ctf), atol=2e-4)
    freqs = dataset.lattice.indices / (BOX * PIXEL)
    slices = np.stack([planted.blobs.slice(freqs @ view[:2]) for view in seen(planted.views)]) / PIXEL**3
    expected = slices * seen(planted.ctf) ** (2 if how.premultiplied else 1)
    np.testing.assert_allclose(centred(batch), expected, atol=1e-4 * np.abs(expected).max())


def test_a_dose_that_is_a_b_factor_in_relion_is_one_here(tmp_path):
    plant(tmp_path, TiltSet(angles=True, dose=True))
    tables = read_star(tmp_path / "tomograms.star")
    tables["global"]["rlnCtfBfactorPerElectronDose"] = 5.0
    write_star(tmp_path / "tomograms.star", tables)
    ctf = ParticleDataset.open(tmp_path / "set.star", EXACT).ctf_params
    np.testing.assert_allclose(ctf.b_factor_ang2, [200, 0, 50, 150] * 3)
    assert not ctf.dose_per_ang2.any()


def test_coordinates_of_warptools_are_in_pixels_of_the_images(tmp_path):
    """Its matrices have no shift, by which its sets are known."""
    plant(tmp_path, TiltSet(coordinates="pixels"))
    tables = read_star(tmp_path / "tomograms.star")
    for axis in "XYZ":
        tables["tomo1"][f"rlnTomoProj{axis}"] = tables["tomo1"][f"rlnTomoProj{axis}"].str.replace(",7]", ",0]")
    write_star(tmp_path / "tomograms.star", tables)
    of_warp = read_table(tmp_path / "set.star").numbers("rlnDefocusU")
    particles = read_star(tmp_path / "p.star")
    for axis in "XYZ":
        particles["particles"][f"rlnCoordinate{axis}"] *= PIXEL / 2.0  # as pixels of the tilt images, which have 2 Å
    write_star(tmp_path / "p.star", particles)
    plain = tables["tomo1"]
    for axis in "XYZ":
        plain[f"rlnTomoProj{axis}"] = plain[f"rlnTomoProj{axis}"].str.replace(",0]", ",7]")
    write_star(tmp_path / "tomograms.star", tables)
    np.testing.assert_allclose(of_warp, read_table(tmp_path / "set.star").numbers("rlnDefocusU"), atol=0.1)


def test_matrices_take_precedence_over_angles(tmp_path):
    plant(tmp_path, TiltSet())
    tables = read_star(tmp_path / "tomograms.star")
    before = _read(tmp_path).projections
    tables["tomo1"] = tables["tomo1"].assign(rlnTomoYTilt=0.0, rlnTomoZRot=0.0)
    write_star(tmp_path / "tomograms.star", tables)
    np.testing.assert_array_equal(_read(tmp_path).projections, before)
    tables["tomo1"] = tables["tomo1"].drop(columns=["rlnTomoProjX"]).assign(rlnTomoYTilt=20.0, rlnTomoZRot=80.0)
    write_star(tmp_path / "tomograms.star", tables)
    np.testing.assert_allclose(_read(tmp_path).projections[0], relion_projection(0.0, 20.0, 80.0), atol=1e-12)


def _read(folder) -> Tomogram:
    return read_tomograms(folder / "tomograms.star", ["tomo1"], lambda name, source: folder / name)["tomo1"]


def test_what_was_multiplied_by_its_ctf_stays_as_faint_as_that_left_it(tmp_path):
    """Images are normalised as they were before; so a tilt of half the scale has half the noise."""
    plant(tmp_path, TiltSet(premultiplied=True, noise=3.0, particles=40))
    dataset = ParticleDataset.open(tmp_path / "set.star", replace(EXACT, window=0.7))
    assert dataset.has_noise
    power = np.square(np.abs(dataset.batch(np.arange(dataset.n)).spectra)).reshape(40, 4, -1)[:, :, 100:].mean((0, 2))
    expected = np.square(dataset.batch(np.arange(dataset.n)).ctf).reshape(40, 4, -1)[:, :, 100:].mean((0, 2))
    np.testing.assert_allclose(power / power.mean(), expected / expected.mean(), rtol=0.15)
    assert power.max() > 2 * power.min()


def edited(folder, name: str, **change):
    """Change columns of the last table of a star file; None takes a column away."""
    tables = read_star(folder / name)
    last = list(tables)[-1]
    kept = tables[last].drop(columns=[column for column, value in change.items() if value is None])
    new = {column: value for column, value in change.items() if value is not None}
    write_star(folder / name, {**tables, last: kept.assign(**new)})


WRONG = {
    "no set": ("p.star", {}, "Give the optimisation set"),
    "a name twice": ("p.star", {"rlnTomoParticleName": "tomo1/1"}, "row 2 is tomo1/1, as of another row"),
    "frames": ("p.star", {"rlnTomoVisibleFrames": "[1,0,2,1,1]"}, "rlnTomoVisibleFrames of row 1 is '.1,0,2,1,1.'"),
    "none visible": ("p.star", {"rlnTomoVisibleFrames": "[0,0,0,0,0]"}, "must list 0 and 1, one of 1"),
    "no frames": ("p.star", {"rlnTomoVisibleFrames": None}, "column rlnTomoVisibleFrames is missing"),
    "no angles": ("p.star", dict.fromkeys(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")), "have no poses"),
    "another tomogram": ("p.star", {"rlnTomoName": "tomo9"}, "no data_tomo9, which the particles name"),
    "text in angles": ("p.star", {"rlnTomoSubtomogramRot": "turned"}, "'turned' in the numeric column rlnTomoSub"),
    "matrix": ("tomograms.star", {"rlnTomoProjX": "[1,0,0]"}, "a projection that is not four numbers"),
    "no rotation": ("tomograms.star", {"rlnTomoProjX": "[2,0,0,7]"}, "a projection .* that is not a rotation"),
    "not aligned": ("tomograms.star", {"rlnTomoProjX": None}, "its tilt series is not aligned"),
    "no CTF": ("tomograms.star", {"rlnDefocusV": None}, "no column rlnDefocusV"),
    "dose": ("tomograms.star", {"rlnMicrographPreExposure": "much"}, "tilt 1 of data_tomo1 has 'much' in rlnMic"),
    "set": ("set.star", {"rlnTomoTomogramsFile": None}, "rlnTomoTomogramsFile is missing"),
    "absent": ("set.star", {"rlnTomoTomogramsFile": "gone.star"}, "gone.star, which it names, is absent"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, what):
    name, change, sentence = WRONG[what]
    plant(tmp_path, TiltSet())
    if what == "no set":
        for file in ("set.star", "tomograms.star"):
            (tmp_path / file).unlink()
    if change:
        edited(tmp_path, name, **change)
    with pytest.raises(DataError, match=sentence) as raised:
        read_table(tmp_path / ("set.star" if (tmp_path / "set.star").exists() else "p.star"))
    assert "\n" not in str(raised.value) and str(tmp_path) in str(raised.value)


def test_a_tilt_series_that_is_not_there_is_named(tmp_path):
    plant(tmp_path, TiltSet(angles=True))
    (tmp_path / "tilt_series" / "tomo1.star").unlink()
    with pytest.raises(DataError, match=r"tilt_series/tomo1\.star, which it names, is absent"):
        read_table(tmp_path / "set.star")


def test_subtomograms_that_are_volumes_are_refused(tmp_path):
    plant(tmp_path, TiltSet())
    tables = read_star(tmp_path / "p.star")
    tables["general"]["rlnTomoSubTomosAre2DStacks"] = 0
    write_star(tmp_path / "p.star", tables)
    with pytest.raises(DataError, match="rlnTomoSubTomosAre2DStacks is 0"):
        read_table(tmp_path / "set.star")


def test_a_stack_of_another_number_of_tilts_is_named(tmp_path):
    plant(tmp_path, TiltSet())
    write_stack(tmp_path / "1.mrcs", np.zeros((3, BOX, BOX)), PIXEL)
    with pytest.raises(DataError, match=r"particle 2 has 4 visible of 5 frames, but its stack 1\.mrcs holds 3 images"):
        ParticleDataset.open(tmp_path / "set.star", EXACT)


def test_the_set_of_particles_that_are_given_alone_is_found(tmp_path):
    plant(tmp_path, TiltSet(coordinates="centred"))
    whole = read_table(tmp_path / "set.star").frame
    pd.testing.assert_frame_equal(read_table(tmp_path / "p.star").frame, whole)  # by the set that names it
    (tmp_path / "set.star").unlink()
    pd.testing.assert_frame_equal(read_table(tmp_path / "p.star").frame, whole)  # by the tomograms beside it
    (tmp_path / "other_tomograms.star").write_bytes((tmp_path / "tomograms.star").read_bytes())
    with pytest.raises(DataError, match="several could be theirs"):
        read_table(tmp_path / "p.star")


@pytest.mark.shared
def test_a_real_ribosome_set_reconstructs_to_relions_own_map(shared):
    """RELION's map has the other hand than what RELION's projections of this set give: tilt angles had the wrong sign.
    Of a hand of its own it agrees up to the end of the box."""
    folder = shared / "tomo_ribosome"
    name = "warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star"
    dataset = ParticleDataset.open(folder / name)
    assert (dataset.n, dataset.box, dataset.pixel_size_ang, dataset.n_optics_groups) == (1430, 32, 12.0, 4)
    assert dataset.sign == 1 and dataset.ctf_multiplied.all()
    reference, _ = read_map(folder / "warptools_test_box-32_angpix-12_reconstruct.mrc")
    volume = reconstruct(dataset).volume
    assert np.corrcoef(volume.ravel(), reference.ravel())[0, 1] >= 0.65
    other_hand = mirrored_map(volume)
    assert np.corrcoef(other_hand.ravel(), reference.ravel())[0, 1] >= 0.86
    assert (fsc(other_hand, reference)[1:9] > [0.97, 0.93, 0.88, 0.8, 0.7, 0.55, 0.55, 0.6]).all()

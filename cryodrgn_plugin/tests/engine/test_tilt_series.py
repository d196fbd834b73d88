"""Tilt series become tilt images whose poses, CTFs and origins are the tilts' own; a real set gives RELION's map."""

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.batch import centred
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.io.mrc import read_map, write_stack
from cryodrgn_plugin.engine.io.star import write_star
from cryodrgn_plugin.engine.reconstruction.backproject import backproject
from cryodrgn_plugin.engine.reconstruction.fsc import fsc

from .particle_files import ctf_params, molecule, optics

BOX, PIXEL, N_TILTS = 32, 4.0, 5
VISIBLE = np.array([True, False, True, True, True])
EXACT = DataConfig(sign="white", window=1.0)


def tilt_series(folder, whole_stacks, away_ang=8.0):
    """Three particles at three-dimensional origins in one tomogram, seen from four of five tilts."""
    rng = np.random.default_rng(0)
    blobs, lattice = molecule(radius_ang=20, width_ang=6), HalfPlane(BOX, BOX // 2 - 1)
    freqs = lattice.indices / (BOX * PIXEL)
    projections = random_matrices(N_TILTS, rng)
    tomogram = pd.DataFrame(
        {
            **{
                f"rlnTomoProj{axis}": [f"[{','.join(f'{x:.9g}' for x in [*p[i], 7])}]" for p in projections]
                for i, axis in enumerate("XYZ")
            },
            "rlnDefocusU": rng.uniform(1e4, 2e4, N_TILTS),
            "rlnDefocusV": rng.uniform(1e4, 2e4, N_TILTS),
            "rlnDefocusAngle": rng.uniform(0, 180, N_TILTS),
            "rlnCtfScalefactor": np.linspace(0.5, 1, N_TILTS),
        }
    )
    ctf = evaluate_ctf(ctf_params(tomogram, optics()), freqs) * tomogram["rlnCtfScalefactor"].to_numpy()[:, None]
    angles, origins = rng.uniform(0, 180, (3, 3)), rng.uniform(-away_ang, away_ang, (3, 3))
    for i, (rotation, origin) in enumerate(zip(matrices_from_euler(angles), origins, strict=True)):
        spectra = np.stack([blobs.slice(freqs @ (p @ rotation.T)[:2]) for p in projections]) / PIXEL**3
        away = np.exp(2j * np.pi * (projections[:, :2] @ origin) @ freqs.T)
        images = lattice.images(spectra * ctf * away)
        write_stack(folder / f"{i}.mrcs", images if whole_stacks else images[VISIBLE], PIXEL)
    particles = pd.DataFrame(
        {
            "rlnTomoName": "tomo1",
            "rlnTomoParticleName": ["tomo1/1", "tomo1/2", "tomo1/3"],
            "rlnImageName": [f"{i}.mrcs" for i in range(3)],
            **dict(zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), angles.T, strict=True)),
            **{f"rlnOrigin{axis}Angst": origins[:, i] for i, axis in enumerate("XYZ")},
            "rlnTomoVisibleFrames": f"[{','.join(str(int(v)) for v in VISIBLE)}]",
            "rlnOpticsGroup": 1,
        }
    )
    general = pd.DataFrame({"rlnTomoSubTomosAre2DStacks": [1]})
    general.attrs["pairs"] = True
    files = pd.DataFrame({"rlnTomoParticlesFile": ["p.star"], "rlnTomoTomogramsFile": ["t.star"]})
    files.attrs["pairs"] = True
    group = optics(box=BOX, pixel_ang=PIXEL)
    write_star(folder / "p.star", {"general": general, "optics": pd.DataFrame([group]), "particles": particles})
    write_star(folder / "t.star", {"global": pd.DataFrame({"rlnTomoName": ["tomo1"]}), "tomo1": tomogram})
    write_star(folder / "set.star", {"": files})
    return blobs, folder / "set.star"


@pytest.mark.parametrize("whole_stacks", [True, False], ids=["all tilts stored", "visible tilts stored"])
def test_tilt_images_are_slices_at_the_pose_of_their_tilt(tmp_path, whole_stacks):
    blobs, path = tilt_series(tmp_path, whole_stacks)
    dataset = ParticleDataset.open(path, EXACT)
    assert dataset.n == 3 * 4 and dataset.table.frame["rlnTomoFrame"].tolist() == [1, 3, 4, 5] * 3
    assert dataset.table.frame["rlnTomoParticleName"].nunique() == 3
    batch = dataset.batch(np.arange(12))
    freqs = dataset.lattice.indices / (BOX * PIXEL)
    expected = batch.ctf * np.stack([blobs.slice(freqs @ r[0, :2]) for r in batch.pose.rotations]) / PIXEL**3
    np.testing.assert_allclose(centred(batch), expected, atol=1e-4 * np.abs(expected).max())


def test_particles_without_their_tomograms_are_refused(tmp_path):
    tilt_series(tmp_path, True)
    with pytest.raises(DataError, match="Give the optimisation set"):
        ParticleDataset.open(tmp_path / "p.star", EXACT)


def test_a_stack_of_another_number_of_tilts_is_named(tmp_path):
    _, path = tilt_series(tmp_path, True)
    write_stack(tmp_path / "1.mrcs", np.zeros((3, BOX, BOX)), PIXEL)
    with pytest.raises(DataError, match=r"particle 2 has 4 visible of 5 frames, but its stack 1\.mrcs holds 3 images"):
        ParticleDataset.open(path, EXACT)


def test_an_absent_tomogram_is_named(tmp_path):
    _, path = tilt_series(tmp_path, True)
    write_star(tmp_path / "t.star", {"global": pd.DataFrame({"rlnTomoName": ["tomo1"]})})
    with pytest.raises(DataError, match="no data_tomo1"):
        ParticleDataset.open(path, EXACT)


@pytest.mark.shared
def test_a_real_ribosome_set_reconstructs_to_relions_own_map(shared):
    folder = shared / "tomo_ribosome"
    name = "warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star"
    dataset = ParticleDataset.open(folder / name)
    assert (dataset.n, dataset.box, dataset.pixel_size_ang, dataset.n_optics_groups) == (1430, 32, 12.0, 4)
    assert dataset.sign == 1 and dataset.table.flag("rlnCtfDataAreCtfPremultiplied").all()
    reference, _ = read_map(folder / "warptools_test_box-32_angpix-12_reconstruct.mrc")
    volume = backproject(dataset)
    assert np.corrcoef(volume.ravel(), reference.ravel())[0, 1] >= 0.65
    assert (fsc(volume, reference)[1:4] > [0.9, 0.8, 0.6]).all()

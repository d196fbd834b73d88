"""What is exported for cryoDRGN as its own package opens it, and that the images are then what its model says."""

import argparse

import numpy as np
import pytest
import torch

pytest.importorskip("cryodrgn", reason="cryodrgn is not installed")

from cryodrgn import ctf, utils
from cryodrgn.commands import parse_ctf_star, parse_pose_star
from cryodrgn.dataset import ImageDataset
from cryodrgn.lattice import Lattice
from cryodrgn.pose import PoseTracker

from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler
from cryodrgn_plugin.tests.engine.particle_files import molecule

from .exported_run import BOX, CHOSEN, LABELS, PIXEL_ANG, N, exported, star_of_blobs

EULER = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    star, table = star_of_blobs(tmp_path)
    run, folder = exported(tmp_path, "cryodrgn", monkeypatch, star, CHOSEN)
    return run, folder, table.iloc[CHOSEN], star


def test_its_readers_find_the_particles_of_the_run(files):
    run, folder, table, _ = files
    index = utils.load_pkl(str(folder / "ind.pkl"))
    np.testing.assert_array_equal(index, CHOSEN)
    poses = PoseTracker.load(str(folder / "poses.pkl"), len(CHOSEN), BOX, ind=index)
    np.testing.assert_allclose(poses.rots, matrices_from_euler(table[EULER].to_numpy()), atol=1e-6)
    origins_px = table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy() / PIXEL_ANG
    np.testing.assert_allclose(poses.trans, origins_px, atol=1e-5)
    params = ctf.load_ctf_for_training(BOX, str(folder / "ctf.pkl"))
    assert params.shape == (N, 8) and set(params[:, 0].tolist()) == {PIXEL_ANG}
    np.testing.assert_allclose(params[index, 1], table["rlnDefocusU"], rtol=1e-6)
    np.testing.assert_array_equal(utils.load_pkl(str(folder / "z.pkl")), run.latents().z)
    for k in range(3):
        members = utils.load_pkl(str(folder / f"class_{k + 1:03d}.pkl"))
        np.testing.assert_array_equal(members, CHOSEN[LABELS[CHOSEN] == k])


def test_its_images_are_slices_of_the_molecule_by_its_own_lattice_poses_and_ctf(files):
    """Centred by its translations an image is its CTF, which has the other sign, times a slice by its rotation."""
    _, folder, _, star = files
    index = utils.load_pkl(str(folder / "ind.pkl"))
    images = ImageDataset(str(star), ind=index, window=False, datadir=str(star.parent), max_threads=1)
    assert (images.N, images.D) == (len(CHOSEN), BOX + 1)
    poses = PoseTracker.load(str(folder / "poses.pkl"), images.N, BOX, ind=index)
    params = torch.tensor(ctf.load_ctf_for_training(BOX, str(folder / "ctf.pkl"))[index])
    lattice = Lattice(images.D, extent=0.5)
    inside = lattice.get_circular_mask(BOX // 2 - 1)
    agreement = []
    for k in range(images.N):
        seen = images[k]["y"].reshape(1, -1)
        rotation, translation = poses.get_pose(torch.tensor([k]))
        centred = lattice.translate_ht(seen, translation.unsqueeze(1)).reshape(-1)[inside]
        points = (lattice.coords @ rotation[0])[inside].numpy()
        slice_ = molecule().slice(points / PIXEL_ANG)
        own_ctf = ctf.compute_ctf(lattice.freqs2d[inside] / params[k, 0], *params[k, 1:])
        expected = own_ctf.numpy() * (slice_.real - slice_.imag)
        agreement.append(np.corrcoef(centred.numpy(), expected)[0, 1])
    assert max(agreement) < -0.999


def test_they_are_the_files_that_it_makes_itself_of_the_star_file(files, tmp_path):
    _, folder, _, star = files
    for command, name in ((parse_pose_star, "poses"), (parse_ctf_star, "ctf")):
        parser = argparse.ArgumentParser()
        command.add_args(parser)
        words = [str(star), "-D", str(BOX), "--Apix", str(PIXEL_ANG), "-o", str(tmp_path / f"{name}.pkl")]
        command.main(parser.parse_args(words))
        ours, theirs = (utils.load_pkl(str(place / f"{name}.pkl")) for place in (folder, tmp_path))
        for own, other in zip(*((ours, theirs) if name == "poses" else ((ours,), (theirs,))), strict=True):
            np.testing.assert_allclose(own[CHOSEN], other[CHOSEN], rtol=1e-5, atol=1e-6)

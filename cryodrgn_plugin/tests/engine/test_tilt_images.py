"""Tilt series with poses unknown: how each was tilted is known from the stage, and one pose explains all its images."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_images import find_series
from cryodrgn_plugin.engine.data.tilt_series import NONE, SeriesDataset, TiltSeries
from cryodrgn_plugin.engine.decoders.decoder_registry import make_decoder
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.likelihood.expansion import LinearExpansion, LocalImages
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel
from cryodrgn_plugin.engine.likelihood.linear_score import LinearScore, SliceBank
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.networks.pose_search import PoseSearch
from cryodrgn_plugin.engine.networks.pose_table import PoseTable
from cryodrgn_plugin.engine.poses.refine import Expansion
from cryodrgn_plugin.engine.poses.series_score import TiltSeriesExpansion, TiltSeriesScore
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

from .tilt_sets import BOX, EXACT, PIXEL, tilt_series

SEARCH = {
    **{"poses.spacing_deg": 30.0, "poses.levels": 3, "poses.first_radius": 6, "poses.last_radius": 14},
    **{"poses.shift_extent": 0.1, "poses.shift_steps": 7, "poses.exploration": 0.0},
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Three particles of one tomogram, the second with one visible tilt less, and their map's blobs."""
    folder = tmp_path_factory.mktemp("tilts")
    blobs, path = tilt_series(folder, True, away_ang=3.0)
    rewrite(folder, rlnTomoVisibleFrames=["[1,0,1,1,1]", "[1,0,1,0,1]", "[1,0,1,1,1]"])
    return blobs, path, ParticleDataset.open(path, EXACT)


def rewrite(folder, **columns) -> None:
    tables = read_star(folder / "p.star")
    write_star(folder / "p.star", {**tables, "particles": tables["particles"].assign(**columns)})


def test_images_of_a_particle_are_its_reference_after_known_tilts(opened):
    dataset = opened[2]
    series = find_series(dataset)
    assert series.n == 3 and series.counts.tolist() == [4, 3, 4] and series.images[1, 3] == NONE
    assert series.kind[0] == series.kind[2] != series.kind[1]
    for particle in range(3):
        (images,), tilts, carries = series.views(np.array([particle]))
        reference = np.flatnonzero([np.allclose(tilt, np.eye(3)) for tilt in tilts]).item()
        np.testing.assert_allclose(dataset.rotations[images], tilts @ dataset.rotations[images[reference]], atol=1e-5)
        np.testing.assert_array_equal(carries, tilts[:, :2, :2])
        # What shifts in the plane leave over is the depth of the particle, one number for all of its images.
        left = dataset.shifts_ang[images] - carries @ dataset.shifts_ang[images[reference]]
        depth_ang = (left * tilts[:, :2, 2]).sum() / np.square(tilts[:, :2, 2]).sum()
        np.testing.assert_allclose(left, depth_ang * tilts[:, :2, 2], atol=1e-4)


def test_tilts_do_not_depend_on_the_poses_in_the_file(opened, tmp_path):
    _, path, dataset = opened
    copy = shutil.copytree(path.parent, tmp_path / "copy")
    rewrite(copy, rlnAngleRot=7.0, rlnAngleTilt=[3.0, 50.0, 90.0])
    other = ParticleDataset.open(copy / path.name, EXACT)
    assert np.abs(other.rotations - dataset.rotations).max() > 0.1
    np.testing.assert_allclose(find_series(other).tilts, find_series(dataset).tilts, atol=1e-9)


def test_batches_hold_the_images_of_whole_particles(opened):
    dataset = opened[2]
    source = SeriesDataset(dataset, find_series(dataset))
    batch = source.batch(np.array([1, 0]))
    names = dataset.table.column("rlnTomoParticleName").to_numpy()[batch.index]
    assert names.tolist() == ["tomo1/2"] * 3 + ["tomo1/1"] * 4
    values = np.arange(7.0)[:, None]
    np.testing.assert_allclose(source.of_particles(values, np.array([1, 0])), [[1.0], [4.5]])
    np.testing.assert_array_equal(source.of_particles(values[:2], np.array([1, 0])), values[:2])
    np.testing.assert_array_equal(source.series.to_images(np.arange(3)), source.series.particle)


def map_of(blobs) -> np.ndarray:
    axis = (np.arange(BOX) - BOX // 2) * PIXEL
    volume = np.zeros((BOX, BOX, BOX), np.float32)
    for (x, y, z), weight in zip(blobs.centres_ang, blobs.weights, strict=True):
        distance2 = (axis[:, None, None] - z) ** 2 + (axis[:, None] - y) ** 2 + (axis - x) ** 2
        volume += weight * np.exp(-distance2 / (2 * blobs.width_ang**2))
    return volume / (2 * np.pi * blobs.width_ang**2) ** 1.5


def search(dataset: ParticleDataset, blobs, series: TiltSeries | None) -> PoseTable:
    """Poses searched against the true map."""
    config = recipe_config("cryodrgn2", {**SEARCH, "z_dim": 0, "decoder.kind": "basis", "decoder.n_bases": 0})
    decoder = make_decoder(config, BOX)
    decoder.set_volumes(map_of(blobs)[None])
    table = PoseTable(dataset)
    finder = PoseSearch(config, dataset, estimate_noise(dataset), torch.device("cpu"), series)
    finder.run(decoder, None, table, np.arange(series.n if series else dataset.n), 1.0, 0)
    return table


def test_one_pose_is_found_for_all_images_of_a_particle(opened):
    blobs, _, dataset = opened
    series = find_series(dataset)
    table = search(dataset, blobs, series)
    found, shifts_ang = table.rotations.numpy(), table.shifts_ang.numpy()
    assert angular_distance_deg(found, dataset.rotations).max() < 8
    assert np.linalg.norm(shifts_ang - dataset.shifts_ang, axis=1).max() < 2.5 * PIXEL
    for particle in range(3):
        (images,), tilts, _carries = series.views(np.array([particle]))
        between = found[images] @ found[images[0]].T
        np.testing.assert_allclose(between, tilts @ tilts[0].T, atol=1e-5)
        assert (table.score[images] == table.score[images[0]]).all()
    turned = replace(series, tilts=np.swapaxes(series.tilts, 2, 3))
    assert float(search(dataset, blobs, turned).score.sum()) < 0.9 * float(table.score.sum())


def test_the_likelihood_near_a_pose_is_that_of_all_images_together(opened):
    blobs, _, dataset = opened
    series = find_series(dataset)
    rows, tilts, carries = series.views(np.array([0, 2]))
    unposed = dataset.without_poses()
    images = WhitenedImages(unposed, estimate_noise(dataset))
    model = LinearModel.of(images.backend(HalfSphere(BOX, 2.0, BOX // 2 - 1)), map_of(blobs)[None])
    batches = [images.of(each, dataset.lattice.size) for each in rows.T]
    models = [LinearExpansion(model, LocalImages.of(unposed, each), torch.ones(2, 1)) for each in batches]
    stage = torch.from_numpy(tilts), torch.from_numpy(carries)
    joint = TiltSeriesExpansion(models, *stage)
    reference = np.square(tilts - np.eye(3)).sum((1, 2)).argmin()
    rotations = dataset.rotations[rows[:, reference]].astype(np.float64)
    shifts_ang = dataset.shifts_ang[rows[:, reference]].astype(np.float64) + 1.0

    def expanded(rotations: np.ndarray, shifts_ang: np.ndarray) -> Expansion:
        return joint.expand(torch.from_numpy(rotations), torch.from_numpy(shifts_ang), 10)

    def value(parameters: np.ndarray) -> np.ndarray:
        turned = Rotation.from_rotvec(parameters[:3]).as_matrix() @ rotations
        return expanded(turned, shifts_ang + parameters[3:]).value.numpy()

    here = expanded(rotations, shifts_ang)
    gradient = here.gradient.numpy()
    for place, step in enumerate([3e-3, 3e-3, 3e-3, 0.05, 0.05]):
        move = np.zeros(5)
        move[place] = step
        slope = (value(move) - value(-move)) / (2 * step)
        np.testing.assert_allclose(gradient[:, place], slope, rtol=0.05, atol=0.02 * np.abs(gradient).max())
    scores = [LinearScore(SliceBank(model), each.targets, each.weights, BOX * PIXEL) for each in batches]
    poses = torch.from_numpy(rotations)[:, None].float(), torch.from_numpy(shifts_ang)[:, None, None].float()
    whole = TiltSeriesScore(scores, *stage).own(*poses, 10)
    np.testing.assert_allclose(here.value, whole[:, 0, 0], rtol=1e-3)

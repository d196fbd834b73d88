"""Refinement of tilt pairs and series: a particle turns as one, and is so placed better than its images one by one."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.ab_initio.refinement import refine_poses
from cryodrgn_plugin.engine.ab_initio.refinement_checkpoint import load_refinement, save_refinement
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.half_sets import dealt, drawn_halves
from cryodrgn_plugin.engine.data.tilt_images import find_series
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.geometry.rotations import (
    angular_distance_deg,
    euler_from_matrices,
    matrices_from_euler,
    random_matrices,
    tilt_about_x,
)
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.poses.refine_options import MOVES, RefineOptions
from cryodrgn_plugin.engine.simulate.tiny import lopsided_map
from cryodrgn_plugin.engine.slicing.exact import exact_slices

from .particle_files import optics

pytestmark = pytest.mark.slow

BOX, PIXEL_ANG, SNR = 24, 4.0, 4.0
STAGES = {"pair": (0.0, 45.0), "series": (-50.0, -25.0, 0.0, 25.0, 50.0)}
WRONG_DEG, WRONG_PX = 4.0, 0.5
OPTIONS = RefineOptions(rounds=3, max_angle_deg=8.0, max_shift_ang=6.0)
ANGLES, ORIGINS = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), ("rlnOriginXAngst", "rlnOriginYAngst")
TIES = ("rlnTomoParticleName", "rlnTomoFrame", "rlnTomoNominalStageTiltAngle")


def planted(folder, kind: str, seed: int = 0):
    """A star file of the images of particles at all stage tilts, in disorder; of series one in three lacks the last."""
    rng, stage_deg = np.random.default_rng(seed), np.array(STAGES[kind])
    particle, frame = np.divmod(rng.permutation(600), len(stage_deg))
    taken = (kind == "pair") | (particle % 3 > 0) | (frame < len(stage_deg) - 1)
    particle, frame = particle[taken], frame[taken]
    tilts = np.stack([tilt_about_x(angle) for angle in stage_deg])
    rotations = tilts[frame] @ random_matrices(600 // len(stage_deg), rng)[particle]
    shifts_px, lattice = rng.uniform(-1, 1, (len(particle), 2)), HalfPlane(BOX, BOX // 2 - 1)
    moved = np.exp(-2j * np.pi * shifts_px @ lattice.indices.T / BOX)
    images = lattice.images(exact_slices(lopsided_map(BOX), rotations, lattice) * moved)
    images += np.sqrt(images.var() / SNR) * rng.standard_normal(images.shape)
    write_stack(folder / "i.mrcs", images, PIXEL_ANG)
    stage = {"rlnTomoNominalStageTiltAngle": stage_deg[frame]} if kind == "pair" else {"rlnTomoFrame": frame + 1}
    columns = {
        "rlnImageName": [f"{i + 1}@i.mrcs" for i in range(len(images))],
        **posed(rotations, PIXEL_ANG * shifts_px),
        **{"rlnTomoName": "t", "rlnTomoParticleName": [f"t/{i}" for i in particle], **stage, "rlnOpticsGroup": 1},
    }
    tables = {"optics": pd.DataFrame([optics(box=BOX, pixel_ang=PIXEL_ANG)]), "particles": pd.DataFrame(columns)}
    write_star(folder / "p.star", tables)
    return folder / "p.star"


def posed(rotations, shifts_ang) -> dict[str, np.ndarray]:
    return dict(zip((*ANGLES, *ORIGINS), (*euler_from_matrices(rotations).T, *-shifts_ang.T), strict=True))


def rewritten(star, name: str, drop=(), **columns):
    """The star file beside it with columns changed or left out."""
    tables = read_star(star)
    frame = tables["particles"].assign(**columns)
    write_star(
        star.parent / name, {**tables, "particles": frame.drop(columns=[each for each in drop if each in frame])}
    )
    return star.parent / name


class Planted:
    """Images, their true poses, and poses that are 4° off, alike for all images of a particle, and half a pixel, each
    image for itself (root mean squares).
    """

    def __init__(self, folder, kind: str) -> None:
        self.star = planted(folder, kind)
        self.dataset = ParticleDataset.open(self.star)
        self.series = find_series(self.dataset)
        self.truth = self.dataset.rotations.astype(np.float64), self.dataset.shifts_ang.astype(np.float64)
        rng = np.random.default_rng(8)
        turns = Rotation.from_rotvec(np.radians(WRONG_DEG) * rng.standard_normal((self.series.n, 3)) / np.sqrt(3))
        first = self.truth[0][self.series.images[:, 0]]
        turned = turns.as_matrix() @ first
        self.between = self.truth[0] @ np.swapaxes(self.series.to_images(first), 1, 2)
        moves = WRONG_PX * PIXEL_ANG * rng.standard_normal((self.dataset.n, 2)) / np.sqrt(2)
        self.wrong = self.between @ self.series.to_images(turned), self.truth[1] + moves
        self.untied = ParticleDataset.open(rewritten(self.star, "untied.star", TIES))

    def errors(self, rotations, shifts_ang) -> tuple[float, float]:
        """Medians in degrees and pixels."""
        found = align_poses(rotations, self.truth[0], shifts_ang, self.truth[1], either_hand=False)
        return float(np.median(found.angle_deg)), float(np.median(found.shift_error_ang)) / PIXEL_ANG

    def apart(self, rotations) -> float:
        """How far any relative rotation inside a particle is from the true one."""
        first = self.series.to_images(rotations[self.series.images[:, 0]])
        return float(np.abs(rotations @ np.swapaxes(first, 1, 2) - self.between).max())


@pytest.fixture(scope="module", params=["pair", "series"])
def case(request, tmp_path_factory) -> Planted:
    return Planted(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Planted:
    return Planted(tmp_path_factory.mktemp("series"), "series")


def test_a_particle_is_placed_better_as_one_than_image_by_image(case):
    tied = refine_poses(case.dataset.with_poses(*case.wrong), OPTIONS, seed=1)
    alone = refine_poses(case.untied.with_poses(*case.wrong), OPTIONS, seed=1).poses
    found = tied.poses
    before, after = case.errors(*case.wrong), case.errors(found.rotations, found.shifts_ang)
    one_by_one = case.errors(alone.rotations, alone.shifts_ang)
    most = {2: 0.87, 5: 0.6}[case.series.images.shape[1]]
    assert after[0] < 0.5 * before[0] and after[0] < most * one_by_one[0], (before, after, one_by_one)
    assert after[1] < 0.5 * before[1] and after[1] < 1.1 * one_by_one[1], (before, after, one_by_one)
    assert case.apart(found.rotations) < 1e-5 and case.apart(alone.rotations) > 0.05
    assert all(figures.gain > 0 for figures in tied.rounds)


def test_a_particle_moves_in_space_or_its_images_by_themselves_whichever_they_have_done(series):
    """Moved in space where particles were picked wrong, image by image where these are aligned wrong."""
    rng = np.random.default_rng(9)
    picked_ang = WRONG_PX * PIXEL_ANG * rng.standard_normal((series.series.n, 3)) / np.sqrt(2)
    seen = series.between[:, :2] @ series.series.to_images(picked_ang)[:, :, None]
    wrong = {"particle": series.truth[1] + seen[:, :, 0], "image": series.wrong[1]}
    off = {}
    for what, shifts_ang in wrong.items():
        for moves in wrong:
            dataset = series.dataset.with_poses(series.wrong[0], shifts_ang)
            found = refine_poses(dataset, replace(OPTIONS, moves=moves), seed=1).poses
            off[what, moves] = series.errors(found.rotations, found.shifts_ang)[1]
            assert series.apart(found.rotations) < 1e-5
    assert off["particle", "particle"] < 0.8 * off["particle", "image"], off
    assert off["image", "image"] < 0.5 * off["image", "particle"], off


def test_no_particle_leaves_its_bounds(series):
    tight = RefineOptions(rounds=2, max_angle_deg=2.0, max_shift_ang=1.0)
    found = refine_poses(series.dataset.with_poses(*series.wrong), tight, seed=1).poses
    turned = angular_distance_deg(found.rotations, series.wrong[0])
    images = series.series.images
    np.testing.assert_allclose(turned[images[:, 1]], turned[images[:, 0]], atol=1e-3)
    assert 1.9 < turned.max() < 2.01
    moved = np.linalg.norm(found.shifts_ang - series.wrong[1], axis=1)
    assert 0.9 < moved.max() < 1.001
    assert np.abs(moved[images[:, 1]] - moved[images[:, 0]]).max() > 0.1
    assert (found.gain >= 0).all() and found.gain.mean() > 0


@pytest.mark.parametrize("moves", MOVES)
def test_a_refinement_of_series_resumes_bit_for_bit(series, tmp_path, moves):
    dataset, stands, options = series.dataset.with_poses(*series.wrong), [], replace(OPTIONS, moves=moves)
    whole = refine_poses(dataset, options, seed=1, told=stands.append)
    save_refinement(tmp_path / "refinement.npz", {}, stands[0])
    rest = refine_poses(dataset, options, seed=1, done=load_refinement(tmp_path / "refinement.npz", {}))
    assert len(stands[0].rounds) == 1 and rest.rounds == whole.rounds
    for name in ("rotations", "shifts_ang", "score", "gain"):
        np.testing.assert_array_equal(getattr(rest.poses, name), getattr(whole.poses, name))


def test_a_particle_is_in_one_half_set_and_one_species_those_of_its_first_image(series):
    """What later images say of either makes no difference; what the first ones say does, of half-sets the first row."""
    first = series.series.to_images(series.series.images[:, 0])
    row = np.unique(series.series.particle, return_index=True)[1][series.series.particle]
    rng, short = np.random.default_rng(2), replace(OPTIONS, rounds=1)
    subset, species = rng.integers(1, 3, series.dataset.n), rng.integers(0, 2, series.dataset.n)

    def found(subset, species) -> np.ndarray:
        dataset = ParticleDataset.open(rewritten(series.star, "halves.star", rlnRandomSubset=subset))
        return refine_poses(dataset.with_poses(*series.wrong), short, species=species, seed=1).poses.rotations

    scattered, whole = found(subset, species), found(subset[row], species[first])
    np.testing.assert_array_equal(scattered, whole)
    assert series.apart(scattered) < 1e-5
    assert not np.array_equal(found(3 - subset, species), found(subset, np.zeros_like(species)))


def test_a_particle_with_one_image_is_refined_as_a_single_image_bit_for_bit(series):
    names = [f"t/{i:03d}" for i in range(series.dataset.n)]
    lonely = ParticleDataset.open(rewritten(series.star, "lonely.star", rlnTomoParticleName=names))
    assert find_series(lonely).n == series.dataset.n
    each, alone = (
        refine_poses(dataset.with_poses(*series.wrong), replace(OPTIONS, rounds=2, moves=moves), seed=1).poses
        for dataset, moves in ((lonely, "particle"), (series.untied, "image"))
    )
    for name in ("rotations", "shifts_ang", "score", "gain"):
        np.testing.assert_array_equal(getattr(each, name), getattr(alone, name))


def test_the_command_keeps_what_the_stage_says_and_images_that_disagree_with_it_are_named(tmp_path, capsys):
    case = Planted(tmp_path, "pair")
    star = rewritten(case.star, "wrong.star", **posed(*case.wrong))
    assert main(["refine-poses", str(star), "--out", str(tmp_path / "out"), "--rounds", "2"]) == 0
    assert "300 particles with 600 images; those of a particle turn together" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "refinement.json").read_text())["particles"] == 300
    found = read_particles(tmp_path / "out" / "poses.star")
    rotations = matrices_from_euler(found.euler_deg)
    assert case.apart(rotations) < 1e-5
    assert case.errors(rotations, -found.origins_ang)[0] < 0.6 * case.errors(*case.wrong)[0]
    score = found.frame["rlnLogLikeliContribution"].to_numpy()
    np.testing.assert_allclose(score[case.series.images[:, 1]], score[case.series.images[:, 0]], rtol=1e-6)
    tilt_deg = -read_particles(star).frame["rlnTomoNominalStageTiltAngle"]
    other = rewritten(star, "other.star", rlnTomoNominalStageTiltAngle=tilt_deg)
    capsys.readouterr()
    assert main(["refine-poses", str(other), "--out", str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert "turned by 90.0° (median) from where the tilt of the stage puts them" in said and said.count("\n") == 1


def test_the_maps_of_the_report_come_from_halves_of_the_particles(series):
    halves = drawn_halves(series.dataset, 3)
    first = series.series.images[:, 0]
    np.testing.assert_array_equal(halves, series.series.to_images(halves[first]))
    assert abs(int(halves[first].sum()) * 2 - series.series.n) <= 1
    np.testing.assert_array_equal(drawn_halves(series.untied, 3), dealt(np.arange(series.untied.n), 3))


def test_three_series_are_too_few(series):
    few = series.dataset.subset(np.sort(series.series.flat(np.arange(3))))
    with pytest.raises(DataError, match="3 particles are too few to refine poses"):
        refine_poses(few, OPTIONS)

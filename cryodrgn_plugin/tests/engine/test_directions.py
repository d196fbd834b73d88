"""Directions of variation found among contrast and pose errors: two states of a chain, and the same chain in one state.

Images are faint and differ in contrast, and their star file errs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.closed_form.direction_search import (
    PosedSet,
    above_noise,
    advance,
    noise_information,
    schedule,
)
from cryodrgn_plugin.engine.closed_form.directions import Directions
from cryodrgn_plugin.engine.closed_form.nuisance_report import learned_of_images, sizes
from cryodrgn_plugin.engine.config import ClosedFormConfig, recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_series import TiltSeries
from cryodrgn_plugin.engine.io.arrays import read_arrays
from cryodrgn_plugin.engine.simulate import SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble

N, BOX, PIXEL_ANG = 1500, 32, 3.5
SEARCH = ClosedFormConfig(iterations=9, first_radius=10)
CONTRAST_SD, TURN_SD_DEG, SHIFT_SD_PX = 0.15, 1.5, 0.5
PLANTED = SimulationConfig(
    n_particles=N, box=BOX, pixel_size_ang=PIXEL_ANG, snr=0.1, shift_px=2.0, contrast_sd=CONTRAST_SD,
    pose_error_deg=TURN_SD_DEG, shift_error_px=SHIFT_SD_PX,
)  # fmt: skip


@dataclass(frozen=True)
class Searched:
    """A search that is done."""

    truth: dict[str, np.ndarray]
    posed: PosedSet
    given: ParticleDataset
    found: list[Directions]
    """After each step of the schedule."""
    seen: np.ndarray
    """Information of the directions in the first band, before any was dropped."""
    noise: float
    count: int
    """How many directions stand out from noise."""

    @property
    def amplitude(self) -> np.ndarray:
        """(N,) along the direction seen best."""
        return self.found[-1].posteriors.mean[:, 0].numpy()

    @property
    def sizes(self) -> dict[str, float]:
        return sizes(self.given, self.found[-1].nuisances)


def searched(folder: Path, states: int) -> Searched:
    star = simulate_particles(tiny_ensemble(states, range_rad=0.7), PLANTED, folder, seed=2)
    config = recipe_config("fast", {"particles": str(star), "seed": 1})
    dataset = ParticleDataset.open(str(star), config.data)
    posed = PosedSet(config, dataset, TiltSeries.singles(N))
    found, half = [Directions.random(posed.images, (2, 0), config.seed)], np.arange(N) % 2
    for step in schedule(SEARCH, BOX // 2 - 1, N):
        _, _, directions = advance(posed, found[-1], step, half)
        if step.cuts:
            seen, (noise,) = directions.information.numpy(), noise_information(posed, step, 9, config.seed)
            (count,) = above_noise(directions, (noise,))
            directions = directions.leading(max(count, 1))
        found.append(directions.moved() if step.moves else directions)
    posed.follow(found[-1].nuisances)
    truth = read_arrays(folder / "truth.npz", "state", "contrast", "rotations", "shifts_ang")
    return Searched(truth, posed, dataset, found[1:], seen, noise, count)


@pytest.fixture(scope="module")
def two_states(tmp_path_factory) -> Searched:
    return searched(tmp_path_factory.mktemp("two"), 2)


@pytest.fixture(scope="module")
def one_state(tmp_path_factory) -> Searched:
    return searched(tmp_path_factory.mktemp("one"), 1)


def pose_errors(dataset: ParticleDataset, truth: dict[str, np.ndarray]) -> tuple[float, float]:
    """Root mean square over images: of the angle in degrees, and of the distance in pixels."""
    rotations, shifts_ang = dataset.physical_poses()
    cosine = (np.einsum("nij,nij->n", rotations, truth["rotations"]) - 1) / 2
    angle_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    distance_px = np.linalg.norm(shifts_ang - truth["shifts_ang"], axis=1) / PIXEL_ANG
    return float(np.sqrt((angle_deg**2).mean())), float(np.sqrt((distance_px**2).mean()))


def test_one_direction_is_found_and_tells_the_states_apart(two_states):
    assert two_states.count == 1
    assert two_states.seen[0] > 5 * two_states.noise
    assert abs(np.corrcoef(two_states.amplitude, two_states.truth["state"])[0, 1]) > 0.9


def test_a_molecule_in_one_state_varies_no_more_than_noise(one_state):
    """The same images of the same chain, contrast and wrong poses among them, but without the motion."""
    assert one_state.count == 0 and one_state.seen[0] > 0


def test_a_direction_is_seen_as_well_when_the_limit_rises(two_states):
    """Half-sets apart, each image judged by volumes that it is not in."""
    along = np.array([float(found.information[0]) for found in two_states.found[SEARCH.iterations - 1 :]])
    assert (along[1:] > 0.9 * along[0]).all() and along[-1] > along[0]


@pytest.mark.parametrize("set_name", ["two_states", "one_state"])
def test_what_was_planted_in_contrast_and_poses_is_learned(set_name, request):
    search = request.getfixturevalue(set_name)
    assert search.sizes["contrast_sd"] == pytest.approx(CONTRAST_SD, rel=0.15)
    assert search.sizes["shift_sd_px"] == pytest.approx(SHIFT_SD_PX, rel=0.15)
    # At this size of image a turn of 1.5° shows little, and is learned slowly from the 1° that is taken at first.
    assert search.sizes["turn_sd_deg"] == pytest.approx(TURN_SD_DEG, rel=0.25)
    contrast = learned_of_images(search.given, search.found[-1].nuisances)["contrast"]
    assert np.corrcoef(contrast, search.truth["contrast"])[0, 1] > 0.65


@pytest.mark.parametrize("set_name", ["two_states", "one_state"])
def test_moved_poses_are_nearer_to_the_truth(set_name, request):
    search = request.getfixturevalue(set_name)
    given_deg, given_px = pose_errors(search.given, search.truth)
    moved_deg, moved_px = pose_errors(search.posed.dataset, search.truth)
    assert given_deg == pytest.approx(TURN_SD_DEG * 3**0.5, rel=0.05)
    assert given_px == pytest.approx(SHIFT_SD_PX * 2**0.5, rel=0.05)
    assert moved_deg < 0.96 * given_deg and moved_px < 0.6 * given_px


def test_corrections_add_up_to_what_moved(two_states):
    """What the run tells of each image leads from the given pose to the one the maps rest on."""
    told = learned_of_images(two_states.given, two_states.found[-1].nuisances)["pose_correction"]
    rotations, shifts_ang = two_states.given.physical_poses()
    moved = two_states.posed.dataset.physical_poses()
    turned = Rotation.from_rotvec(told[:, :3], degrees=True).as_matrix() @ rotations
    np.testing.assert_allclose(turned, moved[0], atol=1e-5)
    np.testing.assert_allclose(shifts_ang + told[:, 3:], moved[1], atol=1e-4)


def test_amplitudes_know_nothing_of_contrast(two_states, one_state):
    for search in (two_states, one_state):
        assert abs(np.corrcoef(search.amplitude, search.truth["contrast"])[0, 1]) < 0.1

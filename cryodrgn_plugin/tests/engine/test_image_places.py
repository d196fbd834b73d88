"""Images are placed along the motion of rigid parts by the parts, better than where they were thought to be."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atomic_motion.bead_overlap import density, scale_of
from cryodrgn_plugin.engine.atomic_motion.image_places import ImagePlacer, places_along
from cryodrgn_plugin.engine.atomic_motion.part_frames import PartFrames
from cryodrgn_plugin.engine.atomic_motion.part_motion import PartMotion
from cryodrgn_plugin.engine.atomic_motion.part_poses import PartPoses
from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.reconstruction.backproject import accumulate
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.simulation import frame_centre_ang

from .two_domains import ARM, BOX, PIXEL_ANG, turned, two_domains

IMAGES, THOUGHT_DEG = 300, 15.0
"""Images, and by how much their angles are thought wrong (standard deviation)."""
ANGLES_DEG = np.linspace(-40, 40, 41)
LABELS = ARM.astype(int)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The images, their true angles in degrees, the true motion of the parts along the angle, and the parts' maps."""
    model = two_domains()
    states = [model.moved(turned(model, angle)) for angle in ANGLES_DEG]
    config = SimulationConfig(n_particles=IMAGES, box=BOX, pixel_size_ang=PIXEL_ANG, snr=0.5, shift_px=2)
    ensemble = Ensemble(states, ANGLES_DEG, np.ones(len(states)))
    star = simulate_particles(ensemble, config, tmp_path_factory.mktemp("places") / "set", seed=2)
    dataset, centre = ParticleDataset.open(str(star), DataConfig()), frame_centre_ang(states)
    places = np.stack([state.coords_ang - centre for state in states]) / PIXEL_ANG
    reference = (model.coords_ang - centre) / PIXEL_ANG
    motion = motion_of(reference, places)
    (whole,) = accumulate(dataset, None, None, estimate_noise(dataset))
    scale = scale_of(whole.volume(), reference[~ARM], np.full((~ARM).sum(), 6.0), 10)
    mass = np.full(len(ARM), 6.0 * scale.amplitude)
    own = [density(reference[LABELS == part], mass[LABELS == part], scale.sigma_px, BOX) for part in (0, 1)]
    return dataset, np.load(star.with_name("truth.npz"))["coordinate"], motion, np.stack(own)


def motion_of(reference: np.ndarray, places: np.ndarray) -> PartMotion:
    """The parts in every state, as the atoms lie."""
    centres, poses = np.stack([reference[LABELS == part].mean(axis=0) for part in (0, 1)]), []
    for state in places:
        turns, moves = np.zeros((2, 3)), np.zeros((2, 3))
        for part in (0, 1):
            now = state[LABELS == part]
            turn, _ = Rotation.align_vectors(now - now.mean(axis=0), reference[LABELS == part] - centres[part])
            turns[part], moves[part] = turn.as_rotvec(), now.mean(axis=0) - centres[part]
        poses.append(PartPoses(turns, moves, np.ones(2), np.zeros((2, 6, 6))))
    return PartMotion.of(LABELS, centres, poses, ANGLES_DEG[:, None], np.full(len(places), 1 / len(places)))


def angles_deg(frames: PartFrames) -> np.ndarray:
    between = np.swapaxes(frames.rotations[:, 0], 1, 2) @ frames.rotations[:, 1]
    return np.degrees(Rotation.from_matrix(between).as_rotvec() @ (np.array([0.2, 0.5, 0.84]) / np.sqrt(0.9956)))


def test_images_that_are_thought_elsewhere_are_placed_by_the_parts(planted):
    dataset, angle, motion, parts = planted
    thought = (angle + THOUGHT_DEG * np.random.default_rng(0).standard_normal(IMAGES))[:, None]
    placer = ImagePlacer(
        WhitenedImages(dataset, estimate_noise(dataset)), thought, np.ones(IMAGES), np.linspace(-45, 45, 31)[:, None],
        mirrored=False,
    )  # fmt: skip
    placed = placer.placed(motion, parts, np.arange(IMAGES))
    assert np.abs(angles_deg(PartFrames.of(motion, thought)) - angle).mean() > 10
    assert np.abs(angles_deg(placed) - angle).mean() < 3.5
    some = np.array([7, 3, 250])
    again = placer.placed(motion, parts, some)
    assert np.abs(angles_deg(again) - angle[some]).max() < 12 and len(again) == 3


def test_without_the_arm_images_say_nothing_of_it(planted):
    dataset, angle, motion, parts = planted
    placer = ImagePlacer(
        WhitenedImages(dataset, estimate_noise(dataset)), angle[:, None], np.ones(IMAGES), ANGLES_DEG[::4, None], False
    )
    placed = placer.placed(motion, parts * np.array([1, 0])[:, None, None, None], np.arange(IMAGES))
    assert np.ptp(angles_deg(placed)) < 0.1 < np.ptp(angle)


def test_places_along_a_motion_lie_among_the_particles():
    points = np.random.default_rng(1).uniform(0, 10, (2000, 1))
    nodes = np.sort(places_along(points, 0)[:, 0])
    assert len(nodes) == 48 and nodes[0] > 0 and nodes[-1] < 10 and np.diff(nodes).max() < 0.6
    assert len(places_along(points[:40], 0)) == 2


def test_frames_of_halves_come_back_in_the_order_of_the_particles(planted):
    motion = planted[2]
    points, rows = np.linspace(-30, 30, 9)[:, None], [np.arange(0, 9, 2), np.arange(1, 9, 2)]
    whole = PartFrames.of(motion, points)
    joined = PartFrames.joined([whole[some] for some in rows], rows)
    assert np.array_equal(joined.rotations, whole.rotations) and np.array_equal(joined.shifts_px, whole.shifts_px)

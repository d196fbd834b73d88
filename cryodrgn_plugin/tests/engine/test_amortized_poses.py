"""Planted poses come back: read off images of a known map, sharpened by search around what was read, for new images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.config import PoseConfig, recipe_config
from cryodrgn_plugin.engine.data.batch import Pose
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.decoders.decoder_registry import make_decoder
from cryodrgn_plugin.engine.decoders.model_file import save_model
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel
from cryodrgn_plugin.engine.likelihood.linear_score import LinearScore, SliceBank
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.networks.amortized_placing import place
from cryodrgn_plugin.engine.poses.proposed import ProposedPoses
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.simulation import simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import lopsided_map
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

pytestmark = pytest.mark.slow

BOX, PIXEL_ANG = 24, 4.7
READING = {
    **{"decoder.kind": "basis", "decoder.n_bases": 0, "z_dim": 0, "poses.shift_extent": 0.0},
    **{"amortized.trunk_width": 16, "encoder.layers": 2, "encoder.width": 128, "training.precision": "float32"},
    **{"amortized.images_from": 10**7, "amortized.pose_weight": 1.0, "training.learning_rate": 5e-4},
    **{"training.batch_size": 64, "training.epochs": 40, "training.checkpoint_every": 40},
    **{"amortized.search": True, "poses.spacing_deg": 20.0, "poses.first_radius": 5, "poses.last_radius": 11},
}
"""The network learns from views of a given map alone; a search by 20, 10, 5 and 2.5° follows."""


def simulated(folder, n: int, seed: int, snr: float = np.inf, shift_px: float = 0.0):
    config = SimulationConfig(n_particles=n, box=BOX, snr=snr, shift_px=shift_px, ctf=False, pixel_size_ang=PIXEL_ANG)
    star = simulate_particles([lopsided_map(BOX)], config, folder, seed)
    return star, np.load(star.parent / "truth.npz")


def true_start(folder, star) -> Run:
    """A finished run whose model is the true map."""
    config = recipe_config("homogeneous", {"particles": str(star)})
    run, decoder = Run.create(folder, config), make_decoder(config, BOX)
    decoder.set_volumes(lopsided_map(BOX)[None])
    save_model(run.model_file, config, decoder, None, PIXEL_ANG)
    return run


def train(folder, star, **settings) -> Run:
    config = recipe_config("ace", {"particles": str(star), **settings})
    run = Run.create(folder, config)
    with run.working():
        fit(run, config)
    return run


def errors(rotations, truth):
    nowhere = np.zeros((len(rotations), 2))
    return align_poses(rotations, truth["rotations"], nowhere, nowhere, either_hand=False)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A run that learnt to read poses of the lopsided map, one that did not learn, and the truth of their images."""
    folder = tmp_path_factory.mktemp("taught")
    star, truth = simulated(folder / "set", 600, seed=1)
    settings = {**READING, "amortized.start_from": str(true_start(folder / "start", star).path)}
    untaught = {**settings, "training.epochs": 1, "training.learning_rate": 1e-9}
    return train(folder / "run", star, **settings), train(folder / "untaught", star, **untaught), truth


def test_planted_poses_are_read_off_images_and_sharpened_by_search(taught):
    run, untaught, truth = taught
    found, chance = (errors(matrices_from_euler(each.particles().euler_deg), truth) for each in (run, untaught))
    assert np.median(found.angle_deg) < 3 and found.share_within(5.0) > 0.75
    assert chance.share_within(5.0) < 0.2


def test_new_images_are_placed_in_the_frame_of_the_run(taught, tmp_path):
    star, truth = simulated(tmp_path / "new", 80, seed=9)
    found = place(taught[0], ParticleDataset.open(star))
    errors_deg = angular_distance_deg(found.rotations, truth["rotations"])
    assert np.median(errors_deg) < 3 and (errors_deg < 5).mean() > 0.7
    assert found.z.shape == (80, 0) and np.isfinite(found.score).all()


def test_placing_the_images_of_a_run_gives_what_the_run_found(tmp_path):
    star, _ = simulated(tmp_path / "set", 60, seed=2, snr=1.0, shift_px=1.0)
    small = {"amortized.trunk_width": 8, "encoder.width": 32, "training.batch_size": 30, "training.epochs": 2}
    small |= {"z_dim": 2, "decoder.kind": "basis", "decoder.n_bases": 2, "amortized.latent_from": 30}
    run = train(tmp_path / "run", star, **small)
    found = place(run, ParticleDataset.open(star))
    angles_deg = angular_distance_deg(found.rotations, matrices_from_euler(run.particles().euler_deg))
    same = angles_deg < 0.1
    assert same.mean() > 0.8  # where an image and its turn are explained equally well, either may win
    np.testing.assert_allclose(found.z[same], run.latents().z[same], atol=1e-4)
    assert np.ptp(found.z) > 0 and found.uncertainty.shape == (60,)


def test_images_that_a_run_cannot_place_are_named(taught, tmp_path):
    run = taught[0]
    other = SimulationConfig(n_particles=30, box=20, snr=1.0, ctf=False, pixel_size_ang=PIXEL_ANG)
    star = simulate_particles([lopsided_map(20)], other, tmp_path / "other", 1)
    with pytest.raises(DataError, match=r"its images are 20 px of 4\.7 Å, and the network of .* reads 24 px"):
        place(run, ParticleDataset.open(star))
    with pytest.raises(ConfigError, match="has no network that reads poses off images"):
        place(Run.open(run.config.amortized.start_from), ParticleDataset.open(star))


class Planted:
    """Noisy images of the lopsided map with a score against it, and proposals that are off by known angles."""

    n = 40

    def __init__(self, folder) -> None:
        star, self.truth = simulated(folder, self.n, seed=4, snr=5.0, shift_px=1.5)
        dataset = ParticleDataset.open(star)
        images = WhitenedImages(dataset.without_poses(), estimate_noise(dataset))
        self.images = images.of(np.arange(self.n), dataset.lattice.size)
        model = LinearModel.of(images.backend(HalfSphere(BOX, 2.0, BOX // 2 - 1)), lopsided_map(BOX)[None])
        self.bank = SliceBank(model)
        poses = (torch.from_numpy(self.truth[name])[:, None] for name in ("rotations", "shifts_ang"))
        gram, inner = self.score().compressed(*poses, torch.zeros(1, 2), BOX // 2 - 1)
        grey_scale = inner.sum() / gram.sum()
        self.bank = SliceBank(replace(model, coefs=grey_scale * model.coefs))

    def score(self, places=slice(None)) -> LinearScore:
        return LinearScore(self.bank, self.images.targets[places], self.images.weights[places], BOX * PIXEL_ANG)

    def proposals(self, off_deg: float, off_px: float) -> Pose:
        """One at random, and one near the truth."""
        rng = np.random.default_rng(5)
        axes = rng.standard_normal((self.n, 3))
        turns = Rotation.from_rotvec(np.radians(off_deg) * axes / np.linalg.norm(axes, axis=1, keepdims=True))
        near = turns.as_matrix() @ self.truth["rotations"]
        moved = self.truth["shifts_ang"] + off_px * PIXEL_ANG * rng.choice([-1, 1], (self.n, 2))
        rotations = np.stack([random_matrices(self.n, rng), near], axis=1)
        return Pose(rotations.astype(np.float32), np.stack([0 * moved, moved], axis=1).astype(np.float32))

    def errors(self, found: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Degrees and pixels of the best."""
        away = np.linalg.norm(found.shifts_ang[:, 0].numpy() - self.truth["shifts_ang"], axis=1)
        return angular_distance_deg(found.rotations[:, 0].numpy(), self.truth["rotations"]), away / PIXEL_ANG


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Planted:
    return Planted(tmp_path_factory.mktemp("planted"))


def nearby(planted: Planted, proposals: Pose, **settings) -> ProposedPoses:
    config = PoseConfig(
        **{"spacing_deg": 8.0, "levels": 4, "kept": 4, "first_radius": 6, "last_radius": 11, **settings}
    )
    return ProposedPoses(proposals, config, BOX, PIXEL_ANG)


def test_search_finds_planted_poses_from_proposals_a_few_degrees_off(planted):
    proposals = planted.proposals(off_deg=8.0, off_px=1.0)
    angles_deg, away_px = planted.errors(nearby(planted, proposals).infer(planted.score()).best)
    assert np.median(angles_deg) < 2 and np.percentile(angles_deg, 90) < 4
    assert np.median(away_px) < 0.3
    # As near as a search that begins at the truth.
    best_deg = planted.errors(nearby(planted, planted.proposals(0.0, 0.0)).infer(planted.score()).best)[0]
    assert np.median(angles_deg) < 1.3 * np.median(best_deg) + 0.3


def test_search_stays_near_its_proposals(planted):
    far = planted.proposals(off_deg=70.0, off_px=1.0)
    assert np.median(planted.errors(nearby(planted, far).infer(planted.score()).best)[0]) > 30


def test_without_levels_proposals_are_put_in_order(planted):
    proposals = planted.proposals(off_deg=4.0, off_px=0.5)
    found = nearby(planted, proposals, levels=0).infer(planted.score())
    assert (found.score.diff(dim=1) <= 0).all()
    assert (planted.errors(found.best)[0] < 4.1).mean() > 0.9
    np.testing.assert_allclose(found.rotations.sort(dim=1)[0], np.sort(proposals.rotations, axis=1))


def test_images_are_searched_by_their_own_proposals(planted):
    proposals, places = planted.proposals(8.0, 1.0), np.array([7, 3])
    whole = nearby(planted, proposals).infer(planted.score())
    some = nearby(planted, proposals).at(places).infer(planted.score(places))
    np.testing.assert_allclose(some.rotations[:, 0], whole.rotations[places, 0], atol=1e-5)

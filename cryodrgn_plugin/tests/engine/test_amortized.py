"""Poses read off images: the parts of ACE-HetEM one by one, and runs that resume exactly."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.config import AmortizedConfig, RunConfig, recipe_config
from cryodrgn_plugin.engine.data.batch import ImageBatch
from cryodrgn_plugin.engine.data.step_draws import StepDraws
from cryodrgn_plugin.engine.decoders.decoder_registry import make_decoder
from cryodrgn_plugin.engine.decoders.model_file import save_model
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.encoders.encoder import LatentPosterior
from cryodrgn_plugin.engine.encoders.pose_baselines import divergence_from_uniform
from cryodrgn_plugin.engine.encoders.pose_estimate import PoseEncoder, PoseEstimate
from cryodrgn_plugin.engine.encoders.pose_network import PoseNetwork
from cryodrgn_plugin.engine.encoders.resnet import BasicBlock
from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.geometry.continuous import random_rotations, rotations_from_six, turns
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg
from cryodrgn_plugin.engine.imaging.formation import ImageFormation
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.imaging.real_space import RealSpace
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.networks.amortized_objective import AmortizedObjective, both_ways, turned_back
from cryodrgn_plugin.engine.networks.synthetic_noise import SyntheticNoise
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.simulation import simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import lopsided_map
from cryodrgn_plugin.engine.stopping import Stopped

pytestmark = pytest.mark.slow

BOX, PIXEL_ANG, COUNT = 24, 4.7, 6
LATTICE = HalfPlane(BOX, BOX // 2 - 1)
ONE_MAP = {"decoder.kind": "basis", "decoder.n_bases": 0, "z_dim": 0}
SMALL = {
    "amortized.trunk_width": 16,
    "encoder.width": 64,
    "decoder.width": 16,
    "decoder.layers": 1,
    "training.batch_size": 50,
    "training.learning_rate": 1e-3,
    "training.epochs": 2,
    "training.precision": "float32",
    "poses.shift_extent": 0.05,
}


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """Star file of 200 noise-free images of the lopsided map, shifted by up to a pixel."""
    config = SimulationConfig(n_particles=200, box=BOX, snr=np.inf, shift_px=1.0, ctf=False, pixel_size_ang=PIXEL_ANG)
    return simulate_particles([lopsided_map(BOX)], config, tmp_path_factory.mktemp("views"), seed=1)


def config_for(star, **overrides) -> RunConfig:
    return recipe_config("ace", {"particles": str(star), **SMALL, **overrides})


def train(folder, config: RunConfig, **options) -> Run:
    run = Run.create(folder, config, resume=options.get("resume", False))
    with run.working():
        fit(run, config, **options)
    return run


def blurred_start(folder, star) -> Run:
    """A finished run whose map is the true one without detail beyond shell 6."""
    config = recipe_config("homogeneous", {"particles": str(star)})
    run = Run.create(folder, config)
    decoder = make_decoder(config, BOX)
    spectrum = np.fft.fftn(read_map(star.parent / "maps" / "state_000.mrc")[0])
    k = np.fft.fftfreq(BOX, 1 / BOX)
    low = sum(np.square(axis) for axis in np.meshgrid(k, k, k, indexing="ij")) <= 6**2
    decoder.set_volumes(np.fft.ifftn(spectrum * low).real.astype(np.float32)[None])
    save_model(run.model_file, config, decoder, None, PIXEL_ANG)
    return run


def test_images_in_torch_are_those_of_the_lattice():
    images = np.random.default_rng(0).standard_normal((3, 24, 24)).astype(np.float32)
    lattice = HalfPlane(24, 12)
    spectra = lattice.spectra(images)
    np.testing.assert_allclose(RealSpace(lattice)(torch.from_numpy(spectra)), lattice.images(spectra), atol=1e-5)


def test_six_numbers_make_a_rotation_and_rows_of_a_rotation_make_it_again():
    rotations = random_rotations(50, torch.Generator().manual_seed(0))
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(50))
    torch.testing.assert_close(rotations_from_six(rotations[:, :2].flatten(1) * 2.5), rotations)


def test_random_rotations_are_uniform():
    rotations = random_rotations(4000, torch.Generator().manual_seed(1)).double().numpy()
    angles = np.radians(angular_distance_deg(rotations, np.eye(3)))
    # The angle of a uniform rotation has the density (1 − cos a)/π.
    for limit in (1.0, 2.0, 2.8):
        assert abs((angles < limit).mean() - (limit - np.sin(limit)) / np.pi) < 0.025


def test_turns_are_rotation_vectors():
    vectors = np.random.default_rng(2).standard_normal((5, 3))
    np.testing.assert_allclose(turns(torch.from_numpy(vectors)), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12)


def test_the_divergence_of_turns_is_that_of_a_normal_from_a_constant_density():
    spread = torch.tensor([[0.05, 0.1, 0.2]])
    drawn = spread * torch.randn(200_000, 3, generator=torch.Generator().manual_seed(3))
    log_q = torch.distributions.Normal(0.0, spread).log_prob(drawn).sum(1).mean()
    assert float(divergence_from_uniform(spread)) == pytest.approx(float(log_q) + np.log(8 * np.pi**2), abs=0.01)


class TruePoses(PoseEncoder):
    """Knows the pose of every image it will be asked about, in order; spoils those at `wrong`."""

    def __init__(self, rotations, shifts_ang, wrong=()):
        super().__init__()
        self.rotations, self.shifts_ang = rotations.clone(), shifts_ang
        self.rotations[list(wrong)] = torch.eye(3)

    def estimate(self, batch):
        return PoseEstimate(self.rotations[: len(batch)], self.shifts_ang[: len(batch)], None)


def known_views():
    """A decoder, a batch of its views, and the estimates that explain the batch and its turn by 180°."""
    decoder = make_decoder(recipe_config("homogeneous"), BOX)
    decoder.set_volumes(lopsided_map(BOX)[None])
    generator = torch.Generator().manual_seed(4)
    rotations = random_rotations(COUNT, generator)
    shifts = PIXEL_ANG * torch.randn(COUNT, 2, generator=generator)
    ctf = torch.cos(torch.from_numpy(LATTICE.shells**2) * 0.01).expand(COUNT, -1).float()
    formation = ImageFormation(LATTICE, PIXEL_ANG)
    with torch.no_grad():
        slices = decoder.slices(None, rotations[:, None], LATTICE, LATTICE.size)
        spectra = formation.observe(slices, ctf, shifts[:, None])[:, 0]
    batch = ImageBatch(torch.arange(COUNT), spectra, ctf, None, torch.zeros(COUNT, dtype=torch.int64))
    half_turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    both = torch.cat([rotations, half_turn @ rotations]), torch.cat([shifts, -shifts])
    return decoder, formation, batch, both


def objective_of(decoder, encoder, formation, **settings) -> AmortizedObjective:
    weights = torch.from_numpy(LATTICE.multiplicity)[None]
    noise = SyntheticNoise.of_data(torch.zeros(1, LATTICE.size), 1.0, weights[0])
    amortized = AmortizedConfig(**{"warmup_images": 0, **settings})
    return AmortizedObjective(decoder, encoder, formation, weights, noise, amortized, PIXEL_ANG, 0)


def test_an_image_turned_by_180_degrees_is_a_view_at_the_turned_pose():
    decoder, formation, batch, (rotations, shifts) = known_views()
    objective = objective_of(decoder, TruePoses(rotations, shifts), formation)
    twice = both_ways(batch)
    power = batch.spectra.abs().square().sum(1).min()
    assert objective.misfit(twice, objective.estimate(twice), None).max() < 1e-6 * power
    back = turned_back(objective.estimate(twice))
    torch.testing.assert_close(back.rotations[:COUNT], back.rotations[COUNT:])
    torch.testing.assert_close(back.shifts_ang[:COUNT], back.shifts_ang[COUNT:])


def test_the_symmetrized_loss_takes_the_better_of_an_image_and_its_turn():
    decoder, formation, batch, (rotations, shifts) = known_views()
    encoder = TruePoses(rotations, shifts, wrong=(0, 2, COUNT + 1))
    power = batch.spectra.abs().square().sum(1).min()
    estimates, misfit = objective_of(decoder, encoder, formation).infer(batch)
    assert misfit.max() < 1e-6 * power
    torch.testing.assert_close(estimates[0].rotations, rotations[:COUNT])
    one_way = objective_of(decoder, encoder, formation, symmetrized=False).infer(batch)[1]
    assert (one_way > 1e-3 * power).tolist() == [True, False, True, False, False, False]


def small_network(z_dim: int = 0) -> PoseNetwork:
    torch.manual_seed(5)
    return PoseNetwork(recipe_config("ace", SMALL).encoder, LATTICE, 0.85, 4, PIXEL_ANG, z_dim)


def test_the_pose_task_teaches_the_encoder_and_leaves_the_decoder_alone():
    decoder, formation, batch, _ = known_views()
    objective = objective_of(decoder, small_network(), formation)
    terms = objective(batch, 0.0, StepDraws(torch.Generator().manual_seed(6)))
    terms.others["pose_loss"].backward()
    assert decoder.coefs.grad is None
    assert all(parameter.grad is not None for parameter in objective.encoder.rotation.parameters())


def test_latents_are_drawn_from_their_prior_until_enough_images_were_seen():
    config = recipe_config("ace", {**SMALL, "z_dim": 2, "decoder.kind": "basis", "decoder.n_bases": 2})
    decoder, formation, batch, _ = known_views()
    weights = torch.from_numpy(LATTICE.multiplicity)[None]
    noise = SyntheticNoise.of_data(torch.zeros(1, LATTICE.size), 1.0, weights[0])
    settings = AmortizedConfig(latent_from=COUNT)
    decoder = make_decoder(config, BOX)
    decoder.randomize(torch.Generator().manual_seed(0), 1.0)
    objective = AmortizedObjective(decoder, small_network(2), formation, weights, noise, settings, PIXEL_ANG, 2)
    for seen, learns in ((0, False), (COUNT, True)):
        assert int(objective.seen) == seen
        objective.zero_grad(set_to_none=True)
        terms = objective(batch, 0.0, StepDraws(torch.Generator().manual_seed(7)))
        terms.total.backward()
        moved = [p.grad is not None and bool(p.grad.any()) for p in objective.encoder.latent.parameters()]
        assert all(moved) if learns else not any(moved)
        assert (float(terms.divergence.detach()) > 0) == learns


def test_labels_are_blurred_at_the_start_and_sharp_after_the_warm_up():
    decoder, formation, batch, (rotations, shifts) = known_views()
    settings = {"warmup_images": COUNT, "warmup_blur_px": 1.5, "pose_weight": 0.0}
    objective = objective_of(decoder, TruePoses(rotations, shifts), formation, **settings)
    radius_per_px = torch.from_numpy(np.hypot(*LATTICE.indices.T) / BOX)
    blurred = batch.spectra * torch.exp(-2 * (np.pi * 1.5 * radius_per_px) ** 2)
    weights = torch.from_numpy(LATTICE.multiplicity)
    wanted = ((batch.spectra - blurred).abs().square() * weights).sum(1).mean()
    first, second = (
        float(objective(batch, 0.0, StepDraws(torch.Generator())).reconstruction.detach()) for _ in range(2)
    )
    assert first == pytest.approx(float(wanted), rel=1e-3)
    assert second < 1e-6 * first


def test_views_of_the_model_get_the_signal_to_noise_ratio_of_the_data():
    generator = torch.Generator().manual_seed(8)
    multiplicity = torch.from_numpy(LATTICE.multiplicity)
    sigma2 = torch.linspace(4.0, 1.0, LATTICE.size)[None]
    noise_power = float(sigma2[0] @ multiplicity / multiplicity.sum())
    noise = SyntheticNoise.of_data(sigma2, 1.25 * noise_power, multiplicity)  # SNR 1/4
    group = torch.zeros(200, dtype=torch.int64)
    for strength in (0.02, 0.1):
        clean = strength * torch.randn(200, LATTICE.size, dtype=torch.complex64, generator=generator)
        added = noise.add(clean, group, StepDraws(generator)) - clean
        power = (added.abs().square() @ multiplicity).mean() / (clean.abs().square() @ multiplicity).mean()
        assert float(power) == pytest.approx(4.0, rel=0.05)
        colour = added.abs().square().mean(0) / sigma2[0]
        assert float(colour[:200].mean() / colour[-200:].mean()) == pytest.approx(1.0, rel=0.05)
    strong = 100.0 * torch.randn(200, LATTICE.size, dtype=torch.complex64, generator=generator)
    added = noise.add(strong, group, StepDraws(generator)) - strong
    assert float(added.abs().square().mean() / sigma2.mean()) == pytest.approx(1.0, rel=0.05)


def test_in_evaluation_an_estimate_depends_on_its_own_image_alone():
    network = small_network(2).eval()
    batch = known_views()[2]
    alone = dataclasses.replace(
        batch, index=batch.index[3:4], spectra=batch.spectra[3:4], ctf=batch.ctf[3:4], group=batch.group[3:4]
    )
    together, single = network.estimate(batch), network.estimate(alone)
    torch.testing.assert_close(together.rotations[3:4], single.rotations, atol=1e-5, rtol=1e-4)
    assert isinstance(single.latent, LatentPosterior)
    torch.testing.assert_close(together.latent.mean[3:4], single.latent.mean, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["basis", "mlp"])
def test_a_paused_run_resumes_bit_for_bit_and_leaves_what_others_leave(kind, views, tmp_path):
    settings = {"decoder.kind": kind, "decoder.n_bases": 2, "z_dim": 2, "training.epochs": 3}
    settings |= {"amortized.latent_from": 300, "amortized.warmup_images": 500, "training.precision": "auto"}
    config = config_for(views, **settings)
    whole = train(tmp_path / "whole", config)
    with pytest.raises(Stopped):
        train(tmp_path / "paused", config, until_epoch=2)
    resumed = train(tmp_path / "paused", config, resume=True)
    assert [without_seconds(row) for row in resumed.metrics()] == [without_seconds(row) for row in whole.metrics()]
    np.testing.assert_array_equal(resumed.latents().z, whole.latents().z)
    assert resumed.latents().z.shape == (200, 2)
    np.testing.assert_array_equal(resumed.particles().euler_deg, whole.particles().euler_deg)
    assert resumed.poses_file.exists() and whole.status == "finished"
    volume = load_decoder(resumed).volume(resumed.latents().z[0])
    np.testing.assert_array_equal(volume, load_decoder(whole).volume(whole.latents().z[0]))
    assert np.isfinite(volume).all() and volume.any()


def without_seconds(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "seconds"}


def test_free_poses_improve_their_loss_by_gradient_on_a_known_map(views, tmp_path):
    start = blurred_start(tmp_path / "start", views)
    settings = {"amortized.method": "descent", "amortized.start_from": str(start.path), "training.epochs": 12}
    run = train(tmp_path / "run", config_for(views, **ONE_MAP, **settings))
    losses = [row["reconstruction"] for row in run.metrics()]
    assert losses[-1] < 0.8 * losses[0] and run.poses_file.exists()


def test_the_pose_vae_learns_a_distribution_of_rotations(views, tmp_path):
    settings = {"amortized.method": "vae", "training.epochs": 12}
    run = train(tmp_path / "run", config_for(views, **ONE_MAP, **settings))
    first, *_, last = run.metrics()
    assert last["reconstruction"] < 0.8 * first["reconstruction"]
    assert last["kl"] > 0 and "pose_loss" not in last and run.poses_file.exists()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"amortized.method": "vae", "z_dim": 2}, "finds one rigid map"),
        ({"ab_initio.species": 3}, "by z alone"),
        ({"training.early_stop": 2}, "training.early_stop at 0"),
        ({"amortized.method": "oracle"}, "choose network, vae or descent"),
        ({"amortized.images_from": 10, "amortized.pose_weight": 0}, "no pose-to-pose task"),
    ],
)
def test_settings_that_contradict_each_other_are_named(overrides, sentence, views, tmp_path):
    with pytest.raises(ConfigError, match=sentence):
        train(tmp_path / "run", config_for(views, **{**ONE_MAP, **overrides}))


def test_a_start_that_does_not_fit_is_named(views, tmp_path):
    start = blurred_start(tmp_path / "start", views)
    settings = {"decoder.kind": "basis", "decoder.n_bases": 2, "z_dim": 2, "amortized.start_from": str(start.path)}
    with pytest.raises(ConfigError, match=r"start_from is .* other settings or another box"):
        train(tmp_path / "run", config_for(views, **settings))


def test_weights_that_meet_padding_alone_have_no_gradient():
    """Of images of 16 pixels one is left at the last stage; in bfloat16 torch put there what it found in memory."""
    torch.manual_seed(0)
    block, images = BasicBlock(32, 64, 2), torch.randn(60, 32, 1, 1)
    for value in (1e-3, 1e30):
        for size in (1, 2, 3, 4):
            torch.full((size * 64 * 32 * 9,), value)  # what is left of it is taken for what comes next
        block.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            block(images).float().square().sum().backward()
        gradient = block.convolutions[0].weight.grad.clone()
        assert gradient[..., 1, 1].abs().max() > 0
        gradient[..., 1, 1] = 0
        assert not gradient.any()

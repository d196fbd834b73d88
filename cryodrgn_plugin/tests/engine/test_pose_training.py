"""Trainings without given poses on small planted sets: poses are found, kept, and the same when a run was resumed."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel, bare_model
from cryodrgn_plugin.engine.config import RunConfig, recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.errors import EngineError
from cryodrgn_plugin.engine.geometry.hand import mirrored_map
from cryodrgn_plugin.engine.geometry.pose_errors import PoseErrors, align_poses
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.networks.vae_recipe import fit_vae
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.simulation import simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_set
from cryodrgn_plugin.engine.slicing.fine import moved_volume, padded_transform
from cryodrgn_plugin.engine.stopping import Stopped

pytestmark = pytest.mark.slow

PIXEL_ANG = 3.73
SEARCH = {
    "poses.first_radius": 4,
    "poses.last_radius": 11,
    "poses.levels": 1,
    "poses.shift_extent": 0.08,
    "poses.shift_steps": 3,
    "poses.search_every": 1,
    "poses.kept": 8,
}
BASIS = {"decoder.kind": "basis", "decoder.n_bases": 0, "decoder.output": "hartley"}
SMALL = {"decoder.width": 16, "decoder.layers": 1, "encoder.width": 16, "encoder.layers": 1}


def config_for(star, recipe: str = "cryodrgn2", **overrides) -> RunConfig:
    settings = {"particles": str(star), "training.precision": "float32", **SEARCH}
    return recipe_config(recipe, {**settings, **overrides})


def train(path, config: RunConfig, resume: bool = False, until_epoch: int | None = None) -> Run:
    run = Run.create(path, config, resume=resume)
    with run.working("train"):
        fit_vae(run, config, ParticleDataset.open(config.particles, config.data), resume, until_epoch)
    return run


def found_poses(run: Run) -> tuple[np.ndarray, np.ndarray]:
    table = run.particles()
    return matrices_from_euler(table.euler_deg), -table.origins_ang


def tripod() -> AtomicModel:
    """Three arms of different lengths at right angles, the longest thickened at its end: it looks its own from
    everywhere.
    """
    along = np.arange(0, 1, 0.02)
    longest, middle, shortest = (np.outer(along, arm) for arm in ([38, 0, 0], [0, 28, 0], [0, 0, 18]))
    coords_ang = np.concatenate([longest, longest[25:] + [0, 3, 0], middle, shortest])
    return bare_model(coords_ang - coords_ang.mean(0), np.full(len(coords_ang), 7.0))


@pytest.fixture(scope="module")
def posed_tripod(tmp_path_factory):
    """400 noise-free images, and their truth."""
    config = SimulationConfig(n_particles=400, box=24, pixel_size_ang=PIXEL_ANG, snr=np.inf, shift_px=1.0, ctf=False)
    star = simulate_particles([tripod()], config, tmp_path_factory.mktemp("tripod"), seed=3)
    return star, np.load(star.parent / "truth.npz")


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """60 images of two states, and 30 tilt pairs of them."""
    folder = tmp_path_factory.mktemp("moving")
    config = SimulationConfig(snr=1.0, shift_px=1.0, pixel_size_ang=7.0, tilt_deg=45.0)
    singles = tiny_set(folder / "singles", n=60, box=16, states=2, seed=3)
    return singles, tiny_set(folder / "pairs", n=30, box=16, states=2, seed=3, config=config)


BY_DECODER = {
    "mlp": {
        "decoder.width": 64,
        "decoder.layers": 2,
        "training.learning_rate": 3e-3,
        "poses.schedule": "search:12, refine:1",
    },
    "basis": {**BASIS, "training.learning_rate": 0.2, "poses.schedule": "search:16, refine:1"},
}


@pytest.mark.parametrize("kind", ["mlp", pytest.param("basis", marks=pytest.mark.slow)])
def test_planted_poses_are_found_without_any_given(kind, posed_tripod, tmp_path):
    star, truth = posed_tripod
    settings = {"training.schedule": "cosine", "training.batch_size": 10, "poses.block": 20, "z_dim": 0}
    run = train(tmp_path / "run", config_for(star, **settings, **BY_DECODER[kind]))
    rotations, shifts_ang = found_poses(run)
    errors = align_poses(rotations, truth["rotations"], shifts_ang, truth["shifts_ang"])
    assert np.median(errors.angle_deg) < 4 and errors.share_within(15) > 0.7
    assert np.median(errors.shift_error_ang) < 0.3 * PIXEL_ANG
    true = read_map(star.parent / "maps" / "state_000.mrc")[0]
    for found, least in ((read_map(run.found_map_file(1))[0], 0.8), (load_decoder(run).volume(None), 0.7)):
        assert np.corrcoef(in_true_frame(found, errors).ravel(), true.ravel())[0, 1] > least


def in_true_frame(volume: np.ndarray, errors: PoseErrors) -> np.ndarray:
    """A map moved as the fit of the poses says."""
    turned = padded_transform(mirrored_map(volume) if errors.mirrored else volume)
    return moved_volume(turned, errors.rotation.T, errors.origin_ang / PIXEL_ANG, len(volume))


@pytest.mark.parametrize("recipe", ["cryodrgn2", "bnb"])
def test_a_paused_search_goes_on_as_if_it_had_not_paused(recipe, moving, tmp_path):
    star, _ = moving
    settings = {**SMALL, "z_dim": 2, "poses.last_radius": 7, "poses.spacing_deg": 30.0, "poses.block": 32}
    config = config_for(star, recipe, **settings, **{"poses.schedule": "search:3, reset, fixed:1, search:1"})
    whole = train(tmp_path / "whole", config)
    for epoch in (1, 2, 4):
        with pytest.raises(Stopped):
            train(tmp_path / "parts", config, resume=True, until_epoch=epoch)
    parts = train(tmp_path / "parts", config, resume=True)
    for found, wanted in zip(found_poses(parts), found_poses(whole), strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(parts.latents().z, whole.latents().z)
    states = [torch.load(run.model_file, weights_only=True)["state"] for run in (parts, whole)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def test_angles_and_origins_of_the_file_are_not_looked_at(moving, tmp_path):
    star, _ = moving
    settings = {**SMALL, "z_dim": 0, "poses.last_radius": 7, "poses.spacing_deg": 30.0, "poses.schedule": "search:2"}
    config = config_for(star, **settings)
    tables = read_star(star)
    blind = star.parent / "blind.star"
    columns = [name for name in tables["particles"] if name.startswith(("rlnAngle", "rlnOrigin"))]
    write_star(blind, {**tables, "particles": tables["particles"].drop(columns=columns)})
    given, not_given = train(tmp_path / "given", config), train(tmp_path / "blind", config_for(blind, **settings))
    for found, wanted in zip(found_poses(given), found_poses(not_given), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("volumes", [0, 3], ids=["against the network", "against three maps of it"])
def test_both_images_of_a_pair_get_one_pose_and_one_latent(volumes, moving, tmp_path):
    _, star = moving
    settings = {**SMALL, "z_dim": 2, "encoder.kind": "tilt_pair", "poses.volumes": volumes, "poses.last_radius": 5}
    schedule = {"poses.schedule": "search:2", "poses.spacing_deg": 30.0}
    run = train(tmp_path / "run", config_for(star, "bnb", **settings, **schedule))
    z, (rotations, shifts_ang) = run.latents().z, found_poses(run)
    np.testing.assert_array_equal(z[0::2], z[1::2])
    assert z[::2].std(axis=0).min() > 0
    between = rotations[1::2] @ np.swapaxes(rotations[0::2], 1, 2)
    np.testing.assert_allclose(between, np.broadcast_to(between[0], between.shape), atol=1e-5)
    np.testing.assert_allclose(between[0] @ [0, 1, 0], [0, 2**-0.5, 2**-0.5], atol=1e-5)
    np.testing.assert_allclose(shifts_ang[0::2], shifts_ang[1::2], atol=1e-5)


def test_a_pair_is_refined_as_one_in_a_training(moving, tmp_path):
    _, star = moving
    settings = {**SMALL, "z_dim": 2, "encoder.kind": "tilt_pair", "poses.last_radius": 5, "poses.spacing_deg": 30.0}
    runs = [
        train(tmp_path / last, config_for(star, "bnb", **settings, **{"poses.schedule": f"search:2, {last}:1"}))
        for last in ("fixed", "refine")
    ]
    (kept, _), (rotations, shifts_ang) = (found_poses(run) for run in runs)
    assert np.abs(rotations - kept).max() > 1e-3
    between = rotations[1::2] @ np.swapaxes(rotations[0::2], 1, 2)
    np.testing.assert_allclose(between, np.broadcast_to(between[0], between.shape), atol=1e-5)
    assert np.abs(shifts_ang[0::2] - shifts_ang[1::2]).max() > 0.1


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"training.early_stop": 3}, "early_stop needs held-out particles with poses"),
        ({"poses.inference": "amortized"}, "or the recipe ace"),
        ({"poses.schedule": "fixed:3"}, "begin with a search"),
        ({"encoder.kind": "tilt_pair"}, "it has no tilt pairs"),
    ],
)
def test_settings_that_contradict_a_search_are_named(overrides, sentence, moving, tmp_path):
    star, _ = moving
    with pytest.raises(EngineError, match=sentence):
        train(tmp_path / "run", config_for(star, **{**SMALL, **overrides}))

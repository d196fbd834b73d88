"""What runs on a device stays there: closed forms, searches and refinement bring back maps and what is known of
particles, and never images. Shown on a device that refuses to meet the host's memory and counts what leaves it.
"""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

import cryodrgn_plugin
from cryodrgn_plugin.engine import recipes
from cryodrgn_plugin.engine.ab_initio import ab_initio_recipe
from cryodrgn_plugin.engine.ab_initio.refinement import refine_poses
from cryodrgn_plugin.engine.closed_form import fast_recipe, node_count, node_poses, part_scan, small_parts
from cryodrgn_plugin.engine.closed_form.direction_search import PosedSet, schedule
from cryodrgn_plugin.engine.closed_form.directions import Directions, improved
from cryodrgn_plugin.engine.config import ClosedFormConfig, recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_series import TiltSeries
from cryodrgn_plugin.engine.poses.refine_options import RefineOptions
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.place import on_host

from .far_device import FAR, FarDevice

pytestmark = pytest.mark.slow

BOX, FEW, MANY = 16, 60, 120
IMAGE_BYTES = 8 * BOX * BOX / 2
"""Of one image's Fourier coefficients in single precision; a run passes over it many times."""
FAST = {"z_dim": 2, "closed_form.iterations": 2, "closed_form.n_components": 2, "closed_form.nodes": 6}
AB_INITIO = {
    **{"z_dim": 0, "ab_initio.starts": 1, "ab_initio.rounds": 2, "ab_initio.images_per_round": 30},
    **{"ab_initio.refinements": 2, "ab_initio.most_climbs": 1, "poses.spacing_deg": 30, "poses.kept": 2},
}


@pytest.fixture(scope="module")
def stars(tmp_path_factory) -> dict[int, Path]:
    """Particle files of a moving molecule, by the number of particles."""
    folder = tmp_path_factory.mktemp("sets")
    settings = {"box": BOX, "pixel_size_ang": 6.0, "snr": 2.0, "shift_px": 1.0}
    return {
        n: simulate_particles(tiny_ensemble(4), SimulationConfig(n_particles=n, **settings), folder / str(n), seed=3)
        for n in (FEW, MANY)
    }


@pytest.fixture
def far(monkeypatch) -> FarDevice:
    """The device, which every run is sent to."""
    monkeypatch.setattr(Compute, "chosen", classmethod(lambda cls, config: Compute(FAR, torch.float32, "torch")))
    return FarDevice()


def trained(star: Path, folder: Path, recipe: str, settings: dict) -> Run:
    config = recipe_config(recipe, {"particles": str(star), **settings})
    run = Run.create(folder, config, command="test")
    recipes.fit(run, config)
    return run


def test_a_far_tensor_behaves_as_one_of_a_gpu():
    with FarDevice() as far:
        here = torch.arange(6.0).reshape(2, 3)
        there = here.to(FAR)
        assert there.device == FAR and (there + 1).device == FAR
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
        with pytest.raises(RuntimeError, match="on the host"):
            there + here
        assert far.brought_back == 0
        np.testing.assert_array_equal(on_host((there * 2).sum(0)), [6, 10, 14])
        assert far.brought_back == 12 and far.largest == 12
        there[0] = 7
        assert float(there.sum()) == 33
        assert np.isnan(on_host(torch.empty(2, device=FAR))).all()


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [("fast", FAST), ("fast", {**FAST, "closed_form.free_poses": True}), ("abinitio", AB_INITIO)],
    ids=["fast", "fast with free poses", "ab initio"],
)
def test_no_image_comes_back_from_the_device(far, stars, tmp_path, monkeypatch, recipe, settings):
    """A particle more brings back less than one image, though it is looked at many times. Checkpoints do not count:
    they keep what is known of particles, after every step.
    """
    monkeypatch.setattr(fast_recipe, "save_state", lambda run, state: None)
    monkeypatch.setattr(node_count, "ROUNDS", 3)
    monkeypatch.setattr(ab_initio_recipe, "MOST_REPEATS", 1)
    monkeypatch.setattr(fast_recipe, "NODES", 4)
    monkeypatch.setattr(node_poses, "STEPS", 2)
    amounts = []
    for n, star in stars.items():
        before = far.brought_back
        with far:
            trained(star, tmp_path / str(n), recipe, settings)
        amounts.append(far.brought_back - before)
    per_particle = (amounts[1] - amounts[0]) / (MANY - FEW)
    assert per_particle < 0.75 * IMAGE_BYTES


def test_the_device_changes_nothing_but_rounding(far, stars, tmp_path, monkeypatch):
    with far:
        there = trained(stars[MANY], tmp_path / "far", "fast", FAST).latents()
    monkeypatch.undo()
    for member in ("torch", "numba"):
        here = trained(stars[MANY], tmp_path / member, "fast", {**FAST, "device": "cpu", "backend": member}).latents()
        np.testing.assert_allclose(here.z, there.z, atol=1e-3 * np.abs(there.z).max())
        np.testing.assert_allclose(here.coordinate, there.coordinate, atol=1e-3)


def directions_with_parts(star: Path, run: Run) -> Directions:
    """One direction, and those of the small parts that stand out most, whether or not they are there."""
    dataset = ParticleDataset.open(star)
    posed = PosedSet(run.config, dataset, TiltSeries.singles(dataset.n))
    step = schedule(ClosedFormConfig(iterations=2, first_radius=6), BOX // 2 - 1, dataset.n)[0]
    models, _, found = improved(posed.images, posed.band(step.radius), Directions.random(posed.images, (1, 0), 0))
    run.note(directions=1)
    return small_parts.with_small_parts(run, posed, found, models[0], step)


def test_the_scan_for_small_parts_stays_on_the_device(far, stars, tmp_path, monkeypatch):
    for name, value in {"LEAST_PARTICLES": 1, "ROUNDS": 1, "AT_ONCE": 1, "SETTLING": 1}.items():
        monkeypatch.setattr(small_parts, name, value)
    monkeypatch.setattr(part_scan, "SURE", -1e3)
    amounts = []
    for n, star in stars.items():
        before = far.brought_back
        run = Run.create(tmp_path / str(n), recipe_config("fast", {"particles": str(star)}))
        with far:
            there = directions_with_parts(star, run)
        amounts.append(far.brought_back - before)
    assert there.groups == (1, 1, 0)
    assert (amounts[1] - amounts[0]) / (MANY - FEW) < IMAGE_BYTES / 2
    monkeypatch.setattr(Compute, "chosen", classmethod(lambda cls, config: Compute.on("cpu")))
    here = directions_with_parts(star, run)
    np.testing.assert_allclose(here.information, there.information.near, rtol=1e-3)


def test_refinement_of_poses_stays_on_the_device(far, stars):
    options, results = RefineOptions(rounds=1, steps=2), []
    amounts = []
    for star in stars.values():
        dataset, before = ParticleDataset.open(star), far.brought_back
        with far:
            results.append(refine_poses(dataset, options, compute=Compute(FAR, torch.float32, "torch")).poses)
        amounts.append(far.brought_back - before)
    assert (amounts[1] - amounts[0]) / (MANY - FEW) < IMAGE_BYTES / 2
    near = refine_poses(dataset, options).poses
    np.testing.assert_allclose(results[1].rotations, near.rotations, atol=1e-3)


ROOMS = ("slicing", "likelihood", "closed_form", "ab_initio", "poses")
DOORS = {"slicing/place.py", "slicing/numba_backend.py", "slicing/numba_folding.py", "slicing/fused_slice.py"}
DOORS |= {"slicing/turned_slices.py"}
"""Files that may take the numbers of a tensor to the host: the one door, and what works on the CPU alone."""


@pytest.mark.parametrize("room", ROOMS)
def test_tensors_become_arrays_at_one_door(room):
    engine = Path(cryodrgn_plugin.__file__).parent / "engine"
    for path in (engine / room).rglob("*.py"):
        name = path.relative_to(engine).as_posix()
        if name in DOORS:
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        taken = [f"{name}:{node.lineno}" for node in calls if node.attr in ("numpy", "tolist")]
        assert not taken, f"{taken} take numbers off a device; slicing/place.py has the door"

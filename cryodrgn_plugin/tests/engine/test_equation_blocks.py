"""Equations that are solved in blocks of shells, and passes over images that run out of memory, end as others do."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.equations import EquationSums, accumulate, of_amplitudes
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, fit_volumes, soft_ball, sphere_at
from cryodrgn_plugin.engine.likelihood.near_images import compress_near
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.likelihood.working_memory import WorkingMemory
from cryodrgn_plugin.engine.simulate import tiny_set

N, BOX, RADIUS = 120, 32, 15
RNG = np.random.default_rng(4)
HALF, AMPLITUDES = np.arange(N) % 2, np.column_stack([np.ones(N), RNG.standard_normal((N, 3))])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> ParticleDataset:
    star = tiny_set(tmp_path_factory.mktemp("particles"), n=N, box=BOX, seed=3)
    config = recipe_config("fast", {"particles": str(star)})
    return ParticleDataset.open(config.particles, config.data)


def images_in(dataset: ParticleDataset, said: list[str], equations_mb: int = 0) -> WhitenedImages:
    """Three batches, so that a pass can end in its midst."""
    memory = WorkingMemory(equations_mb, said.append)
    return WhitenedImages(dataset, estimate_noise(dataset), batch_size=50, memory=memory)


def solved(images: WhitenedImages, half: np.ndarray | None = HALF) -> list[LinearModel]:
    sphere, count = sphere_at(BOX, 1.5, RADIUS), images.lattice.count(RADIUS)
    amplitudes = of_amplitudes(torch.from_numpy(AMPLITUDES))
    return fit_volumes(accumulate(images, sphere, count, amplitudes, half), soft_ball(BOX))


def assert_same(found: list[LinearModel], wanted: list[LinearModel]) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours.coefs - theirs.coefs).abs().max() < 1e-5 * theirs.coefs.abs().max()


@pytest.mark.parametrize("half", [HALF, None], ids=["half-sets", "together"])
def test_maps_are_the_same_from_any_number_of_blocks(dataset, half):
    whole, said = [], []
    wanted = solved(images_in(dataset, whole), half)
    assert_same(solved(images_in(dataset, said, equations_mb=2), half), wanted)
    assert not whole and len(said) == 1 and "The equations of 4 maps up to shell 15 are solved in " in said[0]
    assert int(said[0].split("solved in ")[1].split()[0]) > 2


def test_equations_are_added_up_again_where_blocks_do_not_stay(dataset):
    images = images_in(dataset, [], equations_mb=2)
    equations = accumulate(
        images, sphere_at(BOX, 1.5, RADIUS), images.lattice.count(RADIUS), of_amplitudes(torch.from_numpy(AMPLITUDES))
    )
    first, second = (fit_volumes(equations, soft_ball(BOX)) for _ in range(2))
    assert torch.equal(first[0].coefs, second[0].coefs)


def runs_out(monkeypatch, owner: type, name: str, most: int, at: int) -> list[int]:
    """Memory for images in an operation suffices for `most` at a time. The list fills with how many were tried."""
    tried, operation = [], getattr(owner, name)

    def limited(self, *given):
        tried.append(len(given[at]))
        if len(given[at]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return operation(self, *given)

    monkeypatch.setattr(owner, name, limited)
    return tried


def test_a_pass_that_runs_out_of_memory_is_made_again_in_halves(dataset, monkeypatch):
    said: list[str] = []
    wanted, images = solved(images_in(dataset, [])), images_in(dataset, said)
    tried = runs_out(monkeypatch, EquationSums, "add", 24, 0)
    assert_same(solved(images), wanted)
    assert tried[0] == 25 and max(tried[1:]) < 14
    assert len(said) == 1 and "There was not enough memory for batches of images" in said[0]


def test_images_are_compressed_in_halves_as_well(dataset, monkeypatch):
    models = solved(images_in(dataset, []))
    moving = models[0].backend.moving(models[0].mean().coefs)
    count = dataset.lattice.count(RADIUS)
    wanted = compress_near(models, images_in(dataset, []), count, moving, HALF)
    tried = runs_out(monkeypatch, type(models[0].backend), "compress_near", 24, 1)
    found = compress_near(models, images_in(dataset, []), count, moving, HALF)
    assert tried[0] == 25 and torch.equal(found.gram, wanted.gram) and torch.equal(found.inner, wanted.inner)


def test_where_halves_do_not_fit_either_it_ends_in_a_sentence(dataset, monkeypatch):
    runs_out(monkeypatch, EquationSums, "add", 3, 0)
    with pytest.raises(DataError, match=r"half of batches of images .* with a smaller data\.box or z_dim, or where"):
        solved(images_in(dataset, []))

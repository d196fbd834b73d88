"""A step for which memory does not suffice is taken in halves, and is the same step."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.networks.objective import VaeObjective
from cryodrgn_plugin.engine.networks.vae_recipe import fit_vae
from cryodrgn_plugin.engine.out_of_memory import Halving, is_out_of_memory
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import tiny_set

BATCH = 15
CPU = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
ERRORS = [MemoryError(), RuntimeError(CPU), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")]


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("particles"), n=50, box=24, seed=2)


def train(star, out):
    """Two epochs of four batches, of which the last has five particles."""
    small = {"decoder.width": 16, "decoder.layers": 1, "encoder.width": 16, "encoder.layers": 1}
    steps = {"training.epochs": 2, "training.batch_size": BATCH, "training.precision": "float32"}
    config = recipe_config("cryodrgn", {"particles": str(star), "z_dim": 1, **small, **steps})
    run = Run.create(out, config)
    with run.working():
        return run, fit_vae(run, config, ParticleDataset.open(config.particles, config.data))


def fails_above(monkeypatch, most: int, error: Exception) -> list[int]:
    """Memory suffices for `most` particles at a time. The list fills with how many were tried."""
    tried, forward = [], VaeObjective.forward

    def limited(self, batch, beta, draws):
        tried.append(len(batch))
        if len(batch) > most:
            raise error
        return forward(self, batch, beta, draws)

    monkeypatch.setattr(VaeObjective, "forward", limited)
    return tried


@pytest.mark.parametrize("error", ERRORS, ids=["python", "CPU", "GPU"])
def test_a_training_goes_on_in_halves_with_the_result_it_would_have_had(error, star, tmp_path, monkeypatch):
    whole, fit = train(star, tmp_path / "whole")
    tried = fails_above(monkeypatch, BATCH - 1, error)
    halved, fit_halved = train(star, tmp_path / "halved")
    assert tried[:5] == [BATCH, 7, 8, 7, 8]
    np.testing.assert_allclose(fit_halved.z, fit.z, atol=1e-4 * fit.z.std())
    for ours, theirs in zip(halved.metrics(), whole.metrics(), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
    said = halved.log_file.read_text()
    assert said.count("not enough memory for batches of 15 particles: they are worked through in halves") == 1


def test_where_halves_do_not_fit_either_it_ends_in_a_sentence(star, tmp_path, monkeypatch):
    fails_above(monkeypatch, 3, ERRORS[1])
    with pytest.raises(DataError, match=r"memory for half of batches of 15 particles; .* smaller training\.batch_size"):
        train(star, tmp_path / "run")


def test_other_errors_and_work_that_is_no_sum_are_not_tried_again():
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    for divides, error, expected in [(True, RuntimeError("else"), RuntimeError), (False, MemoryError(), DataError)]:
        pieces = []

        def work(count, error=error, pieces=pieces):
            pieces.append(count)
            raise error

        with pytest.raises(expected):
            Halving("work", "less", print, divides).run(work)
        assert pieces == [1]

"""Drawing a part of the coefficients keeps the expectation of any sum over them."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.data.step_draws import StepDraws
from cryodrgn_plugin.engine.networks.point_sampling import PointSampler

COUNT = 200


def sampler(share: float = 0.25) -> PointSampler:
    amplitude = torch.exp(-torch.arange(COUNT) / 40.0)[None].repeat(2, 1)
    return PointSampler(amplitude, share)


def some_ctf() -> torch.Tensor:
    return torch.sin(torch.linspace(0.1, 12, COUNT))[None].repeat(3, 1)


def test_the_number_drawn_is_the_share_asked_for():
    index, weight = sampler(0.25).draw(some_ctf(), torch.tensor([0, 1, 0]), StepDraws(torch.Generator().manual_seed(0)))
    assert index.shape == weight.shape == (3, 50)
    assert (index.diff(dim=1) >= 0).all() and index.max() < COUNT


def test_reweighted_sums_are_unbiased():
    chooser, ctf, group = sampler(), some_ctf(), torch.tensor([0, 0, 1])
    values = torch.cos(torch.arange(COUNT) * 0.37) + 2
    generator = torch.Generator().manual_seed(1)
    sums = []
    for _ in range(2000):
        index, weight = chooser.draw(ctf, group, StepDraws(generator))
        sums.append((values[index] * weight).sum(1))
    sums = torch.stack(sums)
    error = sums.std(0) / np.sqrt(len(sums))
    assert ((sums.mean(0) - values.sum()).abs() < 5 * error).all()


def test_probabilities_follow_the_expected_signal_and_sum_to_the_number_drawn():
    ctf = some_ctf()
    probability = sampler().probabilities(ctf, torch.zeros(3, dtype=torch.int64))
    assert probability.sum(1).numpy() == pytest.approx(50, rel=1e-5)
    assert probability.max() < 1.05 and probability.min() > 0.02
    strong, zero = ctf[0].abs()[:40].argmax(), ctf[0].abs()[:60].argmin()
    assert probability[0, strong] > 3 * probability[0, zero]


def test_all_coefficients_are_drawn_once_when_all_are_asked_for():
    index, weight = sampler(1.0).draw(
        torch.ones(2, COUNT), torch.zeros(2).long(), StepDraws(torch.Generator().manual_seed(2))
    )
    drawn = torch.zeros(2, COUNT).scatter_add_(1, index, weight)
    assert drawn.mean() == pytest.approx(1, rel=1e-3)

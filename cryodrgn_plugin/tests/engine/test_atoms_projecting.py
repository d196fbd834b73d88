"""Beads seen from anywhere: the fast ways against the sum written out, and gradients against differences."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.atoms import projecting
from cryodrgn_plugin.engine.atoms.projecting import exact_slices_of_beads, slices_of_beads, volume_of_beads
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.exact import exact_slices

BOX, PIXEL_ANG, SIGMA = 32, 3.0, torch.tensor(3.71, dtype=torch.float64)
LATTICE = HalfPlane(BOX, BOX // 2 - 1)
FREQS = torch.from_numpy(LATTICE.indices / (BOX * PIXEL_ANG))
WAYS = {"separable": 10**9, "splatted": 0}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    monkeypatch.setattr(projecting, "SPLAT_FROM", WAYS[request.param])
    return request.param


def beads(sets: int = 2, count: int = 50, seed: int = 0):
    """Centres up to the edge of the box, and amplitudes."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-0.48, 0.48, (sets, count, 3)) * BOX * PIXEL_ANG
    return torch.from_numpy(centres), torch.from_numpy(rng.uniform(5, 20, (sets, count)))


def views(images: int = 2, candidates: int = 2) -> torch.Tensor:
    matrices = random_matrices(images * candidates, np.random.default_rng(1))
    return torch.from_numpy(matrices).reshape(images, candidates, 3, 3)


def error_of(found, wanted) -> float:
    return float(torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slices_are_the_sum_over_beads(way, dtype):
    centres, amplitudes = beads()
    wanted = exact_slices_of_beads(centres, amplitudes, SIGMA, views(), FREQS)
    data = (tensor.to(dtype) for tensor in (centres, amplitudes, SIGMA, views()))
    found = slices_of_beads(*data, LATTICE, LATTICE.size, PIXEL_ANG)
    assert found.dtype == (torch.complex64 if dtype == torch.float32 else torch.complex128)
    largest = float(wanted.abs().max())
    assert error_of(found, wanted) < 1e-4
    assert float((found - wanted).abs().max()) < 1e-4 * largest
    if way == "separable" and dtype == torch.float64:
        assert error_of(found, wanted) < 1e-12


def test_one_set_of_beads_serves_all_images_and_a_limit_is_a_prefix(way):
    centres, amplitudes = beads(sets=1)
    count = LATTICE.count(7)
    both = slices_of_beads(
        centres.expand(2, -1, -1), amplitudes.expand(2, -1), SIGMA, views(), LATTICE, LATTICE.size, 3.0
    )
    found = slices_of_beads(centres, amplitudes, SIGMA, views(), LATTICE, count, 3.0)
    assert error_of(found, both[..., :count]) < 1e-4


def test_gradients_are_those_of_the_exact_sum(way):
    generator = torch.Generator().manual_seed(2)
    target = torch.randn(2, 2, LATTICE.size, 2, generator=generator, dtype=torch.float64)
    leaves = [t.clone().requires_grad_() for t in (*beads(), SIGMA, views())]
    exact = (torch.view_as_real(exact_slices_of_beads(*leaves, FREQS)) * target).sum()
    fast = (torch.view_as_real(slices_of_beads(*leaves, LATTICE, LATTICE.size, PIXEL_ANG)) * target).sum()
    wanted, found = (torch.autograd.grad(value, leaves) for value in (exact, fast))
    for one, other in zip(found, wanted, strict=True):
        assert error_of(one, other) < 2e-4


def test_gradients_agree_with_differences(way):
    centres, amplitudes = (t.clone().requires_grad_() for t in beads())
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(2, 2, LATTICE.size, 2, generator=generator, dtype=torch.float64)

    def value(centres, amplitudes):
        slices = slices_of_beads(centres, amplitudes, SIGMA, views(), LATTICE, LATTICE.size, PIXEL_ANG)
        return (torch.view_as_real(slices) * target).sum()

    gradients = torch.autograd.grad(value(centres, amplitudes), [centres, amplitudes])
    step = [1e-4 * torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in (centres, amplitudes)]
    with torch.no_grad():
        ahead = value(centres + step[0], amplitudes + step[1])
        behind = value(centres - step[0], amplitudes - step[1])
    found = sum(float((g * s).sum()) for g, s in zip(gradients, step, strict=True))
    assert found == pytest.approx(float(ahead - behind) / 2, rel=1e-6)


def test_the_map_has_these_slices(way):
    centres, amplitudes = beads(count=60)
    centres = 0.5 * centres
    volume = volume_of_beads(centres[0], amplitudes[0], SIGMA, BOX, PIXEL_ANG)
    assert volume.shape == (BOX,) * 3
    rotations = views(3, 1)
    slices = slices_of_beads(centres[:1], amplitudes[:1], SIGMA, rotations, LATTICE, LATTICE.size, PIXEL_ANG)[:, 0]
    wanted = exact_slices(volume.numpy(), rotations[:, 0].numpy(), LATTICE)
    assert error_of(slices, torch.from_numpy(wanted)) < 5e-3
    z, y, x = np.unravel_index(int(volume.argmax()), volume.shape)
    peak = np.array([x, y, z]) - BOX // 2
    nearest = np.abs(centres[0].numpy() / PIXEL_ANG - peak).max(1).min()
    assert nearest < 1.5


def test_the_map_of_one_bead_is_its_gaussian(way):
    centre = torch.tensor([[4.0, -7.0, 10.0]], dtype=torch.float64)
    volume = volume_of_beads(centre, torch.tensor([12.0], dtype=torch.float64), torch.tensor(6.0), BOX, PIXEL_ANG)
    z, y, x = (np.indices((BOX,) * 3) - BOX // 2) * PIXEL_ANG
    squares = (x - 4) ** 2 + (y + 7) ** 2 + (z - 10) ** 2
    wanted = 12 * PIXEL_ANG**3 * (2 * np.pi * 36) ** -1.5 * np.exp(-squares / 72)
    assert np.abs(volume.numpy() - wanted).max() < 2e-4 * wanted.max()


def test_gradients_of_the_map_agree_with_differences(way):
    centres, amplitudes = (t[0].clone().requires_grad_() for t in beads())
    target = torch.randn((BOX,) * 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def value(centres, amplitudes):
        return (volume_of_beads(centres, amplitudes, SIGMA, BOX, PIXEL_ANG) * target).sum()

    gradients = torch.autograd.grad(value(centres, amplitudes), [centres, amplitudes])
    steps = [1e-4 * torch.ones_like(t) for t in (centres, amplitudes)]
    with torch.no_grad():
        ahead = value(centres + steps[0], amplitudes + steps[1])
        behind = value(centres - steps[0], amplitudes - steps[1])
    found = sum(float((g * s).sum()) for g, s in zip(gradients, steps, strict=True))
    assert found == pytest.approx(float(ahead - behind) / 2, rel=1e-5, abs=1e-9)

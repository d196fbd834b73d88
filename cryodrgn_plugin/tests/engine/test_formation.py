"""Image formation in torch against the numpy formulas and against real-space shifts."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.geometry.shifts import shift_phases
from cryodrgn_plugin.engine.imaging.formation import ImageFormation
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane

BOX, PIXEL_ANG = 16, 2.5
LATTICE = HalfPlane(BOX, 7)
FORMATION = ImageFormation(LATTICE, PIXEL_ANG)


def some_image(seed: int = 0) -> np.ndarray:
    """A band-limited image."""
    rng = np.random.default_rng(seed)
    return LATTICE.images(LATTICE.spectra(rng.standard_normal((BOX, BOX))))


def test_a_shift_of_whole_pixels_rolls_the_image_to_the_right_and_down():
    image = some_image()
    slices = torch.from_numpy(LATTICE.spectra(image))[None, None]
    shifts = torch.tensor([[[2 * PIXEL_ANG, 3 * PIXEL_ANG]]])
    moved = FORMATION.observe(slices, torch.ones(1, LATTICE.size), shifts)
    np.testing.assert_allclose(LATTICE.images(moved[0, 0].numpy()), np.roll(image, (3, 2), axis=(0, 1)), atol=1e-5)


def test_the_ctf_multiplies_and_phases_are_those_of_the_numpy_formula():
    rng = np.random.default_rng(1)
    slices = torch.randn(2, 3, LATTICE.size, dtype=torch.complex64)
    ctf = torch.randn(2, LATTICE.size)
    shifts = rng.uniform(-5, 5, (2, 3, 2)).astype(np.float32)
    observed = FORMATION.observe(slices, ctf, torch.from_numpy(shifts))
    wanted = slices.numpy() * ctf.numpy()[:, None] * shift_phases(shifts, LATTICE.indices / (BOX * PIXEL_ANG))
    np.testing.assert_allclose(observed.numpy(), wanted, atol=1e-5)


def test_centring_undoes_the_shift():
    slices = torch.randn(2, 1, LATTICE.size, dtype=torch.complex64)
    shifts = torch.tensor([[[3.0, -7.0]], [[0.5, 11.0]]])
    observed = FORMATION.observe(slices, torch.ones(2, LATTICE.size), shifts)
    torch.testing.assert_close(FORMATION.centre(observed[:, 0], shifts), slices)


def test_a_leading_part_of_the_lattice_is_a_prefix_of_the_whole():
    count = LATTICE.count(4)
    slices = torch.randn(2, 1, LATTICE.size, dtype=torch.complex64)
    shifts, ctf = torch.randn(2, 1, 2), torch.randn(2, LATTICE.size)
    whole = FORMATION.observe(slices, ctf, shifts)
    part = FORMATION.observe(slices[..., :count], ctf[:, :count], shifts)
    torch.testing.assert_close(part, whole[..., :count])


@pytest.mark.parametrize("wrt", ["slices", "shifts"])
def test_gradients_agree_with_finite_differences(wrt):
    slices = torch.randn(1, 2, LATTICE.size, 2, dtype=torch.float64)
    shifts = torch.randn(1, 2, 2, dtype=torch.float64)
    ctf = torch.randn(1, LATTICE.size, dtype=torch.float64)

    def observe(slices, shifts):
        return torch.view_as_real(FORMATION.observe(torch.view_as_complex(slices), ctf, shifts))

    (slices if wrt == "slices" else shifts).requires_grad_()
    assert torch.autograd.gradcheck(observe, (slices, shifts))

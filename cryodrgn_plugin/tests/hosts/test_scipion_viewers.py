"""What the explorer and the wizard compute, without any window."""

import importlib.util

import numpy as np
import pytest

pytest.importorskip("pwem")

from cryodrgn_plugin.viewers import isosurface, palette
from cryodrgn_plugin.viewers.latent_panel import nearest
from cryodrgn_plugin.wizards.boxes import DEFAULT_LARGEST, box_choices

RENDERERS = [
    pytest.param(
        isosurface.PyvistaRenderer,
        marks=pytest.mark.skipif(not importlib.util.find_spec("pyvista"), reason="pyvista is not installed"),
    ),
    isosurface.MatplotlibRenderer,
]


@pytest.fixture(scope="module")
def dumbbell() -> np.ndarray:
    """Two balls along x, the larger at +x, in a box of 32."""
    z, y, x = np.mgrid[:32, :32, :32] - 16
    large = np.exp(-((x - 6) ** 2 + y**2 + z**2) / 18)
    return (large + np.exp(-((x + 8) ** 2 + y**2 + z**2) / 6)).astype(np.float32)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_surface_is_drawn_and_looks_different_from_the_side(renderer, dumbbell):
    drawn = renderer()
    drawn.show(dumbbell, 0.4, "#4e79a7")
    side, end = (drawn.frame(azimuth, 0, (160, 120)) for azimuth in (90, 0))
    assert side.shape == (120, 160, 3) and side.dtype == np.uint8
    covered = [(picture.min(axis=2) < 250).any(axis=0).sum() for picture in (side, end)]
    # From the side the dumbbell is long; from its end one ball hides the other.
    assert covered[0] > 1.5 * covered[1] > 0


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_level_above_the_map_draws_nothing(renderer, dumbbell):
    drawn = renderer()
    drawn.show(dumbbell, 5.0, "#4e79a7")
    assert drawn.frame(0, 0, (64, 64)).min() == 255


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_finer_map_is_drawn_at_the_same_size(renderer, dumbbell):
    drawn = renderer()
    covered = []
    for volume in (isosurface.finer(dumbbell, voxels=64), dumbbell):
        drawn.show(volume, 0.4, "#4e79a7")
        covered.append((drawn.frame(90, 0, (160, 120)).min(axis=2) < 250).sum())
    assert covered[1] == pytest.approx(covered[0], rel=0.05)


def test_a_finer_map_keeps_the_values_at_the_old_voxels(dumbbell):
    fine = isosurface.finer(dumbbell, voxels=64)
    assert fine.shape == (64, 64, 64)
    np.testing.assert_allclose(fine[::2, ::2, ::2], dumbbell, atol=1e-5)


def test_large_maps_are_not_made_finer():
    volume = np.zeros((96, 96, 96), np.float32)
    assert isosurface.finer(volume) is volume


def test_the_suggested_level_lies_between_solvent_and_molecule(dumbbell):
    noisy = dumbbell + np.random.default_rng(0).normal(0, 0.02, dumbbell.shape)
    assert 0.05 < isosurface.suggested_level(noisy) < 0.9


def test_the_nearest_point_is_found():
    points = np.array([[0.0, 0.0], [3.0, 4.0], [10.0, 0.0]])
    assert nearest(points, np.array([4.0, 3.0])) == 1


@pytest.mark.parametrize("count", [1, 5, 12, 40])
def test_classes_have_as_many_different_colours(count):
    assert len(set(palette.category_colours(count))) == count


def test_boxes_carry_detail_of_two_new_pixels_and_cost_their_square():
    choices = {item.box: item for item in box_choices(300, 1.0)}
    assert choices[64].pixel_size_ang == pytest.approx(300 / 64)
    assert choices[64].finest_ang == pytest.approx(2 * 300 / 64)
    assert choices[64].time == pytest.approx((64 / DEFAULT_LARGEST) ** 2)
    assert choices[DEFAULT_LARGEST].time == 1 and max(choices) == 300


def test_an_odd_box_is_offered_even():
    assert [item.box for item in box_choices(51, 2.0)] == [32, 40, 48, 50]

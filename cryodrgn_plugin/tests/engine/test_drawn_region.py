"""Lines that were drawn on projections of a molecule become a mask of what lies inside of all of them."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.mrc import write_map
from cryodrgn_plugin.engine.reconstruction.mask_file import regions_of
from cryodrgn_plugin.engine.selection.drawn_region import VIEWS, extruded, mask_of_regions, projection, soft

BOX = 24


def box_around(middle: tuple[float, float], size: float = 3.2) -> np.ndarray:
    return np.array(middle) + size * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])


@pytest.fixture
def ball() -> np.ndarray:
    """Of 3 voxels around (x, y, z) = (15, 9, 6)."""
    z, y, x = np.indices((BOX, BOX, BOX))
    return (x - 15) ** 2 + (y - 9) ** 2 + (z - 6) ** 2 <= 9


MIDDLE = {"x": 15, "y": 9, "z": 6}


@pytest.mark.parametrize("along", VIEWS)
def test_a_line_around_a_part_on_one_projection_holds_all_of_it(ball, along):
    right, up = VIEWS[along]
    shown = projection(ball, along)
    assert shown[MIDDLE[up], MIDDLE[right]] == shown.max()
    region = extruded(BOX, {along: box_around((MIDDLE[right], MIDDLE[up]))})
    assert region[ball].all() and region.sum() == 7 * 7 * BOX


def test_lines_on_all_projections_leave_a_box(ball):
    region = extruded(BOX, {along: box_around((MIDDLE[a], MIDDLE[b])) for along, (a, b) in VIEWS.items()})
    assert region[ball].all() and region.sum() == 7**3


def test_one_region_has_a_soft_edge_and_several_have_numbers(ball, tmp_path):
    mask = mask_of_regions([ball])
    assert mask.sum() == pytest.approx(ball.sum(), rel=0.2) and 0 < np.ptp(mask[~ball]) <= 1
    assert (soft(ball)[ball] >= 0.5).all()
    numbers = mask_of_regions([ball, np.roll(ball, -7, axis=2)])
    write_map(tmp_path / "two.mrc", numbers, 4.5)
    regions = regions_of(str(tmp_path / "two.mrc"), BOX, 4.5)
    assert [each.name for each in regions] == ["two_1", "two_2"]


def test_lines_that_have_nothing_in_common_are_refused_in_a_sentence():
    nothing = extruded(BOX, {"z": box_around((5, 5)), "y": box_around((18, 5))})
    with pytest.raises(DataError, match="Region 2 is empty: no voxel lies inside of all its lines"):
        mask_of_regions([~nothing, nothing])

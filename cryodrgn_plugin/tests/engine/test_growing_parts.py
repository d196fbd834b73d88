"""Few particles take part in the first iterations, more with each: which, and what is found all the same."""

from dataclasses import replace

import numpy as np
import pytest

from cryodrgn_plugin.engine.closed_form.growing_parts import images_of, sizes
from cryodrgn_plugin.engine.data.tilt_series import TiltSeries


@pytest.mark.parametrize(
    ("particles", "wanted"),
    [
        (1_000, [1_000] * 8),
        (100_000, [20_000] * 4 + [25_000, 50_000] + [100_000] * 2),
        (1_000_000, [20_000, 31_250, 62_500, 125_000, 250_000, 500_000] + [1_000_000] * 2),
    ],
)
def test_a_large_set_begins_with_a_part_that_doubles(particles, wanted):
    assert sizes(particles, few=20_000, iterations=8, all_from=7) == wanted


def test_those_of_a_small_part_are_among_those_of_a_larger_one():
    series = TiltSeries.singles(1000)
    few, more, whole = (images_of(series, count, seed=3) for count in (100, 400, 1000))
    assert len(few) == 100 and set(few) < set(more) and (whole == np.arange(1000)).all()
    assert abs(few.mean() - 500) < 100 and not np.array_equal(few, images_of(series, 100, seed=4))


def test_all_images_of_a_tilt_series_take_part_together():
    """Particles have three images and two, which stand apart in the file."""
    images = np.column_stack([np.arange(60), 60 + np.arange(60), 120 + np.arange(60)])
    images[1::2, 2] = -1
    images[0::2, 2] = 120 + np.arange(30)
    tilts, carries = np.broadcast_to(np.eye(3), (1, 3, 3, 3)), np.broadcast_to(np.eye(2), (1, 3, 2, 2))
    series = replace(TiltSeries.singles(60), images=images, tilts=tilts, carries=carries)
    part = images_of(series, 20, seed=0)
    owners = series.particle[part]
    assert len(set(owners)) == 20 and len(part) == series.counts[list(set(owners))].sum()
    assert series.among(part).n == 20

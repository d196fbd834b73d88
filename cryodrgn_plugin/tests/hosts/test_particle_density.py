"""The picture of all particles, its colours and what the mouse reads off it, against histograms made another way."""

import numpy as np
import pytest

pytest.importorskip("pwem")

from cryodrgn_plugin.viewers import palette
from cryodrgn_plugin.viewers.particle_density import ClassShade, Cloud, CountShade, MeanShade
from cryodrgn_plugin.viewers.plane_view import PlaneView, brief, marks
from cryodrgn_plugin.viewers.shading import colouring_of_column, shading_of

SIZE = (160, 120)
GREY = np.array([0.8, 0.8, 0.8])
RED_AND_BLUE = np.array([[1.0, 0, 0], [0, 0, 1.0]])


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """Enough of them that each is one pixel; the last lies alone."""
    made = np.random.default_rng(0).normal(size=(200_001, 2))
    made[-1] = 9.0, 9.0
    return made


def histogram(points: np.ndarray, view: PlaneView, weights: np.ndarray | None = None) -> np.ndarray:
    """(height, width) sums over particles in pixels, by numpy's own histogram."""
    bins = (np.linspace(*view.y, view.height + 1), np.linspace(*view.x, view.width + 1))
    return np.histogram2d(points[:, 1], points[:, 0], bins, weights=weights)[0][::-1]


def differing(one: np.ndarray, other: np.ndarray) -> float:
    """Share of pixels that are not alike; single precision may put a particle on the other side of an edge."""
    return float(np.mean(one != other))


def test_a_pixel_is_painted_if_and_only_if_a_particle_is_in_it(points):
    view = PlaneView.fitting(points, *SIZE)
    picture = Cloud(points).painted(view, CountShade(palette.colour_scale("Blues", 0.4, 1)), None, GREY)
    painted = (picture < 250).any(axis=2)
    assert picture.shape == (120, 160, 3) and differing(painted, histogram(points, view) > 0) < 1e-3
    right, down = view.to_pixels(points[-1]).astype(int)
    assert painted[down, right] and painted[down - 3 : down + 4, right - 3 : right + 4].sum() == 1


def test_the_fullest_pixel_shows_the_mean_of_a_quantity_and_of_the_colours_of_classes(points):
    view = PlaneView.fitting(points, *SIZE)
    code = (np.arange(len(points)) % 4 == 0).astype(int)
    counts = histogram(points, view)
    fullest = np.unravel_index(counts.argmax(), counts.shape)
    share = histogram(points, view, code)[fullest] / counts[fullest]
    classes = Cloud(points).painted(view, ClassShade(code, RED_AND_BLUE), None, GREY)
    assert classes[fullest] / 255 == pytest.approx([1 - share, 0, share], abs=0.02)
    mean = Cloud(points).painted(view, MeanShade(code, 0, 1, np.linspace([0, 0, 0], [1, 1, 1], 256)), None, GREY)
    assert mean[fullest] / 255 == pytest.approx(share, abs=0.02)


def test_particles_that_are_not_selected_or_have_no_value_are_grey_below_the_others(points):
    view = PlaneView.fitting(points, *SIZE)
    lit = points[:, 0] > 0
    values = np.where(points[:, 1] > 0, 1.0, np.nan)
    picture = Cloud(points).painted(view, MeanShade(values, 0, 1, RED_AND_BLUE), lit, GREY).astype(int)
    blue = picture[..., 2] - picture[..., 0] > 20
    assert differing(blue, histogram(points[lit & (points[:, 1] > 0)], view) > 0) < 2e-3
    assert (histogram(points, view)[~blue & (picture[..., 0] < 250)] > 0).all()


def test_few_particles_are_discs_and_none_beyond_an_edge_is_lost():
    points = np.array([[0.0, 0.0], [10.0, 10.0], [np.nan, 3.0]])
    whole = PlaneView((0.0, 10.0), (0.0, 10.0), 100, 100)
    picture = Cloud(points).painted(whole, CountShade(np.zeros((2, 3))), None, GREY)
    painted = (picture < 255).any(axis=2)
    # A quarter of each disc of radius 4 is in sight.
    assert painted[90:, :10].sum() == painted[:10, 90:].sum() == pytest.approx(np.pi * 4.3**2 / 4, rel=0.5)
    assert painted.sum() == 2 * painted[90:, :10].sum()


def test_the_nearest_particle_is_so_on_the_screen(points):
    view = PlaneView((-1.0, 1.0), (-9.0, 9.0), *SIZE)
    index, away = Cloud(points).nearest(view, (33, 50))
    distances = np.hypot(*(view.to_pixels(points) - [33, 50]).T)
    assert distances[index] == pytest.approx(distances.min(), abs=1e-3)
    assert away == pytest.approx(distances[index], abs=1e-3)


def test_the_wheel_enlarges_about_the_mouse_and_a_drag_moves_what_is_under_it():
    whole = PlaneView.fitting(np.array([[0.0, 0.0], [4.0, 2.0]]), *SIZE)
    under = whole.to_plane(np.array([40, 30]))
    near = whole.enlarged(5, (40, 30), whole)
    assert near.to_plane(np.array([40, 30])) == pytest.approx(under)
    assert near.scale[0] == pytest.approx(5 * whole.scale[0])
    assert near.moved(17, -9).to_plane(np.array([57, 21])) == pytest.approx(under)
    assert near.enlarged(1e-9, (0, 0), whole).scale[0] == pytest.approx(whole.scale[0] / 2)


@pytest.mark.parametrize(("low", "high", "said"), [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-7, 31, [0, 10, 20, 30])])
def test_marks_are_round(low, high, said):
    assert marks(low, high, 6) == pytest.approx(said)


@pytest.mark.parametrize(("number", "said"), [(24990.4, "24,990"), (0.01234567, "0.01235"), (0, "0"), (3e-9, "3e-09")])
def test_numbers_are_short(number, said):
    assert brief(number) == said


# Viénot, Brettel and Mollon (1999), in linear light: what is seen without long or middle cones. (Tritanopia: Machado,
# Oliveira and Fernandes, 2009.)
DICHROMATS = {
    "all": np.eye(3),
    "no red": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "no green": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
    "no blue": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}


@pytest.mark.parametrize("eyes", DICHROMATS)
def test_twenty_classes_can_be_told_apart_by_any_eye(eyes):
    from skimage.color import deltaE_ciede2000, rgb2lab

    colours = palette.as_rgb(palette.category_colours(20))
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ DICHROMATS[eyes].T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen[None])[0]
    apart = deltaE_ciede2000(lab[:, None], lab[None]) + 100 * np.eye(20)
    assert apart.min() > 6


def test_columns_become_classes_or_scales():
    few = colouring_of_column("micrograph", np.array(["b.mrc", "a.mrc", "b.mrc"], object))
    assert few.categorical and few.values.tolist() == [2, 1, 2] and few.told(0) == "micrograph b.mrc"
    many = colouring_of_column("name", np.array([f"{k:03d}" for k in range(100)], object))
    shade, legend = shading_of(many)
    assert isinstance(shade, MeanShade) and (legend.low, legend.high) == ("000", "099") and many.told(7) == "name 007"
    assert isinstance(shading_of(colouring_of_column("defocus", np.linspace(1e4, 2e4, 50)))[0], MeanShade)
    assert shading_of(colouring_of_column("is junk", np.array([True, False])))[1].classes[1][0] == "yes"

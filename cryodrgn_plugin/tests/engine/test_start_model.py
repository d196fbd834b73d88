"""A model with a domain that no particle has where the model has it is flagged, with how far it is off; a model that is
right is not, wherever among the states it lies."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atomic_motion import model_in_run
from cryodrgn_plugin.engine.atomic_motion.model_fit import ModelFit
from cryodrgn_plugin.engine.atomic_motion.start_domains import apart_px
from cryodrgn_plugin.engine.atomic_motion.start_model import StartChecker, start_sentence
from cryodrgn_plugin.engine.simulate.motions import best_fit

from .two_domains import ARM, PIXEL_ANG, maps_of, turned, two_domains

pytestmark = pytest.mark.slow

NOISE, RESOLUTION_ANG = 0.03, 10.0
STILL, FEW = np.zeros(3), np.linspace(-10, 10, 3)
THROUGH, ONE_WAY, BETWEEN = np.linspace(-40, 40, 7), np.linspace(0, 70, 7), np.array([-30.0, -10, 10, 30])
ACROSS = Rotation.from_rotvec(np.radians(30.0) * np.array([0.8, -0.6, 0.0]))
"""About another axis than that of the motion."""


@pytest.fixture(autouse=True)
def known_place(monkeypatch):
    """The whole model is laid where it superposes best on the middle of the motion; looking for that place takes most
    of the time and is tested elsewhere."""

    def laid(coords_ang, electrons, volume, pixel_size_ang, seed=0):
        centre = coords_ang.mean(axis=0)
        rotation, shift = best_fit(coords_ang - centre, two_domains().coords_ang)
        return ModelFit(rotation, shift, centre, False, 0.9, 0.5, np.array([0.4, 0.5]), 1.0, pixel_size_ang)

    monkeypatch.setattr(model_in_run, "fit_model", laid)


def judged(angles_deg, seed, given_deg=0.0, across=False, most_parts=2):
    """The arm of a model that is given at an angle, and perhaps turned across, in states at angles."""
    model = two_domains()
    coords = turned(model, given_deg)
    if across:
        centre = coords[ARM].mean(axis=0)
        coords[ARM] = ACROSS.apply(coords[ARM] - centre) + centre
    states = [turned(model, angle) for angle in angles_deg]
    maps = maps_of(states, [1.0] * len(states), NOISE, seed)
    found = model_in_run.laid_into(model.moved(coords + [5.0, 3, -2]), maps, PIXEL_ANG, most_parts=most_parts)
    checker = StartChecker(found)
    for halves in np.swapaxes(maps.halves, 0, 1):
        checker.add(tuple(halves))
    particles = np.linspace(0, len(states) - 1, 50)[:, None]
    return checker.result(particles, RESOLUTION_ANG), checker.first_residues()


@pytest.mark.parametrize(
    "angles_deg, seed",
    [(STILL, 0), (THROUGH, 1), (ONE_WAY, 2), (BETWEEN, 0)],
    ids=["still", "through", "at its end", "between"],
)
def test_the_right_model_is_not_flagged(angles_deg, seed):
    domains, first = judged(angles_deg, seed)
    assert not any(domain.flagged for domain in domains), domains
    assert "no particles have" not in start_sentence(domains, first)


@pytest.mark.parametrize(
    "angles_deg, given_deg, across, seed",
    [(STILL, 30.0, False, 1), (STILL, 0.0, True, 2), (FEW, 40.0, False, 0), (THROUGH, 0.0, True, 1)],
    ids=["still", "still, across", "beyond the motion", "across the motion"],
)
def test_a_domain_turned_by_thirty_degrees_is_flagged_and_named(angles_deg, given_deg, across, seed):
    domains, first = judged(angles_deg, seed, given_deg, across)
    wrong = [domain for domain in domains if domain.flagged]
    assert len(wrong) == 1, domains
    assert 22 < wrong[0].turn_deg < 35, wrong
    assert {wrong[0].residues[0], first[0]} == {"A", "B"}
    said = start_sentence(domains, first)
    assert f"{wrong[0].residues} to be turned by {wrong[0].turn_deg:.0f}°" in said and "no particles have" in said


def test_how_far_a_domain_is_off_is_the_distance_of_its_beads():
    rng = np.random.default_rng(0)
    places, turns = rng.normal(size=(9, 3)), Rotation.random(4, 1).as_matrix()
    shifts = rng.normal(size=(4, 3))
    moved = np.einsum("mxy,ny->mnx", turns, places) + shifts[:, None]
    expected = np.sqrt(np.square(moved - places).sum(axis=2).mean(axis=1))
    np.testing.assert_allclose(apart_px(places, turns, shifts), expected)

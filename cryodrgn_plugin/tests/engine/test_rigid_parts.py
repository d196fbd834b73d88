"""Planted parts, angles and occupancies are found in maps with noise, and nothing is found where nothing is planted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atomic_motion.bead_overlap import BeadScale, density
from cryodrgn_plugin.engine.atomic_motion.displacements import BeadFitter, followed, gyration_px, spanning_order
from cryodrgn_plugin.engine.atomic_motion.elastic import ElasticNetwork
from cryodrgn_plugin.engine.atomic_motion.model_fit import fit_model
from cryodrgn_plugin.engine.atomic_motion.model_in_run import density_beyond, laid_into
from cryodrgn_plugin.engine.atomic_motion.node_maps import NodeMaps
from cryodrgn_plugin.engine.atomic_motion.part_frames import PartFrames
from cryodrgn_plugin.engine.atomic_motion.part_table import (
    never_as_in_the_model,
    never_sentences,
    part_entries,
    part_sentences,
    particle_parts,
    residues_of,
)
from cryodrgn_plugin.engine.geometry.hand import mirrored_map
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg

from .two_domains import ARM, BOX, PIXEL_ANG, SIGMA_PX, maps_of, turned, two_domains

pytestmark = pytest.mark.slow

ANGLES_DEG = np.array([-40.0, -27, -13, 0, 13, 27, 40])
NOISE = 0.02
"""A tenth of the densest voxel."""
ELSEWHERE = Rotation.from_rotvec([0.4, 1.1, -0.7])


def displaced(model):
    """The model in another frame, as a deposition is."""
    return model.moved(ELSEWHERE.apply(model.coords_ang) + [30, -12, 55])


@pytest.fixture(scope="module")
def moving():
    model = two_domains()
    maps = maps_of([turned(model, angle) for angle in ANGLES_DEG], [1.0] * len(ANGLES_DEG), NOISE)
    return laid_into(displaced(model), maps, PIXEL_ANG, most_parts=3)


def test_the_model_is_found_where_it_lies(moving):
    model = two_domains()
    missed = moving.fit.places_ang(displaced(model).coords_ang) - model.coords_ang
    assert moving.fit.fits and not moving.fit.mirrored
    assert np.sqrt(np.square(missed[~ARM]).sum(axis=1).mean()) < 1.0


def test_planted_parts_are_found(moving):
    assert moving.parts == 2
    labels = moving.part_of_atom
    agreement = max((labels == ARM).mean(), (labels != ARM).mean())
    assert agreement > 0.97
    assert {residues_of(moving, part)[0] for part in range(2)} == {"A", "B"}


def test_angles_between_maps_are_those_that_were_planted(moving):
    points = np.linspace(0, len(ANGLES_DEG) - 1, 13)[:, None]
    found = particle_parts(moving, PartFrames.of(moving.motion, points)).turns_deg[:, 1]
    planted = np.interp(points[:, 0], np.arange(len(ANGLES_DEG)), ANGLES_DEG)
    found = found * np.sign(found @ planted)
    assert np.abs(found - found.mean() - planted).max() < 2.0


def test_the_smaller_part_is_said_to_move_though_it_stands_still_in_the_map(moving):
    entries = part_entries(moving, particle_parts(moving, PartFrames.of(moving.motion, moving.maps.points)))
    expected = 40 / np.sqrt(3) * np.pi / 180 * 20
    assert 0.3 * expected < entries[1]["mobility_in_frame_ang"] < 2 * expected
    assert entries[0]["mobility_in_frame_ang"] < 1e-6
    assert f"Part 2 ({entries[1]['residues']}) turns from" in part_sentences(entries)[1]


def test_beads_lie_where_they_were_planted(moving):
    model = two_domains()
    places = moving.bead_places_px(moving.maps.points) * PIXEL_ANG
    for placed, angle in zip(places, ANGLES_DEG, strict=True):
        assert np.sqrt(np.square(placed - turned(model, angle)).sum(axis=1).mean()) < 1.0


def test_motion_of_half_the_particles_differs_by_about_its_errors(moving):
    halves = [moving.of_half(half).at(moving.maps.points)[0] for half in (0, 1)]
    apart = np.degrees(np.linalg.norm(halves[0] - halves[1], axis=2))
    assert 1e-3 < np.median(apart) < 2.0


def test_what_is_absent_is_seen_as_occupancy_and_not_as_motion():
    model = two_domains()
    maps = maps_of([model.coords_ang, model.coords_ang], [1.0, 0.0], NOISE)
    maps = NodeMaps(maps.z, maps.points, np.array([0.7, 0.3]), maps.volumes, maps.halves)
    found = laid_into(displaced(model), maps, PIXEL_ANG, most_parts=3)
    _, _, occupancy = found.motion.at(maps.points)
    arm = int(np.argmax([ARM[found.part_of_atom == part].mean() for part in range(found.parts)]))
    assert found.parts == 2
    np.testing.assert_allclose(occupancy[:, arm], [1, 0], atol=0.05)
    np.testing.assert_allclose(occupancy[:, 1 - arm], [1, 1], atol=0.05)
    places = found.bead_places_px(maps.points) - found.reference_px
    assert np.linalg.norm(places, axis=2).max() * PIXEL_ANG < 1.0


def test_a_molecule_that_stands_still_has_one_part():
    model = two_domains()
    found = laid_into(displaced(model), maps_of([model.coords_ang] * 4, [1.0] * 4, NOISE), PIXEL_ANG, most_parts=3)
    assert found.parts == 1
    assert found.mobility_ang().max() < 0.5


def test_a_map_of_the_other_hand_is_mirrored_and_said(moving):
    maps = moving.maps
    mirrored = np.stack([mirrored_map(volume) for volume in maps.volumes[2:5]])
    halves = np.stack([[mirrored_map(volume) for volume in half[2:5]] for half in maps.halves])
    other = NodeMaps(maps.z[2:5], maps.points[2:5], np.full(3, 1 / 3), mirrored, halves)
    found = laid_into(displaced(two_domains()), other, PIXEL_ANG, most_parts=1)
    assert found.fit.mirrored and found.fit.correlation > found.fit.other_hand + 0.02
    assert "other hand" in " ".join(found.fit.sentences())
    assert angular_distance_deg(found.fit.rotation, moving.fit.rotation) < 5


def test_a_wrong_pixel_size_is_told_and_how_wrong(moving):
    model = displaced(two_domains())
    assert abs(moving.fit.size - 1) < 0.02 and len(moving.fit_sentences()) == 1
    larger = fit_model(1.06 * model.coords_ang, model.weights, moving.maps.mean, PIXEL_ANG)
    assert larger.fits and larger.size == pytest.approx(1 / 1.06, abs=0.02)
    assert (
        f"rather than {PIXEL_ANG:.3g} Å" in larger.sentences()[-1]
        and "smaller: the pixel size" in larger.sentences()[-1]
    )


def test_density_that_is_not_in_the_model_is_told(moving):
    assert moving.beyond < 0.02
    of_body = density_beyond(moving.maps.volumes[moving.reference], moving.reference_px[~ARM], PIXEL_ANG)
    assert of_body > 0.25
    assert "is not in the model" in replace(moving, beyond=of_body).fit_sentences()[-1]


def test_maps_are_followed_along_the_nearest(moving):
    points = np.array([[0.0], [10.0], [1.0], [9.0], [2.5]])
    assert spanning_order(points, 0) == [(0, None), (2, 0), (4, 2), (3, 4), (1, 3)]


def test_a_domain_that_the_model_has_turned_is_said_to_be_nowhere_as_in_the_model():
    model = two_domains()
    wrong = model.moved(turned(model, 25.0))
    maps = maps_of([turned(model, angle) for angle in (-3.0, 0.0, 3.0)], [1.0] * 3, NOISE)
    found = laid_into(displaced(wrong), maps, PIXEL_ANG, most_parts=2)
    entries = part_entries(found, particle_parts(found, PartFrames.of(found.motion, maps.points)))
    assert [never_as_in_the_model(entry) for entry in entries] == [False, True]
    assert 20 < entries[1]["from_model_deg"] < 27
    assert "the model is wrong there" in " ".join(never_sentences(entries))


def test_a_map_of_particles_that_are_not_alike_leads_no_other_astray():
    model = two_domains()
    angles = np.array([0.0, 14, 28, 42])
    maps = maps_of([turned(model, angle) for angle in angles], [1.0] * len(angles), NOISE)
    far = [density(turned(model, angle) / PIXEL_ANG, np.full(len(ARM), 6.0), SIGMA_PX, BOX) for angle in (-90, -70)]
    volumes, points = maps.volumes.copy(), np.array([[0.0], [1.0], [1.9], [2.8]])
    volumes[1] = np.mean(far, axis=0)
    places = model.coords_ang / PIXEL_ANG
    network = ElasticNetwork.of(places, model.chains, PIXEL_ANG)
    scale = BeadScale(1.0, SIGMA_PX)
    fitter = BeadFitter(model.weights, scale, network, maps.noise(), PIXEL_ANG, gyration_px(places, model.weights))
    found = followed(fitter, volumes, points, places, 0)
    for node in (0, 2, 3):
        missed = found[node].places_px * PIXEL_ANG - turned(model, angles[node])
        assert np.sqrt(np.square(missed[ARM]).sum(axis=1).mean()) < 3.0

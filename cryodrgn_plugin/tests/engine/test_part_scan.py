"""Small parts that come and go: what images tell of a piece, noise that has none, and a planted one that is found."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.closed_form.direction_search import PosedSet, schedule
from cryodrgn_plugin.engine.closed_form.directions import Directions, improved
from cryodrgn_plugin.engine.closed_form.fast_checkpoint import State, load_state, save_state
from cryodrgn_plugin.engine.closed_form.local_parts import LocalParts
from cryodrgn_plugin.engine.closed_form.part_scan import (
    SCAN_TAKES,
    SURE,
    Pieces,
    Scan,
    left_of_pieces,
    needed_information,
    scanned,
)
from cryodrgn_plugin.engine.closed_form.small_parts import with_small_parts
from cryodrgn_plugin.engine.config import ClosedFormConfig, recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_series import TiltSeries
from cryodrgn_plugin.engine.likelihood.near_images import ImagesApart
from cryodrgn_plugin.engine.likelihood.nuisances import Nuisances
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import simulate_particles
from cryodrgn_plugin.engine.simulate.assembly import AssemblyState, assembled, outer_parts
from cryodrgn_plugin.engine.simulate.presets import PRESETS, complex_of_kinases

N, BOX, RADIUS = 1200, 32, 10
ABSENT, MASS = 0.2, 0.06


def body(box: int = 24) -> np.ndarray:
    far = np.linalg.norm(np.indices((box,) * 3) - box / 2, axis=0)
    return np.clip(9 - far, 0, 1)


def test_pieces_cover_the_body_and_no_more():
    pieces = Pieces.of(body())
    covered = sum(pieces.volumes(slice(number, number + 1))[0] for number in range(len(pieces)))
    inside = body() == 1
    assert (covered[inside] > 0.3).all() and (covered[body() == 0] == 0).all()
    assert 100 < len(pieces) < 500 and len(np.unique(pieces.widths)) == 2


def test_a_larger_body_has_wider_pieces_and_not_more():
    assert len(Pieces.of(body(24).repeat(3, 0).repeat(3, 1).repeat(3, 2))) < 1000


@pytest.mark.parametrize("place", [(6, 6, 6), (6, 8, 6), (7, 7, 7)])
def test_a_body_between_the_places_of_pieces_has_one(place):
    small = np.zeros((20, 20, 20))
    small[place] = 1.0
    pieces = Pieces.of(small)
    assert len(pieces) and pieces.volumes(slice(None)).max() > 0


def test_what_images_tell_of_a_piece_is_the_marginal_of_the_joint_posterior():
    """Against the inverse of the whole matrix, one image and one piece at a time."""
    rng = np.random.default_rng(0)
    n, n_bases, n_pieces, n_errors = 3, 2, 4, 5
    size = 1 + n_bases + n_pieces + n_errors
    factors = rng.normal(size=(n, size, size))
    gram, inner = factors @ factors.transpose(0, 2, 1), rng.normal(size=(n, size))
    moved, sd = rng.normal(size=(n, n_errors)), np.full(n_errors, 0.4)
    ones = torch.ones(n, dtype=torch.float64)
    nuisances = Nuisances(ones, 0 * ones, torch.from_numpy(moved), 0.2, torch.from_numpy(sd))
    pieces = np.arange(1 + n_bases, 1 + n_bases + n_pieces)
    others = np.setdiff1d(np.arange(size), pieces)
    shared, own = gram[:, others[:, None], pieces], gram[:, pieces, pieces]
    arrays = gram[:, others[:, None], others], inner[:, others], shared, own, inner[:, pieces]
    told, precision = left_of_pieces(ImagesApart(*map(torch.from_numpy, arrays)), nuisances)
    prior = np.r_[0.2**-2, np.ones(n_bases), sd**-2]
    for image in range(n):
        pull = inner[image] - gram[image, 0]
        for piece in range(n_pieces):
            kept = [*range(1 + n_bases), *range(size - n_errors, size), 1 + n_bases + piece]
            joint = gram[image][np.ix_(kept, kept)] + np.diag([*prior, 0])
            towards = pull[kept] - np.r_[np.zeros(1 + n_bases), moved[image] * sd**-2, 0]
            variance = np.linalg.inv(joint)
            assert float(precision[image, piece]) == pytest.approx(1 / variance[-1, -1])
            assert float(told[image, piece]) == pytest.approx((variance @ towards)[-1] / variance[-1, -1])


def test_the_surest_pieces_are_chosen_and_neighbours_of_theirs_are_not():
    pieces = Pieces(body(), np.array([[5, 5, 5], [5, 5, 7], [18, 18, 18], [12, 12, 12]]), np.ones(4))
    scan = Scan(pieces, np.array([9.0, 8.0, 7.0, 4.0]), np.ones(4))
    assert scan.standing_out(4, 2.5).tolist() == [0, 2]
    assert scan.standing_out(1, 2.5).tolist() == [0]
    taken = LocalParts(np.array([[5, 5, 5, 3]]) / 24)
    assert scan.standing_out(4, 2.5, taken).tolist() == [2]


def test_whatever_is_wrong_with_all_pieces_raises_what_one_must_exceed():
    z = np.random.default_rng(1).normal(size=400)
    pieces = Pieces(body(), np.zeros((400, 3)), np.ones(400))
    assert Scan(pieces, z, z).limit_of_bulk == pytest.approx(SURE, abs=0.5)
    assert Scan(pieces, 6 + 3 * z, z).limit_of_bulk > 15


def test_a_part_that_is_a_piece_needs_what_the_score_test_needs():
    pieces = Pieces.of(body())
    middle = int(np.argmin(np.linalg.norm(pieces.places - 12, axis=1)))
    whole = pieces.volumes(slice(middle, middle + 1))
    needed = needed_information(np.concatenate([whole, body()[None]]), body(), 5000)
    assert needed[0] == pytest.approx(SCAN_TAKES * SURE * (2 / 5000) ** 0.5, rel=0.05)
    assert needed[1] > 2 * needed[0]


def test_small_parts_end_at_their_border():
    parts = LocalParts(np.array([[0.25, 0.5, 0.75, 0.1]])).and_those(LocalParts(np.array([[0.5, 0.5, 0.5, 0.2]])))
    first, second = parts.masks(40)
    assert first[10, 20, 30] == 1 and first[10, 20, 36] == 0 and len(parts) == 2
    assert second.sum() == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.05)


@pytest.fixture(scope="module")
def states(tmp_path_factory) -> dict[str, PosedSet]:
    """A complex whose outer protein some particles lack, images made as real ones are, and the same in one state."""
    model = complex_of_kinases()
    parts = outer_parts(model, {"A": (-0.4, 0.1, 0.9)}, {"A": MASS})
    ensemble = assembled(model, parts, [AssemblyState("", 1 - ABSENT), AssemblyState("A", ABSENT)])
    sets = {"two": ensemble, "one": ensemble.most_populated()}
    settings = PRESETS["real_complex_parts"].config(BOX, n_particles=N, snr=0.3)
    folder = tmp_path_factory.mktemp("sets")
    return {name: posed(simulate_particles(each, settings, folder / name, 3)) for name, each in sets.items()}


def posed(star) -> PosedSet:
    config = recipe_config("fast", {"particles": str(star)})
    dataset = ParticleDataset.open(str(star), config.data)
    return PosedSet(config, dataset, TiltSeries.singles(dataset.n))


def searched(posed: PosedSet, run: Run) -> Directions:
    """From nothing known but the mean."""
    run.note(directions=0)
    step = schedule(ClosedFormConfig(iterations=6, first_radius=RADIUS), BOX // 2 - 1, N)[0]
    models, _, found = improved(posed.images, posed.band(RADIUS), Directions.random(posed.images, (1, 0), 0))
    return with_small_parts(run, posed, found, models[0], step)


def test_a_part_that_few_particles_lack_is_found_and_told_apart(states, tmp_path):
    run = Run.create(tmp_path / "run", states["two"].config)
    found = searched(states["two"], run)
    assert run.info["notes"]["directions"] == len(found.parts) > 0
    assert found.groups == (0, *[1] * len(found.parts), 0)
    state = np.load(states["two"].config.particles.replace("particles.star", "truth.npz"))["state"]
    following = [abs(np.corrcoef(a, state)[0, 1]) for a in found.posteriors.mean.T.numpy()]
    assert max(following) > 0.35


def test_of_one_state_no_part_stands_out(states):
    posed = states["one"]
    band = posed.band(RADIUS)
    found = Directions.random(posed.images, (1, 0), 0)
    for _ in range(5):  # until contrasts and pose errors are known
        models, _, found = improved(posed.images, band, found)
    scan = scanned(posed.images, posed.dataset, posed.series, band, models[0], found)
    assert not len(scan.standing_out(4, 2.5))


def test_a_piece_outside_of_the_body_does_not_stand_out(states, monkeypatch):
    posed = states["one"]
    models, _, found = improved(posed.images, posed.band(RADIUS), Directions.random(posed.images, (1, 0), 0))
    nowhere = Pieces(np.zeros((len(posed.band(RADIUS).mask),) * 3), np.ones((3, 3)), np.ones(3))
    monkeypatch.setattr(Pieces, "of", classmethod(lambda cls, body: nowhere))
    scan = scanned(posed.images, posed.dataset, posed.series, posed.band(RADIUS), models[0], found)
    assert not scan.z.any() and not len(scan.standing_out(4, 2.5))


def test_parts_come_back_from_a_checkpoint(states, tmp_path):
    posed = states["one"]
    run = Run.create(tmp_path / "run", posed.config)
    parts = LocalParts(np.array([[0.3, 0.4, 0.5, 0.1]]))
    found = replace(Directions.random(posed.images, (1, 1, 0), 0), parts=parts)
    save_state(run, State(3, 1.0, np.zeros(N, np.int64), found.nuisances, found))
    again = load_state(run, posed.images.compute, N).directions
    np.testing.assert_array_equal(again.parts.balls, parts.balls)
    assert again.groups == (1, 1, 0)

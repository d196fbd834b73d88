"""Species that several runs agree on, from planted labels: other numbers in each run, noise, species split or joined in
one of them, runs of parts of the particles; and which particles of several files are the same.
"""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cryodrgn_plugin.engine.agreement.consensus_species import NONE, consensus
from cryodrgn_plugin.engine.agreement.same_particles import shared_particles
from cryodrgn_plugin.engine.agreement.told_agreement import divided_otherwise, rand_indices, table

N, KINDS = 4000, 4
SHARES = np.array([0.4, 0.3, 0.2, 0.1])
NAMES = ["a", "b", "c"]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def truth(rng):
    return np.sort(rng.choice(KINDS, N, p=SHARES))


def seen_by_a_run(truth, rng, noise: float = 0.1, kinds: int = KINDS):
    """Planted species under other numbers, a share of them drawn anew; and the number of each."""
    number = rng.permutation(kinds)
    wrong = rng.random(len(truth)) < noise
    return number[np.where(wrong, rng.integers(kinds, size=len(truth)), truth)], number


def all_count(labels):
    return np.ones(labels.shape[1], bool)


@pytest.mark.parametrize("runs", [2, 3, 8])
def test_species_are_found_again_under_other_numbers_and_with_noise(runs, truth, rng):
    seen, numbers = zip(*(seen_by_a_run(truth, rng) for _ in range(runs)), strict=True)
    found = consensus(np.stack(seen), all_count(np.stack(seen)))
    assert found.count == KINDS and found.found.all()
    for votes, number in zip(found.runs, numbers, strict=True):
        np.testing.assert_array_equal(votes.vote[number], np.arange(KINDS))  # the largest is the first
    right = (found.species == truth).mean()
    assert right > (0.93 if runs < 3 else 0.97)
    agreed = found.agreed(1.0)
    assert (found.species == truth)[agreed].mean() > 0.995 and agreed.mean() > 0.9**runs - 0.02
    np.testing.assert_array_equal(agreed, found.agreement == 1)
    assert found.agreed(0.6).mean() > agreed.mean() or runs == 2


def test_agreement_is_the_share_of_pairs_of_runs(truth):
    labels = np.stack([truth] * 4)
    labels[0, :10] = (truth[:10] + 1) % KINDS
    labels[:2, 10:20] = (truth[10:20] + 1) % KINDS
    found = consensus(labels, all_count(labels))
    np.testing.assert_allclose(found.agreement[:10], 3 / 6)
    np.testing.assert_allclose(found.agreement[10:20], 2 / 6)
    np.testing.assert_allclose(found.agreement[20:], 1)
    np.testing.assert_array_equal(found.agreed(0.75)[:10], True)
    np.testing.assert_array_equal(found.agreed(0.8)[:10], False)


def test_a_species_that_one_run_splits_is_one_and_that_is_said(truth, rng):
    labels = np.stack([seen_by_a_run(truth, rng, 0.02)[0] for _ in range(3)])
    own = np.bincount(labels[2][truth == 0]).argmax()
    half = (labels[2] == own) & (rng.random(N) < 0.5)
    labels[2, half] = KINDS
    found = consensus(labels, all_count(labels))
    assert found.count == KINDS and adjusted_rand_score(found.species, truth) > 0.95
    assert found.found.sum(0).tolist() == [2, 3, 3, 3] and not found.found[2, 0]
    (sentence,) = divided_otherwise(found, NAMES)
    assert sentence.startswith("Species 1 is two in c: ") and f"{KINDS + 1} (" in sentence
    assert found.agreed(1.0)[truth == 0].mean() > 0.9


def test_species_that_one_run_joins_stay_apart_and_that_is_said(truth, rng):
    labels = np.stack([seen_by_a_run(truth, rng, 0.02)[0] for _ in range(3)])
    two = [np.bincount(labels[0][truth == kind]).argmax() for kind in (0, 1)]
    labels[0, labels[0] == two[1]] = two[0]
    found = consensus(labels, all_count(labels))
    assert found.count == KINDS and adjusted_rand_score(found.species, truth) > 0.95
    (sentence,) = divided_otherwise(found, NAMES)
    assert sentence == f"Species {two[0] + 1} of a holds two that are apart elsewhere: 1 and 2."


def test_a_species_of_one_run_that_others_do_not_have_is_said(truth, rng):
    labels = np.stack([seen_by_a_run(truth, rng, 0.0)[0] for _ in range(3)])
    labels[1, rng.random(N) < 0.12] = KINDS
    found = consensus(labels, all_count(labels))
    assert found.count == KINDS and (found.species == truth).all()
    (sentence,) = divided_otherwise(found, NAMES)
    assert sentence.startswith(f"Species {KINDS + 1} of b is none of them; its particles are in 1 (")


def test_of_two_runs_one_of_which_splits_a_species_its_parts_are_told_with_one_run_each(truth):
    labels, part = np.stack([truth, truth]), np.arange(N) % 3
    labels[1, (truth == 0) & (part > 0)] += KINDS - 1 + part[(truth == 0) & (part > 0)]
    found = consensus(labels, all_count(labels))
    assert found.count == KINDS + 2
    assert sorted(found.found.sum(0)) == [1, 1, 1, 2, 2, 2]
    assert not found.agreed(1.0)[truth == 0].any() and found.agreed(1.0)[truth > 0].all()


def test_runs_of_parts_that_overlap_give_every_particle_its_species(truth, rng):
    labels = np.stack([seen_by_a_run(truth, rng, 0.05)[0] for _ in range(3)])
    place = rng.permutation(N)
    labels[0, place >= 1600] = NONE
    labels[1, (place < 1200) | (place >= 2800)] = NONE
    labels[2, place < 2400] = NONE
    found = consensus(labels, all_count(labels))
    assert found.count == KINDS and (found.species == truth).mean() > 0.93
    alone = (labels != NONE).sum(0) == 1
    assert np.isnan(found.agreement[alone]).all() and not found.agreed(1.0)[alone].any()
    assert np.isfinite(found.agreement[~alone]).all() and found.agreed(1.0)[~alone].mean() > 0.85


def test_labels_drawn_at_random_agree_on_nothing(rng):
    labels = rng.integers(3, size=(3, 3000))
    found = consensus(labels, all_count(labels))
    assert found.count == 0 and (found.species == NONE).all() and not found.agreed(0.6).any()
    assert table([], NAMES, 3000) == ["The runs agree on no species."]
    assert all(abs(index) < 0.02 for *_, index in rand_indices(labels, all_count(labels)))


def test_copies_do_not_count(truth):
    """A species that only copies of other particles make larger."""
    labels = np.stack([truth, truth])
    distinct = all_count(labels)
    distinct[1:1500] = False
    found = consensus(labels, distinct)
    assert found.count == KINDS and found.runs[0].totals.sum() == N - 1499
    assert found.species[0] == found.species[1] and found.agreed(1.0).all()


def test_half_a_million_particles_of_five_runs_are_compared_without_a_matrix_of_pairs(rng):
    truth = rng.integers(30, size=500_000)
    labels = np.stack([seen_by_a_run(truth, rng, 0.1, 30)[0] for _ in range(5)])
    found = consensus(labels, all_count(labels))
    assert found.count == 30 and adjusted_rand_score(found.species[::50], truth[::50]) > 0.98


# --- which particles are the same -----------------------------------------------------------------------------------


def numbers(n: int) -> list[np.ndarray]:
    return [np.arange(n), np.arange(n)]


def test_an_image_is_the_same_whatever_its_zeros_and_folders():
    first = ["000001@Extract/job1/a.mrcs", "000002@Extract/job1/a.mrcs", "1@Extract/job1/b.mrcs"]
    second = ["1@b.mrcs", "3@job9/a.mrcs", "02@job9/a.mrcs"]
    shared = shared_particles([first, second], numbers(3))
    np.testing.assert_array_equal(shared.places, [[0, 1, 2, -1], [-1, 2, 0, 1]])
    assert shared.distinct.all()
    np.testing.assert_array_equal(shared.of_run(1, np.array([5, 6, 7])), [-1, 7, 5, 6])


def test_folders_count_where_stacks_of_one_run_differ_in_nothing_else():
    first, second = ["1@x/a.mrcs", "1@y/a.mrcs", "2@y/a.mrcs"], ["1@z/a.mrcs", "2@z/a.mrcs", "3@z/a.mrcs"]
    shared = shared_particles([first, second], numbers(3))
    np.testing.assert_array_equal(shared.places, [[0, 1, 2, -1, -1, -1], [-1, -1, -1, 0, 1, 2]])


def test_names_with_folders_that_runs_have_in_common_are_the_whole_truth():
    shared = shared_particles([["1@x/a.mrcs", "2@x/a.mrcs"], ["1@y/a.mrcs", "02@x/a.mrcs"]], numbers(2))
    np.testing.assert_array_equal(shared.places, [[0, 1, -1], [-1, 1, 0]])


def test_rows_of_one_image_are_matched_in_turn_and_count_once():
    first = ["1@a.mrcs", "1@a.mrcs", "2@a.mrcs"]
    shown = np.array([0, 0, 1])
    shared = shared_particles([first, first[::-1]], [shown, shown[::-1]])
    np.testing.assert_array_equal(shared.places, [[0, 1, 2], [1, 2, 0]])
    np.testing.assert_array_equal(shared.distinct, [True, False, True])

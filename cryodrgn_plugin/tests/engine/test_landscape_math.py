"""The mathematics of the landscape: exact components, islands, agglomeration, mixtures, matching and φ."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from cryodrgn_plugin.engine.analysis.linear_volumes import exact_components, masked_gram
from cryodrgn_plugin.engine.landscape.agglomerate import divided, merge_tree
from cryodrgn_plugin.engine.landscape.density import DEEPEST, density_surface
from cryodrgn_plugin.engine.landscape.islands import islands
from cryodrgn_plugin.engine.landscape.label_matching import common_particles, matching_numbers
from cryodrgn_plugin.engine.landscape.mixture import mixture_states
from cryodrgn_plugin.engine.landscape.phi import learn_phi
from cryodrgn_plugin.engine.landscape.region import union_of_half_maxima
from cryodrgn_plugin.engine.landscape.representatives import far_apart, on_data_centres
from cryodrgn_plugin.engine.landscape.volume_clusters import cluster_volumes


def silent(*_):
    """A report that nobody reads."""


# --- components -----------------------------------------------------------------------------------------------------


@pytest.fixture
def planted():
    """Bases (5, 12, 12, 12), amplitudes (300, 4), a soft mask, and all masked volumes."""
    rng = np.random.default_rng(0)
    bases = rng.standard_normal((5, 12, 12, 12)).astype(np.float32)
    s = rng.standard_normal((300, 4)) * [3, 2, 1, 0.3] + 1
    mask = np.clip(rng.uniform(-1, 1.5, (12, 12, 12)), 0, 1).astype(np.float32)
    volumes = (bases[0] + np.tensordot(s, bases[1:], axes=1)) * mask
    return bases, s, mask, volumes.reshape(len(s), -1)


def test_exact_components_are_those_of_all_masked_volumes(planted):
    bases, s, mask, volumes = planted
    exact = exact_components(s, masked_gram(bases, mask), 4)
    brute = PCA(4, svd_solver="full").fit(volumes)
    np.testing.assert_allclose(exact.explained, brute.explained_variance_ratio_, rtol=1e-5)
    np.testing.assert_allclose(np.abs(exact.scores), np.abs(brute.transform(volumes)), atol=1e-3)


def test_distances_between_scores_are_distances_between_masked_volumes(planted):
    bases, s, mask, volumes = planted
    scores = exact_components(s, masked_gram(bases, mask), 4).scores
    for a, b in ((0, 1), (5, 200)):
        assert np.linalg.norm(scores[a] - scores[b]) == pytest.approx(np.linalg.norm(volumes[a] - volumes[b]), rel=1e-4)


def test_a_step_along_a_component_changes_the_masked_volume_by_one(planted):
    bases, s, mask, _ = planted
    exact = exact_components(s, masked_gram(bases, mask), 4)
    for direction in exact.directions:
        assert np.linalg.norm(np.tensordot(direction, bases[1:], axes=1) * mask) == pytest.approx(1, rel=1e-4)


def test_bases_that_are_the_same_inside_the_mask_are_one_direction(planted):
    bases, s, mask, _ = planted
    bases[2] = 2 * bases[1]
    exact = exact_components(s, masked_gram(bases, mask), 4)
    assert exact.scores.shape[1] == 3 and np.isfinite(exact.directions).all()


def test_the_union_mask_has_every_place_that_is_dense_in_some_volume():
    a, b = np.zeros((2, 8, 8, 8))
    a[1, 2, 3], a[5, 5, 5], b[6, 6, 6] = 1.0, 0.4, 0.01
    assert np.argwhere(union_of_half_maxima([a, b])).tolist() == [[1, 2, 3], [6, 6, 6]]


# --- points that stand for all ---------------------------------------------------------------------------------------


def test_far_points_include_a_group_that_random_ones_miss():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.standard_normal((3000, 3)), [[20, 0, 0]]])
    assert 3000 in far_apart(points, 5, seed=0)
    assert 3000 not in rng.choice(3001, 5, replace=False)


def test_a_sketch_covers_all_groups():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 6, 1200)
    points = 10 * rng.standard_normal((6, 4))[group] + 0.1 * rng.standard_normal((1200, 4))
    assert set(group[on_data_centres(points, 12, seed=0)]) == set(range(6))


# --- clusters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("dimensions", [2, 6])
def test_one_cloud_is_one_island(seed, dimensions):
    assert islands(np.random.default_rng(seed).standard_normal((3000, dimensions))).max() == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_line_of_particles_is_one_island(seed):
    rng = np.random.default_rng(seed)
    assert islands(np.c_[50 * rng.uniform(size=3000), rng.standard_normal((3000, 3))]).max() == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_small_group_far_away_is_an_island_and_an_outlier_is_not(seed):
    rng = np.random.default_rng(seed)
    small, outlier = rng.standard_normal((60, 4)) + [0, 0, 0, 12], [[0, 0, 40.0, 0]]
    label = islands(np.concatenate([rng.standard_normal((3000, 4)) * [5, 3, 1, 1], small, outlier]))
    assert label.max() == 1
    assert len(set(label[3000:3060])) == 1 and (label == label[3000]).sum() <= 61


@pytest.mark.parametrize("name", ["ward", "average"])
def test_weighted_merging_is_the_merging_of_as_many_particles(name):
    rng = np.random.default_rng(1)
    points, counts = rng.standard_normal((25, 3)), rng.integers(1, 6, 25)
    many = np.repeat(np.arange(25), counts)
    for k in (2, 5, 9):
        expected = fcluster(linkage(points[many], name), k, "maxclust")
        found = divided(points, counts, np.zeros(25, int), k, name)
        assert adjusted_rand_score(expected, found[many]) == 1.0


def test_heights_of_merging_rise():
    rng = np.random.default_rng(2)
    heights = merge_tree(rng.standard_normal((40, 3)), rng.integers(1, 50, 40), "ward")[1]
    assert (np.diff(heights) >= -1e-9).all()


def test_islands_are_never_joined_while_there_are_clusters_for_them():
    points = np.array([[0.0], [1], [2], [3], [100], [101]])
    island = np.array([0, 0, 1, 1, 2, 2])
    assert divided(points, np.ones(6), island, 3, "ward").tolist() == [0, 0, 1, 1, 2, 2]
    assert divided(points, np.ones(6), island, 2, "ward").tolist() == [0, 0, 0, 0, 1, 1]


def with_rare_state(seed: int, n: int = 4000, rare: int = 25) -> np.ndarray:
    """(n, 4): a curved motion, and at the end of the list a small group beside its middle."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, np.pi, n - rare)
    moving = 10 * np.c_[np.cos(angle), np.sin(angle), np.zeros((n - rare, 2))]
    points = np.concatenate([moving, np.tile([0, 7.0, 6.0, 0], (rare, 1))])
    return (points + 0.4 * rng.standard_normal(points.shape)).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_rare_state_has_its_own_cluster(seed):
    clusters = cluster_volumes(with_rare_state(seed), 6, "ward", seed)
    own = clusters.labels[-25:]
    assert len(set(own)) == 1 and clusters.sizes[own[0]] == 25 and clusters.apart[own[0]]


def test_agglomeration_alone_gives_the_rare_state_to_a_large_neighbour(monkeypatch):
    monkeypatch.setattr(
        "cryodrgn_plugin.engine.landscape.volume_clusters.islands", lambda points: np.zeros(len(points), int)
    )
    clusters = cluster_volumes(with_rare_state(0), 6, "ward", 0)
    assert clusters.sizes[clusters.labels[-25:]].min() > 300


def test_clusters_are_the_same_for_a_seed_and_cover_all_particles():
    points = np.random.default_rng(0).standard_normal((2000, 3)).astype(np.float32)
    first, again = (cluster_volumes(points, 5, "ward", 3) for _ in range(2))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.sizes.tolist() == np.bincount(first.labels).tolist() and len(first.centres) == 5


def test_particles_that_were_not_looked_at_join_their_neighbours(monkeypatch):
    monkeypatch.setattr("cryodrgn_plugin.engine.landscape.volume_clusters.MOST_SEEN", 400)
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, 2000)
    points = np.array([[0, 0], [20, 0], [0, 20.0]])[group] + rng.standard_normal((2000, 2))
    assert adjusted_rand_score(group, cluster_volumes(points, 3, "average", 0).labels) == 1.0


# --- states, numbers, density ---------------------------------------------------------------------------------------


def test_the_criterion_finds_the_planted_number_of_states_and_their_members():
    rng = np.random.default_rng(0)
    group = rng.choice(3, 3000, p=[0.5, 0.3, 0.2])
    points = np.array([[0, 0, 0], [6, 0, 0], [12, 6, 0]])[group] + rng.standard_normal((3000, 3)) * [1, 2, 0.5]
    states = mixture_states(points, np.array([0.7, 0.2, 0.1]), "auto", 6, 0)
    assert states.labels.max() == 2 and adjusted_rand_score(group, states.labels) > 0.97
    assert max(states.tried, key=lambda tried: tried.held_out).states == 3
    assert states.probability.min() > 1 / 3 and states.probability.mean() > 0.98


def test_the_number_of_states_can_be_given():
    points = np.random.default_rng(0).standard_normal((600, 2))
    assert mixture_states(points, np.array([0.6, 0.4]), "4", 2, 0).log_likelihoods.shape == (600, 4)


def test_labels_are_matched_whatever_their_order_and_number():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 500)
    other = np.array([2, 0, 3, 1])[truth]
    other[:20] = rng.integers(0, 4, 20)
    assert matching_numbers(other, 4, truth).tolist() == [1, 3, 0, 2]
    finer = np.where(rng.uniform(size=500) < 0.2, 4, other)
    numbers = matching_numbers(finer, 5, truth)
    assert sorted(numbers) == list(range(5)) and numbers[:4].tolist() == [1, 3, 0, 2]


def test_only_particles_of_both_runs_are_compared():
    own, theirs = common_particles(np.array([7, 3, 9]), np.array([1, 9, 7]))
    assert [(7, 3, 9)[k] for k in own] == [(1, 9, 7)[k] for k in theirs] == [7, 9]


def test_the_surface_is_zero_at_the_densest_place_and_rises_as_a_gaussian_falls():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 200_000))
    across, up, depth = density_surface(x, y)
    inside = np.abs(across) < 2
    middle = depth[np.abs(up).argmin()]
    np.testing.assert_allclose(middle[inside], across[inside] ** 2 / 2, atol=0.25)
    assert np.nanmin(depth) == 0 and np.nanmax(depth) <= DEEPEST


def test_phi_learns_a_curved_map_and_says_how_well_on_pairs_it_has_not_seen():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1000, 2))
    targets = np.c_[10 * np.sin(2 * z[:, 0]), z[:, 1] ** 2]
    phi, judged = learn_phi(z, targets, 0, silent)
    assert judged.r2_all > 0.95 and judged.pairs == 250
    fresh = rng.standard_normal((500, 2))
    error = phi(fresh)[:, 0] - 10 * np.sin(2 * fresh[:, 0])
    assert 1 - error.var() / (10 * np.sin(2 * fresh[:, 0])).var() == pytest.approx(judged.r2[0], abs=0.05)


def test_phi_does_not_claim_to_learn_noise():
    rng = np.random.default_rng(0)
    _, judged = learn_phi(rng.standard_normal((800, 2)), rng.standard_normal((800, 2)), 0, silent)
    assert judged.r2_all < 0.1

"""Trajectories: each kind of path on planted shapes, and the folder that `trajectory` leaves."""

import json

import numpy as np
import pytest
from PIL import Image

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.landscape.graph import graph_way, neighbour_graph
from cryodrgn_plugin.engine.landscape.landscape_options import TrajectoryOptions
from cryodrgn_plugin.engine.landscape.paths import evenly, find_path
from cryodrgn_plugin.engine.landscape.surface import shaded
from cryodrgn_plugin.engine.landscape.trajectory import trajectory
from cryodrgn_plugin.engine.latents import Latents
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.tests.engine.planted_run import BlobDecoder, blob_place_px, planted_run, serve_decoder


def horseshoe(n: int = 1500, noise: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) on three quarters of a circle of radius 1, in order of the angle, and the angles."""
    rng = np.random.default_rng(0)
    angle = np.sort(rng.uniform(0, 1.5 * np.pi, n))
    return np.c_[np.cos(angle), np.sin(angle)] + noise * rng.standard_normal((n, 2)), angle


def latents_of(z: np.ndarray) -> Latents:
    return Latents(z.astype(np.float32), np.arange(len(z)))


# --- ways through graphs --------------------------------------------------------------------------------------------


def test_the_graph_has_the_neighbours_asked_for_and_no_more_than_twice_as_many():
    points = np.random.default_rng(0).standard_normal((800, 2))
    graph, _, _ = neighbour_graph(points, 10, by_density=False)
    degree = np.diff(graph.indptr)
    assert 10 <= degree.mean() <= 14 and degree.min() >= 5
    a, b = graph.nonzero()
    np.testing.assert_allclose(graph[a, b], np.linalg.norm(points[a] - points[b], axis=1))


def test_the_way_is_the_shortest_of_all_ways():
    from scipy.sparse.csgraph import floyd_warshall

    points = np.random.default_rng(3).standard_normal((120, 2))
    graph, _, _ = neighbour_graph(points, 6, by_density=False)
    way = graph_way(points, np.array([4, 77]), 6, False, 0).particles
    length = np.linalg.norm(np.diff(points[way], axis=0), axis=1).sum()
    assert way[0] == 4 and way[-1] == 77
    assert length == pytest.approx(floyd_warshall(graph, directed=False)[4, 77])


def test_the_graph_follows_the_horseshoe_where_the_straight_line_crosses_its_gap():
    points, angle = horseshoe()
    way = graph_way(points, np.array([20, 1480]), 10, False, 0).particles
    assert (np.diff(angle[way]) > -0.15).all()
    radius = np.linalg.norm(points[way], axis=1)
    assert radius.min() > 0.85 and len(way) > 15


def test_the_way_goes_through_all_anchors_in_order():
    points, _ = horseshoe()
    way = graph_way(points, np.array([100, 1200, 600]), 10, False, 0).particles.tolist()
    assert way[0] == 100 and way[-1] == 600 and way.index(1200) < len(way) - 1


@pytest.mark.parametrize("places", [1, 5])
def test_a_latent_space_that_has_collapsed_has_ways_between_its_particles(places):
    points = np.full((60, 2), -2.8e-14, np.float32)
    points[:, 0] += np.random.default_rng(1).integers(0, places, 60) * np.spacing(points[0, 0])
    for by_density in (False, True):
        for end in range(1, 60, 7):
            way = graph_way(points, np.array([0, end]), 10, by_density, 0).particles
            assert (way[0], way[-1]) == (0, end)


def test_the_density_way_takes_the_populated_valley_and_the_graph_the_short_cut():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, 3000)
    valley = np.c_[np.cos(angle), np.sin(angle)] + 0.05 * rng.standard_normal((3000, 2))
    desert = np.c_[rng.uniform(-1, 1, 150), 0.1 * rng.standard_normal(150)]
    points = np.concatenate([[[1.0, 0], [-1, 0]], valley, desert])
    short, dense = (graph_way(points, np.array([0, 1]), 10, by_density, 0).particles for by_density in (False, True))
    assert points[short, 1].max() < 0.5 < 0.9 < points[dense, 1].max()


def test_groups_that_stand_apart_are_joined_by_their_nearest_ends():
    rng = np.random.default_rng(0)
    left, right = (np.c_[rng.uniform(0, 1, 200) + start, 0.02 * rng.standard_normal(200)] for start in (0, 3))
    points = np.concatenate([left, right])
    start, end = int(np.argmin(points[:, 0])), int(np.argmax(points[:, 0]))
    way = graph_way(points, np.array([start, end]), 10, False, 0)
    leap = np.argmax(np.diff(points[way.particles, 0]))
    assert way.bridges == 1 and (np.diff(points[way.particles, 0]) > -0.1).all()
    assert points[way.particles[leap], 0] > 0.9 and points[way.particles[leap + 1], 0] < 3.1


# --- paths ----------------------------------------------------------------------------------------------------------


def test_points_are_evenly_spaced_along_corners():
    z, along = evenly(np.array([[0.0, 0], [3, 0], [3, 1]]), 5)
    np.testing.assert_allclose(z, [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1]], atol=1e-6)
    np.testing.assert_allclose(along, [0, 1, 2, 3, 4])


def test_a_component_path_goes_from_percentile_to_percentile():
    z = np.random.default_rng(0).standard_normal((1000, 3)) * [1, 5, 0.2]
    path = find_path(latents_of(z), TrajectoryOptions(kind="pc"))
    assert sorted(path.nodes[:, 1]) == pytest.approx(np.percentile(z[:, 1], (5, 95)), abs=0.2)


def test_a_direct_path_is_straight_between_the_anchors():
    z, _ = horseshoe()
    path = find_path(latents_of(z), TrajectoryOptions(kind="direct", anchors="10,700,1490"))
    np.testing.assert_allclose(path.nodes, z[[10, 700, 1490]], atol=1e-6)


def test_without_anchors_the_path_begins_and_ends_amid_particles():
    z = np.concatenate([np.random.default_rng(0).standard_normal((2000, 2)) * [4, 0.3], [[-6.6, 9.0]]])
    path = find_path(latents_of(z), TrajectoryOptions(kind="direct"))
    assert np.abs(path.nodes[:, 1]).max() < 0.5 and np.abs(path.nodes[:, 0]).min() > 5


def test_a_density_path_keeps_off_the_noise_of_single_particles():
    z, _ = horseshoe(noise=0.08)
    ends = {"anchors": "20,1480"}
    off = {
        kind: np.abs(np.linalg.norm(find_path(latents_of(z), TrajectoryOptions(kind=kind, **ends)).nodes, axis=1) - 1)
        for kind in ("graph", "density")
    }
    assert off["density"].mean() < 0.8 * off["graph"].mean()


def test_a_graph_of_some_particles_has_the_anchors_among_them():
    z, angle = horseshoe(4000)
    path = find_path(latents_of(z), TrajectoryOptions(kind="graph", anchors="3,3990", limit=500))
    assert path.particles[0] == 3 and path.particles[-1] == 3990
    assert (np.diff(angle[path.particles]) > -0.15).all()


def test_points_of_a_file_are_joined_in_their_order(tmp_path):
    np.savetxt(tmp_path / "z.txt", [[0, 0], [1, 1], [2, 0.0]])
    z = np.random.default_rng(0).standard_normal((50, 2))
    path = find_path(latents_of(z), TrajectoryOptions(kind="points", points=str(tmp_path / "z.txt")))
    np.testing.assert_allclose(path.nodes, [[0, 0], [1, 1], [2, 0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anchors": "3"}, "joins at least two particles"),
        ({"anchors": "3,3"}, "joins at least two particles"),
        ({"anchors": "3,9999"}, "Particle 9999 is not in"),
        ({"anchors": "3,x"}, "0,17,42"),
        ({"component": 3}, "component is 3, but the latent space has 2"),
    ],
)
def test_a_path_that_cannot_be_is_refused_in_a_sentence(options, message):
    with pytest.raises((ConfigError, DataError), match=message):
        find_path(latents_of(horseshoe()[0]), TrajectoryOptions(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "curve"}, "choose one of pc, direct, graph, density, points"),
        ({"kind": "points"}, "needs a file"),
        ({"name": "a/b"}, "letters"),
    ],
)
def test_an_option_out_of_range_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        TrajectoryOptions(**options)


def test_the_surface_of_a_ball_is_a_disc_lit_from_one_side():
    z, y, x = np.indices((40,) * 3) - 20
    picture = shaded((14.0 - np.sqrt(x**2 + y**2 + z**2)).astype(np.float32), 4.0)
    seen = np.isfinite(picture)
    assert seen.sum() == pytest.approx(np.pi * 10**2, rel=0.08)
    assert np.nanmean(picture[:, :20]) > np.nanmean(picture[:, 21:]) + 0.02


# --- the whole ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A planted run with a trajectory: the run, the index, the folder."""
    run = planted_run(tmp_path_factory.mktemp("walked"), n=200)
    options = TrajectoryOptions(kind="direct", anchors="0,1", steps=5, half_maps=True)
    file = trajectory(run, options, BlobDecoder())
    return run, json.loads(file.read_text()), file.parent


def test_the_maps_follow_the_path(walked):
    run, index, folder = walked
    z = run.latents().z
    (series,) = index["series"]
    places = [blob_place_px(read_map(folder / entry["file"])[0]) for entry in series["maps"]]
    np.testing.assert_allclose(places, np.linspace(z[0, 0], z[1, 0], 5), atol=0.1)
    assert series["maps"][-1]["position"] == pytest.approx(index["length"]) == pytest.approx(index["straight"])
    assert index["anchors"] == [0, 1]


def test_everything_the_index_names_is_there_and_half_maps_too(walked):
    _, index, folder = walked
    named = [*index["files"].values(), *index["figures"].values()]
    named += [entry["file"] for entry in index["series"][0]["maps"]]
    assert all((folder / name).is_file() for name in named)
    assert {"path", "fsc", "maps_path"} == set(index["figures"]) and (
        folder / "volumes/path/vol_004_half2.mrc"
    ).is_file()
    with np.load(folder / "path.npz") as stored:
        assert stored["z"].shape == (5, 4) and stored["particles"].tolist() == [0, 1]


def test_the_movie_goes_there_and_back(walked):
    _, index, folder = walked
    with Image.open(folder / index["files"]["movie"]) as movie:
        assert movie.n_frames == 8 and min(movie.size) > 200
        frames = []
        for k in range(8):
            movie.seek(k)
            frames.append(np.asarray(movie.convert("L"), float))
    assert np.abs(frames[0] - frames[4]).max() > 50
    np.testing.assert_allclose(frames[1], frames[7], atol=40)


def test_a_path_in_the_space_of_volumes_needs_a_landscape(walked):
    with pytest.raises(DataError, match="has no landscape; run landscape on it"):
        trajectory(walked[0], TrajectoryOptions(space="volume"), BlobDecoder())


def test_paths_have_folders_of_their_own(tmp_path, monkeypatch):
    run = planted_run(tmp_path, n=100)
    serve_decoder(monkeypatch, BlobDecoder())
    quick = ["--steps", "3", "--no-volumes", "--no-figures"]
    assert main(["trajectory", str(run.path), "--kind", "pc", *quick]) == 0
    assert main(["trajectory", str(run.path), "--kind", "density", "--name", "mine", *quick]) == 0
    assert sorted(folder.name for folder in run.results_dir("trajectory", "pc").parent.iterdir()) == ["mine", "pc"]
    assert Run.open(run.path).info["steps"]["trajectory"]["status"] == "finished"

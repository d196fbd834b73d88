"""Analysis of a run with a planted truth: its groups are found, its maps numbered in order, its lists lose nothing."""

import importlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.analysis.analysis_report import analyze
from cryodrgn_plugin.engine.analysis.embed import COMPILED, principal_components, umap_embedding
from cryodrgn_plugin.engine.analysis.latent_clusters import fewer_than_asked, kmeans
from cryodrgn_plugin.engine.analysis.map_plots import _round_resolutions
from cryodrgn_plugin.engine.analysis.series import component_series, curve_series
from cryodrgn_plugin.engine.analysis.volumes import moving_region, write_series
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.tests.engine.planted_run import (
    BOX,
    CENTRES,
    PIXEL_ANG,
    BlobDecoder,
    blob_place_px,
    planted_latents,
    planted_run,
)

pytestmark = pytest.mark.slow

QUICK = {"clusters": 3, "components": 1, "steps": 4, "umap": False, "figures": False}


def silent(*_):
    """A report that nobody reads."""


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """A planted run with its analysis: the run, the index, the folder."""
    run = planted_run(tmp_path_factory.mktemp("planted"))
    file = analyze(run, AnalysisOptions(**{**QUICK, "umap": True, "figures": True, "half_maps": True}), BlobDecoder())
    return run, json.loads(file.read_text()), file.parent


# --- clusters and embeddings ----------------------------------------------------------------------------------------


def test_planted_groups_are_found_exactly():
    z, group, _ = planted_latents(600)
    assert adjusted_rand_score(group, kmeans(z, 3, seed=0).labels) == 1.0


def test_classes_are_numbered_along_the_curve():
    z, group, coordinate = planted_latents(600)
    clusters = kmeans(z, 3, seed=0, along=coordinate)
    assert [group[centre] for centre in clusters.centres] == [1, 2, 0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_a_curve_neighbours_in_number_are_neighbours_in_space(seed):
    rng = np.random.default_rng(seed)
    along = rng.permutation(np.repeat(np.arange(8.0), 40))
    z = np.column_stack([along, 0.05 * rng.standard_normal((320, 2))])
    labels = kmeans(z, 8, seed=seed).labels
    medians = [np.median(along[labels == c]) for c in range(8)]
    assert medians == sorted(medians)


def test_the_centre_of_a_class_is_its_particle_nearest_to_the_mean():
    z, _, _ = planted_latents(300)
    clusters = kmeans(z, 3, seed=0)
    for c, centre in enumerate(clusters.centres):
        members = np.flatnonzero(clusters.labels == c)
        distances = np.linalg.norm(z[members] - z[members].mean(axis=0), axis=1)
        assert centre == members[np.argmin(distances)]


def test_the_centre_of_a_bent_class_is_on_the_bend():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, 400)
    arc = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.normal(1, 0.02, (400, 1))
    stray = np.array([[0.0, 0.64]])  # near the mean of the arc, where the arc is not
    z, along = np.concatenate([arc, stray]), np.append(angle, np.pi / 2)
    assert kmeans(z, 1, seed=0).centres[0] == 400
    assert np.linalg.norm(z[kmeans(z, 1, seed=0, along=along).centres[0]]) > 0.9


def test_there_are_as_many_clusters_as_points_that_can_be_told_apart():
    groups = np.repeat([0, 1, 2], 50)
    for apart in (1.0, 1e-9):  # the second and third points are then one, but for rounding
        z = np.array([[0.0], [1.0], [1.0 + apart]])[groups]
        clusters = kmeans(z, 5, seed=0)
        assert len(clusters.centres) == len(clusters.sizes) == len(np.unique(np.round(z, 6)))
        assert clusters.sizes.sum() == 150 and clusters.sizes.min() >= 50
        assert (clusters.labels[clusters.centres] == np.arange(len(clusters.centres))).all()
    assert kmeans(np.zeros((20, 2)), 4, seed=0).sizes.tolist() == [20]
    # float32 far from 0: all different, and too close for a k-means that subtracts the mean.
    close = np.float32(1000) + np.arange(40, dtype=np.float32)[:, None] * np.float32(6e-5)
    assert (kmeans(close, 10, seed=0, along=close[:, 0]).sizes > 0).all()


def test_fewer_clusters_than_asked_for_are_said_to_be():
    assert fewer_than_asked(5, 5) == ""
    assert fewer_than_asked(2, 5).startswith("2 clusters and not 5: particles lie at only 2 points")
    assert fewer_than_asked(1, 5).startswith("1 cluster and not 5: particles lie at one point")


def test_points_that_differ_by_rounding_alone_give_no_empty_clusters():
    z = np.repeat([[0.0], [1.0]], 50, axis=0) + 1e-14 * np.arange(100)[:, None]
    clusters = kmeans(z, 5, seed=0)
    assert clusters.sizes.min() > 0 and len(clusters.centres) == len(np.unique(clusters.labels))


def test_principal_components_match_the_singular_value_decomposition():
    z = np.random.default_rng(0).normal(size=(200, 4)) * [3, 2, 1, 0.5] + 7
    pca = principal_components(z)
    singular = np.linalg.svd(z - z.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(pca.explained, singular**2 / (singular**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(pca.scores @ pca.axes + pca.mean, z, atol=1e-5)


def test_latents_that_diverged_are_refused_with_their_number():
    z = np.zeros((10, 2), np.float32)
    z[4, 1] = np.nan
    with pytest.raises(DataError, match="latents of 1 of 10 particles are not finite, the first is particle 4"):
        principal_components(z)


def test_umap_keeps_planted_groups_apart_also_where_it_only_places_them():
    z, group, _ = planted_latents(300)
    first = umap_embedding(z, neighbors=15, limit=150, seed=0)
    assert first.fitted_on == 150
    nearest = np.argsort(np.linalg.norm(first.positions[:, None] - first.positions[None], axis=2), axis=1)[:, 1]
    assert (group[nearest] == group).all()
    np.testing.assert_array_equal(first.positions, umap_embedding(z, neighbors=15, limit=150, seed=0).positions)


# --- series and maps ------------------------------------------------------------------------------------------------


def test_what_umap_compiles_is_kept_for_the_next_process():
    umap_embedding(planted_latents(60)[0], neighbors=5, limit=150, seed=0)
    for module, name in COMPILED:
        function = getattr(importlib.import_module(module), name)
        assert Path(function.stats.cache_path).is_dir() and function.signatures


def test_a_component_walk_goes_from_the_5th_to_the_95th_percentile():
    z, _, _ = planted_latents(500)
    pca = principal_components(z)
    series = component_series(pca, 0, 10)
    walked = (series.z - pca.mean) @ pca.axes[0]
    np.testing.assert_allclose(walked[[0, -1]], np.percentile(pca.scores[:, 0], (5, 95)), rtol=1e-4)
    np.testing.assert_allclose((series.z - pca.mean) @ pca.axes[1:].T, 0, atol=1e-5)


def test_the_curve_is_walked_in_order_on_real_particles():
    z, _, coordinate = planted_latents(500)
    series = curve_series(z, coordinate, 6)
    assert (np.diff(series.positions) > 0).all()
    np.testing.assert_array_equal(series.z, z[series.particles])


def test_maps_are_numbered_in_the_order_asked_for(tmp_path):
    places = [3.0, -5.0, 0.0, 4.0, -2.0]
    files = write_series(BlobDecoder(), np.array([[p, 0, 0, 0] for p in places]), tmp_path, silent)
    assert [file.name for file in files] == [f"vol_{k:03d}.mrc" for k in range(5)]
    for file, place in zip(files, places, strict=True):
        volume, pixel_size_ang = read_map(file)
        assert pixel_size_ang == pytest.approx(PIXEL_ANG)
        assert blob_place_px(volume) == pytest.approx(place, abs=0.01)


def test_half_maps_of_a_decoder_without_them_are_refused(tmp_path):
    with pytest.raises(DataError, match="has no half-maps: they come with the fast recipe"):
        write_series(BlobDecoder(halves=False), np.zeros((1, 4)), tmp_path, silent, half_maps=True)


# --- the whole ------------------------------------------------------------------------------------------------------


def test_the_class_maps_show_the_planted_groups_in_order(analysed):
    _, index, folder = analysed
    series = {entry["name"]: entry for entry in index["series"]}
    assert list(series) == ["kmeans", "curve", "pc1"]
    places = [blob_place_px(read_map(folder / entry["file"])[0]) for entry in series["kmeans"]["maps"]]
    np.testing.assert_allclose(places, CENTRES[[1, 2, 0], 0], atol=0.5)


def test_everything_the_index_names_is_there(analysed):
    _, index, folder = analysed
    named = [*index["files"].values(), *index["figures"].values(), *(c["star"] for c in index["clusters"])]
    named += [entry["file"] for series in index["series"] for entry in series["maps"]]
    assert all((folder / name).is_file() for name in named)
    assert {"summary", "training", "pca", "umap", "populations", "fsc", "maps_kmeans", "maps_curve"} <= set(
        index["figures"]
    )
    assert index["box"] == BOX and index["pixel_size_ang"] == PIXEL_ANG


def test_figures_are_pictures_of_a_readable_size(analysed):
    _, index, folder = analysed
    for name in index["figures"].values():
        header = (folder / name).read_bytes()[:24]
        assert header[:8] == b"\x89PNG\r\n\x1a\n"
        assert min(struct.unpack(">II", header[16:24])) >= 400


def test_every_map_has_a_resolution_from_its_halves_and_they_are_written(analysed):
    _, index, folder = analysed
    for entry in index["series"][0]["maps"]:
        assert 2 * PIXEL_ANG <= entry["resolution_ang"]["0.143"] <= entry["resolution_ang"]["0.5"] < 40
        assert len(entry["fsc"]) == len(entry["moving_fsc"]) == BOX // 2 + 1
        assert (folder / entry["file"].replace(".mrc", "_half1.mrc")).is_file()


def test_the_moving_region_covers_the_places_of_the_blob_and_nothing_else(analysed):
    _, index, folder = analysed
    mask = read_map(folder / index["files"]["moving_mask"])[0]
    centre = BOX // 2
    for place in np.rint(CENTRES[:, 0]).astype(int):
        assert mask[centre, centre, centre + place] == 1
    assert mask[:3].max() == mask[:, :3].max() == 0 and mask.mean() < 0.2


def test_maps_that_do_not_differ_have_no_moving_region():
    assert moving_region(BlobDecoder(), np.ones((3, 4))) is None


def test_the_surface_level_encloses_the_blob_and_not_the_box(analysed):
    _, index, folder = analysed
    for entry in index["series"][0]["maps"]:
        inside = (read_map(folder / entry["file"])[0] > entry["level"]).sum()
        assert 20 < inside < 600  # a sphere of radius 2 has 33 voxels, one of 5 has 520; the box 13,824


def test_the_particle_list_keeps_every_column_and_the_order(analysed):
    run, _, folder = analysed
    before, after = run.particles().frame, read_star(folder / "particles.star")["particles"]
    assert list(after.columns[: len(before.columns)]) == list(before.columns)
    for column in before.columns.drop("rlnClassNumber"):
        assert after[column].tolist() == before[column].tolist()
    assert (after["cryodrgnFormerClassNumber"] == 7).all()
    np.testing.assert_allclose(after[[f"cryodrgnLatent{d}" for d in (1, 2, 3, 4)]], run.latents().z, rtol=1e-6)
    assert set(read_star(folder / "particles.star")) == {"optics", "particles"}


def test_the_classes_of_the_list_are_the_planted_groups(analysed):
    _, index, folder = analysed
    group = planted_latents(150)[1]
    classes = read_star(folder / "particles.star")["particles"]["rlnClassNumber"]
    assert adjusted_rand_score(group, classes) == 1.0
    parts = [read_star(folder / cluster["star"])["particles"] for cluster in index["clusters"]]
    assert [len(part) for part in parts] == [cluster["particles"] for cluster in index["clusters"]]
    assert sum(len(part) for part in parts) == 150
    assert all((part["rlnClassNumber"] == k).all() for k, part in enumerate(parts, start=1))


def test_the_chimerax_script_opens_files_that_exist(analysed):
    _, index, folder = analysed
    opened = [line for line in (folder / "volumes.cxc").read_text().splitlines() if line.startswith("open ")]
    assert len(opened) == len(index["series"])
    for line in opened:
        assert line.endswith("vseries true")
        assert all((folder / name).is_file() for name in line.split('"')[1::2])


def test_the_same_seed_gives_the_same_analysis(analysed, tmp_path):
    _, index, _ = analysed
    again = json.loads(analyze(planted_run(tmp_path), AnalysisOptions(**QUICK), BlobDecoder()).read_text())
    assert again["clusters"] == index["clusters"] and again["series"] == index["series"]


def test_a_part_of_the_particles_is_listed_with_its_own_rows(tmp_path):
    rows = np.random.default_rng(3).choice(80, 40, replace=False)
    run = planted_run(tmp_path, n=40, rows=rows)
    folder = analyze(run, AnalysisOptions(**QUICK, volumes=False)).parent
    listed = read_star(folder / "particles.star")["particles"]
    assert listed["rlnImageName"].tolist() == [f"{row + 1:06d}@stack.mrcs" for row in np.sort(rows)]
    by_row = dict(zip(rows, run.latents().z[:, 0], strict=True))
    np.testing.assert_allclose(listed["cryodrgnLatent1"], [by_row[row] for row in np.sort(rows)], rtol=1e-6)


def test_without_maps_the_index_has_none(tmp_path):
    index = json.loads(
        analyze(planted_run(tmp_path, with_coordinate=False), AnalysisOptions(**QUICK, volumes=False)).read_text()
    )
    assert index["series"] == [] and "box" not in index and len(index["clusters"]) == 3


def test_a_homogeneous_run_has_one_map_and_its_resolution(tmp_path):
    run = Run.create(tmp_path / "run", RunConfig(z_dim=0, recipe="homogeneous"))
    run.save_latents(np.zeros((20, 0)))
    index = json.loads(analyze(run, AnalysisOptions(**{**QUICK, "figures": True}), BlobDecoder()).read_text())
    assert [series["name"] for series in index["series"]] == ["consensus"]
    assert index["series"][0]["maps"][0]["resolution_ang"]["0.143"] < 40
    assert set(index["figures"]) == {"fsc", "maps_consensus"}


def test_one_latent_dimension_can_be_drawn(tmp_path):
    run = planted_run(tmp_path)
    run.save_latents(run.latents().z[:, :1])
    index = json.loads(analyze(run, AnalysisOptions(**{**QUICK, "figures": True, "volumes": False})).read_text())
    assert {"pca", "summary"} <= set(index["figures"])


def test_an_option_out_of_range_is_named():
    with pytest.raises(ConfigError, match="clusters is -1; it must be at least 1"):
        AnalysisOptions(clusters=-1)


@pytest.mark.parametrize("pixel_size_ang", [0.6, 1.05, 3.1, 8.0])
def test_resolution_ticks_are_within_the_axis_and_apart(pixel_size_ang):
    highest = 0.5 / pixel_size_ang
    frequencies = 1 / np.array(_round_resolutions(highest, least_gap=0.08))
    assert len(frequencies) >= 4 and frequencies.max() <= highest
    assert (np.diff(frequencies) >= 0.08 * highest).all()

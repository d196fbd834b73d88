"""What a run finds of a tilt series goes back as particles, byte for byte but for what was found, with their set."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.analysis.analysis_report import analyze
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.half_sets import drawn_halves
from cryodrgn_plugin.engine.data.tilt_images import find_series
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, euler_from_matrices, matrices_from_euler
from cryodrgn_plugin.engine.io.chosen_rows import write_chosen
from cryodrgn_plugin.engine.io.particle_lists import write_particles
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.io.tables import read_table
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.selection_options import SelectOptions
from cryodrgn_plugin.engine.selection.selection_report import select
from cryodrgn_plugin.relion.findings import particle_nodes, place_particles
from cryodrgn_plugin.relion.output_nodes import output_nodes_text

from .tilt_sets import EXACT, TiltSet, plant, relion_euler

FORM = TiltSet(whole_stacks=False, angles=True, coordinates="centred", cut_out_turned=True, dose=True, particles=6)
LATENTS = np.repeat([[-1.0], [-1.1], [1.0], [1.1], [0.9], [-0.9]], 4, axis=0)


def finished_run(folder) -> Run:
    """A run on six particles with one latent each, on both sides of 0; their classes and half-sets are known before."""
    classes = {"rlnClassNumber": [3, 3, 3, 4, 4, 4], "rlnRandomSubset": [1, 2, 1, 2, 1, 2]}
    plant(folder, TiltSet(**{**vars(FORM), "more": classes}))
    run = Run.create(folder / "run", RunConfig(particles=str(folder / "set.star"), z_dim=1))
    with run.working():
        run.save_latents(LATENTS)
    return run


def lines_of(path) -> list[bytes]:
    return [line for line in path.read_bytes().splitlines() if b"tomo1/" in line]


def head_of(path) -> bytes:
    data = path.read_bytes()
    return data[: data.index(b"data_particles")]


def test_classes_are_particles_of_their_file_with_a_set_that_is_read(tmp_path):
    run = finished_run(tmp_path)
    analyze(run, AnalysisOptions(clusters=2, volumes=False, figures=False, umap=False))
    results = run.results("analysis")
    given, listed = tmp_path / "p.star", results.folder / "particles.star"
    assert head_of(listed) == head_of(given)  # data_general and data_optics, to the last byte
    before, after = (read_star(path)["particles"] for path in (given, listed))
    kept = [name for name in before if name != "rlnClassNumber"]
    pd.testing.assert_frame_equal(after[kept], before[kept])
    for own, other in zip(lines_of(given), lines_of(listed), strict=True):
        words = own.split()
        place = list(before).index("rlnClassNumber")
        assert other.split()[:place] == words[:place] and other.split()[place + 1 : len(words)] == words[place + 1 :]
    assert after["cryodrgnFormerClassNumber"].tolist() == [3, 3, 3, 4, 4, 4]
    np.testing.assert_allclose(after["cryodrgnLatent1"], LATENTS[::4, 0], rtol=1e-6)
    side = np.sign(after["cryodrgnLatent1"])
    assert (
        after["rlnClassNumber"].nunique() == 2
        and (after.groupby("rlnClassNumber")["cryodrgnLatent1"].std() < 0.2).all()
    )
    assert len(np.unique(np.stack([side, after["rlnClassNumber"]]), axis=1).T) == 2
    assert results.index["counted"] == 6  # particles, not images
    for cluster in results.clusters:
        path = results.folder / cluster["star"]
        again = read_table(path.with_name(f"{path.stem}_optimisation_set.star"))
        assert again.n == 4 * cluster["particles"] == 4 * len(lines_of(path)) == 12
        assert again.tilts.tomograms.name == "tomograms.star"


def test_a_selection_is_particles_with_a_set_and_trains_again(tmp_path):
    run = finished_run(tmp_path)
    select(run, SelectOptions(where="z1 > 0", annotate=True))
    folder = run.results("selection", SelectOptions.name).folder
    given = lines_of(tmp_path / "p.star")
    assert [line.startswith(own) for line, own in zip(lines_of(folder / "selected.star"), given[2:5], strict=True)] == [
        True
    ] * 3
    selected = ParticleDataset.open(folder / "selected_optimisation_set.star", EXACT)
    alone = ParticleDataset.open(folder / "selected.star", EXACT)
    whole = ParticleDataset.open(tmp_path / "set.star", EXACT)
    np.testing.assert_allclose(selected.rotations, whole.rotations[8:20], atol=1e-6)
    np.testing.assert_allclose(alone.rotations, selected.rotations)
    assert selected.table.frame["rlnRandomSubset"].tolist() == np.repeat([1, 2, 1], 4).tolist()


def test_lists_inside_a_run_belong_to_the_tomograms_it_was_made_from(tmp_path):
    run = finished_run(tmp_path)
    (run.path / "validating").mkdir()
    half = write_chosen(read_table(tmp_path / "set.star"), np.arange(8), run.path / "validating" / "half1")
    assert read_table(half).tilts.tomograms.resolve() == (tmp_path / "tomograms.star").resolve()
    (tmp_path / "set.star").rename(tmp_path / "elsewhere.star")
    given = Run.create(tmp_path / "other", RunConfig(particles=str(tmp_path / "p.star"), z_dim=1))
    alone = write_chosen(read_table(tmp_path / "p.star"), np.arange(8), given.path / "half1")
    assert read_table(alone).n == 8


def test_a_relion_job_offers_particles_and_sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = finished_run(tmp_path)
    analyze(run, AnalysisOptions(clusters=2, volumes=False, figures=False, umap=False))
    job = Path("External/job004")
    job.mkdir(parents=True)
    classes = place_particles(run, run.results("analysis"), job)
    names = ["particles.star", *(files.star for files in classes)]
    nodes = [node for name in names for node in particle_nodes(job, name)]
    assert [node.kind for node in nodes] == ["particles", "optimisation set"] * 3
    named = read_star(job / "particles_class001_optimisation_set.star")[""].iloc[0]
    assert named["rlnTomoParticlesFile"] == "External/job004/particles_class001.star"
    assert named["rlnTomoTomogramsFile"] == "tomograms.star"
    text = {version: output_nodes_text(nodes, version) for version in ("3.1", "4", "5")}
    assert "optimisation_set" not in text["3.1"] and "particles_class002.star 3" in text["3.1"]
    assert "_optimisation_set.star ProcessData.star.relion.tomo.optimisation_set" in text["4"]
    assert "_optimisation_set.star TomoOptimisationSet.star.relion 1" in text["5"]


@pytest.mark.parametrize("scatter_deg", [0.0, 1.0], ids=["particles turned", "images turned one by one"])
def test_found_poses_go_back_as_the_angles_and_origins_of_particles(tmp_path, scatter_deg):
    planted = plant(tmp_path, FORM)
    table, rng = read_table(tmp_path / "set.star"), np.random.default_rng(4)
    angles, offsets = rng.uniform(10, 170, (6, 3)), rng.uniform(-9, 9, (6, 3))
    stages, particle = table.tilts.stages, table.tilts.particle
    views = stages @ np.stack([relion_euler(*row) for row in angles])[particle]
    shaken = np.radians(scatter_deg) * rng.normal(size=(len(views), 3))
    turns = np.stack([np.eye(3) + np.cross(np.eye(3), s) for s in shaken])
    frame = table.frame.copy()
    frame[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]] = euler_from_matrices(turns @ views)
    frame[["rlnOriginXAngst", "rlnOriginYAngst"]] = np.einsum("nij,nj->ni", stages[:, :2], offsets[particle])
    write_particles(tmp_path / "found.star", table, frame)
    found = read_star(tmp_path / "found.star")["particles"]
    given = matrices_from_euler(found[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy())
    expected = np.stack([relion_euler(*row) for row in angles])
    assert np.abs(given - expected).max() < (0.05 if scatter_deg else 1e-6)
    np.testing.assert_allclose(found[[f"rlnOrigin{axis}Angst" for axis in "XYZ"]], offsets, atol=1e-5)
    assert not np.allclose(planted.offsets_ang, offsets)


def test_a_draw_at_random_takes_whole_particles(tmp_path):
    run = finished_run(tmp_path)
    select(run, SelectOptions(random=2))
    results = run.results("selection", SelectOptions.name)
    assert results.index["selected"] == len(lines_of(results.folder / "selected.star")) == 2
    assert results.arrays["selected"].reshape(6, 4).all(1).sum() == 2 and results.arrays["selected"].sum() == 8


def test_columns_are_added_to_particles_and_not_to_images(tmp_path):
    plant(tmp_path, FORM)
    table = read_table(tmp_path / "set.star")
    written = write_chosen(table, np.arange(4, 12), tmp_path / "some", {"mine": np.arange(24)})
    assert read_star(written)["particles"]["mine"].tolist() == [4, 8]
    assert [line.rsplit(None, 1)[0] for line in lines_of(written)] == lines_of(tmp_path / "p.star")[1:3]


def test_tilts_that_m_ties_by_groups_have_one_place_and_one_half(tmp_path):
    plant(tmp_path, TiltSet(particles=6))
    whole = read_table(tmp_path / "set.star").frame
    frame = whole.drop(columns=[name for name in whole if name.startswith("rlnTomo")])
    group = whole["rlnTomoParticleName"].str.replace("tomo1/", "series_")
    frame = frame.assign(rlnGroupName=group, rlnMicrographName=whole["rlnTomoFrame"].map("tilt_{}.mrc".format))
    frame["rlnCtfBfactor"] = -4.0 * whole["rlnTomoFrame"]
    order = np.random.default_rng(0).permutation(len(frame))
    optics = read_star(tmp_path / "p.star")["optics"]
    write_star(tmp_path / "m.star", {"optics": optics, "particles": frame.iloc[order].reset_index(drop=True)})
    dataset = ParticleDataset.open(tmp_path / "m.star", EXACT)
    series, names = find_series(dataset), group.to_numpy()[order]
    assert series.n == 6 and (series.counts == 4).all()
    for particle in range(6):
        (images,), tilts, _ = series.views(np.array([particle]))
        assert len(set(names[images])) == 1
        reference = int(np.square(tilts - np.eye(3)).sum((1, 2)).argmin())
        np.testing.assert_allclose(dataset.rotations[images], tilts @ dataset.rotations[images[reference]], atol=1e-5)
    halves = pd.Series(drawn_halves(dataset, 0)).groupby(names).nunique()
    assert (halves == 1).all()


def test_a_selection_of_a_search_for_poses_has_the_poses_found(tmp_path):
    run = finished_run(tmp_path)
    table = read_table(tmp_path / "set.star")
    found = np.stack([relion_euler(*row) for row in np.random.default_rng(8).uniform(10, 170, (6, 3))])
    with run.working():
        run.save_poses(np.arange(24), table.tilts.stages @ found[table.tilts.particle], np.zeros((24, 2)))
    select(run, SelectOptions(where="z1 > 0"))
    results = run.results("selection", SelectOptions.name)
    assert (results.index["selected"], results.index["rejected"]) == (3, 3)
    selected = read_star(results.folder / "selected.star")["particles"]
    angles = selected[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    np.testing.assert_allclose(matrices_from_euler(angles), found[2:5], atol=1e-6)
    assert (selected["rlnOriginZAngst"].abs() < 1e-6).all()


@pytest.mark.parametrize("moved_ang", [0.0, 2.0], ids=["particles moved", "images moved one by one"])
def test_found_poses_are_written_as_particles_beside_their_images(tmp_path, moved_ang):
    """Four images have eight shifts and their particle three numbers: five parts of eight of their noise are left."""
    run, rng = finished_run(tmp_path), np.random.default_rng(9)
    table = read_table(tmp_path / "set.star")
    angles, offsets = rng.uniform(10, 170, (6, 3)), rng.uniform(-9, 9, (6, 3))
    stages, particle = table.tilts.stages, table.tilts.particle
    views = stages @ np.stack([relion_euler(*row) for row in angles])[particle]
    origins_ang = np.einsum("nij,nj->ni", stages[:, :2], offsets[particle]) + moved_ang * rng.normal(size=(24, 2))
    with run.working():
        run.save_poses(np.arange(24), views, -origins_ang)
    assert len(read_star(run.poses_file)["particles"]) == 24
    before, after = (read_star(path)["particles"] for path in (tmp_path / "p.star", run.posed_particles_file))
    found = matrices_from_euler(after[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy())
    np.testing.assert_allclose(found, [relion_euler(*row) for row in angles], atol=1e-6)
    origins = after[[f"rlnOrigin{axis}Angst" for axis in "XYZ"]].to_numpy()
    assert np.abs(origins - offsets).max() < (1e-4 if not moved_ang else 4 * moved_ang)
    kept = [name for name in before if not name.startswith(("rlnAngle", "rlnOrigin"))]
    pd.testing.assert_frame_equal(after[kept], before[kept])
    (said,) = (line for line in run.log_file.read_text().splitlines() if "posed_particles.star has a row" in line)
    off_ang, off_deg = (float(word) for word in re.search(r"lie (\S+) Å and (\S+)° from there", said).groups())
    assert off_ang == pytest.approx(moved_ang * np.sqrt(2 * 5 / 8), rel=0.25, abs=1e-3) and off_deg < 0.02
    again = ParticleDataset.open(run.path / "posed_particles_optimisation_set.star", EXACT)
    np.testing.assert_allclose(again.rotations, views, atol=1e-5)
    if not moved_ang:
        np.testing.assert_allclose(again.shifts_ang, -origins_ang, atol=1e-4)


def test_refined_poses_of_tilt_images_are_written_as_particles(tmp_path, capsys):
    planted = plant(tmp_path, TiltSet(**{**vars(FORM), "particles": 30, "noise": 0.05}))
    words = ["--rounds", "1", "--moves", "particle", "--max_angle_deg", "3", "--data.window", "0.9"]
    assert main(["refine-poses", str(tmp_path / "set.star"), "--out", str(tmp_path / "out"), *words]) == 0
    assert "posed_particles.star has a row for each of 30 particles" in capsys.readouterr().out
    images = read_star(tmp_path / "out" / "poses.star")["particles"]
    found = ParticleDataset.open(tmp_path / "out" / "posed_particles_optimisation_set.star", EXACT)
    assert found.n == len(images) == 120
    listed = matrices_from_euler(images[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy())
    np.testing.assert_allclose(found.rotations, listed, atol=1e-4)
    np.testing.assert_allclose(-found.shifts_ang, images[["rlnOriginXAngst", "rlnOriginYAngst"]], atol=1e-2)
    turned = angular_distance_deg(found.rotations[::4], planted.views[:, 0])
    assert 0.01 < np.median(turned) < 3.01

"""Selections: the way back loses no byte, rules mean what they say and nothing else, junk is found."""

import json

import mrcfile
import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.analysis.analysis_report import analyze
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.landscape.landscape_options import LandscapeOptions
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection import selection_report as select_module
from cryodrgn_plugin.engine.selection.export import Selection
from cryodrgn_plugin.engine.selection.junk import judge, outlier_scores, suggested_cut
from cryodrgn_plugin.engine.selection.lasso import Lasso, read_lasso
from cryodrgn_plugin.engine.selection.listed import write_listed
from cryodrgn_plugin.engine.selection.originals import rows_in
from cryodrgn_plugin.engine.selection.rules import names_in, obeying
from cryodrgn_plugin.engine.selection.selection_options import SelectOptions
from cryodrgn_plugin.engine.selection.selection_report import parse_classes, select
from cryodrgn_plugin.engine.simulate import SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set
from cryodrgn_plugin.tests.engine.planted_run import planted_latents, planted_run

ODD_STAR = b"""# made by hand
data_optics

loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
1 2.50

data_particles

loop_
_rlnImageName #1
_rlnAngleRot #2
_someText #3
_rlnOpticsGroup #4
%s
# the end
"""


def odd_rows(n: int) -> list[bytes]:
    """Lines no writer would make: trailing zeros, tabs, quotes, exponents, spaces at the end."""
    return [b"%06d@a b.mrcs\t%.6f   \"two words\" 1  " % (i + 1, i / 3) if i % 2 else
            b"   %d@stack.mrcs  %de-02 nan 1" % (i + 1, i) for i in range(n)]  # fmt: skip


@pytest.fixture
def odd_run(tmp_path):
    """A run of 40 particles from a star file whose lines nobody would write like that; z1 is −20 … 19."""
    lines = [line.replace(b"a b.mrcs", b"stack.mrcs") for line in odd_rows(40)]
    (tmp_path / "particles.star").write_bytes(ODD_STAR % b"\n".join(lines))
    run = Run.create(tmp_path / "run", RunConfig(particles=str(tmp_path / "particles.star"), z_dim=2))
    with run.working():
        run.save_latents(np.stack([np.arange(40) - 20, np.arange(40) % 7], axis=1))
    return run, lines


def test_selected_rows_are_the_bytes_of_the_file_in_its_order(odd_run):
    run, lines = odd_run
    index = select(run, SelectOptions(where="z1 >= 0 and z2 != 3", name="half"))
    wanted = [k for k in range(40) if k >= 20 and k % 7 != 3]
    written = (index.parent / "selected.star").read_bytes()
    assert written == ODD_STAR % b"\n".join(lines[k] for k in wanted)
    rest = (index.parent / "rejected.star").read_bytes()
    assert rest == ODD_STAR % b"\n".join(lines[k] for k in range(40) if k not in wanted)


def test_annotations_come_after_columns_that_stay_as_they_were(odd_run):
    run, lines = odd_run
    index = select(run, SelectOptions(where="z1 > 10", annotate=True))
    text = (index.parent / "selected.star").read_bytes()
    for line in lines[31:]:
        assert line.rstrip() in text
    frame = read_star(index.parent / "selected.star")["particles"]
    assert list(frame)[-2:] == ["cryodrgnLatent1", "cryodrgnLatent2"]
    assert frame["cryodrgnLatent1"].tolist() == list(range(11, 20))


def test_an_interrupted_or_empty_selection_leaves_the_old_one(odd_run):
    run, _ = odd_run
    index = select(run, SelectOptions(where="z1 > 0"))
    before = index.read_bytes()
    with pytest.raises(DataError, match="No particle of 40 is left"):
        select(run, SelectOptions(where="z1 > 100"))
    assert index.read_bytes() == before


def test_random_and_invert_part_the_particles_the_same_way_for_a_seed(odd_run):
    run, _ = odd_run
    arrays = [chosen(run, random=7, seed=seed, name=f"r{k}") for k, seed in enumerate((0, 0, 1))]
    assert arrays[0].sum() == 7 and (arrays[0] == arrays[1]).all() and (arrays[0] != arrays[2]).any()
    assert chosen(run, where="z1 > 0", invert=True).tolist() == [k <= 20 for k in range(40)]


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    """A planted run of half of the rows of its star file, with its three groups as classes."""
    rows = np.sort(np.random.default_rng(3).permutation(300)[:150])
    run = planted_run(tmp_path_factory.mktemp("run"), rows=rows)
    analyze(run, AnalysisOptions(clusters=3, volumes=False, figures=False, umap=False))
    return run


def chosen(run: Run, **options) -> np.ndarray:
    return np.load(select(run, SelectOptions(**options)).parent / "selection.npz")["selected"]


def test_classes_are_those_of_the_analysis_and_only_particles_of_the_run_are_listed(analyzed):
    _, group, _ = planted_latents(150)
    taken = chosen(analyzed, clusters="1,3", name="classes")
    assert (taken == (group != 2)).all()  # the groups follow each other as 1, 2, 0 along the curve
    table = read_particles(analyzed.results_dir("selection", "classes") / "selected.star")
    expected = analyzed.latents().rows[taken]
    assert [int(name.split("@")[0]) - 1 for name in table.image_names] == expected.tolist()
    assert (analyzed.results_dir("selection", "classes") / "selection.png").stat().st_size > 5000


def test_hosts_find_the_selected_by_ids_of_their_own(analyzed):
    taken = chosen(analyzed, clusters="2", name="second")
    ids = 1000 + 3 * np.arange(300)
    found, rows = Selection.open(analyzed, "second"), analyzed.latents().rows
    assert found.chosen(ids).tolist() == (1000 + 3 * rows[taken]).tolist()
    assert found.left_out(ids).tolist() == (1000 + 3 * rows[~taken]).tolist()
    with pytest.raises(DataError, match="no selection named third"):
        Selection.open(analyzed, "third")


def test_a_lasso_takes_what_lies_inside_it(analyzed, tmp_path):
    with np.load(analyzed.results_dir("analysis") / "embedding.npz") as stored:
        pca = stored["pca"]
    corners = [[0.0, -50.0], [50.0, -50.0], [50.0, 50.0], [0.0, 50.0]]
    (tmp_path / "lasso.json").write_text(json.dumps({"space": "pca", "components": [1, 2], "polygon": corners}))
    taken = chosen(analyzed, lasso=str(tmp_path / "lasso.json"), name="lasso")
    assert (taken == (pca[:, 0] > 0)).all()


def test_a_list_takes_the_particles_whose_star_rows_it_has(analyzed, tmp_path):
    rows = analyzed.latents().rows
    write_listed(tmp_path / "rows.txt", rows[::7])
    taken = chosen(analyzed, listed=str(tmp_path / "rows.txt"), name="listed")
    assert (taken == (np.arange(len(rows)) % 7 == 0)).all()
    (tmp_path / "rows.txt").write_text("3\n-1\n")
    with pytest.raises(DataError, match="'-1'"):
        chosen(analyzed, listed=str(tmp_path / "rows.txt"), name="listed")


def test_a_rule_sees_the_landscape_when_there_is_one(analyzed):
    state, pca = np.arange(150) % 3, np.random.default_rng(0).normal(size=(150, 2))
    with analyzed.report("landscape", LandscapeOptions()) as out:
        out.arrays(rows=analyzed.latents().rows, pca=pca, labels=state, state=state)
    taken = chosen(analyzed, where="state == 2 and vpc1 > 0", name="state")
    assert (taken == ((state == 1) & (pca[:, 0] > 0))).all()


def test_choices_are_combined(analyzed):
    both = chosen(analyzed, clusters="1", where="z1 < -4", name="both")
    assert (both == chosen(analyzed, clusters="1", name="a") & chosen(analyzed, where="z1 < -4", name="b")).all()
    assert 0 < both.sum() < 150


def test_what_is_not_there_yet_is_said_in_one_sentence(odd_run, analyzed):
    with pytest.raises(DataError, match="run `cryodrgn-plugin analyze` first"):
        select(odd_run[0], SelectOptions(clusters="1"))
    with pytest.raises(DataError, match="run `cryodrgn-plugin validate` first"):
        select(analyzed, SelectOptions(where="confidence > 0.5"))
    with pytest.raises(ConfigError, match="classes of the analysis are 1 to 3"):
        select(analyzed, SelectOptions(clusters="4"))


COLUMNS = {"z1": np.array([-1.0, 0.5, 2.0, np.nan]), "cluster": np.array([1, 2, 3, 3]),
           "rlnMicrographName": np.array(["a", "b", "a", "c"], object)}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("z1 > 0", [0, 1, 1, 0]),
        ("0 < z1 <= 0.5", [0, 1, 0, 0]),
        ("not z1 > 0 and cluster != 3", [1, 0, 0, 0]),
        ("cluster in (1, 3)", [1, 0, 1, 1]),
        ("cluster not in [1, 3] or z1 == 2", [0, 1, 1, 0]),
        ("abs(z1) * 2 - 1 >= 1 and z1 ** 2 < 2", [1, 0, 0, 0]),
        ("cluster % 2 == 1", [1, 0, 1, 1]),
        ('rlnMicrographName == "a"', [1, 0, 1, 0]),
        ('rlnMicrographName in ("b", "c")', [0, 1, 0, 1]),
        ("True and z1 < 5", [1, 1, 1, 0]),
    ],
)
def test_a_rule_means_what_it_says(rule, expected):
    assert obeying(rule, COLUMNS, 4).tolist() == [bool(value) for value in expected]


@pytest.mark.parametrize(
    "rule",
    [
        "__import__('os').system('true') == 0",
        "(lambda: 1)() == 1",
        "[x for x in (1, 2)] == 1",
        "z1.__class__ == 1",
        "open('f') > 1",
        "z1[0] > 1",
        "f'{z1}' == 'a'",
        "abs(z1, out=z1) > 0",
        "(y := 3) > 1",
    ],
)
def test_a_rule_runs_no_code(rule):
    with pytest.raises(ConfigError, match="not allowed"):
        obeying(rule, COLUMNS, 4)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("z1 >", "cannot be read"),
        ("z11 > 0", "did you mean z1"),
        ("z1 + 1", "not a yes or no"),
        ("z1 and cluster == 1", "neither true nor false"),
        ('z1 > "a"', "text with numbers"),
        ('rlnMicrographName + 1 == "a"', "is no number"),
    ],
)
def test_a_wrong_rule_is_explained(rule, said):
    with pytest.raises(ConfigError, match=said):
        obeying(rule, COLUMNS, 4)


def test_the_names_of_a_rule_are_its_columns():
    assert names_in("abs(z1) > 2 and outlier < 3") == {"z1", "outlier"}


def test_a_lasso_agrees_with_matplotlibs_polygons():
    from matplotlib.path import Path as Outline

    rng = np.random.default_rng(0)
    polygon = rng.normal(size=(7, 2))
    polygon = polygon[np.argsort(np.arctan2(*polygon.T))]
    points = rng.normal(size=(2000, 2))
    assert (Lasso(("umap1", "umap2"), polygon).inside(points) == Outline(polygon).contains_points(points)).all()


@pytest.mark.parametrize("content", ["", "[]", '{"polygon": [[0, 0], [1, 1]]}', '{"space": "tsne", "polygon": []}'])
def test_a_file_that_is_no_lasso_is_refused(tmp_path, content):
    (tmp_path / "lasso.json").write_text(content)
    with pytest.raises(DataError, match="lasso"):
        read_lasso(tmp_path / "lasso.json")


def star_of(path, names, **columns):
    frame = pd.DataFrame({"rlnImageName": names, "rlnAngPix": 1.0, **columns})
    write_star(path, {"particles": frame})
    return read_particles(path)


def test_the_original_is_found_by_coordinates_before_names(tmp_path):
    micrographs = ["mics/m1.mrc", "mics/m1.mrc", "mics/m2.mrc"]
    places = {"rlnCoordinateX": [10.0, 20.0, 10.0], "rlnCoordinateY": [1.0, 2.0, 1.0]}
    binned = star_of(tmp_path / "binned.star", ["1@bin.mrcs", "2@bin.mrcs", "3@bin.mrcs"],
                     rlnMicrographName=micrographs, **places)  # fmt: skip
    order = [2, 0, 1]
    full = star_of(
        tmp_path / "full.star", ["7@x/m2.mrcs", "1@x/m1.mrcs", "2@x/m1.mrcs"],
        rlnMicrographName=["other/m2.mrc", "other/m1.mrc", "other/m1.mrc"],
        **{name: np.array(values)[order] for name, values in places.items()},
    )  # fmt: skip
    places_found, by = rows_in(full, binned)
    assert places_found.tolist() == [1, 2, 0] and by == "micrograph and coordinates"


def test_the_original_is_found_by_name_or_only_when_told_by_order(tmp_path):
    binned = star_of(tmp_path / "binned.star", ["000001@job7/a.mrcs", "000002@job7/a.mrcs", "1@job7/b.mrcs"])
    full = star_of(tmp_path / "full.star", ["1@job3/b.mrcs", "2@job3/a.mrcs", "1@job3/a.mrcs", "9@job3/a.mrcs"])
    assert rows_in(full, binned)[0].tolist() == [2, 1, 0]
    strange = star_of(tmp_path / "strange.star", ["1@z.mrcs", "2@z.mrcs", "3@z.mrcs"])
    with pytest.raises(DataError, match="say so with same_order"):
        rows_in(strange, binned)
    assert rows_in(strange, binned, same_order=True)[0].tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="is it the file they come from"):
        rows_in(binned, full)


def test_a_selection_in_the_originals_rows_is_the_originals_bytes(odd_run, tmp_path):
    run, _ = odd_run
    names = [b"%d@full/stack.mrcs 0.50 x%d" % (k + 1, k) for k in reversed(range(40))]
    full = b"data_particles\nloop_\n_rlnImageName #1\n_rlnAngPix #2\n_someText #3\n%s\n"
    (tmp_path / "full.star").write_bytes(full % b"\n".join(names))
    index = select(run, SelectOptions(where="z1 >= 18", original=str(tmp_path / "full.star"), name="full"))
    assert (index.parent / "selected.star").read_bytes() == full % b"\n".join(names[:2])
    assert json.loads(index.read_text())["matched_by"] == "image number and stack name"


def test_cryosparc_records_come_back_with_their_uids(tmp_path):
    kinds = [("uid", "<u8"), ("blob/path", "S20"), ("blob/idx", "<u4"), ("blob/psize_A", "<f4"),
             ("blob/shape", "<u4", (2,)), ("mine", "<f4", (3,))]  # fmt: skip
    records = np.zeros(12, kinds)
    records["uid"] = np.random.default_rng(0).integers(0, 2**63, 12)
    records["blob/path"], records["blob/idx"], records["blob/psize_A"] = b">J1/stack.mrcs", np.arange(12), 1.5
    records["mine"] = np.random.default_rng(1).normal(size=(12, 3))
    with open(tmp_path / "particles.cs", "wb") as file:
        np.save(file, records)
    run = Run.create(tmp_path / "run", RunConfig(particles=str(tmp_path / "particles.cs"), z_dim=1))
    with run.working():
        run.save_latents(np.arange(12)[:, None])
    index = select(run, SelectOptions(where="z1 > 8"))
    assert np.load(index.parent / "selected.cs").tobytes() == records[9:].tobytes()


def test_outlier_scores_are_standard_deviations_of_good_particles_whatever_the_junk():
    rng = np.random.default_rng(0)
    energy = rng.uniform(60, 200, 4000)
    contrast = 1.2 + 0.1 * rng.standard_normal(4000)
    contrast[3000:] = 0.0
    projected = contrast * energy + np.sqrt(energy) * rng.standard_normal(4000)
    scores = outlier_scores(projected, energy)
    good, junk = scores[:3000], scores[3000:]
    assert abs(np.median(good)) < 0.15 and good.std() == pytest.approx(1, abs=0.15)
    assert np.median(junk) == pytest.approx(np.median(1.2 / np.sqrt(0.01 + 1 / energy)), rel=0.15)


@pytest.fixture(scope="module")
def with_noise(tmp_path_factory):
    """A run of 400 images of one molecule, of which every fifth is noise, and which those are."""
    folder = tmp_path_factory.mktemp("noise")
    star = tiny_set(folder, n=400, box=24, states=1, config=SimulationConfig(snr=0.4, shift_px=1, pixel_size_ang=4.7))
    images = mrcfile.read(folder / "particles.mrcs").copy()
    images[::5] = np.random.default_rng(0).standard_normal(images[::5].shape)
    write_stack(folder / "particles.mrcs", images, 4.7)
    run = Run.create(folder / "run", RunConfig(particles=str(star), z_dim=1))
    with run.working():
        run.save_latents(np.zeros((400, 1)))
    return run, np.arange(400) % 5 == 0


def test_planted_noise_is_left_out_and_good_images_are_explained_to_the_noise(with_noise):
    run, is_noise = with_noise
    index = select(run, SelectOptions(junk=True, annotate=True))
    with np.load(index.parent / "selection.npz") as stored:
        assert (stored["selected"][is_noise]).mean() < 0.05 < 0.95 < stored["selected"][~is_noise].mean()
        assert stored["likelihood"][~is_noise].mean() == pytest.approx(-0.5, abs=0.03)
        assert stored["contrast"][~is_noise].mean() == pytest.approx(1, abs=0.1)
        assert stored["contrast"][is_noise].mean() == pytest.approx(0, abs=0.1)
        written = read_star(index.parent / "selected.star")["particles"]["cryodrgnOutlier"]
        np.testing.assert_allclose(written, stored["outlier"][stored["selected"]], rtol=1e-5)


def test_a_rule_on_outliers_is_the_same_choice(with_noise):
    run, _ = with_noise
    assert (chosen(run, where="outlier <= 3", junk_cut=3.0, name="rule") == chosen(run, junk=True, junk_cut=3.0)).all()


def test_images_are_judged_once_and_anew_when_latents_model_or_settings_have_changed(with_noise, monkeypatch):
    run, _ = with_noise
    judged = []

    def noted(*args, **settings):
        judged.append(settings)
        return judge(*args, **settings)

    monkeypatch.setattr(select_module, "judge", noted)
    run.outliers_file.unlink(missing_ok=True)
    quick = {"junk": True, "rounds": 1, "junk_cut": 3.0}
    first = chosen(run, **quick, name="first")
    scores = np.load(run.results_dir("selection", "first") / "selection.npz")["outlier"]
    again = chosen(run, where="outlier <= 3 and likelihood < 9", rounds=1, junk_cut=3.0, name="again")
    assert len(judged) == 1 and (first == again).all()
    np.testing.assert_array_equal(np.load(run.results_dir("selection", "again") / "selection.npz")["outlier"], scores)
    assert "known from an earlier selection" in run.log_file.read_text()
    chosen(run, **{**quick, "junk_cut": 2.5})
    assert len(judged) == 2
    chosen(run, **quick)
    run.model_file.write_bytes(b"a model")
    chosen(run, **quick)
    assert len(judged) == 4
    before = run.latents().z
    run.save_latents(before + np.arange(400)[:, None] / 400)
    chosen(run, **quick)
    assert len(judged) == 5
    run.outliers_file.write_bytes(b"PK")
    with pytest.raises(DataError, match=r"outliers.npz is damaged; remove it"):
        chosen(run, **quick)
    run.outliers_file.unlink()
    run.model_file.unlink()
    run.save_latents(before)


def test_the_cut_is_suggested_where_junk_becomes_the_majority():
    rng = np.random.default_rng(1)
    good = rng.standard_normal(20_000)
    assert suggested_cut(good) == 3.0
    mixed = np.r_[good, 4 + rng.standard_normal(4000)]
    # Equal densities: exp(-x²/2) · 20,000 = exp(-(x - 4)²/2) · 4,000 at x = 2 + ln(5)/4.
    assert suggested_cut(mixed) == pytest.approx(2 + np.log(5) / 4, abs=0.3)


def test_classes_are_read_as_a_list_with_ranges():
    assert parse_classes("1, 3-5", 6) == [1, 3, 4, 5]
    for words in ("x", "0", "7", "3-2"):
        with pytest.raises(ConfigError):
            parse_classes(words, 6)


def test_selecting_nothing_in_particular_is_a_mistake(odd_run):
    run, _ = odd_run
    assert main(["select", str(run.path)]) == 2
    assert main(["select", str(run.path), "--where", "z1 > 0", "--name", "../x"]) == 2
    assert main(["select", str(run.path), "--where", "z1 > 0", "--name", "ok"]) == 0
    assert (run.path / "selections/ok/selected.star").exists()

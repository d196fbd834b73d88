"""Results on disk: one writer that leaves the old ones until the new are whole, one reader, runs that borrow a run."""

import copy
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import cryodrgn_plugin
from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.analysis.analysis_report import analyze
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.reading import read_object
from cryodrgn_plugin.engine.report_writer import report_into
from cryodrgn_plugin.engine.result_kinds import KINDS, ResultKind, half_map_names
from cryodrgn_plugin.engine.results import Results
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.tests.engine.planted_run import planted_latents, planted_run

EXTENDING = Path(cryodrgn_plugin.__file__).parent.parent / "docs" / "extending.md"


@dataclass(frozen=True)
class Asked:
    """Options of a report for tests."""

    many: int = 3


@pytest.fixture
def run(tmp_path) -> Run:
    return Run.create(tmp_path / "run", RunConfig(particles="p.star"))


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    """Two kinds of results: one that a run has once, and one of which it holds several."""
    arrays = {"arrays": ("numbers", "toy.npz"), "always": ("rows",)}
    monkeypatch.setitem(KINDS, "toy", ResultKind("toy", "play", "toys", **arrays))
    monkeypatch.setitem(KINDS, "doll", ResultKind("doll", "dress", "dolls", named=True))


def toy(run: Run, rows: np.ndarray) -> Path:
    with run.report("toy", Asked()) as out:
        out.index["colour"] = "red"
        out.arrays(rows=rows)
        out.text("note", "about/note.star", "said")
        out.say("The toy is red.")
    return out.index_file


def contents(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# --- writing and reading -------------------------------------------------------------------------------------------


def test_what_was_reported_is_read_back_and_the_log_says_where_it_is(run):
    index = toy(run, np.arange(4))
    assert json.loads(index.read_text()) == {
        **{"schema": 1, "options": {"many": 3}, "colour": "red"},
        **{"files": {"numbers": "toy.npz", "note": "about/note.star"}},
    }
    found = run.results("toy")
    assert contents(found.folder) == {"toy.json", "toy.npz", "about/note.star"}
    assert found.file("note").read_text() == "said" and found.file("absent") is None
    assert found.arrays["rows"].tolist() == [0, 1, 2, 3]
    told = run.log_file.read_text().splitlines()
    assert told[-2].endswith("  The toy is red.") and told[-1].endswith(f"  The toy is in {run.path / 'toys'}.")


def test_the_example_of_the_documents_makes_a_report(tmp_path, monkeypatch):
    section = EXTENDING.read_text(encoding="utf-8").split("## A report")[1].split("\n## ")[0]
    entry, module, reading = re.findall(r"```python\n(.*?)```", section, re.S)
    kind = eval(entry, {"ResultKind": ResultKind})  # noqa: S307 - the example of our own document
    monkeypatch.setitem(KINDS, kind.name, kind)
    written = {
        "__name__": "cryodrgn_plugin.engine.analysis.remoteness",
        "__package__": "cryodrgn_plugin.engine.analysis",
    }
    exec(module, written)  # noqa: S102 - the example of our own document
    run = planted_run(tmp_path)
    index = written["remoteness"](run, written["RemotenessOptions"](farthest=2))
    z = planted_latents(150)[0]
    distance = np.linalg.norm(z - z.mean(axis=0), axis=1)
    assert json.loads(index.read_text())["farthest"] == np.argsort(-distance)[:2].tolist()
    names = {"run": run}
    exec(reading.replace("results.index", "seen = results.index"), names)  # noqa: S102
    np.testing.assert_array_equal(names["seen"][1], distance)
    assert names["seen"][2].stat().st_size > 1000


def test_an_error_and_an_interruption_leave_the_old_report(run):
    before = toy(run, np.arange(4)).read_bytes()
    log = run.log_file.read_bytes()
    for error in (DataError("no space"), KeyboardInterrupt()):
        with pytest.raises(type(error)), run.report("toy", Asked()) as out:
            out.arrays(rows=np.arange(2))
            out.say("half of it")
            raise error
        assert run.results("toy").arrays["rows"].tolist() == [0, 1, 2, 3]
    assert (run.path / "toys" / "toy.json").read_bytes() == before and run.log_file.read_bytes() == log
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", "run.json", "run.log", "toys"]


def test_what_a_killed_report_left_is_cleared_away(run):
    for ending in ("part", "1.former"):
        (run.path / f".toys.{ending}").mkdir()
        (run.path / f".toys.{ending}" / "half.mrc").touch()
    toy(run, np.arange(4))
    assert not list(run.path.glob(".toys*"))


def test_an_index_names_all_that_was_written_and_nothing_else(run):
    with (
        pytest.raises(AssertionError, match=r"the toy does not name \['stray.mrc'\]"),
        run.report("toy", Asked()) as out,
    ):
        (out.folder / "stray.mrc").touch()
    with pytest.raises(AssertionError, match=r"names \['gone.mrc'\]"), run.report("toy", Asked()) as out:
        out.file("map", "gone.mrc")
    with pytest.raises(AssertionError, match=r"names \['figures/gone.png'\]"), run.report("toy", Asked()) as out:
        out.figure("gone")
    assert not run.has_results("toy")


def test_half_maps_lie_beside_their_map_without_a_name_of_their_own(run):
    with run.report("toy", Asked()) as out:
        out.map("map", "m/one.mrc", np.ones((4, 4, 4), np.float32), 2.0)
        out.index["series"] = [{"name": "s", "maps": [{"file": "m/one.mrc"}]}]
        for half in half_map_names("m/one.mrc"):
            (out.folder / half).touch()
    found = run.results("toy")
    assert read_map(found.file("map"))[1] == 2.0
    (entry,) = found.series("s")
    assert found.half_maps(entry) == [str(found.folder / f"m/one_half{n}.mrc") for n in (1, 2)]
    assert found.half_maps({"file": "other.mrc"}) == [] and found.series("t") == []


def test_what_belongs_to_others_may_go_with_a_report_unnamed(run):
    with run.report("toy", Asked()) as out:
        (out.folder / "part").mkdir()
        (out.folder / "part" / "model.pt").touch()
        out.unlisted.add("part")
    assert (run.path / "toys" / "part" / "model.pt").exists()


def test_several_of_a_kind_lie_side_by_side(run):
    for name, many in (("ann", 1), ("bea", 2)):
        with run.report("doll", Asked(many), name):
            pass
    assert [run.results("doll", name).index["options"]["many"] for name in ("ann", "bea")] == [1, 2]
    with pytest.raises(DataError, match="has no doll named cat; run dress on it first"):
        run.results("doll", "cat")


def test_absent_newer_and_damaged_results_are_one_sentence(run):
    with pytest.raises(DataError, match="run has no toy; run play on it first"):
        run.results("toy")
    assert not run.has_results("toy") and run.per_particle("toy", np.arange(3)) == {}
    index = toy(run, np.arange(4))
    with pytest.raises(DataError, match="of other particles than the run's latents"):
        run.per_particle("toy", np.arange(3))
    (index.parent / "toy.npz").unlink()
    with pytest.raises(DataError, match=r"toy\.npz is missing; run play again"):
        _ = run.results("toy").arrays
    np.savez(index.parent / "toy.npz", other=1)
    with pytest.raises(DataError, match=r"toy\.npz has no rows"):
        _ = run.results("toy").arrays
    index.write_text(json.dumps({"schema": 2}))
    with pytest.raises(DataError, match=r"newer version \(toy schema 2, this one reads up to 1\); update"):
        run.results("toy")
    for damage in ("{", "[]", "{}", '{"schema": null}'):
        index.write_text(damage)
        with pytest.raises(DataError, match=r"toy\.json is damaged; run play again"):
            run.results("toy")


# --- where the folder is a link ------------------------------------------------------------------------------------


@pytest.mark.parametrize("leads_to", ["a folder", "nothing"])
def test_a_report_takes_the_place_of_a_link_and_leaves_what_it_leads_to(run, tmp_path, leads_to):
    elsewhere = tmp_path / "elsewhere"
    if leads_to == "a folder":
        elsewhere.mkdir()
        (elsewhere / "kept").write_text("kept")
    (run.path / "toys").symlink_to(elsewhere)
    toy(run, np.arange(4))
    assert not (run.path / "toys").is_symlink() and run.results("toy").arrays["rows"].tolist() == [0, 1, 2, 3]
    assert contents(elsewhere) == ({"kept"} if leads_to == "a folder" else set())
    assert not list(run.path.glob(".toys*"))


def test_an_analysis_of_a_run_whose_analysis_is_a_link_is_its_own(tmp_path):
    run = planted_run(tmp_path)
    options = AnalysisOptions(clusters=2, volumes=False, figures=False, umap=False)
    folder = analyze(run, options).parent
    folder.rename(tmp_path / "theirs")
    before = {name: (tmp_path / "theirs" / name).read_bytes() for name in contents(tmp_path / "theirs")}
    folder.symlink_to(tmp_path / "theirs")
    analyze(run, AnalysisOptions(clusters=3, volumes=False, figures=False, umap=False))
    assert not folder.is_symlink() and len(run.results("analysis").clusters) == 3
    assert before == {name: (tmp_path / "theirs" / name).read_bytes() for name in contents(tmp_path / "theirs")}


# --- outside a run -------------------------------------------------------------------------------------------------


def test_results_among_files_of_others_replace_their_own_and_no_other(tmp_path):
    folder = tmp_path / "checked"
    with report_into(folder, "toy", Asked(), {"star": "p.star"}) as out:
        out.text("page", "page.html", "first")
        out.text("map", "map.mrc", "first")
    (folder / "particles.star").write_text("not ours")
    index = (folder / "toy.json").read_text()
    assert list(json.loads(index)) == ["schema", "star", "options", "files"]
    with pytest.raises(DataError), report_into(folder, "toy", Asked(), {}) as out:
        out.text("page", "page.html", "broken off")
        raise DataError("no space")
    assert (folder / "page.html").read_text() == "first" and (folder / "toy.json").read_text() == index
    with report_into(folder, "toy", Asked(), {}) as out:
        out.text("page", "page.html", "second")
    assert contents(folder) == {"toy.json", "page.html", "particles.star"}
    assert Results.open(folder, "toy").file("page").read_text() == "second"
    with pytest.raises(DataError, match="has no preflight; run preflight first"):
        Results.open(folder, "preflight")


# --- runs that borrow a run ----------------------------------------------------------------------------------------


@pytest.fixture
def lender(tmp_path) -> Run:
    run = planted_run(tmp_path)
    options = AnalysisOptions(clusters=2, volumes=False, figures=False, umap=False)
    analyze(run, options)
    for name in ("landscape", "checkpoints", "volumes", "selections/mine", "trajectories/pc", "validating"):
        (run.path / name).mkdir(parents=True)
    for name in ("model.pt", "outliers.npz", "foreign.txt"):
        (run.path / name).write_text(name)
    return run


def test_a_borrower_shares_what_training_left_and_what_was_found_since(lender, tmp_path):
    folder = tmp_path / "jobs" / "mine"
    Run.borrow(lender.path, folder, "landscape")
    links = {path.name for path in folder.iterdir() if path.is_symlink()}
    assert links == {"config.json", "metrics.csv", "latents.npz", "model.pt", "outliers.npz", "analysis"}
    assert {path.name for path in folder.iterdir()} - links == {"run.json", "run.log"}
    assert all(not os.path.isabs(os.readlink(folder / name)) for name in links)
    borrower = Run.open(folder)
    assert len(borrower.results("analysis").clusters) == 2 and borrower.status == "finished"


def test_a_borrower_goes_on_with_its_own_status_log_and_results(lender, tmp_path):
    before = {name: (lender.path / name).read_bytes() for name in contents(lender.path)}
    Run.borrow(lender.path, tmp_path / "mine", "toy")
    borrower = Run.open(tmp_path / "mine")
    with borrower.working("toy"):
        toy(borrower, np.arange(4))
        analyze(borrower, AnalysisOptions(clusters=3, volumes=False, figures=False, umap=False))
    assert before == {name: (lender.path / name).read_bytes() for name in contents(lender.path)}
    Run.borrow(lender.path, tmp_path / "mine", "toy")
    assert "The toy is in" in borrower.log_file.read_text() and borrower.has_results("toy")
    assert len(borrower.results("analysis").clusters) == 3


def test_borrowing_again_renews_links_and_drops_those_that_lead_nowhere(lender, tmp_path):
    other = Run.create(tmp_path / "other", lender.config)
    Run.borrow(lender.path, tmp_path / "mine", "landscape")
    Run.borrow(other.path, tmp_path / "mine", "landscape")
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {"config.json", "run.json", "run.log"}
    assert (tmp_path / "mine" / "config.json").resolve() == other.config_file.resolve()
    Run.borrow(lender.path, tmp_path / "mine", "landscape")
    Run.borrow(lender.path, tmp_path / "mine", "analysis")
    assert not os.path.lexists(tmp_path / "mine" / "analysis")


def test_a_run_of_links_can_be_borrowed_from(lender, tmp_path):
    Run.borrow(lender.path, tmp_path / "second", "landscape")
    Run.borrow(tmp_path / "second", tmp_path / "third", "landscape")
    assert (tmp_path / "third" / "model.pt").resolve() == lender.model_file.resolve()


def test_a_training_is_never_replaced_by_links(lender, tmp_path):
    with pytest.raises(DataError, match="holds a training of its own"):
        Run.borrow(lender.path, lender.path, "analysis")
    assert lender.model_file.read_text() == "model.pt"
    unfinished = Run.create(tmp_path / "unfinished", lender.config)
    Run.borrow(lender.path, unfinished.path, "analysis")
    assert unfinished.config_file.is_symlink() and unfinished.status == "finished"
    with pytest.raises(DataError, match=r"There is no run in .*nowhere"):
        Run.borrow(tmp_path / "nowhere", tmp_path / "mine", "analysis")


def test_a_key_that_is_not_there_is_a_sentence_and_copies_are_dictionaries(tmp_path):
    (tmp_path / "a.json").write_text('{"files": {"map": "a.mrc"}}')
    content = read_object(tmp_path / "a.json", "a.json is damaged; make it anew.")
    assert copy.deepcopy(content) == type(content["files"])([("files", {"map": "a.mrc"})])
    for part in (content, content["files"], copy.copy(content)):
        with pytest.raises(DataError, match=r"has no 'series': .*damaged"):
            _ = part["series"]

"""Results of a process that was killed as it put them in their place: the old ones or the new, never none or both."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.report_writer import report_into
from cryodrgn_plugin.engine.result_kinds import KINDS, ResultKind
from cryodrgn_plugin.engine.results import Results
from cryodrgn_plugin.engine.run import Run


@dataclass(frozen=True)
class Asked:
    """Options of a report for tests."""

    many: int = 3


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    """A run, and two kinds of results: one that it has once, and one of which it holds several."""
    arrays = {"arrays": ("numbers", "toy.npz"), "always": ("rows",)}
    monkeypatch.setitem(KINDS, "toy", ResultKind("toy", "play", "toys", **arrays))
    monkeypatch.setitem(KINDS, "doll", ResultKind("doll", "dress", "dolls", named=True))
    return Run.create(tmp_path / "run", RunConfig(particles="p.star"))


def toy(run: Run, rows: np.ndarray) -> None:
    with run.report("toy", Asked()) as out:
        out.index["colour"] = "red"
        out.arrays(rows=rows)


KILLED_AT_A_RENAME = """
import os, signal, sys
from pathlib import Path
from cryodrgn_plugin.engine.io.writing import replacing_folder
place, left = Path(sys.argv[1]), int(sys.argv[2])
def hook(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
with replacing_folder(place) as folder:
    (folder / "toy.json").write_text('{"schema": 1, "colour": "blue", "files": {}}')
    sys.addaudithook(hook)
"""


def killed_replacing(place: Path, rename: int) -> None:
    """Give `place` to a blue toy in a process that is killed before its rename of that number."""
    words = [sys.executable, "-c", KILLED_AT_A_RENAME, str(place), str(rename)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize(("rename", "colour"), [(1, "red"), (2, "red"), (3, "blue")])
def test_a_kill_between_two_renames_leaves_results_to_whoever_looks(run, rename, colour):
    toy(run, np.arange(4))
    killed_replacing(run.path / "toys", rename)
    assert run.has_results("toy") and run.results("toy").index["colour"] == colour
    assert (run.path / "toys" / "toy.json").is_file()
    toy(run, np.arange(2))
    assert run.results("toy").arrays["rows"].tolist() == [0, 1] and not list(run.path.glob(".toys*"))


def test_results_put_aside_are_found_where_nothing_may_be_written(run):
    toy(run, np.arange(4))
    killed_replacing(run.path / "toys", 2)
    with pytest.MonkeyPatch.context() as closed:
        closed.setattr(Path, "rename", refused)
        assert run.results("toy").arrays["rows"].tolist() == [0, 1, 2, 3]
        assert run.has_results("toy") and not (run.path / "toys").exists()
    assert run.results("toy").folder == run.path / "toys"


def refused(path, target):
    raise PermissionError(13, "Permission denied", str(path))


def test_who_looks_between_two_renames_does_not_stop_the_writer(run, monkeypatch):
    toy(run, np.arange(4))
    renamed, seen = Path.rename, []

    def watched(path, target):
        renamed(path, target)
        if str(target).endswith(".former") and not seen:
            seen.append(run.results("toy").arrays["rows"].tolist())

    monkeypatch.setattr(Path, "rename", watched)
    toy(run, np.arange(2))
    assert seen == [[0, 1, 2, 3]] and run.results("toy").arrays["rows"].tolist() == [0, 1]
    assert not list(run.path.glob(".toys*"))


def test_results_of_a_run_that_is_overwritten_do_not_come_back(run):
    with run.report("analysis", Asked()) as out:
        out.index["colour"] = "red"
    killed_replacing(run.results_dir("analysis"), 2)
    again = Run.create(run.path, run.config, overwrite=True)
    assert not again.has_results("analysis") and not list(run.path.glob(".*"))


def test_results_of_one_name_are_not_those_of_another(run):
    for name in ("some", "some.7"):
        with run.report("doll", Asked(), name) as out:
            out.index["called"] = name
    killed_replacing(run.results_dir("doll", "some.7"), 2)
    (run.results_dir("doll", "some")).rename(run.path / "moved")
    assert not run.has_results("doll", "some")
    assert run.results("doll", "some.7").index["called"] == "some.7"


def test_a_kill_among_results_beside_other_files_leaves_no_index_of_others(run, tmp_path):
    def written(said: str) -> None:
        with report_into(tmp_path, "toy", Asked(), {}) as out:
            for name in ("a", "b"):
                out.text(name, f"{name}.star", said)

    written("first")
    with pytest.MonkeyPatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(Path, "replace", interrupted_at_the_second(Path.replace))
        written("second")
    assert {(tmp_path / f"{name}.star").read_text() for name in ("a", "b")} == {"first", "second"}
    with pytest.raises(DataError, match="run play first"):
        Results.open(tmp_path, "toy")
    written("second")
    assert Results.open(tmp_path, "toy").file("b").read_text() == "second"


def interrupted_at_the_second(replace):
    done = []

    def instead(path, target):
        if done:
            raise KeyboardInterrupt
        done.append(target)
        return replace(path, target)

    return instead

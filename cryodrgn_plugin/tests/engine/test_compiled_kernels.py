"""Kernels are kept where something can be kept, in a folder of nobody else; a run says once that it compiles them."""

import os
from pathlib import Path

import numba
import pytest

from cryodrgn_plugin.engine import compiled_kernels
from cryodrgn_plugin.engine.compiled_kernels import KEPT_IN, find_room, told_when_compiling


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """Neither the package nor the user's cache can be written; what else is chosen is among `tmp_path`."""
    (tmp_path / "home").write_text("a home that is no folder")
    monkeypatch.delenv(KEPT_IN, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    monkeypatch.setattr(compiled_kernels, "__file__", str(tmp_path / "absent" / "module.py"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield
    monkeypatch.delenv(KEPT_IN, raising=False)


def test_where_nothing_can_be_kept_beside_the_package_or_at_home_it_is_kept_in_a_private_folder(nowhere, tmp_path):
    find_room()
    chosen = Path(os.environ[KEPT_IN])
    assert chosen.parent == tmp_path
    assert chosen.stat().st_mode & 0o777 == 0o700
    del os.environ[KEPT_IN]
    find_room()
    assert Path(os.environ[KEPT_IN]) == chosen


@pytest.mark.parametrize("taken", ["others can write it", "a link"])
def test_a_folder_that_somebody_else_could_have_filled_is_not_used(nowhere, tmp_path, taken):
    folder, elsewhere = tmp_path / f"cryodrgn-plugin-kernels-{os.getuid()}", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if taken == "a link":
        folder.symlink_to(elsewhere)
    else:
        folder.mkdir()
        folder.chmod(0o777)
    find_room()
    chosen = Path(os.environ[KEPT_IN])
    assert chosen not in (folder, elsewhere)
    assert chosen.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("set_to", [None, "/somewhere"])
def test_what_the_user_says_stays_and_nothing_is_said_where_numba_finds_room(monkeypatch, set_to):
    monkeypatch.delenv(KEPT_IN, raising=False)
    if set_to:
        monkeypatch.setenv(KEPT_IN, set_to)
    find_room()
    assert os.environ.get(KEPT_IN) == set_to


def test_one_sentence_is_said_of_many_kernels_and_none_of_kernels_that_are_there():
    one, other, said = numba.njit(lambda x: x + 1), numba.njit(lambda x: x + 2), []
    with told_when_compiling(said.append):
        one(1), other(1)
    assert said == [compiled_kernels.SENTENCE]
    with told_when_compiling(said.append):
        one(2)
    one(1.0)
    assert len(said) == 1

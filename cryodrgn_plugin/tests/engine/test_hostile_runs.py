"""Damaged files of a run, and labels of a job, are refused in a sentence; nothing else comes out."""

import pytest

from .hostile_inputs import OF_A_RUN, readers, refuses_all

pytestmark = pytest.mark.slow

INPUTS = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def known(folder):
    return readers(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OF_A_RUN)
def test_a_damaged_file_of_a_run_is_read_or_refused_in_a_sentence(known, folder, monkeypatch, name):
    monkeypatch.chdir(folder)
    assert refuses_all(folder, known[name], INPUTS) == []

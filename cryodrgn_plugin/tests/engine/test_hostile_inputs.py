"""Damaged files are refused in a sentence by every reader: nothing else comes out, and nothing in them is done."""

import numpy as np
import pytest

from .hostile_inputs import FILES, mutated, readers, refuses_all

INPUTS = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def known(folder):
    return readers(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_read_or_refused_in_a_sentence(known, folder, monkeypatch, name):
    monkeypatch.chdir(folder)
    assert refuses_all(folder, known[name], INPUTS) == []
    assert not (folder / "hacked").exists()


def test_damages_are_many_and_come_again():
    content = b"1 2 3 4\n0.5 1e3 -2 0\n"
    drawn = [mutated(content, number) for number in range(100)]
    assert len(set(drawn)) > 80 and mutated(content, 5) == drawn[5]
    assert np.mean([damaged != content for damaged in drawn]) > 0.9

"""What a job leaves that compares the species of two earlier jobs: files, nodes and job.json."""

import json
from pathlib import Path

import numpy as np
import pytest

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.files import read_particles
from cryodrgn_plugin.engine.reconstruction import map_alignment
from cryodrgn_plugin.relion.arguments import parse_arguments
from cryodrgn_plugin.relion.job import looking_stages
from cryodrgn_plugin.relion.job_results import main as publish
from cryodrgn_plugin.tests.engine.species_runs import finished_run, two_molecules

N, WRONG = 240, 15


@pytest.fixture
def two_jobs(tmp_path, monkeypatch):
    """A project with two searches of the same particles; the state of each particle."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(map_alignment, "_GRID_LEVEL", 1)
    star, state = two_molecules(Path("Sim"), N)
    other = 1 - state
    other[:WRONG] = 1 - other[:WRONG]
    finished_run(Path("External/job002/run"), star, state, resolution_ang=(10.0, 11.0))
    finished_run(Path("External/job003/run"), star, other, other_hand=True)
    return state


def test_a_job_gives_the_particles_and_the_map_of_each_species_that_searches_agree_on(two_jobs):
    words = "agreement --o External/job004/ --in_parts External/job002/particles.star --also External/job003/"
    stages = looking_stages(parse_arguments(words.split()), "5")
    compare, results = (stage.command[stage.command.index("-m") + 2 :] for stage in stages)
    assert main(compare) == 0 and publish(results) == 0
    told, job = json.loads(Path("External/job004/job.json").read_text()), "External/job004"
    kinds = {node["path"]: node["kind"] for node in told["nodes"]}
    names = {"particles.star": "particles", "logfile.pdf": "log"}
    for number in (1, 2):
        names |= {f"particles_class{number:03d}.star": "particles", f"run_class{number:03d}.mrc": "map"}
    assert kinds == {f"{job}/{name}": kind for name, kind in names.items()}
    assert all(Path(path).is_file() for path in kinds)
    listed = read_particles(f"{job}/particles.star")
    np.testing.assert_array_equal(listed.numbers("cryodrgnClassAgreement"), np.arange(N) >= WRONG)
    for number, row in enumerate(told["table"][1:], start=1):
        agreed = int((two_jobs[WRONG:] == number - 1).sum())
        assert read_particles(f"{job}/particles_class{number:03d}.star").n == agreed
        assert row[2] == "2 of 2" and row[3].startswith(f"{agreed:,} (") and row[4] == "job002"
    assert any(fact[0] == "Adjusted Rand index" and "job002 and job003" in fact[1] for fact in told["facts"])
    assert not Path("External/job002/run/agreement").exists()

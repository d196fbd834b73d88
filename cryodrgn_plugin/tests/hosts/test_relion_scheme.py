"""The scheme of training, analysis and selection: its files for each RELION, and RELION 3.1 that runs it to its end."""

import sys

import numpy as np
import pytest

from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.relion.scheme import main
from cryodrgn_plugin.tests.hosts.relion_sandbox import RelionProject, make_two_state_particles, needs_relion

PARTICLES = "Sim/particles.star"


def write(folder, monkeypatch, *words: str) -> int:
    monkeypatch.chdir(folder)
    return main(["--particles", PARTICLES, "--z_dim", "4", "--chosen", "1,3", *words])


@pytest.mark.parametrize("version", ["4", "5"])
def test_relion_4_and_5_find_jobs_variables_and_their_order_in_schemes(tmp_path, monkeypatch, version):
    assert write(tmp_path, monkeypatch, "--relion_version", version, "--name", "het", "--program", "prog") == 0
    tables = read_star(tmp_path / "Schemes/het/scheme.star")
    general = tables["scheme_general"].iloc[0]
    assert (general.rlnSchemeName, general.rlnSchemeCurrentNodeName) == ("Schemes/het/", "train")
    numbers = tables["scheme_floats"].set_index("rlnSchemeFloatVariableName").rlnSchemeFloatVariableValue
    texts = tables["scheme_strings"].set_index("rlnSchemeStringVariableName").rlnSchemeStringVariableResetValue
    assert numbers.astype(float).to_dict() == {"z_dim": 4, "clusters": 0, "threads": 1}
    assert texts.to_dict() == {"particles": PARTICLES, "chosen": "1,3"}
    edges = tables["scheme_edges"]
    ends = zip(edges.rlnSchemeEdgeInputNodeName, edges.rlnSchemeEdgeOutputNodeName, strict=True)
    assert list(ends) == [("train", "analyze"), ("analyze", "select"), ("select", "EXIT")]
    assert tables["scheme_operators"].rlnSchemeOperatorType.tolist() == ["exit"]
    assert tables["scheme_jobs"].rlnSchemeJobName.tolist() == ["train", "analyze", "select"]


def test_a_job_takes_what_the_one_before_it_makes(tmp_path, monkeypatch):
    assert write(tmp_path, monkeypatch, "--relion_version", "5", "--program", "prog with blanks") == 0
    given = {}
    for name in ("train", "analyze", "select"):
        tables = read_star(tmp_path / f"Schemes/heterogeneity/{name}/job.star")
        assert tables["job"].rlnJobTypeLabel[0] == "relion.external"
        options = tables["joboptions_values"].set_index("rlnJobOptionVariable").rlnJobOptionValue
        assert (options["param1_label"], options["param1_value"], options["fn_exe"]) == (
            "task",
            name,
            "prog with blanks",
        )
        given[name] = options["in_part"]
    scheme = "Schemes/heterogeneity"
    assert list(given.values()) == ["$$particles", f"{scheme}/train/particles.star", f"{scheme}/analyze/particles.star"]


def test_a_scheme_takes_nobodys_place_and_no_path_for_a_name(tmp_path, monkeypatch, capsys):
    assert write(tmp_path, monkeypatch) == 0
    before = (tmp_path / "Schedules/heterogeneity/schedule.star").read_text()
    assert write(tmp_path, monkeypatch, "--z_dim", "9") == 2
    assert (tmp_path / "Schedules/heterogeneity/schedule.star").read_text() == before
    assert "There is a scheme Schedules/heterogeneity/ already" in capsys.readouterr().err
    assert write(tmp_path, monkeypatch, "--name", "../het") == 2
    assert "letters, digits and underscores" in capsys.readouterr().err


@needs_relion
@pytest.mark.slow
def test_relion_runs_training_analysis_and_selection_one_after_the_other(tmp_path):
    project = RelionProject(tmp_path / "project")
    states = make_two_state_particles(project, 100, noise=1.0)
    program = f"{sys.executable} -m cryodrgn_plugin.relion"
    words = ["scheme", "--particles", PARTICLES, "--z_dim", "2", "--clusters", "2", "--program", program]
    project.relion(sys.executable, "-m", "cryodrgn_plugin.relion", *words)
    scheme = project.folder / "Schedules/heterogeneity"
    for job, quick in (
        ("train", "--data.box 32 --closed_form.n_components 2 --closed_form.iterations 3 --closed_form.nodes 8"),
        ("analyze", "--umap no --components 0 --steps 2 --expected no"),
    ):
        text = (scheme / job / "job.star").read_text()
        (scheme / job / "job.star").write_text(text.replace('other_args ""', f'other_args "{quick}"'))
    project.relion("relion_scheduler", "--schedule", "heterogeneity", "--run")
    jobs = [f"External/job{number:03d}/" for number in (1, 2, 3)]
    assert [project.status(job) for job in jobs] == ["finished"] * 3, [project.text(job, "run.err") for job in jobs]
    assert "-- Warning" not in (project.folder / "relion.log").read_text()
    listed = read_star(project.folder / jobs[1] / "particles.star")["particles"]
    selected = read_star(project.folder / jobs[2] / "particles.star")["particles"]
    assert selected.rlnImageName.tolist() == listed.rlnImageName[listed.rlnClassNumber == 1].tolist()
    chosen = np.isin(listed.rlnImageName, selected.rlnImageName)
    assert max(np.mean(chosen == (states == 0)), np.mean(chosen == (states == 1))) > 0.9

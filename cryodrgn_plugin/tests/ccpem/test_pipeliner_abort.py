"""A job of ours that the pipeliner aborts as it does: it stops with a checkpoint, and goes on from there."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pipeliner")

from pipeliner.api.manage_project import PipelinerProject
from pipeliner.data_structure import ABORT_FILE, JOBSTATUS_SUCCESS
from pipeliner.project_graph import ProjectGraph

from cryodrgn_plugin.ccpem.pipeliner_jobs import PREFIX
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.run import Run

pytestmark = pytest.mark.slow

PACKAGE_ROOT = Path(__file__).resolve().parents[3]
EPOCHS = 40
SLOW = {"recipe": "paper", "training_epochs": EPOCHS, "z_dim": 1, "analysis": False}
SLOW |= {"decoder_n_bases": 2, "encoder_width": 16, "encoder_layers": 1}
PATIENCE_S = 180


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in the working folder with particles; its jobs find our program beside this Python."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        patch.setenv("PYTHONPATH", str(PACKAGE_ROOT))
        words = "simulate --out Sim --preset adk --box 48 --particles 1000 --seed 3 --snr 0.5 --image-prefix Sim"
        assert main(words.split()) == 0
        yield PipelinerProject(make_new_project=True)


def started(project: PipelinerProject, foreground: bool) -> Path:
    asked = {"_rlnJobTypeLabel": f"{PREFIX}.train", "in_parts": "Sim/particles.star", "nr_threads": 1, **SLOW}
    return Path(project.run_job(asked, run_in_foreground=foreground).output_dir)


def status(job: Path) -> str:
    with ProjectGraph(read_only=False) as graph:
        graph.check_process_completion()
        return graph.find_process(f"{job}/").status


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} in {PATIENCE_S} s"
        time.sleep(0.2)


def still_at_work(job: Path) -> list[str]:
    """Command lines of processes that name the job's folder."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            here = os.readlink(process / "cwd") == os.getcwd()
        except OSError:
            continue
        if here and any(str(job) in word for word in words):
            lines.append(" ".join(words))
    return lines


def aborted(project: PipelinerProject) -> Path:
    """A training that was aborted after its first checkpoints."""
    job = started(project, foreground=False)
    wait_for(lambda: list(job.glob("run/checkpoints/epoch_*.pt")), "no checkpoint")
    project.abort_job(f"{job}/")
    wait_for((job / ABORT_FILE).exists, "not aborted")
    wait_for(lambda: not still_at_work(job), "processes were left")
    return job


def test_an_aborted_job_keeps_a_checkpoint_and_ends_as_if_it_had_not_been_aborted(project):
    job = aborted(project)
    run = Run.open(job / "run")
    assert status(job) == "Aborted" and run.status == "stopped"
    assert 0 < len(run.metrics()) < EPOCHS
    assert not list(run.path.rglob(".*")), "locks and unfinished files"
    before = run.metrics()
    # The pipeliner continues only what is marked as finished.
    project.update_job_status(f"{job}/", JOBSTATUS_SUCCESS)
    project.continue_job(f"{job}/", run_in_foreground=True)
    assert status(job) == "Succeeded", (job / "run.err").read_text()
    assert Run.open(job / "run").info["steps"]["train"]["sessions"] == 2
    assert run.metrics()[: len(before)] == before and len(run.metrics()) == EPOCHS
    assert (job / "particles.star").exists()
    undisturbed = Run.open(started(project, foreground=True) / "run")
    np.testing.assert_array_equal(run.latents().z, undisturbed.latents().z)
    assert run.model_file.read_bytes() == undisturbed.model_file.read_bytes()


def test_an_aborted_job_goes_on_by_the_command_in_its_note(project):
    job = aborted(project)
    note = (job / "note.txt").read_text()
    (command,) = [line for line in note.splitlines() if "cryodrgn-plugin-relion train" in line]
    subprocess.run(shlex.split(command), check=True)
    assert Run.open(job / "run").status == "finished" and (job / "particles.star").exists()

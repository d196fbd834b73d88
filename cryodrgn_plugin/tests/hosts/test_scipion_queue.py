"""The file of Slurm queues that ships, in a real project whose sbatch is a stand-in: jobs, threads and GPUs."""

import os
import time
from pathlib import Path

import pytest

pytest.importorskip("pwem")

import cryodrgn_plugin

from .patience import Patience
from .scipion_project import logs, new_protocol, project_named

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TEMPLATES = Path(cryodrgn_plugin.__file__).with_name("templates")
SBATCH = """#!/bin/sh
[ "$1" = --parsable ] || exit 2
cp "$2" "$0.job"
setsid sh "$2" > /dev/null 2>&1 &
echo $!
"""
SQUEUE = """#!/bin/sh
[ "$1 $2" = "-h -j" ] && kill -0 $3 2> /dev/null && echo "$3 gpu RUNNING"
exit 0
"""


@pytest.fixture(scope="module")
def project(scipion, tmp_path_factory):
    """A project whose host has the queues, and the stand-ins first among programs."""
    from pyworkflow import Config

    programs = tmp_path_factory.mktemp("slurm")
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        patched.setattr(Config, "SCIPION_HOSTS", str(TEMPLATES / "hosts_slurm.conf"))
        with project_named("queue") as made:
            made.programs = programs
            yield made


def queued(project, name, **values):
    protocol = new_protocol(project, name, **values)
    protocol._useQueue.set(True)
    protocol.setQueueParams(("gpu", {"JOB_MEMORY": "4", "JOB_HOURS": "2"}))
    return protocol


def test_a_protocol_runs_to_its_end_through_the_queue(project):
    protocol = queued(project, "ProtHetSimulate", nParticles=20, box=16, states=2, pixelSize=8.0, numberOfThreads=1)
    project.launchProtocol(protocol)
    patience = Patience(60)
    while protocol.isActive():
        assert not patience.is_over(), logs(protocol)
        project._updateProtocol(protocol)
        time.sleep(0.2)
    assert protocol.isFinished(), logs(protocol)
    job = (project.programs / "sbatch.job").read_text()
    for line in ("--partition=gpu", "--cpus-per-task=1", "--gres=gpu:0", "--mem=4G", "--time=2:00:00"):
        assert f"\n#SBATCH {line}\n" in job.replace("    ", "")


@pytest.mark.parametrize(("uses", "count"), [(True, 2), (False, 0)])
def test_gpus_are_asked_for_where_the_form_says_that_they_are_used(project, uses, count):
    protocol = queued(project, "ProtHetTrain", useGpu=uses, gpuList="0,1")
    protocol.setHostConfig(project.getHostConfig("localhost"))
    told = {**protocol.getSubmitDict(), "JOB_COMMAND": "true"}
    assert f"#SBATCH --gres=gpu:{count}\n" in project.getHostConfig("localhost").getSubmitTemplate() % told


def test_relions_script_names_what_relion_fills_in():
    text = (TEMPLATES / "relion_slurm.sh").read_text()
    filled = {"name": "External/job002", "queue": "gpu", "outfile": "o", "errfile": "e", "threads": "4"}
    for name, value in {**filled, "extra1": "1", "extra2": "32", "command": "echo done > here"}.items():
        assert f"XXX{name}XXX" in text
        text = text.replace(f"XXX{name}XXX", value)
    asked = [line for line in text.splitlines() if line.startswith("#SBATCH")]
    assert "#SBATCH --gres=gpu:1" in asked and not [line for line in asked if "XXX" in line]

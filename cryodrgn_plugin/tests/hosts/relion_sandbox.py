"""A throw-away RELION project: particles of two states made by RELION's own projector, and jobs run by its pipeliner.

`relion_pipeliner` returns 0 even when a job has failed, so its return code is never looked at; what counts are the
markers in the job folder and the status in default_pipeline.star, as in RELION itself.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.tests.hosts import patience

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "relion_golden"
PACKAGE_ROOT = Path(__file__).resolve().parents[3]
PIXEL_SIZE_ANG = 3.2
_FOLDERS = {0: "Import", 7: "Select", 99: "External"}
"""Type of a job to its folder."""
STATUS = {0: "running", 1: "scheduled", 2: "finished", 3: "failed", 4: "aborted"}

needs_relion = pytest.mark.skipif(shutil.which("relion_pipeliner") is None, reason="RELION is not installed")


class RelionProject:
    """A RELION 3.1 project in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gui_projectdir").touch()
        general = "\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter                       1\n \n"
        (folder / "default_pipeline.star").write_text(general)

    def relion(self, *words: str) -> None:
        """Run a RELION program in the project; its progress bars go to a log file."""
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
        with open(self.folder / "relion.log", "ab") as log:
            patience.run(words, 120, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def import_particles(self, star: str) -> str:
        """Add and run an Import job; returns its folder."""
        options = {
            "do_raw": "No",
            "do_other": "Yes",
            "fn_in_other": star,
            "node_type": '"Particles STAR file (.star)"',
            "do_queue": "No",
        }
        job = self._add_job(0, "relion.import", options)
        self.run(job)
        return job

    def add_external(self, task: str, particles: str, **labels: object) -> str:
        """Add an External job of this plugin, our settings as its parameters (`__` in a name stands for a dot)."""
        options: dict[str, object] = {
            "fn_exe": f'"{sys.executable} -m cryodrgn_plugin.relion {task}"',
            "in_part": particles,
            "nr_threads": 1,
            "do_queue": "No",
            "other_args": '""',
        }
        for number, (name, value) in enumerate(labels.items(), start=1):
            options[f"param{number}_label"] = name.replace("__", ".")
            options[f"param{number}_value"] = value
        return self._add_job(99, "relion.external", options)

    def add_select(self, model: str) -> str:
        """Add a Subset selection of classes, by the model file that has them."""
        return self._add_job(7, "relion.select", {"fn_model": model, "do_queue": "No", "other_args": '""'})

    def run(self, job: str) -> None:
        self.relion("relion_pipeliner", "--RunJobs", job, "--sec_wait_after", "1")

    def start(self, job: str, **options) -> subprocess.Popen:
        """Run a job without waiting for it; `options` are those of Popen."""
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
        words = ["relion_pipeliner", "--RunJobs", job, "--sec_wait_after", "1"]
        with open(self.folder / "relion.log", "ab") as log:
            return subprocess.Popen(words, cwd=self.folder, env=environment, stdout=log, stderr=log, **options)

    def status(self, job: str) -> str:
        """Status of a job in default_pipeline.star, after RELION has looked for the exit markers."""
        processes = self._pipeline()["pipeline_processes"]
        row = processes[processes.rlnPipeLineProcessName == job].iloc[0]
        return STATUS[int(row.rlnPipeLineProcessStatus)]

    def nodes(self, job: str) -> dict[str, int]:
        """File name (within the job folder) to node type, for the output nodes of a job."""
        tables = self._pipeline()
        edges = tables["pipeline_output_edges"]
        names = edges[edges.rlnPipeLineEdgeProcess == job].rlnPipeLineEdgeToNode
        types = tables["pipeline_nodes"].set_index("rlnPipeLineNodeName").rlnPipeLineNodeType
        return {name.removeprefix(job): int(types[name]) for name in names}

    def markers(self, job: str) -> set[str]:
        return {file.name.removeprefix("RELION_JOB_") for file in (self.folder / job).glob("RELION_JOB_*")}

    def text(self, job: str, name: str) -> str:
        return (self.folder / job / name).read_text()

    def _pipeline(self) -> dict[str, pd.DataFrame]:
        return read_star(self.folder / "default_pipeline.star")

    def _add_job(self, number: int, label: str, options: dict[str, object]) -> str:
        counter = int(re.search(r"JobCounter\s+(\d+)", self.text("", "default_pipeline.star")).group(1))
        rows = "\n".join(f"{name} {value}" for name, value in options.items())
        job_star = self.folder / f"job{counter:03d}.star"
        job_star.write_text(
            "\n# version 30001\n\ndata_job\n\n"
            f"_rlnJobType {number}\n_rlnJobTypeLabel {label}\n_rlnJobIsContinue 0\n_rlnJobIsTomo 0\n\n"
            "# version 30001\n\ndata_joboptions_values\n\nloop_\n_rlnJobOptionVariable #1\n_rlnJobOptionValue #2\n"
            f"{rows}\n\n"
        )
        self.relion("relion_pipeliner", "--addJobFromStar", job_star.name)
        return f"{_FOLDERS[number]}/job{counter:03d}/"


def make_two_state_particles(project: RelionProject, per_state: int, noise: float, seed: int = 3) -> np.ndarray:
    """Write Sim/particles.star and its stack: interleaved images of the golden map and of the same with a moved part.

    Projected by relion_project with CTF, origins and white noise of standard deviation `noise` (in units of the
    image's). Returns the true state of each row, (2 * per_state,).
    """
    sim = project.folder / "Sim"
    sim.mkdir()
    with mrcfile.open(GOLDEN / "map.mrc") as file:
        rest = np.array(file.data)
    moved = rest.copy()
    moved[26:] = 0
    moved[31:] = rest[26:43]
    table = read_star(GOLDEN / "in2000.star")
    chosen = np.random.default_rng(seed).permutation(len(table["particles"]))[: 2 * per_state]
    states = np.arange(2 * per_state) % 2
    stack = np.empty((2 * per_state, 48, 48), np.float32)
    for state, volume in enumerate((rest, moved)):
        with mrcfile.new(sim / f"state{state}.mrc", overwrite=True) as file:
            file.set_data(volume)
            file.voxel_size = PIXEL_SIZE_ANG
        rows = table["particles"].iloc[chosen[states == state]]
        write_star(sim / f"state{state}.star", {"optics": table["optics"], "particles": rows})
        root = f"Sim/state{state}"
        words = f"--i {root}.mrc --o {root} --ang {root}.star --ctf --angpix {PIXEL_SIZE_ANG}"
        project.relion("relion_project", *words.split())
        with mrcfile.open(sim / f"state{state}.mrcs", permissive=True) as file:
            stack[states == state] = file.data
    stack += np.random.default_rng(seed).normal(0, noise * stack.std(), stack.shape).astype(np.float32)
    with mrcfile.new(sim / "particles.mrcs", overwrite=True) as file:
        file.set_data(stack)
        file.voxel_size = PIXEL_SIZE_ANG
    particles = table["particles"].iloc[chosen].reset_index(drop=True)
    particles["rlnImageName"] = [f"{row:06d}@Sim/particles.mrcs" for row in range(1, len(particles) + 1)]
    write_star(sim / "particles.star", {"optics": table["optics"], "particles": particles})
    return states

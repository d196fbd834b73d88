"""Jobs of ours in a real project of CCP-EM's pipeliner: train, analyze, select, and what Doppio shows of them."""

import json
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("pipeliner")

from pipeliner.api.manage_project import PipelinerProject
from pipeliner.project_graph import ProjectGraph
from pipeliner.results_display_objects import ResultsDisplayPending

from cryodrgn_plugin.ccpem.pipeliner_jobs import PREFIX
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.io.star import read_star

pytestmark = pytest.mark.slow

PACKAGE_ROOT = Path(__file__).resolve().parents[3]
PARTICLES = 240
QUICK = {"z_dim": 2, "closed_form_n_components": 2, "closed_form_iterations": 3, "closed_form_nodes": 8, "data_box": 24}
FEW_MAPS = {"clusters": 2, "umap": False, "components": 0, "steps": 2, "expected": False}
LOG, STAR, MAP = "LogFile.pdf.cryodrgn_plugin", "ParticleGroupMetadata.star.relion", "DensityMap.mrc.cryodrgn_plugin"


class Project:
    """A project in the working folder, and its jobs by task."""

    def __init__(self) -> None:
        self.pipeline = PipelinerProject(make_new_project=True)

    def run(self, task: str, particles: str, unseen: bool = False, **fields: object) -> str:
        """Run a job to its end; returns its folder. `unseen`: what the form says against it is not looked at."""
        asked = {"_rlnJobTypeLabel": f"{PREFIX}.{task}", "in_parts": particles, "nr_threads": 1, **fields}
        how = {"run_in_foreground": True, "ignore_invalid_joboptions": unseen}
        return self.pipeline.run_job(asked, **how).output_dir

    def status(self, job: str) -> str:
        with self.graph() as graph:
            return graph.find_process(job).status

    def nodes(self, job: str) -> dict[str, str]:
        """File within the job's folder to the type of its node."""
        with self.graph() as graph:
            return {node.name.removeprefix(job): node.type for node in graph.find_process(job).output_nodes}

    def shown(self, job: str) -> list:
        """What Doppio is given to show."""
        return self.pipeline.get_job(job).create_results_display()

    @staticmethod
    def graph() -> ProjectGraph:
        return ProjectGraph(read_only=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with particles of a hinge; its jobs find our program beside this Python."""
    before, path = Path.cwd(), os.environ["PATH"]
    os.chdir(tmp_path_factory.mktemp("project"))
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{path}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PACKAGE_ROOT))
        words = (
            f"simulate --out Sim --preset adk --box 24 --particles {PARTICLES} --seed 3 --snr 0.5 --image-prefix Sim"
        )
        assert main(words.split()) == 0
        yield Project()
    os.environ["PATH"] = path
    os.chdir(before)


@pytest.fixture(scope="module")
def trained(project) -> str:
    return project.run("train", "Sim/particles.star", **QUICK, analysis=False)


@pytest.fixture(scope="module")
def analyzed(project, trained) -> str:
    return project.run("analyze", f"{trained}particles.star", **FEW_MAPS)


def test_training_leaves_the_nodes_that_were_known_before(project, trained):
    assert project.status(trained) == "Succeeded", Path(trained, "run.err").read_text()
    assert project.nodes(trained) == {"particles.star": STAR, "logfile.pdf": LOG}
    settings = json.loads(Path(trained, "job.json").read_text())["settings"]
    assert (settings["z_dim"], settings["closed_form"]["nodes"], settings["data"]["box"]) == (2, 8, 24)


def test_files_whose_number_is_known_in_the_end_are_nodes_of_an_analysis(project, analyzed):
    assert project.status(analyzed) == "Succeeded", Path(analyzed, "run.err").read_text()
    classes = {f"particles_class{number:03d}.star": STAR for number in (1, 2)}
    maps = {f"run_class{number:03d}.mrc": MAP for number in (1, 2)}
    halves = {f"run_half{half}_class{number:03d}_unfil.mrc": f"{MAP}.halfmap" for number in (1, 2) for half in (1, 2)}
    classes["run_it000_optimiser.star"] = "OptimiserData.star.relion"
    assert project.nodes(analyzed) == {"particles.star": STAR, "logfile.pdf": LOG, **classes, **maps, **halves}


def test_doppio_shows_facts_classes_the_latent_space_maps_and_the_log(project, analyzed):
    shown = {item.dobj_type: item for item in project.shown(analyzed)}
    assert not any(isinstance(item, ResultsDisplayPending) for item in shown.values())
    assert set(shown) == {"table", "plotlyscatter", "montage", "mapmodel", "pdffile"}
    assert shown["table"].headers[0] == "class" and len(shown["table"].table_data) == 2
    assert shown["pdffile"].file_path == f"{analyzed}logfile.pdf"
    figure = json.loads(shown["plotlyscatter"].plotlyfig)
    listed = read_star(Path(analyzed, "particles.star"))["particles"]
    sizes = {trace["name"]: sum(listed.rlnClassNumber.astype(str) == trace["name"]) for trace in figure["data"]}
    assert set(sizes) == {"1", "2"} and sum(sizes.values()) == PARTICLES == len(shown["plotlyscatter"].data["PC 1"])


def test_a_selection_takes_the_particles_of_a_class_with_the_columns_of_the_input(project, analyzed):
    job = project.run("select", f"{analyzed}particles.star", clusters="1", where="-1000 lt z1")
    assert project.status(job) == "Succeeded", Path(job, "run.err").read_text()
    assert project.nodes(job) == {"particles.star": STAR, "particles_rejected.star": STAR, "logfile.pdf": LOG}
    listed = read_star(Path(analyzed, "particles.star"))["particles"]
    given = read_star(Path("Sim/particles.star"))["particles"]
    chosen = read_star(Path(job, "particles.star"))["particles"]
    assert list(chosen) == list(given)
    assert chosen.rlnImageName.tolist() == given.rlnImageName[listed.rlnClassNumber == 1].tolist()
    assert "pdffile" in {item.dobj_type for item in project.shown(job)}
    with project.graph() as graph:
        (parent,) = graph.find_process(job).input_nodes
        assert parent.output_from_process.name == analyzed


def test_a_job_that_fails_says_why_and_shows_nothing(project):
    """The form would have said it; here nobody has looked."""
    with pytest.raises(ValueError, match="z_dim is -3; it must be 0 or more"):
        project.run("train", "Sim/particles.star", z_dim=-3)
    job = project.run("train", "Sim/particles.star", unseen=True, z_dim=-3)
    assert project.status(job) == "Failed"
    assert "z_dim is -3; it must be 0 or more" in Path(job, "run.err").read_text()
    assert (project.nodes(job), project.shown(job)) == ({}, [])

"""What Doppio is given to show of a job folder, without a run behind it, and the nodes that its files become."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pipeliner")

from pipeliner.job_factory import new_job_of_type

from cryodrgn_plugin.ccpem import pipeliner_results
from cryodrgn_plugin.ccpem.pipeliner_jobs import PREFIX
from cryodrgn_plugin.ccpem.pipeliner_results import MOST_MAPS, MOST_POINTS, displayed
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.io.mrc import write_map
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.relion.output_nodes import _TYPE_LABELS

JOB = "Heterogeneity/job003/"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The working folder, with an empty job."""
    monkeypatch.chdir(tmp_path)
    Path(JOB).mkdir(parents=True)
    return tmp_path


def leave(nodes: list[tuple[str, str]] = (), **told: object) -> None:
    """The files that RELION's job leaves, and job.json."""
    named = [{"path": f"{JOB}{name}", "kind": kind} for name, kind in (("logfile.pdf", "log"), *nodes)]
    about = {"facts": [["Task", told["task"]]], "table": [], "nodes": named, **told}
    Path(JOB, "job.json").write_text(json.dumps(about))
    Path(JOB, "logfile.pdf").write_bytes(b"%PDF-1.4")


def test_a_validation_shows_its_page_and_its_log(project):
    leave(task="validate")
    Path(JOB, "validation.html").write_text("<h1>Found</h1>")
    facts, log, page = displayed(JOB)
    assert (facts.dobj_type, facts.table_data) == ("table", [["Task", "validate"]])
    assert (log.dobj_type, log.file_path) == ("pdffile", f"{JOB}logfile.pdf")
    assert (page.dobj_type, page.html_file) == ("html", f"{JOB}validation.html")


def test_a_latent_space_is_drawn_of_some_particles_and_one_axis_is_enough(project):
    particles = MOST_POINTS + 1
    run = Run.create(f"{JOB}run", recipe_config("fast", {"particles": "p.star", "z_dim": 1}))
    with run.working():
        run.save_latents(np.linspace(0, 1, particles, dtype=np.float32)[:, None])
    leave(task="train", clusters=False, run=f"{JOB}run", classes=[{"number": 1, "particles": particles}])
    _, scatter, _ = displayed(JOB)
    assert scatter.title == "Latent space, 5,000 of 5,001 particles"
    assert len(scatter.data["z 1"]) == MOST_POINTS and set(scatter.data["z 2"].values()) == {0.0}


def test_the_first_maps_are_shown_and_all_are_nodes(project, monkeypatch):
    names = [f"run_path{number:03d}.mrc" for number in range(1, MOST_MAPS + 3)]
    for name in names:
        write_map(Path(JOB, name), np.zeros((8, 8, 8), np.float32), 3.0)
    shown: list[str] = []
    monkeypatch.setattr(
        pipeliner_results,
        "make_maps_slice_montage_and_3d_display",
        lambda maps, _job: shown.extend(maps.values()) or [],
    )
    leave([(name, "map") for name in names], task="trajectory")
    displayed(JOB)
    assert shown == names[:MOST_MAPS]
    job = new_job_of_type(f"{PREFIX}.trajectory")
    job.output_dir = JOB
    job.create_output_nodes()
    job.create_post_run_output_nodes()
    assert [node.name for node in job.output_nodes] == [f"{JOB}logfile.pdf", *(JOB + name for name in names)]


def test_every_kind_of_file_becomes_a_node(project):
    kinds = {*_TYPE_LABELS, "class model"} - {"log"}
    leave([(f"{kind.replace(' ', '_')}.mrc", kind) for kind in kinds], task="states")
    job = new_job_of_type(f"{PREFIX}.states")
    job.output_dir = JOB
    types = {Path(node.name).stem: node.type for node in job.get_current_output_nodes()}
    assert types["local_resolution"] == "Image3D.mrc.cryodrgn_plugin.localresmap"
    assert types["half-map"] == "DensityMap.mrc.cryodrgn_plugin.halfmap"
    assert types["mask"] == "Mask3D.mrc.cryodrgn_plugin"
    assert types["class_optimiser"] == "OptimiserData.mrc.relion"
    assert len(types) == len(_TYPE_LABELS), "the model of classes is none"


def test_a_job_without_an_end_shows_nothing(project):
    assert displayed(JOB) == []

"""What a job publishes: its nodes, and what its log says; and the tasks whose results are no clusters."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine.config import settings_of
from ..engine.options import ExportOptions, SelectOptions
from ..engine.results import Results
from ..engine.run import Run
from .findings import particle_nodes, place, place_list
from .output_nodes import OutputNode
from .tasks import TASKS


@dataclass(frozen=True)
class Published:
    """Files that are in the job folder, as nodes, and the content of logfile.pdf and job.json."""

    nodes: list[OutputNode]
    facts: list[tuple[str, str]]
    """Name and value, first on the log's first page."""
    table: list[list[str]] = field(default_factory=list)
    figures: list[tuple[str, Path]] = field(default_factory=list)
    """Title and file."""
    details: dict[str, Any] = field(default_factory=dict)
    """For job.json."""


def publish_preflight(folder: Path, job: Path) -> Published:
    """The verdicts as the log, and the map of the images looked at, with its half-maps."""
    preflight = Results.open(folder, "preflight")
    index = preflight.index
    nodes = [OutputNode(f"{job}/logfile.pdf", "log")]
    names = {"map": "run_class001.mrc", **{f"half{n}": f"run_half{n}_class001_unfil.mrc" for n in (1, 2)}}
    for role, name in names.items():
        if file := preflight.file(role):
            place(file, job / name)
            nodes.append(OutputNode(f"{job}/{name}", "map" if role == "map" else "half-map"))
    facts = [("Particles", f"{index['star']}, {index['particles']:,}, of which {index['looked_at']:,} were looked at")]
    facts += [(check["level"], f"{check['check']}: {check['sentence']}") for check in index["checks"]]
    figures = [("", preflight.folder / index["files"]["page"])]
    return Published(nodes, facts, figures=figures, details={"verdict": index["verdict"], "checks": index["checks"]})


def publish_selection(run: Run, job: Path) -> Published:
    """The selected particles as particles.star, the others beside them, both with the columns of the input."""
    selection = run.results("selection", SelectOptions.name)
    index = selection.index
    nodes = []
    for role, name in (("selected", "particles.star"), ("rejected", "particles_rejected.star")):
        if file := selection.file(role):
            place_list(file, job / name)
            nodes += particle_nodes(job, name)
    nodes.append(OutputNode(f"{job}/logfile.pdf", "log"))
    facts = [
        ("Particles", f"{index['source']}, {index['particles']:,} of them in the run"),
        ("Selected", f"{index['selected']:,}"),
        ("Left out", f"{index['rejected']:,}"),
        *((f"takes {choice['takes']:,}", choice["what"]) for choice in index["choices"]),
    ]
    figures = [("", selection.folder / index["files"]["figure"])]
    details = {name: index[name] for name in ("selected", "rejected", "choices")}
    return Published(nodes, facts, figures=figures, details=details)


def publish_export(run: Run, job: Path) -> Published:
    """The log alone: files of other programs are no nodes, and stay where they name each other."""
    facts: list[tuple[str, str]] = []
    table = [["for", "particles", "file"]]
    details = {}
    for program in settings_of(ExportOptions)["program"].choices:
        if not run.has_results("export", program):
            continue
        exported = run.results("export", program)
        index = exported.index
        counts = {f"class_{entry['class']:03d}": entry["particles"] for entry in index["classes"]}
        facts.append((f"For {program}", f"{index['particles']:,} particles, {index['components']} latent dimensions"))
        facts += [("Left out", sentence) for sentence in index["left_out"]]
        table += [
            [program, f"{counts.get(role, index['particles']):,}", str(exported.file(role))] for role in index["files"]
        ]
        details[program] = {name: index[name] for name in ("particles", "components", "classes", "left_out")}
    nodes = [OutputNode(f"{job}/logfile.pdf", "log")]
    return Published(nodes, facts, table, details={"exported": details})


def publish_subtraction(job: Path) -> Published:
    """The particles with their new images; the stack stays where it was written, for the star file names it so."""
    subtraction = Results.open(job / TASKS["subtract"].out, "subtraction")
    index = subtraction.index
    place(subtraction.folder / index["files"]["particles"], job / "particles.star")
    nodes = [OutputNode(f"{job}/particles.star", "particles"), OutputNode(f"{job}/logfile.pdf", "log")]
    facts = [
        ("Particles", f"{index['particles']:,}, of the run {index['run']}"),
        ("Mask", f"{index['mask']}; what the maps show outside of it is taken off"),
        ("Maps", "the mean map, for every image" if index["options"]["mean"] else "at each image's latent coordinates"),
        ("Taken off", f"{index['taken_off']:.1%} of the images' variance"),
        ("Images", f"{subtraction.file('images')}, {index['box']} pixels"),
    ]
    details = {name: index[name] for name in ("particles", "mask", "taken_off")}
    return Published(nodes, facts, figures=[("", file) for file in subtraction.figures.values()], details=details)

"""The last stage of a job, a process of its own: what the run has found becomes files and nodes of the RELION project.

Called as `python -m cryodrgn_plugin.relion.job_results REQUEST`, the request being JSON. Reading a million particles
and drawing takes memory, which the supervising parent must not need.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..engine import streams_out
from ..engine.errors import EngineError
from ..engine.files import write_text
from ..engine.results import Results
from ..engine.run import Run
from .class_model import place_class_model
from .findings import ClassFiles, particle_nodes, place_initial_maps, place_maps, place_particles, remove_stale
from .output_nodes import OutputNode, write_output_nodes
from .published import Published, publish_export, publish_preflight, publish_selection, publish_subtraction
from .published_agreement import publish_agreement
from .published_atoms import publish_atoms
from .published_maps import publish_reconstruction, publish_states, publish_trajectory
from .published_validation import publish_validation

_TITLES = {"training": "Training", "fsc": "Resolution: half-maps compared"}
"""Headings of figures that have none of their own."""
_LEFT_OUT = ("summary", "populations")
"""Figures whose content the first page gives in another form."""


@dataclass(frozen=True)
class ResultsRequest:
    """What the supervising parent asks for; paths are relative to the project."""

    task: str
    job: str
    run: str
    relion_version: str
    clusters: bool
    """Whether the job made clusters and maps, or training was all that was asked for."""

    def summary(self, published: Published) -> str:
        """The text of job.json."""
        told = {"schema": 1, "version": __version__, **dataclasses.asdict(self), **published.details}
        told |= {"facts": published.facts, "table": published.table}
        return json.dumps({**told, "nodes": [dataclasses.asdict(node) for node in published.nodes]}, indent=2) + "\n"


def main(argv: list[str] | None = None) -> int:
    streams_out.settle()
    (text,) = sys.argv[1:] if argv is None else argv
    try:
        publish(ResultsRequest(**json.loads(text)))
    except EngineError as error:
        print(f"cryodrgn-plugin: {error}", file=sys.stderr)
        return 2
    return 0


def publish(request: ResultsRequest) -> None:
    """Write particle files, maps, logfile.pdf, job.json and, last, RELION_OUTPUT_NODES.star into the job folder."""
    from .logfile import write_logfile

    job = Path(request.job)
    remove_stale(job)
    published = _PUBLISHERS.get(request.task, publish_run)(request, job)
    write_logfile(job / "logfile.pdf", f"Job {request.job}", published.facts, published.table, published.figures)
    write_text(job / "job.json", request.summary(published))
    write_output_nodes(job, published.nodes, request.relion_version)
    print(f"{len(published.nodes)} files for RELION are in {request.job}.", flush=True)


def publish_run(request: ResultsRequest, job: Path) -> Published:
    """What a training, a search for poses, an analysis or a landscape has left."""
    run = Run.open(request.run)
    results = run.results("landscape" if request.task == "landscape" else "analysis") if request.clusters else None
    classes = place_particles(run, results, job)
    place_maps(run, results, job, classes)
    initial_maps = place_initial_maps(run, job)
    nodes = output_nodes(job, classes, initial_maps, place_class_model(job, classes))
    details = {
        "settings": json.loads(run.config.to_json()),
        "classes": [dataclasses.asdict(files) for files in classes],
    }
    facts = _facts(request, run, classes, results.index if results else {})
    return Published(nodes, facts, _table(classes), _figures(run, results), details)


def output_nodes(
    job: Path, classes: list[ClassFiles], initial_maps: list[tuple[str, str]], models: list[OutputNode]
) -> list[OutputNode]:
    """Everything that later jobs can use, in the order of RELION's Display menu: first what is looked at first."""
    nodes = [*particle_nodes(job, "particles.star"), OutputNode(f"{job}/logfile.pdf", "log"), *models]
    nodes += [node for files in classes if files.star for node in particle_nodes(job, files.star)]
    maps = [(files.map, "map") for files in classes if files.map] + initial_maps
    maps += [(half, "half-map") for files in classes for half in files.half_maps]
    maps.sort(key=lambda named: named[1] == "half-map")
    # The map of a species is both that of a class and one that poses were found with.
    return nodes + [OutputNode(f"{job}/{name}", kind) for name, kind in dict.fromkeys(maps)]


def _facts(
    request: ResultsRequest, run: Run, classes: list[ClassFiles], index: dict[str, Any]
) -> list[tuple[str, str]]:
    provenance = run.info["provenance"]
    settings = run.config
    facts = [
        ("Task", request.task),
        ("Particles", f"{settings.particles}, {sum(files.particles for files in classes):,} used"),
        ("Recipe", f"{settings.recipe}, {settings.z_dim} latent dimensions, seed {settings.seed}"),
        ("Trained", f"{provenance['created'].replace('T', ' ')} with version {provenance['version']}"),
        ("Run folder", request.run),
    ]
    if imported := run.info.get("notes", {}).get("imported"):
        facts[2] = ("Imported from", f"{imported['from']}: {imported.get('folder') or imported.get('latents')}")
    if "pixel_size_ang" in index:
        facts.insert(3, ("Maps", f"box {index['box']}, {index['pixel_size_ang']:.4g} Å per pixel, protein white"))
    if "grouped_because" in index:
        facts.append(("Classes", index["grouped_because"]))
    return facts + [("Caution", sentence) for sentence in index.get("cautions", [])]


def _table(classes: list[ClassFiles]) -> list[list[str]]:
    """The classes that have files of their own; nothing after training alone."""
    if not any(files.map or files.star for files in classes):
        return []
    total = max(sum(files.particles for files in classes), 1)
    rows = [
        [
            str(files.number),
            f"{files.particles:,} ({files.particles / total if files.share is None else files.share:.1%})",
            f"{files.expected_resolution_ang:.3g} Å" if files.expected_resolution_ang else "",
            f"{files.resolution_ang['0.143']:.3g} Å" if files.resolution_ang else "",
            files.map,
            files.star,
        ]
        for files in classes
    ]
    return [["class", "particles", "expected FSC 0.5", "half-map FSC 0.143", "map", "particle file"], *rows]


def _figures(run: Run, results: Results | None) -> list[tuple[str, Path]]:
    """The figures of what was looked at, under their titles; after training alone, the training curves."""
    if results is None:
        return _species_sheet(run) + _training_curves(run)
    return [(_TITLES.get(name, ""), file) for name, file in results.figures.items() if name not in _LEFT_OUT]


def _species_sheet(run: Run) -> list[tuple[str, Path]]:
    """All maps of a search that has told species apart."""
    return [("Species", file) for file in run.results("species").figures.values()] if run.has_results("species") else []


def _training_curves(run: Run) -> list[tuple[str, Path]]:
    if not run.metrics():
        return []
    from ..engine.analysis.latent_plots import training_figure

    file = run.training_figure_file
    training_figure(file, run.metrics())
    return [(_TITLES["training"], file)]


_PUBLISHERS: dict[str, Callable[[ResultsRequest, Path], Published]] = {
    "preflight": lambda request, job: publish_preflight(Path(request.run), job),
    "reconstruct": lambda request, job: publish_reconstruction(Path(request.run), job),
    "trajectory": lambda request, job: publish_trajectory(Run.open(request.run), job),
    "states": lambda request, job: publish_states(Run.open(request.run), job),
    "atoms": lambda request, job: publish_atoms(Run.open(request.run), job),
    "validate": lambda request, job: publish_validation(Run.open(request.run), job),
    "agreement": lambda request, job: publish_agreement(Run.open(request.run), job),
    "select": lambda request, job: publish_selection(Run.open(request.run), job),
    "subtract": lambda _request, job: publish_subtraction(job),
    "export": lambda request, job: publish_export(Run.open(request.run), job),
}
"""Tasks that leave something else than clusters and their maps."""


if __name__ == "__main__":
    sys.exit(main())

"""The last stage of a job, a process of its own: what the run has found becomes files and nodes of the RELION project.

Called as `python -m cryodrgn_plugin.relion.results REQUEST`, the request being JSON. Reading a million particles and
drawing takes memory, which the supervising parent must not need.
"""

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..engine.errors import EngineError
from ..engine.io.writing import write_text
from ..engine.run import Run
from .findings import ClassFiles, place_initial_maps, place_maps, place_particles, read_index, remove_stale
from .nodes import OutputNode, write_output_nodes

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


def main(argv: list[str] | None = None) -> int:
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

    job, run = Path(request.job), Run.open(request.run)
    index = read_index(run) if request.clusters else {}
    remove_stale(job)
    classes = place_particles(run, index, job)
    place_maps(run, index, job, classes)
    initial_maps = place_initial_maps(run, job)
    facts = _facts(request, run, classes, index)
    write_logfile(job / "logfile.pdf", f"RELION job {request.job}", facts, _table(classes), _figures(run, index))
    nodes = output_nodes(job, classes, initial_maps)
    write_text(job / "job.json", json.dumps(_summary(request, run, classes, nodes), indent=2) + "\n")
    write_output_nodes(job, nodes, request.relion_version)
    print(f"{len(nodes)} files for RELION are in {request.job}.", flush=True)


def output_nodes(job: Path, classes: list[ClassFiles], initial_maps: list[str]) -> list[OutputNode]:
    """Everything that later jobs can use, in the order of RELION's Display menu: first what is looked at first."""
    nodes = [OutputNode(f"{job}/particles.star", "particles"), OutputNode(f"{job}/logfile.pdf", "log")]
    nodes += [OutputNode(f"{job}/{found.star}", "particles") for found in classes if found.star]
    nodes += [OutputNode(f"{job}/{found.map}", "map") for found in classes if found.map]
    nodes += [OutputNode(f"{job}/{name}", "map") for name in initial_maps]
    return nodes + [OutputNode(f"{job}/{half}", "half-map") for found in classes for half in found.half_maps]


def _facts(
    request: ResultsRequest, run: Run, classes: list[ClassFiles], index: dict[str, Any]
) -> list[tuple[str, str]]:
    provenance = run.info["provenance"]
    settings = run.config
    facts = [
        ("Task", request.task),
        ("Particles", f"{settings.particles}, {sum(found.particles for found in classes):,} used"),
        ("Recipe", f"{settings.recipe}, {settings.z_dim} latent dimensions, seed {settings.seed}"),
        ("Trained", f"{provenance['created'].replace('T', ' ')} with version {provenance['version']}"),
        ("Run folder", request.run),
    ]
    if "pixel_size_ang" in index:
        facts.insert(3, ("Maps", f"box {index['box']}, {index['pixel_size_ang']:.4g} Å per pixel, protein white"))
    return facts


def _table(classes: list[ClassFiles]) -> list[list[str]]:
    total = max(sum(found.particles for found in classes), 1)
    rows = [
        [
            str(found.number),
            f"{found.particles:,} ({found.particles / total:.1%})",
            f"{found.resolution_ang['0.143']:.3g} Å" if found.resolution_ang else "",
            found.map,
            found.star,
        ]
        for found in classes
    ]
    return [["class", "particles", "FSC 0.143", "map", "particle file"], *rows]


def _figures(run: Run, index: dict[str, Any]) -> list[tuple[str, Path]]:
    """The analysis's figures under their titles; after training alone, the training curves."""
    if not index:
        return _training_curves(run)
    figures = {name: run.analysis_dir / file for name, file in index["figures"].items() if name not in _LEFT_OUT}
    return [(_TITLES.get(name, ""), file) for name, file in figures.items()]


def _training_curves(run: Run) -> list[tuple[str, Path]]:
    if not run.metrics():
        return []
    from ..engine.analysis.plots import training_figure

    file = run.figures_dir / "training.png"
    training_figure(file, run.metrics())
    return [(_TITLES["training"], file)]


def _summary(request: ResultsRequest, run: Run, classes: list[ClassFiles], nodes: list[OutputNode]) -> dict[str, Any]:
    return {
        "schema": 1,
        "version": __version__,
        **dataclasses.asdict(request),
        "settings": json.loads(run.config.to_json()),
        "classes": [dataclasses.asdict(found) for found in classes],
        "nodes": [dataclasses.asdict(node) for node in nodes],
    }


if __name__ == "__main__":
    sys.exit(main())

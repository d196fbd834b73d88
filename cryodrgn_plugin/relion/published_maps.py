"""What a job publishes whose results are maps: of states, or along a path."""

from pathlib import Path
from typing import Any

from ..engine.result_kinds import PATH_SERIES, REGRESSION_SERIES, STATE_SERIES
from ..engine.results import Results
from ..engine.run import Run
from .findings import place
from .output_nodes import OutputNode
from .published import Published
from .tasks import TASKS

_STATE_FILES = {STATE_SERIES: "state", REGRESSION_SERIES: "regression"}
"""What the maps of each series are called."""
_RECONSTRUCTION_FILES = {
    "map": ("run_class001.mrc", "map"),
    "half1": ("run_half1_class001_unfil.mrc", "half-map"),
    "half2": ("run_half2_class001_unfil.mrc", "half-map"),
    "mask": ("run_mask.mrc", "mask"),
}
"""Role of a reconstruction's file to its name in the job folder and its kind."""


def publish_states(run: Run, job: Path) -> Published:
    """The maps of states with half-maps, masks and sharpened maps, and how good each is."""
    results = run.results("states")
    index = results.index
    nodes, table = [OutputNode(f"{job}/logfile.pdf", "log")], []
    for series in results.all_series:
        for number, entry in enumerate(series["maps"], start=1):
            state_nodes = _place_state(results, entry, f"{_STATE_FILES[series['name']]}{number:03d}", job)
            nodes += state_nodes
            rests_on = f"{entry['effective_particles']:,.0f}" if entry["effective_particles"] else ""
            reached = _angstrom(entry["expected_resolution_ang"])
            half_maps = _angstrom((entry["resolution_ang"] or {}).get("0.143"))
            table.append([str(number), rests_on, reached, half_maps, Path(state_nodes[0].path).name])
    heads = ["state", "rests on", "expected FSC 0.5", "half-map FSC 0.143", "map"]
    facts = [
        ("Particles", f"{index['particles']:,}"),
        ("Maps", f"box {index['box']}, {index['pixel_size_ang']:.4g} Å per pixel, protein white"),
        ("rests on", "as many particles' worth of images"),
        ("expected FSC 0.5", "where the FSC to the truth is expected to fall below 0.5"),
        ("half-map FSC", "where it falls below 0.143; they share latents and prior and so promise too much"),
    ]
    details = {"states": [series["maps"] for series in results.all_series]}
    facts += [("Caution", sentence) for sentence in results.index.get("cautions", [])]
    return Published(nodes, facts, [heads, *table], _figures(results), details)


def publish_reconstruction(folder: Path, job: Path) -> Published:
    """The map with its half-maps and the mask of its FSC, and how well it is known."""
    results = Results.open(folder, "reconstruction")
    index = results.index
    nodes = [OutputNode(f"{job}/logfile.pdf", "log")]
    for role, (name, kind) in _RECONSTRUCTION_FILES.items():
        place(results.folder / index["files"][role], job / name)
        nodes.append(OutputNode(f"{job}/{name}", kind))
    limits = index["resolution_ang"]
    facts = [
        ("Particles", f"{index['particles']:,}, halves: {index['halves']}"),
        ("Map", f"box {index['box']}, {index['pixel_size_ang']:.4g} Å per pixel, protein white"),
        ("Resolution", f"{_angstrom(limits['0.143'])} at FSC 0.143, {_angstrom(limits['0.5'])} at 0.5"),
        ("By direction", index["by_direction"]),
    ]
    if index["reaches_nyquist"]:
        facts.append(("Limit", "the resolution is that of the box (two pixels); a larger box may show more"))
    facts += [("Caution", sentence) for sentence in index["cautions"]]
    roles = {"figure": "Resolution: half-maps compared", "directions_figure": ""}
    figures = [(title, results.folder / index["files"][role]) for role, title in roles.items()]
    details = {name: index[name] for name in ("resolution_ang", "directions")}
    return Published(nodes, facts, figures=figures, details=details)


def publish_trajectory(run: Run, job: Path) -> Published:
    """The maps along the path in order, with their half-maps where they were asked for, and the movie."""
    results = run.results("trajectory", TASKS["trajectory"].fixed["name"])
    index = results.index
    nodes = [OutputNode(f"{job}/logfile.pdf", "log")]
    maps = results.series(PATH_SERIES)
    for number, entry in enumerate(maps, start=1):
        nodes += place_map(results, entry, f"path{number:03d}", job)
    if movie := results.file("movie"):
        place(movie, job / "movie.gif")
    facts = [
        ("Path", f"{index['kind']}, of length {index['length']:.3g} in units of the latent space"),
        ("Particles", f"{index['particles']:,}"),
        ("Maps", f"{len(maps)}" + (f", box {index['box']}, {index['pixel_size_ang']:.4g} Å per pixel" if maps else "")),
    ]
    if index["bridges"]:
        facts.append(("Gaps", f"{index['bridges']}: there the path leaps between groups of particles that stand apart"))
    details = {name: index[name] for name in ("kind", "anchors", "bridges", "length")}
    return Published(nodes, facts, figures=_figures(results), details=details)


def _place_state(results: Results, entry: dict[str, Any], name: str, job: Path) -> list[OutputNode]:
    """All files of one state; the first node is its map."""
    nodes = place_map(results, entry, name, job)
    for role, kind in (("mask", "mask"), ("sharpened", "map")):
        if entry[role]:
            place(results.folder / entry[role], job / f"run_{name}_{role}.mrc")
            nodes.append(OutputNode(f"{job}/run_{name}_{role}.mrc", kind))
    if entry["local_resolution"]:
        place(results.folder / entry["local_resolution"], job / f"run_{name}_locres.mrc")
        nodes.append(OutputNode(f"{job}/run_{name}_locres.mrc", "local resolution"))
    return nodes


def place_map(results: Results, entry: dict[str, Any], name: str, job: Path) -> list[OutputNode]:
    """A map of a series and its half-maps, as nodes."""
    place(results.folder / entry["file"], job / f"run_{name}.mrc")
    nodes = [OutputNode(f"{job}/run_{name}.mrc", "map")]
    for number, half in enumerate(results.half_maps(entry), start=1):
        place(Path(half), job / f"run_half{number}_{name}_unfil.mrc")
        nodes.append(OutputNode(f"{job}/run_half{number}_{name}_unfil.mrc", "half-map"))
    return nodes


def _angstrom(value: float | None) -> str:
    return "" if value is None else f"{value:.3g} Å"


def _figures(results: Results) -> list[tuple[str, Path]]:
    return [("", file) for file in results.figures.values()]

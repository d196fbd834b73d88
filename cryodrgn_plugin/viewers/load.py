"""A run folder, with or without its analysis, as the explorer's content."""

import itertools
import subprocess
from collections.abc import Callable

import numpy as np

from ..convert import CLASS_SERIES, CURVE_SERIES, Analysis, latents_by_id
from ..engine.errors import DataError
from ..engine.run import Run
from ..plugin import Plugin
from . import style
from .content import Colouring, Content, MapEntry, Projection


def content_of(run: Run, title: str, extra_maps: list[MapEntry] | None = None) -> Content:
    """Everything a run can show; `extra_maps` come after those of its analysis."""
    content = Content(title, facts=_facts(run), metrics=run.metrics(), maps=list(extra_maps or []))
    if run.latents_file.exists() and run.config.z_dim > 0:
        _add_latents(content, run)
    try:
        analysis = Analysis.open(run)
    except DataError:
        return content
    _add_analysis(content, analysis)
    return content


def _facts(run: Run) -> list[str]:
    facts = [f"{run.config.recipe} recipe", run.status]
    if run.config.z_dim:
        facts.append(f"{run.config.z_dim} latent dimensions")
    if run.message:
        facts.append(run.message)
    return facts


def _add_latents(content: Content, run: Run) -> None:
    found = latents_by_id(run)
    z = found.latents.z
    content.object_ids = np.array(list(found.place), np.int64)
    content.facts.insert(1, f"{len(z):,} particles")
    pairs = list(itertools.combinations(range(min(z.shape[1], 4)), 2)) or [(0, 0)]
    for i, j in pairs:
        second = z[:, j] if i != j else np.zeros(len(z))
        content.projections.append(Projection(f"z{i + 1} – z{j + 1}", np.c_[z[:, i], second], f"z{i + 1}", f"z{j + 1}"))
    if found.latents.coordinate is not None:
        content.colourings.append(Colouring("position on the curve", found.latents.coordinate))
    if found.latents.uncertainty is not None:
        content.colourings.append(Colouring("uncertainty", found.latents.uncertainty))
    content.colourings += [Colouring(f"z{k + 1}", z[:, k]) for k in range(min(z.shape[1], 4))]
    content.decode = decoder_of(run)


def _add_analysis(content: Content, analysis: Analysis) -> None:
    if analysis.embedding:
        content.colourings.insert(0, Colouring("class", analysis.labels, categorical=True))
        content.projections[:0] = _analysed_projections(analysis)
    for series in analysis.index["series"]:
        colours = _series_colours(series["name"], len(series["maps"]))
        content.maps += [
            MapEntry(
                series=series["title"],
                label=entry["label"],
                path=analysis.path(entry["file"]),
                colour=colour,
                level=series["level"],
                particle=entry.get("particle"),
                z=np.array(entry["z"]),
                fsc=None if entry["fsc"] is None else np.array(entry["fsc"]),
                resolution_ang=entry["resolution_ang"] and entry["resolution_ang"]["0.143"],
            )
            for entry, colour in zip(series["maps"], colours, strict=True)
        ]
    if "box" in analysis.index:
        content.pixel_size_ang = analysis.index["pixel_size_ang"]
        content.facts.append(f"maps of {analysis.index['box']} px, {analysis.index['pixel_size_ang']:.2f} Å per pixel")


def _analysed_projections(analysis: Analysis) -> list[Projection]:
    scores, explained = analysis.embedding["pca"], analysis.index["pca"]["explained"]
    made = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        if j < scores.shape[1]:
            names = [f"PC{k + 1} ({explained[k]:.0%})" for k in (i, j)]
            made.append(Projection(f"PC{i + 1} – PC{j + 1}", scores[:, [i, j]], *names))
    if "umap" in analysis.embedding:
        made.append(Projection("UMAP", analysis.embedding["umap"], "UMAP 1", "UMAP 2"))
    return made


def _series_colours(name: str, count: int) -> list[str]:
    """Class maps in the colours of the classes; walks from one end of a colour scale to the other."""
    if name == CLASS_SERIES:
        return style.category_colours(count)
    return style.sequential_colours(count, style.SEQUENTIAL if name == CURVE_SERIES else "cividis")


def decoder_of(run: Run) -> Callable[[int], str] | None:
    """A function that has the engine make the map of a particle (its index in the latents) and gives the file."""
    if not run.model_file.exists():
        return None
    rows, folder = run.latents().rows, run.path / "volumes" / "explorer"

    def decode(index: int) -> str:
        out = folder / f"row_{rows[index]:07d}"
        made = out / "vol_000.mrc"
        if not made.exists():
            _ask_engine("volumes", str(run.path), "--particles", str(rows[index]), "--out", str(out))
        return str(made)

    return decode


def _ask_engine(*arguments: str) -> None:
    command = [Plugin.getEnginePython(), "-m", "cryodrgn_plugin.engine.cli", *arguments]
    done = subprocess.run(command, env=Plugin.getEnviron(), capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise DataError(said[-1] if said else "The engine could not make the map.")


def entries_of(maps: list[tuple[str, str, str]]) -> list[MapEntry]:
    """Maps by series, label and file."""
    return [MapEntry(series, label, path, style.SURFACE) for series, label, path in maps]

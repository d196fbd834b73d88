"""A run folder, with or without its analysis, as the explorer's content."""

import itertools
import os

import numpy as np

from ..convert import latents_by_id
from ..engine.run import Run
from ..plugin import Plugin
from . import palette
from .content import Colouring, Content, MapEntry, Projection
from .resident_decoder import ResidentDecoder
from .run_content import add_findings


def content_of(run: Run, title: str, extra_maps: list[MapEntry] | None = None, first: str = "") -> Content:
    """Everything a run can show.

    Parameters
    ----------
    extra_maps : the protocol's own, such as the map of all particles.
    first : the kind of results, such as analysis, that comes before the others.
    """
    content = Content(title, facts=_facts(run), metrics=run.metrics(), maps=list(extra_maps or []))
    if run.latents_file.exists() and run.config.z_dim > 0:
        _add_latents(content, run)
    add_findings(content, run, first)
    return content


def _facts(run: Run) -> list[str]:
    facts = [f"{run.config.recipe} recipe", run.status]
    if run.config.z_dim:
        facts.append(f"{run.config.z_dim} latent dimensions")
    if run.message:
        facts.append(run.message)
    return facts


def _add_latents(content: Content, run: Run) -> None:
    by_id = latents_by_id(run)
    z = by_id.latents.z
    content.object_ids = np.array(list(by_id.place), np.int64)
    content.facts.insert(1, f"{len(z):,} particles")
    pairs = list(itertools.combinations(range(min(z.shape[1], 4)), 2)) or [(0, 0)]
    for i, j in pairs:
        second = z[:, j] if i != j else np.zeros(len(z))
        content.projections.append(Projection(f"z{i + 1} – z{j + 1}", np.c_[z[:, i], second], f"z{i + 1}", f"z{j + 1}"))
    if by_id.latents.coordinate is not None:
        content.colourings.append(Colouring("position on the curve", by_id.latents.coordinate))
    if by_id.latents.uncertainty is not None:
        content.colourings.append(Colouring("uncertainty", by_id.latents.uncertainty))
    content.colourings += [Colouring(f"z{k + 1}", z[:, k]) for k in range(min(z.shape[1], 4))]
    content.z = z
    content.decoder = decoder_of(run)


def decoder_of(run: Run) -> ResidentDecoder | None:
    """The engine with this run's model, not yet started; None where the run has no model."""
    if not run.model_file.exists():
        return None
    command = [Plugin.getEnginePython(), "-m", "cryodrgn_plugin.engine.cli", "serve", os.path.abspath(run.path)]
    return ResidentDecoder(command, Plugin.getEnviron())


def entries_of(maps: list[tuple[str, str, str]]) -> list[MapEntry]:
    """Maps by series, label and file."""
    return [MapEntry(series, label, path, palette.SURFACE) for series, label, path in maps]

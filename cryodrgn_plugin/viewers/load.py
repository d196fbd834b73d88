"""A run folder, with or without its analysis, as the explorer's content."""

import itertools
import os
from functools import partial

import numpy as np

from ..engine.run import Run
from ..plugin import Plugin
from . import palette
from .background import Tell
from .colouring import Colouring
from .columns_content import ColumnsOfRun
from .content import Content, MapEntry, Projection
from .resident_decoder import ResidentDecoder
from .run_content import add_findings


def content_of(
    run: Run, title: str, extra_maps: list[MapEntry] | None = None, first: str = "", tell: Tell = lambda words: None
) -> Content:
    """Everything a run can show.

    Parameters
    ----------
    extra_maps : the protocol's own, such as the map of all particles.
    first : the kind of results, such as analysis, that comes before the others.
    tell : takes a sentence on what is being read.
    """
    content = Content(title, facts=_facts(run), metrics=run.metrics(), maps=list(extra_maps or []))
    if run.latents_file.exists() and run.config.z_dim > 0:
        tell("Reading latent coordinates …")
        _add_latents(content, run)
    tell("Reading what was found …")
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
    latents = run.latents()
    z = latents.z
    content.facts.insert(1, f"{len(z):,} particles")
    content.z_names = latents.columns or tuple(f"z{k + 1}" for k in range(z.shape[1]))
    pairs = list(itertools.combinations(range(min(z.shape[1], 4)), 2)) or [(0, 0)]
    for i, j in pairs:
        second = z[:, j] if i != j else np.zeros(len(z))
        names, axes = (content.z_names[i], content.z_names[j]), (i, j) if i != j else None
        content.projections.append(Projection(" – ".join(names), np.c_[z[:, i], second], *names, axes=axes))
    if latents.coordinate is not None:
        content.colourings.append(Colouring("position on the curve", latents.coordinate))
    if latents.uncertainty is not None:
        content.colourings.append(Colouring("uncertainty", latents.uncertainty))
    content.z, content.rows = z, latents.rows
    content.decoder = decoder_of(run)
    content.read_columns = partial(_columns_of, run)


def _columns_of(run: Run, tell: Tell) -> ColumnsOfRun:
    tell("Reading all columns of the particles …")
    return ColumnsOfRun(run)


def decoder_of(run: Run) -> ResidentDecoder | None:
    """The engine with this run's model, not yet started; None where the run has no model."""
    if not run.model_file.exists():
        return None
    command = [Plugin.getEnginePython(), "-m", "cryodrgn_plugin.engine.cli", "serve", os.path.abspath(run.path)]
    return ResidentDecoder(command, Plugin.getEnviron())


def entries_of(maps: list[tuple[str, str, str]]) -> list[MapEntry]:
    """Maps by series, label and file."""
    return [MapEntry(series, label, path, palette.SURFACE) for series, label, path in maps]

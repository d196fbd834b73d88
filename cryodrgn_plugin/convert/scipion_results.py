"""A run folder's results as Scipion objects: latents by particle id, maps with their pixel size, classes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pwem.objects import (
    Particle,
    ParticleFlex,
    SetOfClasses3D,
    SetOfParticles,
    SetOfParticlesFlex,
    SetOfVolumes,
    SetOfVolumesFlex,
    Volume,
    VolumeFlex,
)
from pyworkflow.object import Float

from ..constants import FLEX_RECIPE, FLEX_RUN, PROGRAM_NAME
from ..engine.files import read_map
from ..engine.latents import Latents
from ..engine.results import Results
from ..engine.run import Run
from ..engine.selection.export import Selection
from .scipion_particles import object_ids


@dataclass(frozen=True)
class LatentsById:
    """The latents of a run, found by the object id of a particle."""

    latents: Latents
    place: dict[int, int]
    """Object id to index in the latents."""


def latents_by_id(run: Run) -> LatentsById:
    """Latents of a run that was made from a star file of `write_particles_star`."""
    latents = run.latents()
    ids = object_ids(run.given_file)[latents.rows]
    return LatentsById(latents, {int(object_id): k for k, object_id in enumerate(ids)})


def new_flex_particles(folder: str, like: SetOfParticles, run: Run, suffix: str = "") -> SetOfParticlesFlex:
    """An empty set in `folder` with what `like` says of itself, which notes the run that its latents come from."""
    flexible = SetOfParticlesFlex.create(folder, suffix=suffix, progName=PROGRAM_NAME)
    flexible.copyInfo(like)
    flexible.setHasCTF(like.hasCTF())  # the host's copyInfo leaves this out
    info = flexible.getFlexInfo()
    info.setProgName(PROGRAM_NAME)
    info.setAttr(FLEX_RUN, str(run.path))
    info.setAttr(FLEX_RECIPE, run.config.recipe)
    return flexible


def fill_flex_particles(
    flexible: SetOfParticlesFlex,
    particles: Iterable[Particle],
    by_id: LatentsById,
    *,
    labels: np.ndarray | None = None,
    reduced: np.ndarray | None = None,
    confidence: np.ndarray | None = None,
    probability: np.ndarray | None = None,
) -> None:
    """Copy `particles` into `flexible` with their latents, matched by object id; those without latents are left out.

    Parameters
    ----------
    flexible : empty.
    particles : a set, or particles of one, in any order.
    by_id : the run's latents.
    labels : (N,) class of each latent, from 1; None sets no class.
    reduced : (N, 2) a picture of the latent space, such as UMAP, for viewers of flexibility sets.
    confidence : (N,) of each latent, from 0 to 1.
    probability : (N,) that it is in its class, where classes are separate states.
    """
    latents = by_id.latents
    for particle in particles:
        k = by_id.place.get(particle.getObjId())
        if k is None:
            continue
        item = ParticleFlex(progName=PROGRAM_NAME)
        item.copyInfo(particle)
        item.setObjId(particle.getObjId())
        item.getFlexInfo().setProgName(PROGRAM_NAME)
        item.setZFlex(latents.z[k].tolist())
        if latents.coordinate is not None:
            item._cdrgCoordinate = Float(float(latents.coordinate[k]))
        if latents.uncertainty is not None:
            item._cdrgUncertainty = Float(float(latents.uncertainty[k]))
        if confidence is not None:
            item._cdrgConfidence = Float(float(confidence[k]))
        if probability is not None:
            item._cdrgClassProbability = Float(float(probability[k]))
        if reduced is not None:
            item.setZRed(reduced[k].tolist())
        if labels is not None:
            item.setClassId(int(labels[k]))
        flexible.append(item)


def selected_ids(run: Run, name: str) -> set[int]:
    """Object ids of the particles of a selection. Raises DataError when there is none of that name."""
    return set(Selection.open(run, name).chosen(object_ids(run.given_file)).tolist())


def confidence_of(run: Run) -> np.ndarray | None:
    """(N,) confidence of each latent of a run, from 0 to 1; None where halves were not trained."""
    return run.results("validation").arrays.get("confidence") if run.has_results("validation") else None


def volume_object(path: str, *, half_maps: Sequence[str] = ()) -> Volume:
    """A map file as a Scipion volume with the file's pixel size."""
    volume = Volume()
    _locate(volume, path)
    if half_maps:
        volume.setHalfMaps(list(half_maps))
    return volume


def fill_volumes(volumes: SetOfVolumes, results: Results, series: str, role: str = "file") -> None:
    """Append the maps of a series, with their half-maps where these were written.

    Parameters
    ----------
    role : which file of each map: the map itself, or another that the index names, such as sharpened.
    """
    for entry in results.series(series):
        volume = Volume()
        halves = results.half_maps(entry)
        if halves:
            volume.setHalfMaps(halves)
        _append(volumes, volume, results, entry, role)


def fill_flex_volumes(volumes: SetOfVolumesFlex, results: Results, series: str) -> None:
    """Append the maps of a series with the latent coordinates they were made at."""
    for entry in results.series(series):
        volume = VolumeFlex(progName=PROGRAM_NAME)
        volume.setZFlex(entry["z"])
        _append(volumes, volume, results, entry, "file")


def _append(volumes, volume: Volume, results: Results, entry: dict[str, Any], role: str) -> None:
    _locate(volume, results.path(entry[role]))
    volume.setObjLabel(entry["label"])
    if entry["resolution_ang"]:
        volume._cdrgResolution = Float(entry["resolution_ang"]["0.143"])
    if entry.get("expected_resolution_ang"):
        volume._cdrgExpectedResolution = Float(entry["expected_resolution_ang"])
    volumes.setSamplingRate(volume.getSamplingRate())
    volumes.append(volume)


def _locate(volume: Volume, path: str) -> None:
    _, pixel_size_ang = read_map(path)
    volume.setLocation(path)
    volume.setSamplingRate(float(pixel_size_ang))


def classify(classes: SetOfClasses3D, maps: dict[int, str]) -> None:
    """Fill `classes` from its images, which carry their class, with one map file per class as representative."""

    def represent(new_class):
        new_class.setAlignmentProj()
        new_class.setRepresentative(volume_object(maps[new_class.getObjId()]))

    classes.classifyItems(updateClassCallback=represent)

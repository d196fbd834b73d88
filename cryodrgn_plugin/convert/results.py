"""A run folder's results as Scipion objects: latents by particle id, maps with their pixel size, classes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from pwem.objects import FlexInfo, ParticleFlex, SetOfClasses3D, SetOfParticles, SetOfParticlesFlex, Volume, VolumeFlex
from pyworkflow.object import Float, Integer

from ..constants import FLEX_BOX, FLEX_RECIPE, FLEX_RUN, FLEX_SAMPLING, PROGRAM_NAME
from ..engine.io.mrc import read_map
from ..engine.run import Latents, Run
from .particles import object_ids


@dataclass(frozen=True)
class LatentsById:
    """The latents of a run, found by the object id of a particle."""

    latents: Latents
    place: dict[int, int]
    """Object id to index in the latents."""

    def __contains__(self, object_id: int) -> bool:
        return object_id in self.place

    def index(self, object_ids: Iterable[int]) -> np.ndarray:
        """Indices (n,) of particles in the latents; every id must be there."""
        return np.array([self.place[object_id] for object_id in object_ids], np.int64)


def latents_by_id(run: Run) -> LatentsById:
    """Latents of a run that was made from a star file of `write_particles_star`."""
    latents = run.latents()
    ids = object_ids(run.config.particles)[latents.rows]
    return LatentsById(latents, {int(object_id): k for k, object_id in enumerate(ids)})


def run_info(run: Run, info: FlexInfo) -> FlexInfo:
    """Note in a set's FlexInfo where its latents come from, so that later protocols find the run."""
    info.setProgName(PROGRAM_NAME)
    info.setAttr(FLEX_RUN, str(run.path))
    info.setAttr(FLEX_RECIPE, run.config.recipe)
    return info


def fill_flex_particles(
    flexible: SetOfParticlesFlex,
    particles: SetOfParticles,
    found: LatentsById,
    *,
    labels: np.ndarray | None = None,
    reduced: np.ndarray | None = None,
) -> None:
    """Copy `particles` into `flexible` with their latents, matched by object id; those the run did not use are left out.

    Parameters
    ----------
    flexible : empty.
    particles : the particles as they are in Scipion, in any order.
    found : the run's latents.
    labels : (N,) class of each latent, from 1; None sets no class.
    reduced : (N, 2) a picture of the latent space, such as UMAP, for viewers of flexibility sets.
    """
    latents = found.latents
    for particle in particles.iterItems():
        k = found.place.get(particle.getObjId())
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
        if reduced is not None:
            item.setZRed(reduced[k].tolist())
        if labels is not None:
            item.setClassId(int(labels[k]))
        flexible.append(item)


def volume_object(path: str, *, half_maps: tuple[str, str] | None = None) -> Volume:
    """A map file as a Scipion volume with the file's pixel size."""
    volume = Volume()
    _locate(volume, path)
    if half_maps:
        volume.setHalfMaps(list(half_maps))
    return volume


def flex_volume_object(path: str, z: np.ndarray) -> VolumeFlex:
    """A map file as a flexible volume with the latent coordinates it was made at."""
    volume = VolumeFlex(progName=PROGRAM_NAME)
    _locate(volume, path)
    volume.setZFlex([float(value) for value in z])
    return volume


def _locate(volume: Volume, path: str) -> None:
    _, pixel_size_ang = read_map(path)
    volume.setLocation(path)
    volume.setSamplingRate(float(pixel_size_ang))


def classify(classes: SetOfClasses3D, found: LatentsById, labels: np.ndarray, maps: dict[int, str]) -> None:
    """Fill `classes` from its images: a class per cluster with the cluster's map as representative.

    Parameters
    ----------
    classes : empty, its images set.
    found : the run's latents.
    labels : (N,) class of each latent, from 1.
    maps : class to map file.
    """

    def label(particle, _row):
        k = found.place.get(particle.getObjId())
        particle.setClassId(0 if k is None else int(labels[k]))

    def represent(new_class):
        new_class.setAlignmentProj()
        new_class.setRepresentative(volume_object(maps[new_class.getObjId()]))

    classes.classifyItems(updateItemCallback=label, updateClassCallback=represent)

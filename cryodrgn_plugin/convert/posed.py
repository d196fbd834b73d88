"""Poses that the engine has found, on Scipion's particles: a star file of poses in, particles with alignment out."""

from collections.abc import Iterator

import numpy as np
from pwem.objects import Particle, SetOfParticles, Transform
from pyworkflow.object import Float

from ..constants import ID_COLUMN
from ..engine.files import AGREEMENT, CLASS, DEFOCUS, EULER, ORIGINS, PROBABILITY, SCORE, read_particles
from .scipion_particles import scipion_matrices


def posed_particles(particles: SetOfParticles, star: str, with_class: bool = False) -> Iterator[Particle]:
    """The particles that `star` has poses for, each with its projection alignment and its defocus there; matched by
    object id.

    Parameters
    ----------
    star : made by the engine from a star file of `write_particles_star`.
    with_class : give each its class, too, the probability that it is in it, and how far runs agree on it.
    """
    table = read_particles(star)
    frame = table.frame
    origins_px = frame[list(ORIGINS)].to_numpy(float) / particles.getSamplingRate()
    matrices = scipion_matrices(frame[list(EULER)].to_numpy(float), origins_px)
    line_of_id = {int(object_id): k for k, object_id in enumerate(frame[ID_COLUMN])}
    scores = frame[SCORE].to_numpy(float) if SCORE in frame else None
    defocus_ang = frame[list(DEFOCUS)].to_numpy(float) if set(DEFOCUS) <= set(frame) else None
    classes = frame[CLASS].to_numpy(int) if with_class else None
    probability = frame[PROBABILITY].to_numpy(float) if with_class and PROBABILITY in frame else None
    agreement = frame[AGREEMENT].to_numpy(float) if with_class and AGREEMENT in frame else None
    for particle in particles.iterItems():
        k = line_of_id.get(particle.getObjId())
        if k is None:
            continue
        posed = particle.clone()
        posed.setObjId(particle.getObjId())
        posed.setTransform(Transform(matrices[k]))
        if defocus_ang is not None and posed.hasCTF():
            ctf = posed.getCTF()
            ctf.setStandardDefocus(*map(float, defocus_ang[k]), ctf.getDefocusAngle())
        if scores is not None:
            posed._rlnLogLikeliContribution = Float(float(scores[k]))
        if classes is not None:
            posed.setClassId(int(classes[k]))
        if probability is not None:
            posed._cdrgClassProbability = Float(float(probability[k]))
        if agreement is not None:
            posed._cdrgClassAgreement = Float(float(agreement[k]))
        yield posed


def class_sizes(star: str) -> dict[int, int]:
    """Particles per class number of a star file, in the order of the numbers."""
    numbers, counts = np.unique(read_particles(star).numbers(CLASS).astype(int), return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))

"""The only place that knows both the host's objects and the engine's files."""

from .analysis import CLASS_SERIES, CURVE_SERIES, Analysis
from .particles import object_ids, read_particles_star, relion_alignment, scipion_matrices, write_particles_star
from .posed import class_sizes, posed_particles
from .results import (
    LatentsById,
    classify,
    fill_flex_particles,
    fill_flex_volumes,
    fill_volumes,
    latents_by_id,
    link_run,
    new_flex_particles,
    volume_object,
)

__all__ = [
    "CLASS_SERIES",
    "CURVE_SERIES",
    "Analysis",
    "LatentsById",
    "class_sizes",
    "classify",
    "fill_flex_particles",
    "fill_flex_volumes",
    "fill_volumes",
    "latents_by_id",
    "link_run",
    "new_flex_particles",
    "object_ids",
    "posed_particles",
    "read_particles_star",
    "relion_alignment",
    "scipion_matrices",
    "volume_object",
    "write_particles_star",
]

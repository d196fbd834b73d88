"""The only place that knows both the host's objects and the engine's files."""

from .particles import object_ids, read_particles_star, relion_alignment, scipion_matrices, write_particles_star
from .results import (
    classify,
    fill_flex_particles,
    flex_volume_object,
    latents_by_id,
    run_info,
    volume_object,
)

__all__ = [
    "classify",
    "fill_flex_particles",
    "flex_volume_object",
    "latents_by_id",
    "object_ids",
    "read_particles_star",
    "relion_alignment",
    "run_info",
    "scipion_matrices",
    "volume_object",
    "write_particles_star",
]

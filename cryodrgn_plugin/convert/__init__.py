"""The only place that knows both the host's objects and the engine's files."""

from .posed import class_sizes, posed_particles
from .scipion_particles import (
    object_ids,
    read_particles_star,
    relion_alignment,
    scipion_matrices,
    with_images_of,
    write_latents_star,
    write_particles_star,
)
from .scipion_results import (
    LatentsById,
    classify,
    confidence_of,
    fill_flex_particles,
    fill_flex_volumes,
    fill_volumes,
    latents_by_id,
    new_flex_particles,
    selected_ids,
    volume_object,
)

__all__ = [
    "LatentsById",
    "class_sizes",
    "classify",
    "confidence_of",
    "fill_flex_particles",
    "fill_flex_volumes",
    "fill_volumes",
    "latents_by_id",
    "new_flex_particles",
    "object_ids",
    "posed_particles",
    "read_particles_star",
    "relion_alignment",
    "scipion_matrices",
    "selected_ids",
    "volume_object",
    "with_images_of",
    "write_latents_star",
    "write_particles_star",
]

"""Which run of the engine gave particles their latents."""

from typing import Any

from ..constants import FLEX_RUN, PROGRAM_NAME


def trained_run(particles: Any) -> str | None:
    """Folder of the run that a set of particles comes from, relative to the project; None for other sets."""
    if particles is None or not hasattr(particles, "getFlexInfo"):
        return None
    info = particles.getFlexInfo()
    if info.getProgName() != PROGRAM_NAME or not info.hasAttribute(FLEX_RUN):
        return None
    return info.getAttr(FLEX_RUN)

"""What a lens does to the particles of a run that the files of other programs cannot say."""

import numpy as np

from ..analysis.run_particles import RunParticles
from ..io.optics_terms import what_applies
from ..io.particles import ParticleTable

CRYOSPARC_ADVICE = (
    "by which signs it states them is not published. Fit them there, by Global CTF Refinement, where resolutions "
    "beyond 4 Å matter"
)
CRYODRGN_ADVICE = "it knows of none, and its images keep them, which blurs maps beyond some 4 Å"


def left_out(given: ParticleTable, particles: RunParticles, program: str, advice: str) -> list[str]:
    """A sentence about the aberrations of the particles that the files of `program` leave out, if there are any.

    Parameters
    ----------
    given : the table that the run was made from. What a .cs file lists is in its `unapplied`.
    particles : of the run.
    advice : a clause about the program that says why, and what to do.
    """
    table, group = particles.table, particles.table.optics_group[particles.lines]
    terms = {number: what_applies(each) for number, each in enumerate(table.aberrations)}
    shown_by = [number for number in np.unique(group).tolist() if terms[number]]
    if not shown_by:
        return list(given.unapplied)
    kinds = list(dict.fromkeys(kind for number in shown_by for kind in terms[number]))
    count = int(np.isin(group, shown_by).sum())
    groups = f"optics group{'s' if shown_by[1:] else ''} {', '.join(str(number + 1) for number in shown_by)}"
    return [f"The files for {program} leave out {', '.join(kinds)} of {groups} ({count:,} particles): {advice}."]

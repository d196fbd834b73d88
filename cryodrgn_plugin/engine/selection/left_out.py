"""What is known of the particles of a run and not said in the files that are made for other programs."""

import numpy as np

from ..analysis.run_particles import RunParticles
from ..io.optics_terms import what_applies
from ..io.particles import ParticleTable
from ..report_writer import Report

CRYOSPARC_ADVICE = (
    "by which signs it states them is not published. Fit them there, by Global CTF Refinement, where resolutions "
    "beyond 4 Å matter"
)
CRYODRGN_ADVICE = "it knows of none, and its images keep them, which blurs maps beyond some 4 Å"


def say_left_out(out: Report, sentences: list[str]) -> None:
    """Put sentences about what the files leave out into the index of a report, and into the run's log."""
    out.index["left_out"] = sentences
    for sentence in sentences:
        out.say(sentence)


def aberrations_left_out(given: ParticleTable, particles: RunParticles, program: str, advice: str) -> list[str]:
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

"""What each of several species goes on with: its particles as a file, how sure they are, its map's resolution, a sheet.

Made when `abinitio` has told species apart. A particle's probability is that of its species, from what it lacks of the
log-likelihood in the others; its outlier score says how far the map of its species falls short of explaining it
(`junk`). Lists keep all particles of a species, so that a state which its map does not show is not lost from it.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from ..analysis.run_particles import RunParticles, images_of, particles_of
from ..io.found_poses import CLASS, PROBABILITY, STAR_ROW
from ..io.mrc import read_map
from ..io.particle_lists import write_particles
from ..reconstruction.fsc import fsc_corrected, resolution
from ..reconstruction.masks import mask_from_map
from ..report_writer import Report
from ..run import Run
from .junk import judge, suggested_cut
from .selection_report import as_listed
from .species_sheet import draw_species
from .told_species import SURE, Species, script, table

FEWEST_JUDGED = 100
"""Particles that a species needs for an outlier to stand out from them."""
ROUNDS = 2
OUTLIER = "cryodrgnOutlier"


def leave_species(run: Run) -> Path:
    """Files, figures and counts of each species of a finished run of `abinitio`; returns the path of their index.

    Raises DataError where its particles are not there any more.
    """
    particles = particles_of(run)
    number, probability = (particles.frame[name].to_numpy(np.float64) for name in (CLASS, PROBABILITY))
    number = number.astype(np.int64)
    outlier, unexplained = _judged(run, number)
    kinds = []
    for which in range(1, _found(run) + 1):
        members = number == which
        kinds.append(_species(run, which, probability[members], unexplained[members]))
    with run.report("species", run.config.ab_initio) as out:
        listed = _write_lists(out, as_listed(run, particles), number, outlier)
        out.index |= {"particles": len(number), "sure_from": SURE, "species": _entries(kinds, listed)}
        out.arrays(rows=run.latents().rows, species=number, probability=probability, outlier=outlier)
        out.text("script", "states_of_each.sh", script(run.config, kinds, listed))
        draw_species(out.figure("species"), kinds, _pixel_size_ang(run))
        for sentence in table(kinds):
            out.say(sentence)
        out.conclusion = (
            f"Particles of each species are in {out.destination}, and a sheet of all maps in {out.destination}/figures."
            f" `sh {out.destination}/states_of_each.sh` looks for the states of each."
        )
    return out.index_file


def _found(run: Run) -> int:
    """How many species have a map."""
    number = 0
    while run.found_map_file(number + 1).exists():
        number += 1
    return number


def _pixel_size_ang(run: Run) -> float:
    return read_map(run.found_map_file(1))[1]


def _judged(run: Run, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outlier score of each particle by the map of its species, not a number where that has too few; and which are
    outliers, (N,) each. Scores count from the good particles of each species, so that one cut is for all."""
    outlier, dataset = np.full(len(number), np.nan, np.float32), images_of(run)
    if not dataset.has_noise:
        return outlier, np.zeros(len(number), bool)
    kinds = [kind for kind, count in enumerate(np.bincount(number)) if count >= FEWEST_JUDGED]
    for done, kind in enumerate(kinds, start=1):
        members, settings = np.flatnonzero(number == kind), {"padding": run.config.decoder.padding, "rounds": ROUNDS}
        judgement, _ = judge(
            dataset.subset(members),
            np.zeros((len(members), 0)),
            **settings,
            cut=0.0,
            seed=run.config.seed,
            report=lambda *_: None,
        )
        outlier[members] = judgement.outlier
        run.progress("species", done, len(kinds))
    return outlier, outlier > suggested_cut(outlier[np.isfinite(outlier)])


def _species(run: Run, number: int, probability: np.ndarray, unexplained: np.ndarray) -> Species:
    volume, pixel_size_ang = read_map(run.found_map_file(number))
    halves = [read_map(run.found_map_file(number, which))[0] for which in ("half1", "half2")]
    mask = mask_from_map((halves[0] + halves[1]) / 2, pixel_size_ang)
    curve = fsc_corrected(halves[0], halves[1], mask, run.config.seed).corrected
    reached = resolution(curve, pixel_size_ang, len(volume)) if len(probability) else np.nan
    return Species(number, volume, curve, reached, probability, unexplained)


def _write_lists(out: Report, particles: RunParticles, number: np.ndarray, outlier: np.ndarray) -> dict[int, str]:
    """A particle file of each species; their names by its number."""
    names = {}
    for kind in np.unique(number).tolist():
        lines = particles.lines[number == kind]
        scores = pd.Series(outlier[number == kind], index=lines)
        frame = particles.table.frame.iloc[np.sort(lines)].drop(columns=[STAR_ROW], errors="ignore")
        frame = frame.assign(**{OUTLIER: scores[frame.index].to_numpy()})
        names[kind] = out.relative(out.file(f"species_{kind:03d}", f"species_{kind:03d}.star"))
        final = out.destination / names[kind]
        beside = write_particles(out.folder / names[kind], particles.table, frame.reset_index(drop=True), final=final)
        if beside is not None:
            out.file(beside.stem, beside.name)
    return names


def _entries(kinds: list[Species], listed: dict[int, str]) -> list[dict]:
    """What the index says of each species."""
    total = max(sum(kind.particles for kind in kinds), 1)
    return [
        {
            "species": kind.number,
            "particles": kind.particles,
            "share": round(kind.particles / total, 4),
            "sure": kind.sure,
            "unexplained": int(kind.unexplained.sum()),
            "probability": round(float(kind.probability.mean()), 4) if kind.particles else None,
            "resolution_ang": round(kind.resolution_ang, 3) if kind.particles else None,
            "star": listed.get(kind.number, ""),
        }
        for kind in kinds
    ]

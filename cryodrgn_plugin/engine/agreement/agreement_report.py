"""What several searches for species agree on: counts, maps in one frame, a particle file of each species, a picture.

Poses are never mixed: the frame of a map is an accident of its run, so a species has the poses of one run, and only of
particles that this run has put into the one species whose map that is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from ..io.found_poses import AGREEMENT, CLASS, FORMER_CLASS, STAR_ROW
from ..io.particle_lists import write_particles
from ..io.particles import ParticleTable
from ..report_writer import Report, report_into
from ..run import Run
from ..selection.selection_report import as_listed
from .agreement_options import AgreementOptions
from .agreement_sheet import draw_agreement
from .all_listed import all_listed
from .consensus_species import NONE, Consensus, consensus
from .maps_in_one_frame import in_one_frame
from .run_species import RunSpecies, maps_at_one_box, names_of, opened_runs, require_common
from .same_particles import SharedParticles, shared_particles
from .told_agreement import AgreedSpecies, divided_otherwise, rand_indices, rand_sentences, table


def agreement(runs: Sequence[Run], options: AgreementOptions, out: str = "") -> Path:
    """Compare the species of two or more finished runs; returns the path of the index, under the first run or in `out`.

    Raises DataError where a run has no species or has not finished, where runs have no particle in common, or where
    their particles are not there any more.
    """
    opened = opened_runs(runs)
    shared = shared_particles([each.images for each in opened], [each.shown for each in opened])
    require_common(opened, shared.places)
    labels = np.stack([shared.of_run(which, each.species) for which, each in enumerate(opened)])
    found, names = consensus(labels, shared.distinct), names_of(opened)
    agreed = found.agreed(options.least)
    kinds = [_species(opened, names, shared, found, agreed, number) for number in range(found.count)]
    with _report(runs[0], options, out) as report:
        total = int(shared.distinct.sum())
        counted = [int((shared.distinct & (places >= 0)).sum()) for places in shared.places]
        entries = [_entry_of(*of_run) for of_run in zip(opened, names, counted, strict=True)]
        report.index |= {"particles": total, "runs": entries}
        rand = rand_indices(labels, shared.distinct)
        report.index["pairs"] = [_pair(names, *row) for row in rand]
        _write_all(report, opened, shared, found, agreed)
        report.index["species"] = [_write_species(report, opened, names, shared, found, agreed, kind) for kind in kinds]
        sentences = list(divided_otherwise(found, names))
        report.index["divided_otherwise"] = sentences
        if kinds:
            draw_agreement(report.figure("agreement"), kinds, names)
        for sentence in (*table(kinds, names, total), *rand_sentences(rand, names), *sentences, *_few(found)):
            report.say(sentence)
        report.conclusion = f"What the runs agree on is in {report.destination}."
    return report.index_file


@contextmanager
def _report(run: Run, options: AgreementOptions, out: str) -> Iterator[Report]:
    """The results under a run, or in a folder of the user's, with what is said in the run's log either way."""
    if not out or Path(out).resolve() == run.results_dir("agreement").resolve():
        with run.report("agreement", options) as report:
            yield report
        return
    with report_into(Path(out), "agreement", options, {}) as report:
        yield report
    for sentence in (*report.sentences, report.conclusion):
        run.log(sentence)


def _few(found: Consensus) -> Iterator[str]:
    """What to do about species that one run alone has found."""
    alone = np.flatnonzero(found.found.sum(0) < 2)
    if len(alone):
        which = ", ".join(str(kind + 1) for kind in alone)
        yield f"Found by one run alone, and so without a particle file: {which}. A run with another seed would tell."


def _species(
    runs: list[RunSpecies], names: list[str], shared: SharedParticles, found: Consensus, agreed: np.ndarray, number: int
) -> AgreedSpecies:
    """What is known of one consensus species, its maps in one frame."""
    partner = np.array([votes.partner[number] for votes in found.runs])
    overlap = np.array([votes.overlap[:, number].max() for votes in found.runs])
    members, by_runs = (found.species == number) & shared.distinct, found.found[:, number]
    compared, takes = members & np.isfinite(found.agreement), members & agreed
    reached = [
        (each.resolution_ang[own], -int((takes & (labels == own)).sum()), which)
        for which, (each, own, labels) in enumerate(zip(runs, partner, found.labels, strict=True))
        if by_runs[which]
    ]
    reference = min(reached)[-1]  # the best resolved map, and of equals that with most of the particles
    in_parts = [votes.vote[own] == number for votes, own in zip(found.runs, partner, strict=True)]
    maps = {
        which: runs[which].map_of(int(own))
        for which, own in enumerate(partner)
        if own != NONE and (by_runs[which] or in_parts[which])
    }
    cubes, pixel_size_ang = maps_at_one_box(maps, names)
    aligned = in_one_frame(cubes, reference, pixel_size_ang)
    runs[0].run.progress("maps", number + 1, found.count)
    listed = takes & (found.labels[reference] == partner[reference])
    return AgreedSpecies(
        number=number + 1,
        particles=int(members.sum()),
        compared=int(compared.sum()),
        agreed=int(takes.sum()),
        listed=int(listed.sum()),
        found=by_runs,
        partner=partner,
        overlap=overlap,
        maps=aligned,
    )


# --- what is written ------------------------------------------------------------------------------------------------


def _write_all(
    out: Report, runs: list[RunSpecies], shared: SharedParticles, found: Consensus, agreed: np.ndarray
) -> None:
    """All particles with their class, without poses that a run has found; and the same as arrays."""
    files: dict[Path, np.ndarray] = {}
    tables: dict[Path, ParticleTable] = {}
    for which, each in enumerate(runs):
        file = each.run.given_file.resolve()
        tables.setdefault(file, each.run.given_particles())
        rows = shared.of_run(which, each.run.latents().rows)
        files[file] = np.where(files[file] < 0, rows, files[file]) if file in files else rows
    base, frame, listed = all_listed([(tables[file], rows) for file, rows in files.items()])
    if CLASS in frame and FORMER_CLASS not in frame:
        frame = frame.assign(**{FORMER_CLASS: frame[CLASS]})
    frame = frame.assign(**{CLASS: found.species[listed] + 1, AGREEMENT: np.round(found.agreement[listed], 4)})
    path = out.file("particles", "particles.star")
    _noted(out, write_particles(path, base, frame, final=out.destination / path.name))
    if len(listed) < shared.n:
        out.say(
            f"{shared.n - len(listed):,} particles are not in {path.name}: their files have other columns than "
            f"{base.path}, or list tilt series."
        )
    out.arrays(
        rows=shared.of_run(0, runs[0].run.latents().rows),
        species=found.species + 1,
        agreement=found.agreement.astype(np.float32),
        agreed=agreed,
        of_runs=(found.labels + 1).T.astype(np.int32),
        listed=np.isin(np.arange(shared.n), listed),
    )


def _write_species(
    out: Report,
    runs: list[RunSpecies],
    names: list[str],
    shared: SharedParticles,
    found: Consensus,
    agreed: np.ndarray,
    kind: AgreedSpecies,
) -> dict:
    """The particle file, merged map and index entry of one species."""
    name, which = f"species_{kind.number:03d}", kind.maps.reference
    out.map(f"{name}_map", f"{name}.mrc", kind.maps.merged(np.flatnonzero(kind.found)), kind.maps.pixel_size_ang)
    entry = {
        "species": kind.number,
        "particles": kind.particles,
        "found_in": int(kind.found.sum()),
        "compared": kind.compared,
        "agreed": kind.agreed,
        "share_agreed": round(kind.share_agreed, 4),
        "listed": kind.listed,
        "poses_of": names[which],
        "alike_to_ang": kind.alike_to_ang and round(kind.alike_to_ang, 3),
        "map": f"{name}.mrc",
        "star": "",
        "runs": [
            _entry_in_run(kind, runs[run], names[run], run) for run in range(len(runs)) if kind.partner[run] != NONE
        ],
    }
    if kind.listed:
        members = agreed & (found.species == kind.number - 1) & (found.labels[which] == kind.partner[which])
        places = shared.places[which, members]
        entry["star"] = _write_star(out, runs[which], places, found.agreement[members], name, kind)
    return entry


def _write_star(
    out: Report, run: RunSpecies, places: np.ndarray, share: np.ndarray, name: str, kind: AgreedSpecies
) -> str:
    """The particles at `places` (n,) of a run with the poses that it has found; returns the name of the file."""
    particles = as_listed(run.run, run.particles)
    lines = particles.lines[places]
    of_line = pd.Series(share, index=lines)
    frame = particles.table.frame.iloc[np.sort(lines)].drop(columns=[STAR_ROW], errors="ignore")
    frame = frame.assign(**{CLASS: kind.number, AGREEMENT: np.round(of_line[frame.index].to_numpy(), 4)})
    path = out.file(name, f"{name}.star")
    beside = write_particles(path, particles.table, frame.reset_index(drop=True), final=out.destination / path.name)
    _noted(out, beside)
    return path.name


def _noted(out: Report, beside: Path | None) -> None:
    """List an optimisation set that was written beside a particle file of tilt series."""
    if beside is not None:
        out.file(beside.stem, beside.name)


def _entry_of(each: RunSpecies, name: str, particles: int) -> dict:
    seed = each.run.config.seed
    return {"run": str(each.home), "name": name, "particles": particles, "species": each.count, "seed": seed}


def _pair(names: list[str], one: int, other: int, common: int, index: float | None) -> dict:
    return {
        "runs": [names[one], names[other]],
        "particles": common,
        "adjusted_rand_index": None if index is None else round(index, 4),
    }


def _entry_in_run(kind: AgreedSpecies, run: RunSpecies, name: str, which: int) -> dict:
    """What one run has of a species, and how its map lies to that of the reference."""
    own, placed = int(kind.partner[which]), kind.maps.placed.get(which)
    entry = {
        "run": name,
        "species": own + 1,
        "overlap": round(float(kind.overlap[which]), 4),
        "found": bool(kind.found[which]),
        "resolution_ang": round(float(run.resolution_ang[own]), 3) if np.isfinite(run.resolution_ang[own]) else None,
    }
    if placed is not None:
        entry |= {
            "other_hand": placed.mirrored,
            "rotation": placed.rotation.round(6).tolist(),
            "origin_ang": (placed.origin_px * kind.maps.pixel_size_ang).round(3).tolist(),
            "alike_to_ang": round(kind.maps.resolution_ang[which], 3),
            "fsc": kind.maps.curves[which].round(4).tolist(),
        }
    return entry

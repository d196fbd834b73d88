"""`select`: the particles that go on, as results under a name with lists that go back where the particles came from.

Choices are combined: a particle is taken when every one that was given takes it. docs/run_folder.md describes the
results.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..analysis.run_particles import RunParticles, images_of, particles_of, shown_by
from ..data.copies import repeated
from ..errors import ConfigError, DataError
from ..io.chosen_rows import particle_of_image, write_chosen
from ..io.particle_lists import write_particles
from ..io.tables import read_table
from ..io.tilt_rows import FRAME
from ..report_writer import Report
from ..run import Run
from .columns import ParticleColumns, annotations, n_clusters
from .junk import Judgement, judge
from .kept import keep_judgement, kept_judgement
from .lasso import read_lasso
from .listed import read_listed
from .originals import rows_in
from .rules import names_in, obeying
from .selection_figures import draw_selection
from .selection_options import SelectOptions


@dataclass(frozen=True)
class Choice:
    """One reason for taking particles: in words, and which, (N,) bool."""

    words: str
    taken: np.ndarray


def select(run: Run, options: SelectOptions) -> Path:
    """Select particles of a finished run; returns the path of the selection's index.

    Raises
    ------
    ConfigError : a class, rule, lasso or list that does not fit the run.
    DataError : nothing would be left, or the original does not list the particles.
    """
    particles = particles_of(run)
    columns = ParticleColumns(run, particles.frame, lambda: _judged(run, options))
    choices = _choices(run, columns, options)
    shown = shown_by(run, particles) if options.once else None
    particle = particle_of_image(particles.table)[particles.lines]
    taken = _whole_particles(particle, _combined(choices, particle, shown, options))
    if not taken.any():
        told = "; ".join(f"{choice.words}: {int(choice.taken.sum()):,}" for choice in choices)
        raise DataError(f"No particle of {columns.n:,} is left ({told}).")
    with run.report("selection", options, options.name) as out:
        there = as_listed(run, particles)
        _write(there, columns, choices, taken, options, out)
        for choice in choices:
            out.say(f"{choice.words}: {there.count(choice.taken):,} of {there.count():,} particles.")
        if shown is not None:
            out.say(f"One of each image: {int((~repeated(shown)).sum()):,} of {columns.n:,} are no copies of another.")
        counts = f"{there.count(taken):,} particles are selected, {there.count(~taken):,} are not"
        out.conclusion = f"{counts}; the lists are in {out.destination}."
    return out.index_file


# --- who is taken ---------------------------------------------------------------------------------------------------


def _choices(run: Run, columns: ParticleColumns, options: SelectOptions) -> list[Choice]:
    choices = []
    if options.clusters:
        labels = columns.needed("cluster", "a choice of classes")
        wanted = parse_classes(options.clusters, n_clusters(run))
        choices.append(Choice(f"classes {options.clusters}", np.isin(labels, wanted)))
    if options.where:
        if "confidence" in names_in(options.where):
            columns.needed("confidence", "the rule")
        choices.append(Choice(options.where, obeying(options.where, columns, columns.n)))
    if options.lasso:
        lasso = read_lasso(options.lasso)
        positions = np.stack([columns.needed(axis, "the lasso") for axis in lasso.axes], axis=1)
        choices.append(Choice(f"inside the lasso {Path(options.lasso).name}", lasso.inside(positions)))
    if options.listed:
        listed = np.isin(columns.latents.rows, read_listed(options.listed))
        choices.append(Choice(f"listed in {Path(options.listed).name}", listed))
    if options.junk:
        cut = columns.judgement.cut
        choices.append(Choice(f"outlier score at most {cut:g}", columns["outlier"] <= cut))
    return choices


def _combined(
    choices: list[Choice], particle: np.ndarray, shown: np.ndarray | None, options: SelectOptions
) -> np.ndarray:
    """(N,) bool: what all choices take, turned round if asked for, then one of those that show the same in `shown`
    (N,), if asked for, and thinned out at random if asked for, `particle` (N,) by particle."""
    taken = np.ones(len(particle), bool)
    for choice in choices:
        taken &= choice.taken
    taken = ~taken if options.invert and choices else taken
    left = np.flatnonzero(taken)
    if shown is not None:
        left = left[~repeated(shown[left])]
        taken = np.isin(np.arange(len(particle)), left)
    first = left[np.sort(np.unique(particle[left], return_index=True)[1])]
    if 0 < options.random < len(first):
        drawn = np.random.default_rng(options.seed).choice(first, options.random, replace=False)
        taken &= np.isin(particle, particle[drawn])
        taken = ~taken if options.invert and not choices else taken
    return taken


def parse_classes(words: str, n: int) -> list[int]:
    """`1,3-5` as [1, 3, 4, 5], all from 1 to n. Raises ConfigError."""
    classes: list[int] = []
    for word in words.split(","):
        first, dash, last = word.strip().partition("-")
        try:
            classes += range(int(first), int(last) + 1) if dash else [int(first)]
        except ValueError:
            raise ConfigError(f"clusters has {word.strip()!r}; give classes as 1,3 or 2-5.") from None
    wrong = [number for number in classes if not 1 <= number <= n]
    if wrong or not classes:
        raise ConfigError(f"clusters is {words!r}, but the classes of the analysis are 1 to {n}.")
    return classes


def _judged(run: Run, options: SelectOptions) -> Judgement:
    """What the images say of each particle: as an earlier selection has kept it, or found out now and kept."""
    kept = kept_judgement(run, options)
    if kept is not None:
        run.log(f"What images say is known from an earlier selection ({run.outliers_file.name}).")
    judgement, counts = kept or _judge_images(run, options)
    if not run.latents().z.shape[1]:
        run.log("This run has one map: particles in another state than most count as junk too.")
    run.log(
        f"Junk after each round: {', '.join(f'{count:,}' for count in counts)} of {len(judgement.outlier):,} particles."
    )
    return judgement


def _judge_images(run: Run, options: SelectOptions) -> tuple[Judgement, list[int]]:
    dataset = images_of(run)
    judgement, counts = judge(
        dataset,
        run.latents().z,
        padding=run.config.decoder.padding,
        rounds=options.rounds,
        cut=options.junk_cut,
        seed=options.seed,
        report=run.progress,
    )
    keep_judgement(run, options, judgement, counts)
    return judgement, counts


def _whole_particles(particle: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Tilt images of one particle go together: with the majority of them, and if they are even, they stay."""
    share = np.bincount(particle, taken) / np.maximum(np.bincount(particle), 1)
    return share[particle] >= 0.5


def as_listed(run: Run, particles: RunParticles) -> RunParticles:
    """The particles as lists have them: where poses of tilt images were found, those of the run's particle file."""
    if particles.table.tilts is None and run.poses_file.exists() and FRAME in particles.table.frame:
        whole = run.particles()
        return particles if whole.tilts is None else RunParticles(whole, run.latents().rows)
    return particles


# --- what is written ------------------------------------------------------------------------------------------------


def _write(
    particles: RunParticles,
    columns: ParticleColumns,
    choices: list[Choice],
    taken: np.ndarray,
    options: SelectOptions,
    out: Report,
) -> None:
    target, lines, matched = particles.table, particles.lines, ""
    if options.original:
        target = read_table(options.original)
        original_rows, matched = rows_in(target, particles.table, options.same_order)
        lines = original_rows[lines]
    cut = columns.judgement.cut if options.junk else None
    out.index |= {
        "particles": particles.count(),
        "selected": particles.count(taken),
        "rejected": particles.count(~taken),
        "junk_cut": cut,
        "choices": [{"what": choice.words, "takes": particles.count(choice.taken)} for choice in choices],
        "source": str(target.path),
        "matched_by": matched,
    }
    added = annotations(columns, lines, target.n) if options.annotate else {}
    for name, chosen in (("selected", taken), ("rejected", ~taken)):
        if chosen.any():
            if target.tilts is None:
                out.files[name] = out.relative(write_chosen(target, lines[chosen], out.folder / name, added))
                continue
            frame = target.frame.iloc[np.sort(lines[chosen])]
            frame = frame.assign(**{column: values[frame.index] for column, values in added.items()})
            listed = out.file(name, f"{name}.star")
            beside = write_particles(listed, target, frame.reset_index(drop=True), out.destination / listed.name)
            out.file(f"{name}_optimisation_set", beside.name)
    out.arrays(rows=columns.latents.rows, selected=taken, **columns.judged())
    draw_selection(out.file("figure", "selection.png"), columns, [choice.words for choice in choices], taken, cut)

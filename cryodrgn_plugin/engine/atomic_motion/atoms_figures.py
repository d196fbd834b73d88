"""Figures of `atoms`: mobility along the chains, how the parts lie in the particles, and what the maps say of the
model."""

from pathlib import Path

import numpy as np

from ..analysis.figure_style import FAINT, GREY, class_colours, figure
from .model_in_run import ModelInRun
from .part_table import ParticleParts


def mobility_figure(file: Path, found: ModelInRun) -> None:
    """Mobility of every residue, coloured by part, chains side by side."""
    mobility, labels, chains = found.mobility_ang(), found.motion.labels, found.beads.chains
    place = np.arange(len(labels))
    starts = np.flatnonzero(np.r_[True, chains[1:] != chains[:-1]])
    with figure(file, 8, 2.8) as page:
        ax = page.subplots()
        for part, colour in enumerate(class_colours(found.parts)):
            own = labels == part
            ax.scatter(place[own], mobility[own], s=5, color=colour, label=f"part {part + 1}", rasterized=True)
        for start in starts[1:]:
            ax.axvline(start - 0.5, color=FAINT, lw=0.8, zorder=0)
        middles = (starts + np.r_[starts[1:], len(labels)]) / 2
        shown = middles if len(middles) <= 30 else middles[:0]
        ax.set_xticks(shown, [f"chain {chains[start]}" for start in starts][: len(shown)])
        ax.tick_params(axis="x", length=0)
        ax.set(xlim=(-0.5, len(labels) - 0.5), ylabel="mobility (Å, r.m.s.)", ylim=(0, None))
        ax.set_title("How far residues move over the particles")
        page.legend(loc="outside right upper", markerscale=2)


def parts_figure(file: Path, found: ModelInRun, particles: ParticleParts) -> None:
    """Distribution over the particles of each part's turn and occupancy."""
    others = range(1, found.parts) if found.parts > 1 else range(1)
    colours = class_colours(found.parts)
    with figure(file, 8, 2.8) as page:
        turn, there = page.subplots(1, 2)
        for part in others:
            turn.hist(particles.turns_deg[:, part], bins=60, histtype="step", lw=1.4, color=colours[part])
        for part in range(found.parts):
            there.hist(
                particles.occupancy[:, part], bins=np.linspace(0, 1, 41), histtype="step", lw=1.4, color=colours[part],
                label=f"part {part + 1}",
            )  # fmt: skip
        turn.set(xlabel="turn against part 1 (degrees)", ylabel="particles", title="Turns")
        there.set(xlabel="occupancy", ylabel="particles", title="Occupancies", xlim=(-0.02, 1.02))
        page.legend(loc="outside right upper")


def number_figure(file: Path, found: ModelInRun) -> None:
    """What each number of parts gains in maps of held-out particles."""
    number = found.number
    counts = np.array([labels.max() + 1 for labels in found.candidates])
    with figure(file, 4.2, 2.8) as page:
        ax = page.subplots()
        ax.plot(counts, number.gain, color=GREY, lw=1)
        ax.scatter(counts, number.gain, color=GREY, s=18, zorder=3)
        ax.scatter(counts[number.chosen], number.gain[number.chosen], color="#D55E00", s=40, zorder=4)
        ax.set_xticks(counts)
        ax.set(xlabel="rigid parts", ylabel="gain in log-likelihood per map", title="Judged on held-out particles")

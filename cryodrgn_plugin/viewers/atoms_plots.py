"""Plots of an atomic model in the maps of a run, each drawn into a figure and told in words."""

from collections.abc import Callable
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import palette
from .atoms_content import AtomsContent

MOST_POINTS = 4000
"""Particles in a plot, drawn at random from more."""
BINS = 24
MOST_CHAINS = 24
"""Whose names fit along an axis."""


def draw_mobility(figure: Figure, atoms: AtomsContent, along: str) -> str:
    """How far each residue moves, by chain and in the colours of the parts."""
    axes = palette.tidy(figure.add_subplot(), "residues, by chain", "mobility (Å, r.m.s. over the particles)")
    place = np.arange(len(atoms.part))
    for number, colour in _colours(atoms):
        own = atoms.part == number
        axes.scatter(place[own], atoms.mobility_ang[own], s=14, lw=0, color=colour, label=f"part {number}")
    _mark_chains(axes, atoms)
    axes.set_ylim(0, max(1.0, 1.08 * float(atoms.mobility_ang.max())))
    _legend(axes)
    farthest = int(np.argmax(atoms.mobility_ang))
    return (
        f"Residue {atoms.chains[farthest]}:{atoms.residues[farthest]} moves farthest, by "
        f"{atoms.mobility_ang[farthest]:.1f} Å."
    )


def draw_parts(figure: Figure, atoms: AtomsContent, along: str) -> str:
    """Which residues are in which rigid part, a row per chain."""
    axes = palette.tidy(figure.add_subplot(), "residue number", "chain")
    colours = dict(_colours(atoms))
    starts = atoms.chain_starts()
    for row, (start, end) in enumerate(zip(starts, [*starts[1:], len(atoms.chains)], strict=True)):
        for number, run in groupby(range(start, end), key=lambda i: atoms.part[i]):
            own = list(run)
            left, right = atoms.residues[own[0]] - 0.5, atoms.residues[own[-1]] + 0.5
            axes.barh(row, right - left, left=left, height=0.6, color=colours[number])
    axes.set_yticks(range(len(starts)), atoms.chains[starts])
    axes.set_ylim(len(starts) - 0.4, -0.6)
    for number, colour in colours.items():
        share = atoms.parts[number - 1]["share"]
        axes.barh(0, 0, color=colour, label=f"part {number}, {share:.0%} of the mass")
    _legend(axes)
    listed = "; ".join(f"part {entry['part']}: {entry['residues']}" for entry in atoms.parts)
    return f"{listed}. Part 1 is the frame of the others." if len(atoms.parts) > 1 else f"{listed}."


def draw_motion(figure: Figure, atoms: AtomsContent, along: str) -> str:
    """Turn and move of each part in the particles along a coordinate, with the median."""
    panels = figure.subplots(2, 1, sharex=True)
    values, chosen = atoms.coordinates[along], _some(len(atoms.turns_deg))
    moving = [(number, colour) for number, colour in _colours(atoms) if number > 1]
    if not moving:
        for axes in panels:
            axes.set_axis_off()
        palette.note(panels[0], "The model moves as one: there is no part to turn against another.")
        return ""
    for axes, of_parts in zip(panels, (atoms.turns_deg, atoms.moves_ang), strict=True):
        for number, colour in moving:
            of_part = of_parts[:, number - 1]
            axes.scatter(values[chosen], of_part[chosen], s=8, lw=0, color=colour, alpha=0.4, rasterized=True)
            axes.plot(*_medians(values, of_part), color=colour, lw=2, label=f"part {number}")
        axes.grid(axis="y", color=palette.FAINT, lw=0.8)
    palette.tidy(panels[0], "", "turn against part 1 (°)")
    palette.tidy(panels[1], along, "move against part 1 (Å)")
    _legend(panels[0])
    entries = [atoms.parts[number - 1] for number, _ in moving]
    ranges = "; ".join(
        f"part {entry['part']} from {entry['turns_deg'][0]:.1f}° to {entry['turns_deg'][1]:.1f}° "
        f"(± {entry['error_deg']}°)"
        for entry in entries
    )
    return f"Turns in 95 % of the particles: {ranges}."


def draw_occupancy(figure: Figure, atoms: AtomsContent, along: str) -> str:
    """How much of each part is there in every state, and how many particles the states have."""
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    states = np.arange(1, len(atoms.states) + 1)
    occupancy = np.array([state["occupancy"] for state in atoms.states])
    for number, colour in _colours(atoms):
        axes.plot(states, occupancy[:, number - 1], "-o", color=colour, lw=1.6, ms=5, label=f"part {number}")
    palette.tidy(axes, "", "occupancy").set_ylim(-0.03, 1.05)
    axes.grid(axis="y", color=palette.FAINT, lw=0.8)
    share = np.array([state["share"] for state in atoms.states])
    below.bar(states, 100 * share / share.sum(), color=palette.NEUTRAL, width=0.7)
    palette.tidy(below, "state: map that the model was laid into", "particles (%)")
    below.set_xticks(states if len(states) <= 40 else states[::5])
    _legend(axes)
    means = ", ".join(f"part {entry['part']} {entry['occupancy']:.2f}" for entry in atoms.parts)
    return f"Mean occupancy over the particles: {means}."


def draw_check(figure: Figure, atoms: AtomsContent, along: str) -> str:
    """Whether prior-free half-maps of the states agree with the model, along its residues and by resolution."""
    bias = atoms.bias or {}
    residues, curves = figure.subplots(2, 1, height_ratios=(1.3, 1))
    palette.tidy(residues, "residues, by chain", "local correlation")
    place, flagged = np.arange(len(atoms.part)), np.array(bias["along"]["flagged"])
    model, halves = (np.array(bias["along"][name]) for name in ("model", "halves"))
    residues.plot(place, halves, color=palette.NEUTRAL, lw=1.2, label="half-maps with each other")
    residues.plot(place, model, color=palette.CATEGORIES[0], lw=1.4, label="model with half-maps")
    if flagged.any():
        residues.scatter(place[flagged], model[flagged], s=12, lw=0, color=palette.ACCENT, zorder=3, label="flagged")
    _mark_chains(residues, atoms)
    residues.set_ylim(min(-0.02, float(np.r_[model, halves].min()) - 0.05), 1.02)
    frequency = np.linspace(0, atoms.nyquist_per_ang, len(bias["model_fsc"]))
    palette.tidy(curves, "spatial frequency (1/Å)", "FSC with prior-free maps")
    curves.plot(frequency[1:], bias["expected_fsc"][1:], color=palette.NEUTRAL, lw=1.2, label="expected of the truth")
    curves.plot(frequency[1:], bias["model_fsc"][1:], color=palette.CATEGORIES[0], lw=1.6, label="model")
    curves.set_ylim(-0.05, 1.02)
    for axes in (residues, curves):
        _legend(axes)
    return f"{bias['outcome'].capitalize()}. {bias['verdict']} {bias['as_given']['verdict']}".rstrip()


def draw_undone(figure: Figure, atoms: AtomsContent, along: str) -> str:
    """FSC of half-maps with the motion of the parts undone, and of all images as they are, per region."""
    axes = palette.tidy(figure.add_subplot(), "spatial frequency (1/Å)", "FSC of half-maps (dashed: as they are)")
    regions = atoms.corrected or []
    colours = [palette.MUTED, *palette.category_colours(len(regions) - 1)]
    for entry, colour in zip(regions, colours, strict=True):
        frequency = np.linspace(0, atoms.nyquist_per_ang, len(entry["fsc"]))
        label = f"{entry['where']}: {entry['resolution_ang']:.3g} Å, was {entry['consensus_ang']:.3g} Å"
        axes.plot(frequency[1:], entry["fsc"][1:], color=colour, lw=1.8, label=label)
        axes.plot(frequency[1:], entry["consensus_fsc"][1:], color=colour, lw=1.2, ls=(0, (3, 2)))
    axes.axhline(0.143, color=palette.MUTED, lw=0.8, ls=(0, (4, 3)))
    axes.set_ylim(-0.05, 1.02)
    _legend(axes)
    return next((sentence for sentence in atoms.sentences if sentence.startswith("With the motion undone")), "")


def plots_of(atoms: AtomsContent) -> dict[str, Callable[[Figure, AtomsContent, str], str]]:
    """The plots that there is something to draw in, by name."""
    plots = {"mobility": draw_mobility, "parts": draw_parts, "motion": draw_motion, "occupancy": draw_occupancy}
    if atoms.bias and "along" in atoms.bias:
        plots["check of the model"] = draw_check
    if atoms.corrected and "fsc" in atoms.corrected[0]:
        plots["motion undone"] = draw_undone
    return plots


def _colours(atoms: AtomsContent) -> list[tuple[int, str]]:
    """Each part's number, from 1, with its colour."""
    return list(enumerate(palette.category_colours(len(atoms.parts)), start=1))


def _mark_chains(axes: Axes, atoms: AtomsContent) -> None:
    """Names of chains along an axis of residues, and a line where each begins."""
    starts = atoms.chain_starts()
    for start in starts[1:]:
        axes.axvline(start - 0.5, color=palette.FAINT, lw=0.8, zorder=0)
    middles = (starts + np.r_[starts[1:], len(atoms.chains)]) / 2
    shown = len(starts) if len(starts) <= MOST_CHAINS else 0
    axes.set_xticks(middles[:shown], atoms.chains[starts][:shown])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, len(atoms.chains) - 0.5)


def _legend(axes: Axes) -> None:
    """Above the axes, so that nothing is hidden."""
    axes.legend(fontsize=8, labelcolor=palette.INK, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False)


def _some(count: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(count)[:MOST_POINTS])


def _medians(values: np.ndarray, of_part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median of a quantity in bins of equally many particles along a coordinate."""
    order = np.array_split(np.argsort(values, kind="stable"), min(BINS, max(len(values) // 10, 1)))
    return np.array([np.median(values[one]) for one in order]), np.array([np.median(of_part[one]) for one in order])

"""The one page of a preflight: the verdicts in words, and the pictures they were read from."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from ..analysis.figure_style import DISTINCT, FAINT, GREY, INK, figure, without_ticks
from ..reconstruction.fsc import shell_frequencies
from ..vetting.evidence import Evidence
from ..vetting.trials import Trial
from ..vetting.verdicts import OK, STOP, WARN, Verdict
from .pose_checks import SHUFFLED
from .survey import Survey

COLOURS = {OK: DISTINCT[2], WARN: DISTINCT[1], STOP: DISTINCT[5]}
HEADINGS = {
    OK: "Nothing speaks against these particles.",
    WARN: "Usable; read the warnings.",
    STOP: "Something must be corrected before going on.",
}
BAR_ANG = (5, 10, 20, 50, 100, 200, 500)
"""Lengths of a scale bar."""
_LINE, _GAP = 0.0265, 0.016
_WIDTH = 68
_ABOVE_LEGEND = 27.0
"""Points between a panel and its title that leave room for two lines of legend."""
_TOP, _BOTTOM = 0.83, 0.01
"""Where verdicts begin and must have ended."""


def draw_page(file: Path, survey: Survey) -> None:
    """Draw the page; panels whose check could not be made stay empty and say so."""
    with figure(file, 12.6, 7.4) as page:
        left, right = page.subfigures(1, 2, width_ratios=[1.0, 1.35])
        _words(left, survey)
        axes = right.subplots(3, 2)
        _projections(axes[0, 0], survey)
        _fsc(axes[0, 1], survey)
        _bars(axes[1, 0], "poses", survey.given, survey.pose_trials)
        _bars(axes[1, 1], "CTF", survey.ctf_given, survey.transfer_trials)
        _scan(axes[2, 0], survey)
        _views(axes[2, 1], survey)


def _words(part: SubFigure, survey: Survey) -> None:
    part.text(0.03, 0.965, "Preflight", fontsize=15, fontweight="bold", color=INK, va="top")
    read = f"{survey.path.name}: {survey.particles:,} particles, {survey.looked_at:,} images looked at"
    part.text(0.03, 0.915, textwrap.shorten(read, 90), color=GREY, va="top")
    part.text(0.03, 0.885, HEADINGS[survey.level], color=COLOURS[survey.level], fontweight="bold", va="top")
    size, y = _fitting_size(survey.verdicts), _TOP
    for verdict in survey.verdicts:
        _verdict(part, verdict, y, size)
        y -= _height(verdict, size)


def _fitting_size(verdicts: list[Verdict]) -> float:
    """The largest size of letters, 1 being the usual one, at which all verdicts stand on the page."""
    sizes = np.linspace(1, 0.3, 29)
    heights = [sum(_height(verdict, size) for verdict in verdicts) for size in sizes]
    return next((float(s) for s, height in zip(sizes, heights, strict=True) if height <= _TOP - _BOTTOM), 0.3)


def _height(verdict: Verdict, size: float) -> float:
    """What a verdict takes of the page."""
    return size * ((len(_lines(verdict, size)) + 1) * _LINE + _GAP)


def _lines(verdict: Verdict, size: float) -> list[str]:
    return textwrap.wrap(verdict.sentence, round(_WIDTH / size))


def _verdict(part: SubFigure, verdict: Verdict, y: float, size: float) -> None:
    """One verdict, down from height `y`."""
    part.text(0.035, y, "●", color=COLOURS[verdict.level], fontsize=11 * size, va="top")
    part.text(0.075, y, f"{verdict.check}: {verdict.level}", fontsize=9 * size, fontweight="bold", va="top")
    for number, line in enumerate(_lines(verdict, size), 1):
        part.text(0.075, y - number * size * _LINE, line, fontsize=8.5 * size, va="top")


def _projections(ax: Axes, survey: Survey) -> None:
    ax.set_title("map, along z, y, x")
    without_ticks(ax)
    if survey.maps is None:
        _absent(ax)
        return
    volume = survey.maps.combined
    views = np.concatenate([volume.sum(axis) for axis in range(3)], axis=1)
    ax.imshow(views, cmap="gray", origin="lower", interpolation="bilinear")
    box = volume.shape[0]
    length_ang = min(BAR_ANG, key=lambda length: abs(length - box * survey.pixel_size_ang / 4))
    ax.plot([box * 0.06, box * 0.06 + length_ang / survey.pixel_size_ang], [box * 0.07] * 2, color="white", lw=2)
    ax.text(box * 0.06, box * 0.1, f"{length_ang} Å", color="white", fontsize=8)
    ax.spines[:].set_visible(False)


def _fsc(ax: Axes, survey: Survey) -> None:
    ax.set_title("two halves", pad=_ABOVE_LEGEND)
    if survey.maps is None or survey.given is None:
        _absent(ax)
        return
    freqs = shell_frequencies(survey.maps.combined.shape[0], survey.pixel_size_ang)
    inside = slice(0, len(freqs) - 1)
    tested, shuffled = f"{len(survey.given.gains):,}", survey.pose_trials[0].evidence.fsc
    ax.plot(freqs[inside], survey.maps.fsc[inside], color=INK, lw=1.8, label=f"{len(survey.maps.halves):,} images")
    ax.plot(freqs[inside], shuffled[inside], color=DISTINCT[5], ls="--", label=f"{tested} with {SHUFFLED}")
    ax.plot(freqs[inside], survey.given.fsc[inside], color=DISTINCT[0], label=f"{tested} of them")
    ax.axhline(0.143, color=FAINT, zorder=0)
    ax.set(xlim=(0, freqs[-1]), ylim=(-0.15, 1.03), ylabel="FSC")
    ticks = np.linspace(0, freqs[-1], 6)
    ax.set_xticks(ticks, ["∞", *(f"1/{1 / t:.3g}" for t in ticks[1:])])
    ax.set_xlabel("spatial frequency (1/Å)")
    # Between title and panel: in it there is no place that a curve cannot come to.
    beside = {"fontsize": 7, "handlelength": 1.2, "handletextpad": 0.4, "columnspacing": 0.9, "borderaxespad": 0.1}
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.02), ncols=2, borderpad=0, **beside)


def _bars(ax: Axes, title: str, given: Evidence | None, trials: list[Trial]) -> None:
    """What each story explains, with that of the star file on top."""
    ax.set_title(title)
    if not trials or given is None:
        _absent(ax)
        return
    names = ["as the file says", *(trial.name for trial in trials)]
    gains = [float(given.gains.mean()), *(trial.gain for trial in trials)]
    colours = [DISTINCT[0], *(COLOURS[STOP] if trial.wins else "#c9d2da" for trial in trials)]
    ax.barh(range(len(names)), gains, color=colours, height=0.82)
    for height, name in enumerate(names):
        ax.text(0, height, f"  {name}", fontsize=7, va="center", color=INK if height else "white")
    ax.set(xlim=(0, max(*gains, 1.0) * 1.05), xlabel="nats per unseen image")
    ax.set_yticks([])
    ax.invert_yaxis()


def _scan(ax: Axes, survey: Survey) -> None:
    ax.set_title("pixel size")
    if survey.scan is None:
        _absent(ax)
        return
    sizes = survey.scan.factors * survey.stored_pixel_ang
    ax.semilogx(sizes, survey.scan.gains, "o-", color=DISTINCT[0], ms=3)
    ax.axvline(
        survey.stored_pixel_ang, color=GREY, lw=0.8, ls="--", label=f"the file's, {survey.stored_pixel_ang:.4g} Å"
    )
    best = sizes[survey.scan.best]
    if survey.scan.best != int(np.argmin(np.abs(survey.scan.factors - 1))):
        ax.axvline(best, color=COLOURS[STOP], lw=0.8, label=f"fits best, {best:.4g} Å")
    ticks = survey.stored_pixel_ang * np.array([0.25, 0.5, 1, 2, 4])
    ax.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    ax.minorticks_off()
    ax.set(xlabel="pixel size (Å)", ylabel="nats per image")
    ax.legend(loc="lower right")


def _views(ax: Axes, survey: Survey) -> None:
    """Viewing directions on an equal-area map of the sphere."""
    if survey.rotations is None:
        ax.set_title("views")
        _absent(ax)
        return
    directions = survey.rotations[:, 2] / np.linalg.norm(survey.rotations[:, 2], axis=1, keepdims=True)
    azimuth = np.degrees(np.arctan2(directions[:, 1], directions[:, 0]))
    counts, _, _ = np.histogram2d(directions[:, 2], azimuth, bins=(18, 36), range=((-1, 1), (-180, 180)))
    ax.set_title(f"views: {counts.min():.0f} to {counts.max():.0f} images a cell")
    ax.imshow(counts, origin="lower", extent=(-180, 180, -1, 1), aspect="auto", vmin=0)
    ax.set(xlabel="azimuth (degrees)", ylabel="cos(tilt)", xticks=(-180, -90, 0, 90, 180))


def _absent(ax: Axes) -> None:
    without_ticks(ax)
    ax.spines[:].set_visible(False)
    ax.text(0.5, 0.5, "not tried", color=GREY, ha="center", va="center", transform=ax.transAxes)

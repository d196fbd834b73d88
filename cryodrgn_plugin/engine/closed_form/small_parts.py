"""Directions of small parts that come and go, added to those that stand out of the whole molecule.

The pieces of the consensus that images differ by (`part_scan`) are where directions start, each free to take any shape
within its surroundings (`local_parts`); then the molecule is scanned again for what is left.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..likelihood.linear_model import LinearModel
from ..likelihood.nuisances import Posteriors
from ..run import Run
from .direction_search import BandStep, PosedSet, advance
from .directions import Directions
from .local_parts import LocalParts
from .part_scan import Scan, said_of, scanned

ROUNDS, AT_ONCE, MOST = 3, 4, 8
"""Scans, the directions that one may add, and all may."""
REACH = 2.5
"""Of a direction, in widths of the piece that it started from."""
SETTLING = 3
"""Iterations of all directions after a scan that has added some."""
LEAST_PARTICLES = 500
"""Of fewer the sum of squares that the scan asks is far from normal."""


def with_small_parts(run: Run, posed: PosedSet, found: Directions, model: LinearModel, step: BandStep) -> Directions:
    """`found` with a direction for each part that comes and goes; says how many, and where. Those found before are
    dropped where noise could have given all of them and there are parts.

    Parameters
    ----------
    model : the mean and the directions, in the frame of `found`.
    """
    none = run.info["notes"]["directions"] == 0
    half = np.zeros(len(found.posteriors.mean), np.int64)
    told: list[dict] = []
    for _ in range(ROUNDS if posed.series.n >= LEAST_PARTICLES else 0):
        band = posed.band(step.radius)
        scan = scanned(posed.images, posed.dataset, posed.series, band, model, found)
        chosen = scan.standing_out(min(AT_ONCE, MOST - len(told)), REACH, found.parts)
        if not len(chosen):
            break
        told += _told(scan, chosen, posed)
        of_images = said_of(posed.images, posed.series, band, model, found, scan.pieces.at(chosen))
        found = _joined(found, scan, chosen, *next(of_images))
        if none:
            found, none = found.leading(0, *(1 for _ in chosen)), False
        for _ in range(SETTLING):
            (model,), _, found = advance(posed, found, step, half)
    _say(run, told)
    return found


def _joined(found: Directions, scan: Scan, chosen: np.ndarray, said: Tensor, precision: Tensor) -> Directions:
    """Directions along the n chosen pieces as well, whose amplitudes are what each image says of them: b and A,
    `said` and `precision` (N, n)."""
    spread = torch.as_tensor(np.sqrt(scan.variance[chosen])).to(said)
    variance = 1 / (1 + spread**2 * precision)
    mean = variance * spread * said
    own, n = found.posteriors, len(chosen)
    covariance = torch.nn.functional.pad(own.covariance, (0, n, 0, n))
    covariance[:, -n:, -n:] = torch.diag_embed(variance)
    tied = torch.cat([own.tied, own.errors[:, :, None] * mean[:, None, :]], 2)
    posteriors = Posteriors(torch.cat([own.mean, mean], 1), covariance, own.errors, tied)
    information = torch.cat([found.information, spread**2 * precision.mean(0)])
    box, pieces = len(scan.pieces.body), scan.pieces
    parts = LocalParts(np.column_stack([pieces.places[chosen], REACH * pieces.widths[chosen]]) / box)
    groups = (*found.groups[:-1], *[1] * n, found.groups[-1])
    parts = parts if found.parts is None else found.parts.and_those(parts)
    return replace(found, posteriors=posteriors, information=information, groups=groups, parts=parts)


def _told(scan: Scan, chosen: np.ndarray, posed: PosedSet) -> list[dict]:
    """What run.json keeps of each: where it is in Å from the middle of the box (x, y, z), and how sure it is."""
    box = len(scan.pieces.body)
    scale = posed.dataset.box * posed.dataset.pixel_size_ang / box
    at = (scan.pieces.places[chosen][:, ::-1] - box // 2) * scale
    return [
        {"at_ang": [round(float(x), 1) for x in place], "standard_errors": round(float(scan.z[number]), 1)}
        for place, number in zip(at, chosen, strict=True)
    ]


def _say(run: Run, told: list[dict]) -> None:
    notes = run.info["notes"]
    places = ", ".join("({:.0f}, {:.0f}, {:.0f})".format(*part["at_ang"]) for part in told)
    sentence = f"Small parts come and go around {places}: x, y and z in Å from the middle of the box."
    run.note(small_parts=told, directions=notes["directions"] + len(told), said_of_parts=[sentence] if told else [])
    if told:
        run.log(sentence)

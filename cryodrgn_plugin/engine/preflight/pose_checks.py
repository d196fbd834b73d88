"""Do the poses belong to the images, and are they in RELION's convention?

The other conventions and mix-ups that star files come with are tried one by one. A pose set and its mirror image give
the same projections (docs/conventions.md, Hand), so nothing here tells the hand.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..geometry.rotations import euler_from_matrices, matrices_from_euler
from ..vetting.case import Case
from ..vetting.evidence import Story, evidence
from ..vetting.trials import Tell, Trial, better, tried
from ..vetting.verdicts import BELIEVED, OK, STOP, Verdict

SHUFFLED = "poses of other images"
FLIP = np.diag([1.0, -1.0, 1.0])
SWAP = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def try_poses(case: Case, pixel_size_ang: float, tell: Tell) -> list[Trial]:
    """Poses that are wrong in the usual ways, the first of them those of other images.

    `pixel_size_ang` is that of the images as stored, in which origins may have been meant.
    """
    order = np.random.default_rng(case.seed).permutation(case.dataset.n)
    ratio = case.ratio[:, None, None]
    physical, shifts = case.story.rotations / ratio, case.dataset.shifts_ang
    others = [(SHUFFLED, "", physical[order], shifts[order])]
    trials = []
    for name, advice, rotations, moved in [*others, *_mistakes(physical, shifts, pixel_size_ang)]:
        tell(name)
        further = None if moved is shifts else moved - shifts
        story = Story(case.story.transfer, (rotations * ratio).astype(np.float32), further)
        trials.append(tried(case, name, story, advice))
    return trials


def _mistakes(
    rotations: np.ndarray, shifts: np.ndarray, pixel_size_ang: float
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Name, advice, rotations (n, 3, 3) and shifts (n, 2) that would be right if the mistake had been made."""
    angles = euler_from_matrices(rotations)
    minus = "give {} the other sign"
    yield "other sign of psi", minus.format("rlnAnglePsi"), matrices_from_euler(angles * [1, 1, -1]), shifts
    yield "other sign of rot", minus.format("rlnAngleRot"), matrices_from_euler(angles * [-1, 1, 1]), shifts
    inverse = "invert the rotations: negate and exchange rlnAngleRot and rlnAnglePsi, and negate rlnAngleTilt"
    yield "inverse rotations", inverse, np.swapaxes(rotations, 1, 2), shifts
    flipped = "the images are upside down against the poses: flip one of them in y"
    yield "images upside down", flipped, FLIP @ rotations @ FLIP, shifts * [1, -1]
    swapped = "the images are transposed against the poses: exchange x and y in one of them"
    yield "images transposed", swapped, SWAP @ rotations @ SWAP, shifts[:, ::-1]
    yield "angles in radians", "convert the angles to degrees", matrices_from_euler(np.degrees(angles)), shifts
    if not shifts.any():
        return
    yield "other sign of origins", minus.format("rlnOriginXAngst and rlnOriginYAngst"), rotations, -shifts
    yield "no origins", "the origins make it worse: they belong to other images, or to a larger pixel", rotations, (
        np.zeros_like(shifts)
    )  # fmt: skip
    if abs(pixel_size_ang - 1) > 0.05:
        pixels = "the origins look as if they were in pixels: multiply them by the pixel size"
        yield "origins in pixels", pixels, rotations, shifts * pixel_size_ang


def right_poses(case: Case, trials: list[Trial]) -> Trial | None:
    """The mistake that was made, if one was: its poses are better than the file's, and each image needs its own."""
    winner = better(trials[1:])
    return winner if winner is not None and _belongs(case, winner) else None


def judge_poses(case: Case, trials: list[Trial], winner: Trial | None) -> Verdict:
    """The verdict on poses from what was tried; `winner` is what `right_poses` gave."""
    shuffled = trials[0]
    figures = {"gain": round(float(case.given.gains.mean()), 3), "tried": [trial.summary() for trial in trials]}
    if winner is not None:
        sentence = (
            f"The images fit better with {winner.name} ({winner.over_given:.0f} standard errors over the poses of "
            f"the file): {winner.advice}."
        )
        return Verdict("poses", STOP, sentence, figures)
    if -shuffled.over_given < BELIEVED:
        sentence = (
            f"The poses explain unseen images no better than the poses of other images do "
            f"({-shuffled.over_given:+.1f} standard errors): they do not belong to these images, or the images hold "
            "nothing."
        )
        return Verdict("poses", STOP, sentence, figures)
    sentence = (
        f"The poses belong to the images: they explain unseen ones better than the poses of other images "
        f"({-shuffled.over_given:.0f} standard errors) and than the usual mix-ups of signs and axes; no image tells "
        "the hand."
    )
    return Verdict("poses", OK, sentence, figures)


def _belongs(case: Case, trial: Trial) -> bool:
    """Whether a story needs each image's own rotation; one that does not blurs the map to good effect, no more."""
    order = np.random.default_rng(case.seed).permutation(case.dataset.n)
    ratio = case.ratio[:, None, None]
    others = (trial.story.rotations / ratio)[order] * ratio
    blurred = evidence(case.images, replace(trial.story, rotations=others.astype(np.float32)))
    return trial.evidence.over(blurred) > BELIEVED

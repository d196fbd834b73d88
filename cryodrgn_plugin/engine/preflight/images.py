"""The images themselves: are they numbers, do they show anything, is one stored under two names."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..data.copies import image_identity
from ..io.particles import ParticleTable
from ..io.stacks import StackReader
from ..vetting.verdicts import OK, STOP, WARN, Verdict

CHUNK = 250
ROWS_LISTED = 1000
UNUSUAL = 10.0
"""An image whose grey values scatter this many times more, or less, than the median image's is unusual."""


@dataclass(frozen=True)
class ImageFacts:
    """What reading n images showed; rows count the star file from 0."""

    rows: np.ndarray
    """(n,) int64. Star rows that were read."""
    finite: np.ndarray
    """(n,) bool."""
    deviation: np.ndarray
    """(n,) float64. Standard deviation of the grey values; NaN where they are not finite."""
    fingerprint: np.ndarray
    """(n,) int64. Equal for images of equal content."""

    @property
    def constant(self) -> np.ndarray:
        """(n,) bool. One grey value all over."""
        return self.finite & (self.deviation == 0)

    @property
    def usable(self) -> np.ndarray:
        """(m,) rows whose images are finite and show something."""
        return self.rows[self.finite & ~self.constant]


def look_at_images(stacks: StackReader, rows: np.ndarray, progress: Callable[[int, int], None]) -> ImageFacts:
    """Read the images of these star rows, in the order in which they are stored."""
    finite = np.empty(len(rows), bool)
    deviation = np.full(len(rows), np.nan)
    fingerprint = np.empty(len(rows), np.int64)
    boxes = stacks.box[rows]
    done = 0
    for box in np.unique(boxes):
        members = np.flatnonzero(boxes == box)
        for start in range(0, len(members), CHUNK):
            some = members[start : start + CHUNK]
            images = stacks.read(rows[some]).reshape(len(some), -1)
            finite[some] = np.isfinite(images).all(1)
            good = finite[some]
            deviation[some[good]] = images[good].std(1, dtype=np.float64)
            fingerprint[some] = [hash(image.tobytes()) for image in images]
            done += len(some)
            progress(done, len(rows))
    return ImageFacts(rows, finite, deviation, fingerprint)


def check_images(table: ParticleTable, facts: ImageFacts) -> Verdict:
    """Whether the images that were read can be used."""
    looked = f"of {len(facts.rows):,} images looked at"
    broken = facts.rows[~facts.finite | facts.constant]
    figures = {
        "looked_at": len(facts.rows),
        "not_finite": int((~facts.finite).sum()),
        "constant": int(facts.constant.sum()),
        "rows": np.sort(broken)[:ROWS_LISTED].tolist(),
    }
    if len(broken):
        kinds = {"hold NaN or infinite values": ~facts.finite, "have one grey value all over": facts.constant}
        parts = [f"{mask.sum():,} {text}" for text, mask in kinds.items() if mask.any()]
        first = int(broken.min())
        return Verdict(
            "images",
            STOP,
            f"{' and '.join(parts)} {looked}, the first is row {first + 1:,} ({table.image_names[first]}); remove such "
            "particles or extract them again.",
            figures,
        )
    return _same_content(facts, image_identity(table), looked, figures) or _unusual(facts, looked, figures)


def _same_content(facts: ImageFacts, identity: np.ndarray, looked: str, figures: dict) -> Verdict | None:
    """Images stored twice, under two names; `identity` (N,) is equal for rows of one name."""
    _, named_once = np.unique(identity[facts.rows], return_index=True)
    fingerprints, rows = facts.fingerprint[named_once], facts.rows[named_once]
    _, first, times = np.unique(fingerprints, return_index=True, return_counts=True)
    copies = int((times - 1).sum())
    if not copies:
        return None
    # The first two rows of the first content that comes more than once, as an example.
    row, copy = np.sort(rows[fingerprints == fingerprints[first[times > 1][0]]])[:2]
    return Verdict(
        "images",
        WARN,
        f"{copies:,} {looked} are pixel for pixel the same as another, such as rows {row + 1:,} and {copy + 1:,}; "
        "remove the copies, for their noise counts twice.",
        {**figures, "same_content": copies},
    )


def _unusual(facts: ImageFacts, looked: str, figures: dict) -> Verdict:
    ratio = facts.deviation / np.median(facts.deviation)
    odd = facts.rows[(ratio > UNUSUAL) | (ratio < 1 / UNUSUAL)]
    figures = {**figures, "unusual_contrast": len(odd)}
    if len(odd):
        sentence = (
            f"{len(odd):,} {looked} scatter more than {UNUSUAL:.0f} times more or less in grey value than most, the "
            f"first is row {odd.min() + 1:,}; look at them, for damaged movies and edges of the grid look like that."
        )
        return Verdict("images", WARN, sentence, {**figures, "rows": np.sort(odd)[:ROWS_LISTED].tolist()})
    return Verdict("images", OK, f"All {len(facts.rows):,} images looked at are finite and show something.", figures)

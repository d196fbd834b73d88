"""Does the pixel size fit the images? Where the zeros of the CTF lie says so, if the defoci are right.

Without spherical aberration the CTF depends on defocus · frequency² alone, so a pixel size that is wrong by a factor f
and defoci that are all wrong by 1/f² cannot be told apart; a pixel size that was also used to find the defoci fits.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..vetting.case import FLIPPED, MULTIPLIED, Case
from ..vetting.evidence import Evidence, evidence
from ..vetting.trials import Tell
from ..vetting.verdicts import BELIEVED, OK, STOP, WARN, Verdict

FACTORS = (0.25, 0.33, 0.5, 0.67, 0.8, 0.88, 0.94, 0.97, 1.0, 1.03, 1.06, 1.12, 1.25, 1.5, 2.0, 3.0, 4.0)
"""Tried pixel sizes, in units of the stated one: binned or unbinned stacks, and calibrations that are off."""
_FINE = (0.98, 0.99, 1.01, 1.02)
NOTABLE, WRONG = 0.015, 0.05
"""Relative errors of the pixel size that are worth a warning, and that stop."""


@dataclass(frozen=True)
class PixelScan:
    """Evidence for pixel sizes, in units of the stated one and in order."""

    factors: np.ndarray
    gains: np.ndarray
    """Mean log-likelihood that the map adds to an image, in nats."""
    over_given: np.ndarray
    """Standard errors over the stated pixel size."""

    @property
    def best(self) -> int:
        return int(self.gains.argmax())

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The nearest factors below and above 1 that the images exclude; None where they exclude none."""
        excluded = self.factors[self.over_given < -BELIEVED]
        below, above = excluded[excluded < 1], excluded[excluded > 1]
        return (float(below.max()) if len(below) else None), (float(above.min()) if len(above) else None)


def scan_pixel_size(case: Case, tell: Tell) -> PixelScan:
    """Try the CTF at other pixel sizes; poses and origins stay where they are, in pixels."""

    def tried(factor: float) -> Evidence:
        tell(f"pixel size × {factor:.3g}")
        ctf = case.ctf(factor)
        transfer = ctf**2 if case.stated == MULTIPLIED else np.abs(ctf) if case.stated == FLIPPED else ctf
        return evidence(case.images, replace(case.story, transfer=transfer))

    by_factor = {factor: tried(factor) for factor in FACTORS}
    coarse = max(by_factor, key=lambda factor: by_factor[factor].gains.mean())
    by_factor |= {coarse * step: tried(coarse * step) for step in _FINE}
    factors = np.array(sorted(by_factor))
    return PixelScan(
        factors,
        np.array([by_factor[factor].gains.mean() for factor in factors]),
        np.array([by_factor[factor].over(by_factor[1.0]) for factor in factors]),
    )


def judge_pixel_size(scan: PixelScan, pixel_size_ang: float) -> Verdict:
    """The verdict on the stated pixel size."""
    factor, sure = float(scan.factors[scan.best]), float(scan.over_given[scan.best])
    figures = {
        "stated_ang": pixel_size_ang,
        "fitting_ang": round(pixel_size_ang * factor, 4),
        "over_stated": round(sure, 2),
    }
    if sure < BELIEVED or abs(factor - 1) < NOTABLE:
        below, above = scan.bounds
        if below is None or above is None:
            sentence = "The images do not tell their pixel size: too few, too faint, or too little detail in this box."
            return Verdict("pixel size", OK, sentence, figures)
        low, high = pixel_size_ang * below, pixel_size_ang * above
        figures |= {"excluded_below_ang": round(low, 4), "excluded_above_ang": round(high, 4)}
        sentence = (
            f"The zeros of the CTF lie where a pixel size of {pixel_size_ang:.4g} Å puts them; {low:.4g} and "
            f"{high:.4g} Å are excluded."
        )
        return Verdict("pixel size", OK, sentence, figures)
    level = STOP if abs(factor - 1) >= WRONG else WARN
    sentence = (
        f"The zeros of the CTF fit a pixel size of {pixel_size_ang * factor:.4g} Å and not the {pixel_size_ang:.4g} Å "
        f"of the file ({sure:.0f} standard errors); correct rlnImagePixelSize, unless all defoci are off by "
        f"{abs(factor**-2 - 1):.0%}."
    )
    return Verdict("pixel size", level, sentence, figures)

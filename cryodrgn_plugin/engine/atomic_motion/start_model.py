"""Whether particles have the shape that a model was given in, asked of maps that know nothing of it.

Parts that are fitted to maps put a wrong model right, and it then agrees with them. So the model is judged as it came:
it is laid into every state as a whole, by its largest domain, and each other domain is asked whether it lies there. Two
things must say no before it is flagged. In every state prior-free half-maps know better: the domain as one of them has
it is likelier in the other than where the model has it. And its places in all particles are farther from the model's
than can be told at this resolution, and than half the way from one state to the next: the model may lie between two
states, and a domain that moves through the model's place is right.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..reconstruction.expectation import Halves
from .bead_overlap import scale_of
from .model_in_run import SCALE_BAND, ModelInRun
from .node_maps import low_power
from .part_motion import ABSENT
from .part_poses import PartFitter, PartPoses
from .part_table import residues_of
from .start_domains import apart_px, as_given, domains_of, step_px

NEAREST = 1.0
"""Percentile of the particles, by how far a domain is from where the model has it, that counts as the nearest."""
OF_RESOLUTION = 0.25
"""Share of the resolution by which a domain may be off."""
STANDARD_ERRORS = 3.0
LEAST_GAIN = 10.0
"""Log-likelihood by which half-maps must know better in every state."""


@dataclass(frozen=True)
class JudgedDomain:
    """A domain of the model, in the particles in which it is nearest to its place in the model."""

    residues: str
    turn_deg: float
    """By how much it is turned from where the model has it, in the frame of the first domain."""
    error_deg: float
    move_ang: float
    """Likewise of its centre."""
    apart_ang: float
    """Root mean square distance of its beads from their places in the model."""
    allowed_ang: float
    """What of that is no fault of the model."""
    gain: float
    """Log-likelihood by which half-maps know better than the model, in the state where it is least."""

    @property
    def flagged(self) -> bool:
        """Whether no particle has it where the model has it."""
        return self.apart_ang > self.allowed_ang and self.gain > LEAST_GAIN

    def entry(self) -> dict[str, Any]:
        """As the index has it."""
        rounded = {name: round(value, 2) for name, value in vars(self).items() if name != "residues"}
        return {"residues": self.residues, "flagged": self.flagged, **rounded}


class StartChecker:
    """Judges the domains of a model as it was given; states are added one after the other, in the order of the maps."""

    def __init__(self, found: ModelInRun) -> None:
        self._found, self.domains = found, domains_of(found)
        self._gains: list[np.ndarray] = []

    def add(self, halves: Halves) -> None:
        """Add the prior-free half-maps (D, D, D) of the next state, of the model's hand."""
        points = self._found.maps.points[len(self._gains)][None]
        turns, moves, occupancy = (value[0] for value in self.domains.motion.at(points))
        fitter = self._fitter(halves, points)
        start = PartPoses(turns, moves, occupancy, np.empty((len(turns), 6, 6)))
        gains = np.full(len(turns), np.inf)
        for domain in np.flatnonzero(occupancy[1:] >= ABSENT) + 1:
            gains[domain] = 0.0
        for one, other in (halves, halves[::-1]):
            fitted = fitter.fit(one, start, near=True)
            cost = fitter.cost_in(other, fitted)
            for domain in np.flatnonzero(np.isfinite(gains)):
                gains[domain] += (fitter.cost_in(other, as_given(fitter, fitted, domain)) - cost) / 2
        self._gains.append(gains)

    def result(self, points: np.ndarray, resolution_ang: float) -> list[JudgedDomain]:
        """The domains but the first, judged in particles at positions (N, D) of the latent space and by prior-free maps
        of a resolution."""
        gains = np.min(self._gains, axis=0)
        return [
            self._judged(domain, points, resolution_ang, float(gains[domain]))
            for domain in range(1, len(gains))
            if np.isfinite(gains[domain])
        ]

    def first_residues(self) -> str:
        """Of the domain by which the model is laid in."""
        return self._residues(0)

    def _fitter(self, halves: Halves, points: np.ndarray) -> PartFitter:
        """The domains in the grey scale and the noise of half-maps."""
        found, box = self._found, len(halves[0])
        places, electrons = self.domains.motion.places_px(found.reference_px, points)[0], found.beads.electrons
        scale = scale_of((halves[0] + halves[1]) / 2, places, electrons, round(SCALE_BAND * box / 2))
        noise = low_power(halves[0] - halves[1]) / 2 / box**3
        return PartFitter(found.reference_px, electrons, self.domains.labels, scale, noise, found.pixel_size_ang)

    def _judged(self, domain: int, points: np.ndarray, resolution_ang: float, gain: float) -> JudgedDomain:
        found, pixel = self._found, self._found.pixel_size_ang
        places = found.reference_px[self.domains.labels == domain]
        turns, shifts, there = self.domains.in_frame(points, domain)
        turns, shifts = turns[there], shifts[there]
        apart = apart_px(places, turns, shifts)
        nearest = np.argsort(apart)[int(NEAREST / 100 * (len(apart) - 1))]
        turn, centre = turns[nearest], places.mean(axis=0)
        moved = turn @ centre + shifts[nearest] - centre
        in_states, moved_in_states, posed = self.domains.in_frame(found.maps.points, domain)
        step = step_px(places, in_states[posed], moved_in_states[posed])
        error_px, error_rad = self.domains.error(domain, places)
        return JudgedDomain(
            self._residues(domain),
            float(np.degrees(Rotation.from_matrix(turn).magnitude())),
            float(np.degrees(error_rad)),
            float(np.linalg.norm(moved)) * pixel,
            float(apart[nearest]) * pixel,
            max(OF_RESOLUTION * resolution_ang, 0.5 * step * pixel) + STANDARD_ERRORS * error_px * pixel,
            gain,
        )

    def _residues(self, domain: int) -> str:
        return residues_of(self._found, domain, self.domains.labels)


def start_sentence(judged: list[JudgedDomain], first: str) -> str:
    """What is to be said of the model as it was given, whose first domain has the residues `first`."""
    wrong = [domain for domain in judged if domain.flagged]
    if not judged:
        return "As it was given the model is one domain, whose shape is that of the maps."
    if not wrong:
        farthest = max(judged, key=lambda domain: domain.apart_ang / domain.allowed_ang)
        return (
            "As it was given the model has a shape that particles have: each of its domains lies in some of them where "
            f"it has it, within {farthest.apart_ang:.1f} Å."
        )
    told = " and ".join(
        f"{domain.residues} to be turned by {domain.turn_deg:.0f}° (± {domain.error_deg:.1f}°) and moved by "
        f"{domain.move_ang:.1f} Å"
        for domain in wrong
    )
    return (
        f"As it was given the model has a shape that no particles have: against {first} it needs {told} before the "
        "nearest of them agree, and in every state maps that know nothing of it say so. It is wrong there, or has a "
        "shape that is not among these particles."
    )

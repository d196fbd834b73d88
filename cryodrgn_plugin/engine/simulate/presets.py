"""Ready-made ensembles from the models that the package carries, so that a newcomer has data without a download.

`uniform`, `cooperative`, `noncontiguous` and `compositional` are in the manner of the cryoDRGN thesis, section 4.4.1:
50 states of a complex with one bond turning through 1.5 rad, populated evenly or as a mixture of three Gaussians, and
three ribosomal species. Those called `real_…` are as hard as published sets are (`reality.py`): use these to see what
a method is worth, and the others to see that it works.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..atoms.atomic_model import AtomicModel, coarse, joined, matched
from .assembly import AssemblyState, assembled, outer_parts
from .config import SimulationConfig
from .embedded import embedded_model
from .ensemble import Ensemble, gaussian_mixture
from .motions import best_fit, domain_path, hinge_rotation
from .reality import REALITY


@dataclass(frozen=True)
class Preset:
    """An ensemble with the box it fits."""

    summary: str
    make: Callable[[int], Ensemble]
    """The ensemble with this many states; a mixture of species has its own number."""
    box_ang: float
    """Edge of the box in angstrom; the molecule fills at most four fifths of it."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the images that apply where others are not asked for."""

    def config(self, box: int, **asked: Any) -> SimulationConfig:
        """The settings of images of `box` pixels: those asked for, then the preset's, then the defaults."""
        pixel_size_ang = round(self.box_ang / box, 4)
        return SimulationConfig(**{"pixel_size_ang": pixel_size_ang, **self.settings, **asked, "box": box})


ADK_CORE = ((1, 29), (60, 121), (160, 214))
ADK_DOMAINS = {"NMP": (30, 59), "LID": (122, 159)}


def adenylate_kinase(states: int) -> Ensemble:
    """Adenylate kinase from open (4AKE) to closed (1AKE), LID and NMP turning; the coordinate is the fraction."""
    opened, closed = matched(embedded_model("adk_open"), embedded_model("adk_closed"))
    core = np.any([opened.select(None, *span) for span in ADK_CORE], axis=0)
    domains = [opened.select(None, *span) for span in ADK_DOMAINS.values()]
    fractions = np.linspace(0, 1, states)
    return Ensemble(domain_path(opened, closed, core, domains, fractions), fractions, np.ones(states))


def complex_of_kinases() -> AtomicModel:
    """A hypothetical complex of eight adenylate kinases: a body of five, A to E, and an arm of three, F to H."""
    protein = coarse(embedded_model("adk_closed"))
    protein = protein.moved(protein.coords_ang - protein.centre_ang())
    turns = Rotation.random(len(_PLACES_ANG), random_state=4)
    copies = [
        protein.moved(turn.apply(protein.coords_ang) + centre_ang).renamed(chain)
        for turn, centre_ang, chain in zip(turns, _PLACES_ANG, "ABCDEFGH", strict=True)
    ]
    return joined(copies)


def hinged_complex(states: int, range_rad: float = 1.5) -> Ensemble:
    """The complex of eight adenylate kinases with its arm turning about a hinge.

    States are evenly spaced; the coordinate is the angle, from 0 in steps of range_rad / states (0.03 rad for 50).
    """
    model = complex_of_kinases()
    angles = np.arange(states) * range_rad / states
    arm = np.isin(model.chains, _ARM)
    return Ensemble(hinge_rotation(model, arm, _HINGE_ANG, (0.0, 1.0, 0.3), angles), angles, np.ones(states))


# Centres of the eight proteins: A to E are the body, F to H the arm that starts above it.
_PLACES_ANG = np.array(
    [[0, 0, 0], [44, 6, -4], [-8, 44, 2], [34, 46, 14], [20, 14, -42], [-10, -2, 44], [-34, -6, 80], [-52, 4, 121]],
    float,
)
_ARM = ("F", "G", "H")
_HINGE_ANG = np.array([0.0, 0.0, 24.0])


def mixture_on_complex(sd_rad: float) -> Callable[[int], Ensemble]:
    """`hinged_complex` populated by three Gaussians, at the 10th, 25th and 40th of 50 states."""

    def make(states: int) -> Ensemble:
        ensemble = hinged_complex(states)
        means = [ensemble.coordinates[states * part // 50] for part in (10, 25, 40)]
        return replace(ensemble, populations=gaussian_mixture(ensemble.coordinates, means, sd_rad))

    return make


def ribosomal_species(states: int = 3) -> Ensemble:
    """30S, 50S and 70S of Thermus thermophilus (4V5A) in one frame, 10 : 15 : 25, whatever `states` says."""
    whole = embedded_model("ribosome")
    species = [whole[whole.chains == "30S"], whole[whole.chains == "50S"], whole]
    return Ensemble(species, np.arange(3.0), np.array([10.0, 15.0, 25.0]), ("30S", "50S", "70S"))


_POPULATIONS = (0.28, 0.20, 0.17, 0.14, 0.12, 0.09)
_LARGE_SUBUNIT_PARTS = {
    "A": ((0.42, -0.90, 0.12), 0.12),
    "B": ((0.71, 0.60, -0.38), 0.07),
    "C": ((-0.89, 0.04, -0.46), 0.05),
    "D": ((-0.04, 0.78, -0.62), 0.03),
    "E": ((-0.45, -0.54, -0.71), 0.015),
}
"""Where a part of the large subunit lies, seen from its centre, and its share of the mass."""


def assembling_subunit(states: int = 6) -> Ensemble:
    """Six states of a 50S subunit (4V5A) that lack outer parts of 1 to 12 % of its mass, whatever `states` says."""
    ribosome = embedded_model("ribosome")
    subunit = ribosome[ribosome.chains == "50S"]
    directions = {name: direction for name, (direction, _) in _LARGE_SUBUNIT_PARTS.items()}
    shares = {name: share for name, (_, share) in _LARGE_SUBUNIT_PARTS.items()}
    lacking = map(AssemblyState, ("", "E", "D", "CE", "B", "AD"), _POPULATIONS)
    return assembled(subunit, outer_parts(subunit, directions, shares), list(lacking))


def complex_with_gaps(states: int = 6) -> Ensemble:
    """Six states of the complex of eight adenylate kinases that lack up to two of them, whatever `states` says."""
    model = complex_of_kinases()
    proteins = {chain: model.chains == chain for chain in "ABCDEFGH"}
    lacking = map(AssemblyState, ("", "H", "E", "GH", "C", "EH"), _POPULATIONS)
    return assembled(model, proteins, list(lacking))


SPIKE_DOMAIN = (331, 527)


def opening_spike(states: int) -> Ensemble:
    """The SARS-CoV-2 spike (6VYB) with the receptor-binding domain of chain B going up; the coordinate is the fraction.

    The closed state is the deposited one with chain B's place taken by chain A (whose domain is down), fitted on the
    stalk.
    """
    spike = embedded_model("spike")
    down, up = matched(spike[spike.chains == "A"].renamed("B"), spike[spike.chains == "B"])
    stalk = down.select(None, 700, 1140)
    rotation, translation = best_fit(down.coords_ang[stalk], up.coords_ang[stalk])
    down = down.moved(down.coords_ang @ rotation.T + translation)
    fractions = np.linspace(0, 1, states)
    path = domain_path(down, up, stalk, [down.select(None, *SPIKE_DOMAIN)], fractions)
    others = spike[spike.chains != "B"]
    return Ensemble([joined([others, chain]) for chain in path], fractions, np.ones(states))


_THESIS = {"b_factor_ang2": 100.0}

PRESETS = {
    "adk": Preset("adenylate kinase closing, its LID and NMP domains turning", adenylate_kinase, 115.2),
    "uniform": Preset("a complex with an arm at a hinge, all angles alike", hinged_complex, 320.0, _THESIS),
    "cooperative": Preset("the same, in three wide clusters of angles", mixture_on_complex(0.09), 320.0, _THESIS),
    "noncontiguous": Preset("the same, in three narrow clusters", mixture_on_complex(0.03), 320.0, _THESIS),
    "compositional": Preset("30S, 50S and 70S ribosomes, 10 : 15 : 25", ribosomal_species, 384.0, _THESIS),
    "spike": Preset("the SARS-CoV-2 spike raising one receptor-binding domain", opening_spike, 256.0),
    "real_ribosome": Preset("six states of a 50S that lack parts", assembling_subunit, 384.0, REALITY),
    "real_complex_parts": Preset("six states of a complex that lacks proteins", complex_with_gaps, 320.0, REALITY),
    "real_complex": Preset("the complex with its arm turning", hinged_complex, 320.0, REALITY),
    "real_spike": Preset("the spike opening", opening_spike, 256.0, REALITY),
    "real_adk": Preset("adenylate kinase closing", adenylate_kinase, 115.2, REALITY),
}
"""By name. Scipion's form stores the place, so new ones go to the end."""

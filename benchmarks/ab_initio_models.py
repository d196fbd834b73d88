"""Molecules of the ab initio benchmarks: a subunit, a mixture of species, and a complex of adenylate kinases with two
arms that turn, in the manner of the cryoDRGN thesis (zhong_thesis_cryodrgn 3.7.1).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atoms.atomic_model import coarse, joined
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.simulate import AtomicModel, Ensemble, equal_parts
from cryodrgn_plugin.engine.simulate.embedded import embedded_model
from cryodrgn_plugin.engine.simulate.motions import hinge_rotation
from cryodrgn_plugin.engine.simulate.presets import hinged_complex

RNA_DOMAINS = {
    "16S 5' domain": ("AA", 5, 560),
    "16S central domain": ("AA", 561, 920),
    "16S 3' major domain": ("AA", 921, 1396),
    "23S domain III": ("BA", 1270, 1646),
}


def part(model: AtomicModel, chain: str, first: int, last: int) -> AtomicModel:
    return model[model.select(chain, first, last)]


def subunit(data: Path) -> Ensemble:
    """S1 of a spike (6VYB, chain A, residues 27 to 590, of which 470 are modelled): 48 kDa without any symmetry."""
    return equal_parts([part(read_model(data / "models" / "6vyb.pdb"), "A", 27, 590)], ("spike S1",))


def spike(data: Path) -> Ensemble:
    """The three chains of 6VYB, one receptor-binding domain up."""
    model = read_model(data / "models" / "6vyb.pdb")
    return equal_parts([model[np.isin(model.chains, ["A", "B", "C"])]], ("spike",))


def mixture(data: Path) -> Ensemble:
    """Six molecules of 97 to 168 kDa without symmetry: two of protein, four of RNA; each in the middle of the box."""
    protomer = part(read_model(data / "models" / "6vyb.pdb"), "A", 27, 1140)
    ribosome = read_model(data / "models" / "4V5A_70S.mmtf")
    species = {"spike protomer": protomer, "adenylate kinase pentamer": adk_pentamer()}
    species |= {name: part(ribosome, *span) for name, span in RNA_DOMAINS.items()}
    return equal_parts([in_the_middle(model) for model in species.values()], tuple(species))


def in_the_middle(model: AtomicModel) -> AtomicModel:
    """The model with the middle of its smallest upright cuboid at the origin."""
    middle = (model.coords_ang.min(axis=0) + model.coords_ang.max(axis=0)) / 2
    return model.moved(model.coords_ang - middle)


def adk_pentamer() -> AtomicModel:
    """Five adenylate kinases, packed without symmetry and turned at random."""
    monomer = embedded_model("adk_closed")
    centred = monomer.coords_ang - monomer.centre_ang()
    places_ang = np.array([[0, 0, 0], [44, 6, -4], [-8, 44, 2], [34, 46, 14], [20, 14, -42]], float)
    turns = Rotation.random(len(places_ang), random_state=4)
    copies = [monomer.moved(turn.apply(centred) + place) for turn, place in zip(turns, places_ang, strict=True)]
    return joined([copy.renamed(chain) for copy, chain in zip(copies, "ABCDE", strict=True)])


# The complex: a body A, B, C, D; an upper arm F, G, H; a lower arm E, I. Each arm turns about a hinge on the body.
UPPER, UPPER_HINGE_ANG, UPPER_AXIS = ("F", "G", "H"), np.array([0.0, 0.0, 24.0]), (0.0, 1.0, 0.3)
LOWER, LOWER_HINGE_ANG, LOWER_AXIS = ("E", "I"), np.array([10.0, 8.0, -24.0]), (0.3, 1.0, 0.0)


def complex_with_two_arms() -> AtomicModel:
    """Nine adenylate kinases, one point per residue: the complex of the preset `uniform` with a longer lower arm."""
    upper_part = hinged_complex(1).states[0]
    monomer = coarse(embedded_model("adk_open"))
    ninth = monomer.moved(monomer.coords_ang - monomer.centre_ang() + np.array([30.0, 12.0, -88.0]))
    return joined([upper_part, ninth.renamed("I")])


def upper_turned(model: AtomicModel, angles_rad: np.ndarray, axis=UPPER_AXIS) -> list[AtomicModel]:
    return hinge_rotation(model, np.isin(model.chains, UPPER), UPPER_HINGE_ANG, axis, angles_rad)


def lower_turned(model: AtomicModel, angles_rad: np.ndarray, axis=LOWER_AXIS) -> list[AtomicModel]:
    return hinge_rotation(model, np.isin(model.chains, LOWER), LOWER_HINGE_ANG, axis, angles_rad)


def linear1d() -> Ensemble:
    """The upper arm turning through 90° in 50 steps; the coordinate is the angle in degrees."""
    angles_deg = np.linspace(0, 90, 50)
    return along(upper_turned(complex_with_two_arms(), np.radians(angles_deg)), angles_deg)


def linear2d() -> Ensemble:
    """From one start, the upper arm by ± 45° in 50 steps, or the lower arm by ± 90° in 50 steps.

    The coordinate is the upper angle from −45 to 45, and 1000 plus the lower angle from −90 to 90.
    """
    model = upper_turned(complex_with_two_arms(), [np.pi / 4])[0]
    upper_deg, lower_deg = np.linspace(-45, 45, 50), np.linspace(-90, 90, 50)
    states = upper_turned(model, np.radians(upper_deg)) + lower_turned(model, np.radians(lower_deg))
    return along(states, np.concatenate([upper_deg, 1000 + lower_deg]))


def circular1d() -> Ensemble:
    """The upper arm sweeping a cone about the long axis of the complex, 360° in 100 steps."""
    angles_deg = np.arange(100) * 3.6
    return along(upper_turned(complex_with_two_arms(), np.radians(angles_deg), axis=(0, 0, 1)), angles_deg)


def discrete10() -> Ensemble:
    """Ten configurations: both arms turned about random axes, by 60° to 120°."""
    rng, model, states = np.random.default_rng(10), complex_with_two_arms(), []
    for _ in range(10):
        axes, angles_rad = rng.normal(size=(2, 3)), rng.uniform(np.pi / 3, 2 * np.pi / 3, 2)
        states.append(lower_turned(upper_turned(model, angles_rad[:1], axes[0])[0], angles_rad[1:], axes[1])[0])
    return equal_parts(states)


def along(states: list[AtomicModel], coordinates: np.ndarray) -> Ensemble:
    return Ensemble(states, coordinates, np.ones(len(states)))


MOTIONS: dict[str, Callable[[], Ensemble]] = {
    "linear1d": linear1d,
    "linear2d": linear2d,
    "circular1d": circular1d,
    "discrete10": discrete10,
}

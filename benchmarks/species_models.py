"""Twenty molecules without symmetry, of 45 to 470 kDa, for the benchmark of many species, and five that ship with the
package for a look without any data.
"""

from pathlib import Path

import numpy as np
from ab_initio_models import adk_pentamer, in_the_middle, part
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.simulate.motions import hinge_rotation, likely_hinge

FILES = {
    "polymerase": "1WCM.pdb.gz",
    "spike": "6vyb.pdb",
    "oxidase": "1occ.pdb.gz",
    "antibody": "1igt.pdb.gz",
    "chaperonin": "1oel.pdb.gz",
    "receptor": "8zpm.cif.gz",
    "ribosome": "4V5A_70S.mmtf",
}
CHAINS = {
    "polymerase II": ("polymerase", "ABCDEFGHIJKL"),
    "antibody": ("antibody", "ABCDEF"),
    "polymerase, largest subunit": ("polymerase", "A"),
    "polymerase, second subunit": ("polymerase", "B"),
    "oxidase": ("oxidase", "ABCDEFGHIJKLM"),
    "spike": ("spike", "ABC"),
    "chaperonin, three subunits": ("chaperonin", "ABC"),
    "receptor": ("receptor", "NR"),
}
SPANS = {
    "spike protomer": ("spike", "A", 27, 1140),
    "spike S1": ("spike", "A", 27, 590),
    "16S 5' domain": ("ribosome", "AA", 5, 560),
    "16S central domain": ("ribosome", "AA", 561, 920),
    "16S 3' major domain": ("ribosome", "AA", 921, 1396),
    "23S domain I": ("ribosome", "BA", 1, 560),
    "23S domain II": ("ribosome", "BA", 579, 1261),
    "23S domain III": ("ribosome", "BA", 1270, 1646),
    "23S domain IV": ("ribosome", "BA", 1648, 2009),
    "23S domain V": ("ribosome", "BA", 2014, 2625),
}
SIX = ("polymerase II", "antibody", "spike protomer", "16S central domain", "23S domain III", "spike S1")
TWELVE = (
    *SIX,
    *("spike", "oxidase", "16S 5' domain", "23S domain V", "adenylate kinase pentamer", "adenylate kinase dimer"),
)
TWENTY = (
    *TWELVE,
    *("polymerase, largest subunit", "polymerase, second subunit", "chaperonin, three subunits", "receptor"),
    *("16S 3' major domain", "23S domain I", "23S domain II", "23S domain IV"),
)

SEVEN = (
    *("antibody", "spike protomer", "16S central domain", "23S domain III", "16S 5' domain", "23S domain V"),
    "adenylate kinase pentamer",
)
"""Those of the twelve that scatter nearly alike."""
EIGHT = TWENTY[len(TWELVE) :]
"""Nothing was tuned on these."""

MOVING, TURNED, CONFORMERS, SWING_DEG = "spike protomer", ("A", 27, 590), 10, 20.0
"""The molecule that moves where one does: its S1 swings to both sides by so much, in so many conformers."""


def molecules(data: Path, names: tuple[str, ...]) -> list[AtomicModel]:
    """The molecules of these names, each in the middle of the box."""
    files: dict[str, AtomicModel] = {}
    return [in_the_middle(_molecule(data, name, files)) for name in names]


def conformers(model: AtomicModel) -> list[AtomicModel]:
    """The molecule that moves, in all its conformations."""
    turned = model.select(*TURNED)
    hinge = likely_hinge(model.coords_ang[turned], model.coords_ang[~turned])
    return hinge_rotation(model, turned, *hinge, np.deg2rad(np.linspace(-SWING_DEG, SWING_DEG, CONFORMERS)))


def _molecule(data: Path, name: str, files: dict[str, AtomicModel]) -> AtomicModel:
    if name.startswith("adenylate kinase"):
        pentamer = adk_pentamer()
        return pentamer if name.endswith("pentamer") else pentamer[np.isin(pentamer.chains, ["A", "C"])]
    source = (CHAINS.get(name) or SPANS[name])[0]
    if source not in files:
        files[source] = read_model(data / "models" / FILES[source])
    if name in SPANS:
        return part(files[source], *SPANS[name][1:])
    return files[source][np.isin(files[source].chains, list(CHAINS[name][1]))]


def signal_variance(model: AtomicModel, box: int, pixel_size_ang: float, views: int = 20) -> float:
    """Variance of the pixels of the molecule's projections without CTF, at a resolution of two pixels."""
    edges = (np.arange(box + 1) - box / 2) * pixel_size_ang
    total = 0.0
    for turn in Rotation.random(views, random_state=0):
        x, y, _ = turn.apply(model.coords_ang).T
        total += gaussian_filter(np.histogram2d(x, y, (edges, edges), weights=model.weights)[0], 1.0).var()
    return total / views

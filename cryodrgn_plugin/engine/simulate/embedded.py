"""The models that the package carries (engine/resources), and the compact form they are stored in.

Coordinates are stored as hundredths of an angstrom in 16 bits, about the accuracy of a deposited structure, so that a
model takes a few bytes per atom. `tools/make_models.py` makes the files from the depositions; resources/README.md says
which.
"""

from importlib import resources
from pathlib import Path

import numpy as np

from ..atoms.atomic_model import AtomicModel
from ..errors import ConfigError

_STEP_ANG = 0.01


def embedded_model(name: str) -> AtomicModel:
    """A model of engine/resources by its file name without the ending, such as adk_open."""
    with resources.files("cryodrgn_plugin.engine").joinpath("resources", f"{name}.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        return AtomicModel(
            stored["coords"] * _STEP_ANG + stored["origin_ang"],
            stored["weights"].astype(np.float32),
            stored["chain_names"][stored["chains"]],
            stored["residues"].astype(int),
            stored["atom_names"][stored["atoms"]],
        )


def save_compact(path: Path, model: AtomicModel) -> None:
    """Store a model of up to 650 Å across. Raises ConfigError for a larger one."""
    origin_ang = (model.coords_ang.min(axis=0) + model.coords_ang.max(axis=0)) / 2
    steps = np.rint((model.coords_ang - origin_ang) / _STEP_ANG)
    if np.abs(steps).max() > np.iinfo(np.int16).max:
        raise ConfigError("The model is more than 650 Å across, too large for the compact form.")
    chain_names, chains = np.unique(model.chains, return_inverse=True)
    atom_names, atoms = np.unique(model.names, return_inverse=True)
    np.savez_compressed(
        path,
        coords=steps.astype(np.int16),
        origin_ang=origin_ang,
        weights=np.rint(model.weights).astype(np.uint16),
        chain_names=chain_names,
        chains=chains.astype(np.uint8),
        residues=model.residues.astype(np.int16),
        atom_names=atom_names,
        atoms=atoms.astype(np.uint8),
    )

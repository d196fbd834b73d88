"""The folder of a cryoDRGN training: its settings, the files that it was given, and what an epoch has left.

    config.yaml   weights.N.pkl and weights.pkl   z.N.pkl and z.pkl   pose.N.pkl and pose.pkl where poses were moved

N is the epoch; names without it are those of the end. Nothing in these files is executed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..decoders.imported_network import ACTIVATIONS, ImportedNetwork
from ..errors import DataError
from ..io.cryodrgn import read_latents
from ..io.plain_yaml import read_plain_yaml
from ..io.reading import WHY, understood
from ..io.torch_files import load_torch
from .network_weights import NetworkSettings, network_of

SETTINGS = "config.yaml"
MOST_Z = 1024


@dataclass(frozen=True)
class CryodrgnTraining:
    """One epoch of a training."""

    folder: Path
    version: str
    """Of cryoDRGN, as its settings say; may be empty."""
    epoch: int
    z_dim: int
    network: ImportedNetwork
    z: np.ndarray
    """(N, Z) float32, of the particles in the order in which it took them."""
    uncertainty: np.ndarray | None
    """(N,) root mean posterior variance of z, where it is known."""
    images: str
    poses: str
    ctf: str
    """The files that it was given, by the paths in its settings; empty for none. Poses are its own, where it has
    moved them."""
    indices: str
    root: str
    tilts: bool
    """Whether a particle is all images of one group, and the indices are those of particles."""
    pose_unit_px: float | None
    """Pixels that a translation of 1 is, where poses are its own: 1 of searches, which write pixels, and D + 1 of poses
    that were moved in training. None for poses that it was given."""


def read_training(folder: Path, epoch: int = 0) -> CryodrgnTraining:
    """Read the training in `folder` as it was after an epoch, counted as its files are; 0 takes the last.

    Raises DataError for whatever is not a training of cryoDRGN's, or has a network that is not known.
    """
    settings = _settings(folder)
    weights, number = _file(folder, "weights", epoch)
    with understood(f"{weights}: cannot be read as weights of cryoDRGN ({WHY}). Copy it again, or take another epoch."):
        stored = load_torch(weights)
        if not isinstance(stored, dict):
            raise ValueError("it holds no parameters by name")
    searched = "hypervolume_params" in stored
    with understood(f"{folder / SETTINGS}: it does not describe a training ({WHY}). Copy it again."):
        about = _searched_network(settings, stored) if searched else _network(settings)
    state = stored["hypervolume_state_dict" if searched else "model_state_dict"] if stored else {}
    network = network_of(_tensors(state, weights), about, str(weights))
    given = {name: str(value or "") for name, value in settings["dataset_args"].items()}
    moved = _file(folder, "pose", epoch, needed=False)[0]
    z, uncertainty = _latents(folder, epoch, about.z_dim)
    return CryodrgnTraining(
        folder=folder,
        version=str(settings.get("version") or ""),
        epoch=int(stored.get("epoch", number)),
        z_dim=about.z_dim,
        network=network,
        z=z,
        uncertainty=uncertainty,
        images=given.get("particles", ""),
        poses=str(moved or given.get("poses", "")),
        ctf=given.get("ctf", ""),
        indices=given.get("ind", ""),
        root=given.get("datadir", ""),
        tilts=settings["model_args"].get("encode_mode") == "tilt",
        pose_unit_px=None if moved is None else 1.0 if searched else about.box + 1.0,
    )


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    if not path.is_file():
        old = " It has config.pkl, of cryoDRGN before version 3; its settings cannot be read."
        raise DataError(
            f"{folder} has no {SETTINGS}, so it is not a training of cryoDRGN's."
            f"{old if (folder / 'config.pkl').is_file() else ''} Give the folder that cryoDRGN wrote to."
        )
    with understood(f"{path}: cannot be read ({WHY}). Copy it again."):
        settings = read_plain_yaml(path)
        for section in ("dataset_args", "lattice_args", "model_args"):
            if not isinstance(settings.get(section), dict):
                raise ValueError(f"it has no {section}")
    return settings


def _network(settings: dict[str, Any]) -> NetworkSettings:
    """Of a training with given poses."""
    lattice, model = settings["lattice_args"], settings["model_args"]
    mean, deviation = settings["dataset_args"]["norm"]
    box = _box(lattice["D"])
    activation = str(model.get("activation") or "relu")
    if activation not in ACTIVATIONS:
        raise ValueError(f"the activation {activation} is not known")
    return NetworkSettings(
        box=box,
        z_dim=_z_dim(model.get("zdim")),
        domain=str(model["domain"]),
        encoding=str(model["pe_type"]),
        waves_by_axis=int(model.get("pe_dim") or box // 2),
        activation=activation,
        mean=float(mean),
        deviation=float(deviation),
        extent=float(lattice.get("extent") or 0.5),
    )


def _searched_network(settings: dict[str, Any], stored: Mapping[str, Any]) -> NetworkSettings:
    """Of a search for poses, `abinit` since cryoDRGN 4."""
    network = stored["hypervolume_params"]
    if network.get("pe_type_conf") is not None:
        raise ValueError(f"its encoding of z, {network['pe_type_conf']}, is not known")
    box = _box(network["resolution"])
    return NetworkSettings(
        box=box,
        z_dim=_z_dim(network["z_dim"]),
        domain=str(network["domain"]),
        encoding=str(network["pe_type"]),
        waves_by_axis=int(network["pe_dim"]),
        activation="relu",
        mean=float(settings["data_norm_mean"]),
        deviation=float(settings["data_norm_std"]),
        radius=float(stored.get("output_mask_radius", box // 2)),
    )


def _box(lattice: Any) -> int:
    """D of a lattice of D + 1 points."""
    box = int(lattice) - 1
    if box % 2 or not 2 <= box <= 2**12:
        raise ValueError(f"its lattice of {lattice} points is none of cryoDRGN's")
    return box


def _z_dim(value: Any) -> int:
    z_dim = int(value or 0)
    if not 0 <= z_dim <= MOST_Z:
        raise ValueError(f"z of {z_dim:,} dimensions")
    return z_dim


def _tensors(state: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, dict):
        raise DataError(f"{path}: it holds no parameters by name. Give weights.pkl of a training.")
    return {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}


def _latents(folder: Path, epoch: int, z_dim: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Means (N, Z) and the root mean variance (N,) of z; (0, 0) where there is no latent space."""
    if not z_dim:
        return np.zeros((0, 0), np.float32), None
    path, _ = _file(folder, "z", epoch)
    mean, log_variance = read_latents(path)
    if mean.ndim != 2 or mean.shape[1] != z_dim or not np.isfinite(mean).all():
        raise DataError(
            f"{path}: it does not hold finite latents of {z_dim} dimensions. Give z and weights of one run."
        )
    known = log_variance is not None and log_variance.shape == mean.shape
    return mean, np.sqrt(np.exp(log_variance.astype(np.float64)).mean(axis=1)) if known else None


def _file(folder: Path, name: str, epoch: int, needed: bool = True) -> tuple[Path | None, int]:
    """The file of an epoch, and its number; by default the last, 0 for the one that is not numbered."""
    numbered = {int(path.stem.rpartition(".")[2]): path for path in folder.glob(f"{name}.*.pkl") if _is_numbered(path)}
    if epoch:
        if epoch in numbered:
            return numbered[epoch], epoch
        if needed:
            there = f"{min(numbered)} to {max(numbered)}" if numbered else "none"
            raise DataError(f"{folder} has no {name}.{epoch}.pkl; its epochs are {there}.")
        return None, epoch
    last = folder / f"{name}.pkl"
    if last.is_file():
        return last, 0
    if numbered:
        return numbered[max(numbered)], max(numbered)
    if needed:
        raise DataError(f"{folder} has neither {name}.pkl nor one of an epoch; the training has not come so far.")
    return None, 0


def _is_numbered(path: Path) -> bool:
    number = path.stem.rpartition(".")[2]
    return number.isascii() and number.isdigit()

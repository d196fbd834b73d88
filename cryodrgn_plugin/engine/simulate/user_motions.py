"""Ensembles from the user's own models and maps, as the command line and the hosts ask for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..atoms.atomic_model import AtomicModel, matched
from ..atoms.model_reading import read_model
from ..errors import ConfigError, DataError
from ..io.arrays import read_npy_file
from ..io.mrc import read_map
from .ensemble import Ensemble, equal_parts
from .map_motions import cropped_map, hinge_in_mask
from .motions import domain_path, hinge_rotation, likely_hinge, trajectory
from .selections import selected


@dataclass(frozen=True, kw_only=True)
class MotionRequest:
    """What should move, and how far."""

    states: int = 50
    """States along the motion."""
    domains: tuple[str, ...] = ()
    """Parts that move as rigid bodies, such as B:331-527."""
    core: str = ""
    """Part on which two conformations or the frames are superposed; empty takes all that is in no domain."""
    hinge_deg: float = 60.0
    """Range of a hinge motion in degrees."""
    hinge_point_ang: tuple[float, float, float] | None = None
    """A point of the hinge axis in the model's (or the map's) coordinates; None takes the contact of the domain with
    the rest.
    """
    hinge_axis: tuple[float, float, float] | None = None
    """Direction of the hinge axis; None takes the one about which the domain swings away from the rest."""
    frames: str = ""
    """A .npy file of (frames, atoms, 3) coordinates for one model's heavy atoms."""
    domain_mask: str = ""
    """A map that is positive in the part of one map that should move."""

    def __post_init__(self) -> None:
        if self.states < 1:
            raise ConfigError(f"The number of states is {self.states}; it must be at least 1.")


def ensemble_from_models(paths: Sequence[str | Path], request: MotionRequest) -> Ensemble:
    """The ensemble of one model that moves, of the path between two, or of three and more as they are.

    Raises
    ------
    ConfigError : one model without a domain or frames, or a domain that names no atoms.
    DataError : a file cannot be used, or two models are not of the same molecule.
    """
    models = [read_model(path) for path in paths]
    if len(models) > 2:
        return equal_parts(models, tuple(Path(path).stem for path in paths))
    if len(models) == 2:
        return _path_between(*matched(*models), request)
    if request.frames:
        return _frames(models[0], request)
    return _hinge(models[0], request)


def _path_between(first: AtomicModel, last: AtomicModel, request: MotionRequest) -> Ensemble:
    domains = [selected(first, text) for text in request.domains]
    fractions = np.linspace(0, 1, request.states)
    states = domain_path(first, last, _core(first, domains, request), domains, fractions)
    return Ensemble(states, fractions, np.ones(request.states))


def _core(model: AtomicModel, domains: list[np.ndarray], request: MotionRequest) -> np.ndarray:
    if request.core:
        return selected(model, request.core)
    return ~np.any([np.zeros(len(model), dtype=bool), *domains], axis=0)


def _frames(model: AtomicModel, request: MotionRequest) -> Ensemble:
    frames = read_npy_file(request.frames, "Give a .npy file of coordinates, (frames, atoms, 3).")
    domains = [selected(model, text) for text in request.domains]
    states = trajectory(model, frames, _core(model, domains, request) if request.core or domains else None)
    return Ensemble(states, np.linspace(0, 1, len(states)), np.ones(len(states)))


def _hinge(model: AtomicModel, request: MotionRequest) -> Ensemble:
    if not request.domains:
        raise ConfigError(
            "One model alone does not move; name the domain that turns (--domain B:331-527), give its frames "
            "(--frames), or give a second conformation (--model)."
        )
    domain = selected(model, ",".join(request.domains))
    point, axis = likely_hinge(model.coords_ang[domain], model.coords_ang[~domain])
    if request.hinge_point_ang is not None:
        point = np.array(request.hinge_point_ang)
    if request.hinge_axis is not None:
        axis = np.array(request.hinge_axis)
    angles = np.radians(np.linspace(0, request.hinge_deg, request.states))
    return Ensemble(hinge_rotation(model, domain, point, axis, angles), angles, np.ones(request.states))


def ensemble_from_maps(paths: Sequence[str | Path], box: int, request: MotionRequest) -> tuple[Ensemble, float]:
    """The ensemble of maps as they are, or of one map with a part that turns, in a box of `box` pixels; and its pixel
    size.

    Raises DataError when the maps differ in box or pixel size, or are smaller than `box`.
    """
    volumes, pixel_sizes = zip(*(read_map(path) for path in paths), strict=True)
    if len({volume.shape for volume in volumes}) > 1 or np.ptp(pixel_sizes) > 1e-3 * pixel_sizes[0]:
        raise DataError(
            "The maps differ in box or pixel size; bring them to one grid first (relion_image_handler does)."
        )
    pixel_size_ang = pixel_sizes[0] * len(volumes[0]) / box
    volumes = [cropped_map(volume, box, str(path)) for volume, path in zip(volumes, paths, strict=True)]
    if not request.domain_mask:
        return equal_parts(volumes, tuple(Path(path).stem for path in paths)), pixel_size_ang
    if len(volumes) > 1:
        raise ConfigError("A domain mask turns a part of one map; give one map.")
    mask = cropped_map(read_map(request.domain_mask)[0], box, request.domain_mask)
    angles = np.radians(np.linspace(0, request.hinge_deg, request.states))
    point, axis = request.hinge_point_ang, request.hinge_axis
    states = hinge_in_mask(volumes[0], mask, angles, pixel_size_ang, point, axis)
    return Ensemble(states, angles, np.ones(request.states)), pixel_size_ang

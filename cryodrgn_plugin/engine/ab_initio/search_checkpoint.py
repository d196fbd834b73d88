"""How far a search for poses is: maps so far and where the images were placed; and its checkpoint on disk.

Checkpoints are written atomically and load with weights_only=True.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..imaging.lattice import HalfPlane
from ..io.reading import understood
from ..io.torch_files import load_torch, save_torch
from ..likelihood.linear_model import LinearModel
from ..likelihood.species_maps import Maps
from ..run import Run
from ..slicing.compute import Compute
from ..slicing.place import on_host
from ..slicing.sphere import HalfSphere
from .placement import Placement

FIGURES = ("done", "seconds", "repeats", "climbs", "grouped", "score_of_nothing", "share_of_nothing")
PLACED = ("rotations", "shifts_ang", "species", "score", "lag", "pools")


@dataclass
class Progress:
    """How far the search for poses is: what a checkpoint keeps."""

    done: int = 0
    """Rounds done, over all starts."""
    seconds: float = 0.0
    maps: Maps | None = None
    best: Maps | None = None
    """Maps of the best start of this phase so far."""
    best_score: np.ndarray = field(default_factory=lambda: np.empty(0))
    """What they are judged by: the mean score of the same images, of all of them or (S,) of each species."""
    incumbents: Maps | None = None
    """Those that new starts of species are held against."""
    whole: Maps | None = None
    """Maps of all species while those that are hard to place start by themselves."""
    hard: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """int64. Species whose starts have not agreed about poses so far."""
    grouped: int = 0
    """How often images have started as pools."""
    dissolved: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """int64. Species of `best` that others have to do without for some rounds."""
    before: Placement = field(default_factory=lambda: Placement.unknown(0))
    """Where images were placed before these rounds, or by the best start of each species so far."""
    repeats: int = 0
    """Local rounds at the end beyond the first."""
    climbs: int = 0
    """Rounds in the middle of refining beyond the first."""
    climbed: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    """(rounds, S). The mean scores of the species in all of these."""
    score_of_nothing: float = np.nan
    """The score that images of nothing stay below."""
    share_of_nothing: float = np.nan
    """Share of images set aside that do not exceed it."""
    placement: Placement = field(default_factory=lambda: Placement.unknown(0))

    def over(self) -> None:
        """No maps compete any more, and checkpoints need not keep those that did."""
        self.best, self.incumbents, self.before = None, None, Placement.unknown(0)


def save_progress(run: Run, progress: Progress) -> None:
    """Write the checkpoint of `progress` in place of the one before."""
    content = {
        **{name: getattr(progress, name) for name in FIGURES},
        "maps": _packed(progress.maps),
        "best": _packed(progress.best),
        "incumbents": _packed(progress.incumbents),
        "whole": _packed(progress.whole),
        "hard": torch.from_numpy(progress.hard),
        "best_score": torch.from_numpy(progress.best_score),
        "dissolved": torch.from_numpy(progress.dissolved),
        "climbed": torch.from_numpy(progress.climbed),
        "before": _columns(progress.before),
        "placement": _columns(progress.placement),
    }
    run.checkpoints_dir.mkdir(parents=True, exist_ok=True)
    save_torch(run.pose_checkpoint_file, content)


def load_progress(run: Run, compute: Compute, lattice: HalfPlane) -> dict[str, Any] | None:
    """The fields of the progress that was saved, or None. Raises DataError when the file is something else."""
    path: Path = run.pose_checkpoint_file
    if not path.exists():
        return None
    with understood(f"{path} cannot be read as a checkpoint; start the run anew with --overwrite."):
        content = load_torch(path)
        return {
            **{name: content[name] for name in FIGURES},
            "maps": _unpacked(content["maps"], compute, lattice),
            "best": _unpacked(content["best"], compute, lattice),
            "incumbents": _unpacked(content["incumbents"], compute, lattice),
            "whole": _unpacked(content["whole"], compute, lattice),
            "hard": on_host(content["hard"]),
            "best_score": on_host(content["best_score"]),
            "dissolved": on_host(content["dissolved"]),
            "climbed": on_host(content["climbed"]),
            "before": Placement(**{name: on_host(content["before"][name]) for name in PLACED}),
            "placement": Placement(**{name: on_host(content["placement"][name]) for name in PLACED}),
        }


def _columns(placed: Placement) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(getattr(placed, name)) for name in PLACED}


def _packed(maps: Maps | None) -> dict[str, Any] | None:
    if maps is None:
        return None
    sphere = maps.models[0][0].sphere
    return {
        "sphere": [sphere.box, sphere.padding, sphere.radius],
        "coefs": [[model.coefs.cpu() for model in half] for half in maps.models],
        "populations": torch.from_numpy(maps.populations),
        "misfit": None if maps.misfit is None else torch.from_numpy(maps.misfit),
    }


def _unpacked(content: dict[str, Any] | None, compute: Compute, lattice: HalfPlane) -> Maps | None:
    if content is None:
        return None
    box, padding, radius = content["sphere"]
    backend = compute.backend(HalfSphere(int(box), float(padding), radius), lattice)
    models = [[LinearModel(backend, compute.tensor(coefs)) for coefs in half] for half in content["coefs"]]
    misfit = content["misfit"]
    return Maps(models, on_host(content["populations"]), None if misfit is None else on_host(misfit))

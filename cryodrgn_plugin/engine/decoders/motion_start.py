"""A motion of an atomic model that was found already, as the start of a training.

The command `atoms` lays a model into maps of a finished run; here its places are a function of z again. At nodes z_m,
the latents of these maps, beads lie at μ_j + d_jm, and elsewhere at

    μ_j + d̄_j + Σ_m k(z, z_m) c_jm,      (K + ε) c_j = d_j − d̄_j,      k(z, z') = exp(−|z − z'|²/2l²),

a Gaussian process's mean. Latents are those of the run, less their mean, in units of the standard deviation of their
widest axis, so that distances keep their meaning and the prior of a network, N(0, 1), suits them.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ..atoms.atomic_model import AtomicModel
from ..atoms.beads import Beads, beads_of
from ..atoms.model_reading import read_model
from ..errors import DataError
from ..io.particles import ParticleTable
from ..result_kinds import PLACE_SERIES
from ..run import Run
from ..source_check import other_particles

LENGTH = 1.5
"""Of the kernel, in distances between neighbouring nodes."""
NOISE = 1e-2
"""ε: places in single maps are not exact."""


@dataclass(frozen=True)
class FoundMotion:
    """What `atoms` has left in a run. `model` lies as in the map that it fits best, in the frame of the maps."""

    run: Run
    model: AtomicModel
    nodes: np.ndarray
    """(M, Z) latents of the maps."""
    places_ang: np.ndarray
    """(M, atoms, 3) of the model in each."""
    z: np.ndarray
    """(N, Z) latents of the particles."""
    rows: np.ndarray
    """(N,) their star rows."""

    @classmethod
    def of_run(cls, folder: str) -> "FoundMotion":
        """Raises DataError where there is no such run, or no model was laid into its maps."""
        run = Run.open(folder)
        found, latents = run.results("atoms"), run.latents()
        if found.index["fit"]["mirrored"]:
            raise DataError(
                f"The maps of {folder} have the other hand than the model; train on poses of the model's hand, those "
                "that a reconstruction from the mirrored map gives."
            )
        maps = found.series(PLACE_SERIES)
        models = [read_model(found.path(entry["model"])) for entry in maps]
        nodes, middle = np.array([entry["z"] for entry in maps], dtype=np.float64), latents.z.mean(axis=0)
        scale = max(float(latents.z.std(axis=0).max()), 1e-12)
        reference = models[found.index["reference"] - 1]
        places = np.stack([model.coords_ang for model in models])
        return cls(run, reference, (nodes - middle) / scale, places, (latents.z - middle) / scale, latents.rows)

    def latents_of(self, table: ParticleTable, rows: np.ndarray) -> np.ndarray:
        """(n, Z) of the particles at rows (n,) of a table. Raises DataError where the run had others."""
        if differences := other_particles(self.run, table):
            raise DataError(
                f"The latents of atoms.start_from = {self.run.path} are of other particles: {table.path} "
                f"{' and '.join(differences)}. Train on the file that the run was made from."
            )
        order = np.argsort(self.rows)
        at = order[np.searchsorted(self.rows, rows, sorter=order).clip(max=len(order) - 1)]
        if not np.array_equal(self.rows[at], rows):
            raise DataError(
                f"The run of atoms.start_from has {len(self.rows):,} particles, not all of the {len(rows):,} here; "
                "train on the same."
            )
        return self.z[at]


class StartingMotion(nn.Module):
    """z (B, Z) → displacements (B, n, 3) in Å of n beads from the reference; nothing of it is trained."""

    @classmethod
    def of(cls, found: FoundMotion, beads: Beads) -> Self:
        """Of the beads of `found.model`."""
        placed = [beads_of(found.model.moved(places), beads.per, beads.residues) for places in found.places_ang]
        moved = np.stack([each.centres_ang for each in placed]) - beads.centres_ang
        apart = np.linalg.norm(found.nodes[:, None] - found.nodes, axis=2)
        nearest = np.where(np.eye(len(apart), dtype=bool), np.inf, apart).min(axis=1)
        length = LENGTH * float(np.median(nearest)) if len(apart) > 1 else 1.0
        kernel = np.exp(-np.square(apart / length) / 2) + NOISE * np.eye(len(apart))
        mean = moved.mean(axis=0)
        pulls = np.linalg.solve(kernel, (moved - mean).reshape(len(moved), -1)).reshape(moved.shape)
        nodes, z_dim = found.nodes.shape
        start = cls(nodes, z_dim, len(beads))
        for name, value in (("nodes", found.nodes), ("mean_ang", mean), ("pulls_ang", pulls), ("length", length)):
            getattr(start, name).copy_(torch.as_tensor(value))
        return start

    @classmethod
    def like(cls, state: dict[str, Tensor], prefix: str) -> Self | None:
        """One of the sizes in a decoder's state, to take it; None where there is none."""
        if f"{prefix}nodes" not in state:
            return None
        nodes, z_dim = state[f"{prefix}nodes"].shape
        return cls(nodes, z_dim, len(state[f"{prefix}mean_ang"]))

    def __init__(self, nodes: int, z_dim: int, beads: int) -> None:
        super().__init__()
        self.register_buffer("nodes", torch.zeros(nodes, z_dim))
        self.register_buffer("mean_ang", torch.zeros(beads, 3))
        self.register_buffer("pulls_ang", torch.zeros(nodes, beads, 3))
        self.register_buffer("length", torch.ones(()))

    @torch.no_grad()
    def at_nodes(self) -> np.ndarray:
        """(M, n, 3) displacements in Å at the nodes."""
        return self(self.nodes).double().cpu().numpy()

    def forward(self, z: Tensor) -> Tensor:
        apart2 = (z[:, None] - self.nodes).square().sum(-1)
        kernels = torch.exp(-apart2 / (2 * self.length**2))
        return self.mean_ang + torch.tensordot(kernels, self.pulls_ang, dims=1)

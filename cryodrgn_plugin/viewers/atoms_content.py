"""What the explorer shows of an atomic model in the maps of a run, free of any window."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.results import Results
from ..engine.run import Run


@dataclass(frozen=True)
class AtomsContent:
    """P parts of a model of n residues (or a few in a row) in S maps and N particles."""

    chains: np.ndarray
    """(n,) str."""
    residues: np.ndarray
    """(n,) number of each within its chain."""
    part: np.ndarray
    """(n,) from 1."""
    mobility_ang: np.ndarray
    """(n,)."""
    parts: list[dict[str, Any]]
    """As the index describes each."""
    states: list[dict[str, Any]]
    """How the parts lie in each map."""
    turns_deg: np.ndarray
    moves_ang: np.ndarray
    """(N, P) against the first part, in each particle."""
    coordinates: dict[str, np.ndarray]
    """Name to (N,) values of what the motion is drawn against."""
    sentences: list[str]
    """All that was found, in words."""
    nyquist_per_ang: float
    """Spatial frequency at the end of FSC curves."""
    bias: dict[str, Any] | None = None
    """The check of the model; None where it was left out."""
    corrected: list[dict[str, Any]] | None = None
    """FSC of half-maps with the motion undone, and without, per region; None where there is no such map."""
    script: Path | None = None
    """For ChimeraX."""

    @classmethod
    def of(cls, run: Run, results: Results) -> "AtomsContent | None":
        """Of a run's `atoms`; None for those of an earlier version, which lack what is drawn here."""
        index = results.index
        if "along" not in index:
            return None
        latents, along = run.latents(), index["along"]
        arrays = results.arrays_of(latents.rows)
        coordinates = {} if latents.coordinate is None else {"position on the curve": latents.coordinate}
        coordinates |= {f"z{k + 1}": latents.z[:, k] for k in range(min(latents.z.shape[1], 4))}
        return cls(
            np.array(along["chain"]),
            np.array(along["residue"]),
            np.array(along["part"]),
            np.array(along["mobility_ang"]),
            index["parts"],
            index["states"],
            arrays["turns_deg"],
            arrays["moves_ang"],
            coordinates,
            index["sentences"],
            1 / (2 * index["pixel_size_ang"]),
            index.get("bias"),
            index.get("corrected", {}).get("parts"),
            results.file("chimerax"),
        )

    def chain_starts(self) -> np.ndarray:
        """Indices of the residues at which chains begin."""
        return np.flatnonzero(np.r_[True, self.chains[1:] != self.chains[:-1]])

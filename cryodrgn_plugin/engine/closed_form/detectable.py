"""The smallest part of the molecule whose coming and going the search for directions would have seen.

A part that a share f of the particles lacks is an amplitude of variance f (1 − f) along the part's own map. Over the
noise, images tell of it

    θ = f (1 − f) · mean over images of (P part)ᵀ w (P part),

less what contrast and errors of the poses could have done as well. Noise adds to what a search sees, so θ may be
smaller than the strongest direction of noise: where the volume has γ coefficients to an image, noise gives
(1 + √γ)² − 1, and a direction of θ > √γ is seen as θ + γ + γ/θ (Baik, Ben Arous and Péché, Annals of Probability 33,
2005, 1643).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..likelihood.linear_model import LinearModel
from ..likelihood.nuisances import Nuisances
from ..likelihood.whitened import WhitenedImages
from ..slicing.place import on_host
from .directions import Band

ABSENT_FROM = (0.1, 0.5)
"""Shares of the particles that a part is missing from."""
SHARES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Of the molecule's density, in parts; the information of others is interpolated."""
WAYS_OUT = np.concatenate([np.eye(3), -np.eye(3)])
"""Parts lie around the outermost places of the molecule in these directions; the median part counts."""
SAMPLE = 500
"""Images that are asked what they tell."""
SEARCH_TAKES = 1.4
"""θ at which the search sees nearly every planted part (7 of 8), over that of the formula: its iterations are few, and
its prior is a share of the mean (`benchmarks/power.py --calibrate`)."""
CORE = 0.98
"""Quantile of the densities inside a molecule that stands for its core."""
PROTEIN_DA_PER_ANG3 = 0.81
"""Density of protein, 1.35 g/cm³."""


@dataclass(frozen=True)
class SmallestParts:
    """`share` of the molecule by the share of the particles that lack it, None where a third of the molecule would not
    have been seen; `molecule_kda` is what the whole weighs, roughly, if it is protein.
    """

    share: Mapping[float, float | None]
    molecule_kda: float

    def notes(self) -> dict[str, Any]:
        """JSON values for run.json."""
        share = {f"{absent:g}": value and round(value, 4) for absent, value in self.share.items()}
        return {"smallest_part": share, "molecule_kda": round(self.molecule_kda, 1)}


def in_words(notes: Mapping[str, Any]) -> str:
    """What `SmallestParts.notes` say, as a sentence; empty for a run that has none."""
    if "smallest_part" not in notes:
        return ""
    parts = [
        f"{_part(share, notes['molecule_kda'])} absent from {float(absent):.0%} of the particles"
        for absent, share in notes["smallest_part"].items()
        if share is not None
    ]
    if not parts:
        return "No part that comes and goes would have been seen, were it a third of the molecule."
    return f"What would have been seen to come and go: {', or '.join(parts)}."


def in_brief(notes: Mapping[str, Any]) -> str:
    """The end of "No heterogeneity found": the part that half of the particles would have to lack; may be empty."""
    share = notes.get("smallest_part", {}).get("0.5")
    return f"; {_part(share, notes['molecule_kda'])} absent from half of the particles would have been" if share else ""


def _part(share: float, molecule_kda: float) -> str:
    """In per cent, and as a weight that is known roughly."""
    at_most = "at most " if share <= SHARES[0] else ""
    return f"a part of {at_most}{share:.1%} of the molecule (about {float(f'{share * molecule_kda:.2g}'):g} kDa)"


def smallest_parts(
    images: WhitenedImages,
    band: Band,
    mean: LinearModel,
    nuisances: Nuisances,
    needed: Callable[[np.ndarray, np.ndarray], np.ndarray],
    pixel_size_ang: float,
) -> SmallestParts:
    """Parts whose information reaches what is needed.

    Parameters
    ----------
    mean : the mean volume alone, in the band.
    needed : of parts (n, D, D, D) of a body (D, D, D), the information (n,) at which each would have been found.
    pixel_size_ang : of the images.
    """
    volume = np.maximum(mean.mean_map(), 0) * band.mask
    parts = np.stack([part for way in WAYS_OUT for part in parts_around(volume, outermost(volume, way))])
    over = part_information(images, band, mean, parts, nuisances) / needed(parts, volume)
    share = {f: _median_share(f * (1 - f) * over.reshape(len(WAYS_OUT), len(SHARES))) for f in ABSENT_FROM}
    return SmallestParts(share, weight_kda(volume, pixel_size_ang * images.lattice.box / len(volume)))


def weight_kda(volume: np.ndarray, voxel_size_ang: float) -> float:
    """What a body (D, D, D) weighs if all of it is protein as dense as its core, and its rim is blur."""
    core = float(np.quantile(volume[volume > _typical(volume) / 3], CORE))
    return float(volume.sum()) / core * voxel_size_ang**3 * PROTEIN_DA_PER_ANG3 / 1000


def needed_information(noise: float, above: float) -> float:
    """θ of a direction that is seen `above` times as well as the strongest of noise, whose information is `noise`."""
    gamma = (np.sqrt(1 + noise) - 1) ** 2
    middle = (above * noise - gamma) / 2
    return float(middle + np.sqrt(max(middle**2 - gamma, 0.0))) * SEARCH_TAKES


def outermost(volume: np.ndarray, way: np.ndarray) -> np.ndarray:
    """(3,) voxel of a body (D, D, D) that lies farthest along `way` (3,), where its density is half the body's."""
    inside = np.argwhere(volume > _typical(volume) / 2)
    return inside[np.argmax(inside @ way)]


def _typical(volume: np.ndarray) -> float:
    """Density where the mass is, on average."""
    return float((volume**2).sum() / volume.sum())


def parts_around(volume: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(S, D, D, D) the density nearest to `place`, by share of the whole; of the last voxel as much as is missing."""
    far = ((np.indices(volume.shape) - place[:, None, None, None]) ** 2).sum(0).ravel()
    order = np.argsort(far, kind="stable")
    density = volume.ravel()[order]
    before = np.cumsum(density) - density
    parts = np.zeros((len(SHARES), volume.size), np.float32)
    for part, share in zip(parts, SHARES, strict=True):
        part[order] = np.clip(share * density.sum() - before, 0, density)
    return parts.reshape(len(SHARES), *volume.shape)


def part_information(
    images: WhitenedImages, band: Band, mean: LinearModel, parts: np.ndarray, nuisances: Nuisances
) -> np.ndarray:
    """(n,) what an image tells of the presence of each of the parts (n, D, D, D), contrast and pose errors unknown."""
    backend = mean.backend
    coefs = torch.cat([mean.coefs, LinearModel.of(backend, parts).coefs], 2)
    if band.moving is not None:
        coefs = torch.cat([coefs, band.moving[:, :, 1:]], 2)
    rows = np.unique(np.linspace(0, images.n - 1, min(images.n, SAMPLE)).astype(int))
    total = torch.zeros(len(parts), dtype=torch.float64, device=coefs.device)
    for batch in images.of_each(np.array_split(rows, -(-len(rows) // 100)), band.count):
        seen = coefs, batch.targets, batch.weights, batch.rotations
        gram, _ = backend.compress(*seen) if band.moving is None else backend.compress_near(*seen, batch.defocus_slopes)
        total += _told_of_parts(gram, len(parts), nuisances).sum(0)
    return on_host(total / len(rows))


def _told_of_parts(gram: Tensor, n_parts: int, nuisances: Nuisances) -> Tensor:
    """(B, n) precision of each part's amplitude from (B, 1 + n + J, 1 + n + J), the mean's and the errors' unknown."""
    of_parts = slice(1, 1 + n_parts)
    others = torch.cat([torch.arange(*each, device=gram.device) for each in ((0, 1), (1 + n_parts, gram.shape[1]))])
    sd = torch.cat([nuisances.pose_sd.new_full((1,), nuisances.contrast_sd), nuisances.pose_sd]).clamp(min=1e-9)
    among = gram[:, others][:, :, others] + (sd**-2).diag()
    shared = gram[:, others, of_parts]
    explained = (shared * torch.linalg.solve(among, shared)).sum(1)
    return gram[:, of_parts, of_parts].diagonal(dim1=1, dim2=2) - explained


def _median_share(over: np.ndarray) -> float | None:
    """Over places: the share of the molecule at which `over` (places, S), of the information needed, reaches 1."""
    shares = []
    for told in over:
        rising = np.maximum.accumulate(np.maximum(told, 1e-12))
        reached = np.exp(np.interp(0, np.log(rising), np.log(SHARES)))
        shares.append(reached if rising[-1] >= 1 else np.inf)
    middle = float(np.median(shares))
    return middle if np.isfinite(middle) else None

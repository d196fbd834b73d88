"""What a landscape writes beside maps and figures: the entries of its index, arrays and particle lists."""

import dataclasses
from typing import Any

import numpy as np

from ..analysis.entries import numbers
from ..analysis.found_states import posterior_arrays
from ..analysis.lists import particle_list, write_lists
from ..analysis.populations import Populations
from ..analysis.volumes import TrainedDecoder
from ..io.particles import ParticleTable
from ..report_writer import Report
from .landscape_options import LandscapeOptions
from .landscape_parts import Landscape
from .sketch import SketchedSpace
from .space import VolumeSpace
from .volume_clusters import centres_of

STATE = "cryodrgnState"


def landscape_entries(landscape: Landscape, decoder: TrainedDecoder, options: LandscapeOptions) -> dict[str, Any]:
    """The content of the index, but for series, figures and files."""
    z, space = landscape.latents.z, landscape.space
    inside = space.mask > 0
    return {
        "particles": len(z),
        "z_dim": z.shape[1],
        "box": decoder.box,
        "pixel_size_ang": decoder.pixel_size_ang,
        "method": space.method,
        "mask": {
            "kind": options.mask or "union",
            "voxels": int(inside.sum()),
            "share": round(float(inside.mean()), 6),
        },
        "pca": {"explained": numbers(space.explained)},
        "phi": _phi_entry(space),
        **landscape.grouping,
        "counted": landscape.shares.particles,
        "clusters": _cluster_entries(landscape),
        "states": _state_entries(landscape),
        "states_tried": [dataclasses.asdict(tried) for tried in landscape.states.tried] if landscape.states else [],
        "series": [],
        "figures": {},
        "files": {},
    }


def write_particles(table: ParticleTable, landscape: Landscape, out: Report) -> None:
    """Write the particle lists, and the arrays per particle."""
    latents, clusters, states = landscape.latents, landscape.clusters, landscape.states
    labels, posterior = clusters.labels, clusters.posterior
    arrays = {"rows": latents.rows, "pca": landscape.space.scores, "labels": labels, **posterior_arrays(posterior)}
    probability = None if posterior is None else posterior.max(axis=1)
    frame = particle_list(table, latents.rows, latents.z, labels, latents.coordinate, probability)
    if states is not None:
        arrays |= {"state": states.labels, "state_probability": states.probability}
        frame[STATE] = states.labels[np.argsort(latents.rows, kind="stable")] + 1
    write_lists(out, table, frame, len(landscape.clusters.centres))
    out.arrays(**arrays)


def _phi_entry(space: VolumeSpace) -> dict[str, Any] | None:
    if not isinstance(space, SketchedSpace):
        return None
    return {
        "sketched": len(space.sketch.particles),
        "mapped": space.mapped,
        "r2": numbers(space.judged.r2),
        "r2_all": space.judged.r2_all,
        "held_out": space.judged.pairs,
    }


def _cluster_entries(landscape: Landscape) -> list[dict[str, Any]]:
    clusters, latents = landscape.clusters, landscape.latents
    return [
        {
            "class": c + 1,
            "particles": int(clusters.sizes[c]),
            **_share(landscape.shares, c),
            "apart": bool(clusters.apart[c]),
            "centre_row": int(latents.rows[centre]),
            "z": numbers(latents.z[centre]),
            "star": f"clusters/cluster_{c + 1:03d}.star",
        }
        for c, centre in enumerate(clusters.centres)
    ]


def _state_entries(landscape: Landscape) -> list[dict[str, Any]]:
    if landscape.states is None or landscape.state_shares is None:
        return []
    scores, labels = landscape.space.scores, landscape.states.labels
    present = np.unique(labels)
    # States that no particle is in are skipped: the others count from 0 without gaps.
    centres = centres_of(scores, np.searchsorted(present, labels), len(present))
    return [
        {
            "state": int(number) + 1,
            "particles": int((labels == number).sum()),
            **_share(landscape.state_shares, number),
            "mean": numbers(scores[labels == number].mean(axis=0)),
            "centre_row": int(landscape.latents.rows[centre]),
        }
        for number, centre in zip(present, centres, strict=True)
    ]


def _share(populations: Populations, k: int) -> dict[str, Any]:
    low, high = (round(float(end[k]), 6) for end in (populations.low, populations.high))
    share = float(populations.share[k])
    return {"count": round(share * populations.particles, 1), "share": round(share, 6), "interval": [low, high]}

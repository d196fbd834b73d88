"""What an ab initio run is worth against the truth of a simulated set: poses, species, maps, and maps per image."""

from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from cryodrgn_plugin.engine.analysis.known_poses import KnownPoses, in_common, read_poses
from cryodrgn_plugin.engine.analysis.truth import Truth, rank_correlation
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.geometry.hand import mirrored_map
from cryodrgn_plugin.engine.geometry.pose_errors import PoseErrors, align_poses
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.reconstruction.fsc import fsc, resolution
from cryodrgn_plugin.engine.reconstruction.map_alignment import align_maps
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.slicing.fine import moved_volume, padded_transform

SAMPLED = 100
"""Images whose maps are judged, as in the thesis (table 3.2)."""
ALIGNED = 10
"""Those of them whose maps are also aligned one by one, which takes seconds each."""


def run_figures(run: Run, folder: Path, kind: str) -> dict:
    """All that can be said of a run on the set in `folder`: `kind` is homogeneous, species or heterogeneous."""
    found, true = in_common(read_poses(run.poses_file), read_poses(folder / "truth.npz"))
    if kind == "species":
        return species_figures(run, found, true, folder)
    errors = _errors(found, true)
    figures = {"poses": errors.summary(found.pixel_size_ang)}
    if kind == "homogeneous":
        return figures | {"map": map_figures(run.found_map_file(1), folder / "maps" / "state_000.mrc")}
    known = Truth.open(folder)
    return figures | {"per_image": per_image_figures(run, errors, known), **coordinate_figures(run, known)}


def _errors(found: KnownPoses, true: KnownPoses) -> PoseErrors:
    return align_poses(found.rotations, true.rotations, found.shifts_ang, true.shifts_ang)


def map_figures(found_path: Path, true_path: Path) -> dict:
    """FSC of a found map and the true one after alignment; resolutions in pixels of the found map."""
    (found, _), (true, _) = read_map(found_path), read_map(true_path)
    alignment = align_maps(found, Truth(np.zeros(1, int), np.zeros(1), true[None]).at_box(len(found)).maps[0])
    return {
        "resolution_px_at_0.5": resolution(alignment.curve, 1.0, len(found), 0.5),
        "resolution_px_at_0.143": resolution(alignment.curve, 1.0, len(found), 0.143),
        "other_hand": alignment.mirrored,
        "fsc": [round(float(value), 4) for value in alignment.curve],
    }


def species_figures(run: Run, found: KnownPoses, true: KnownPoses, folder: Path) -> dict:
    """Found species matched one to one with true ones; poses are fitted within each match, over the rightly named.

    `classified` is the share of all particles that are in the species matched with their own.
    """
    n_found, n_true = found.species.max(), true.species.max()
    counts = np.zeros((n_found, n_true), dtype=int)
    np.add.at(counts, (found.species - 1, true.species - 1), 1)
    rows, columns = linear_sum_assignment(-counts)
    angles_deg, per_species = [], []
    for mine, theirs in zip(rows, columns, strict=True):
        right = np.flatnonzero((found.species == mine + 1) & (true.species == theirs + 1))
        if len(right) < 3:
            continue
        errors = _errors(found[right], true[right])
        angles_deg.append(errors.angle_deg)
        summary = errors.summary(found.pixel_size_ang)
        quality = map_figures(run.found_map_file(mine + 1), folder / "maps" / f"state_{theirs:03d}.mrc")
        per_species.append({"species": int(mine + 1), "state": int(theirs), **summary, "map": quality})
    every = np.concatenate(angles_deg)
    return {
        "species_found": int((counts.sum(1) > 0).sum()),
        "classified": float(counts[rows, columns].sum() / counts.sum()),
        "purity": float(counts.max(1).sum() / counts.sum()),
        "poses": {"median_angle_deg": float(np.median(every)), "within_5_deg": float(np.mean(every <= 5))},
        "confusion": counts.tolist(),
        "per_species": per_species,
    }


def coordinate_figures(run: Run, known: Truth) -> dict:
    """|Spearman| of each latent column with the planted coordinate."""
    latents = run.latents()
    columns = latents.z if latents.coordinate is None else np.column_stack([latents.coordinate, latents.z])
    each = [rank_correlation(column, known.coordinate) for column in columns.T]
    return {"spearman": max(each, default=0.0), "spearman_each": [round(value, 4) for value in each]}


def per_image_figures(run: Run, errors: PoseErrors, known: Truth) -> dict:
    """FSC = 0.5 in pixels between the map at an image's latent and the map it was made from (thesis, table 3.2).

    All maps are moved alike, as the poses say; `each_aligned` moves every map by itself, and so leaves out that the
    frame of a flexible molecule may turn with its conformation.
    """
    decoder, z = load_decoder(run), run.latents().z
    sample = np.random.default_rng(5).choice(len(z), min(SAMPLED, len(z)), replace=False)
    found_px, aligned_px = [], []
    for number, image in enumerate(sample):
        volume = decoder.volume(z[image])
        true = known.at_box(len(volume)).maps[known.state[image]]
        curve = fsc(_in_true_frame(volume, errors, run), true)
        found_px.append(resolution(curve, 1.0, len(volume), 0.5))
        if number < ALIGNED:
            aligned_px.append(resolution(align_maps(volume, true).curve, 1.0, len(volume), 0.5))
    each_aligned = {"resolution_px_at_0.5": float(np.mean(aligned_px)), "images": len(aligned_px)}
    figures = {"resolution_px_at_0.5": float(np.mean(found_px)), "sd": float(np.std(found_px)), "images": len(sample)}
    return {**figures, "each_aligned": each_aligned}


def _in_true_frame(volume: np.ndarray, errors: PoseErrors, run: Run) -> np.ndarray:
    """The map moved as the fit of the poses says."""
    pixel_size_ang = read_map(run.found_map_file(1))[1]
    turned = mirrored_map(volume) if errors.mirrored else volume
    return moved_volume(padded_transform(turned), errors.rotation.T, errors.origin_ang / pixel_size_ang, len(volume))

"""A training of cryoDRGN as a run: its latents, and its network on the grey scale of the images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config import RunConfig
from ..decoders.model_file import save_model
from ..errors import DataError
from ..io.cryodrgn import read_indices
from ..io.particles import ParticleTable
from ..io.star import write_star
from ..run import Run
from ..run_origin import IMPORTED
from ..run_status import TRAIN
from .cryodrgn_training import CryodrgnTraining, read_training
from .grey_scale import GreyScale, grey_scale
from .import_options import ImportOptions
from .import_particles import particles_of
from .imported_run import Opened, opened, settings_of_run


def import_training(source: Path, out: Path, options: ImportOptions, *, overwrite: bool, command: str) -> Run:
    """Make a run of the cryoDRGN training in the folder `source`.

    Raises DataError where files are missing or do not belong together, or `out` holds a run and `overwrite` is off.
    """
    training = read_training(source, options.epoch)
    options = _settled(training, options)
    given = replace(options, indices="") if training.tilts else options
    table = particles_of(options.particles, given, training.pose_unit_px)
    rows = _latent_of_image(training, table, options)
    kept = np.flatnonzero(rows >= 0)
    if training.z_dim and rows.max(initial=-1) != len(training.z) - 1:
        raise DataError(
            f"{source}: it has latents of {len(training.z):,} particles, but its files name "
            f"{len(np.unique(rows[kept])):,}. Say with --particles and --indices what it was made from."
        )
    config = settings_of_run(out, training.z_dim, training.network.box, options)
    run = Run.create(out, config, overwrite=overwrite, command=command)
    tables = {**table.tables, "particles": table.frame.iloc[kept].reset_index(drop=True)}
    write_star(run.imported_file, tables)
    z = training.z[rows[kept]] if training.z_dim else np.zeros((len(kept), 0), np.float32)
    uncertainty = None if training.uncertainty is None else training.uncertainty[rows[kept]]
    with run.working(TRAIN):
        _leave_network(run, config, opened(run, config, np.arange(len(kept)), z, uncertainty), training)
    return run


def _leave_network(run: Run, config: RunConfig, usable: Opened, training: CryodrgnTraining) -> None:
    """The latents and the network of a training, whose maps are brought to the grey scale of the images."""
    scale = grey_scale(training.network, usable.z, usable.dataset, config.seed)
    training.network.scale.fill_(scale.factor if scale.is_sure else 1.0)
    run.save_latents(usable.z, rows=usable.dataset.rows, uncertainty=usable.uncertainty)
    save_model(run.model_file, config, training.network, None, usable.dataset.pixel_size_ang)
    version = f" {training.version}" if training.version else ""
    run.note(
        **{
            IMPORTED: {
                "from": f"cryoDRGN{version}",
                "folder": str(training.folder.absolute()),
                "epoch": training.epoch,
                "grey_scale": round(scale.factor, 6),
                "grey_scale_error": round(scale.standard_error, 6),
            }
        }
    )
    run.log(
        f"A training of cryoDRGN{version}, epoch {training.epoch}: {len(usable.z):,} images, z of {training.z_dim} "
        f"dimensions, maps of {training.network.box}³ voxels."
    )
    run.log(_about_scale(scale))


def _about_scale(scale: GreyScale) -> str:
    if not scale.is_sure:
        return (
            f"{scale.images:,} images do not show its maps: the grey scale is {scale.factor:.3g} ± "
            f"{scale.standard_error:.3g}. Poses, CTF or particles are others than those it was trained with, or its "
            "maps are empty; believe nothing that is measured with images."
        )
    black = ", which turns black maps white" if scale.factor < 0 else ""
    return f"Its maps times {scale.factor:.4g} (± {scale.standard_error:.2g}{black}) are on the images' grey scale."


def _settled(training: CryodrgnTraining, options: ImportOptions) -> ImportOptions:
    """The options with the files that a training's settings name, where the user gives no others."""
    named = {
        "particles": training.images,
        "poses": training.poses,
        "ctf": training.ctf,
        "indices": training.indices,
        "root": training.root,
    }
    found: dict[str, Any] = {}
    for name, path in named.items():
        if path and not getattr(options, name):
            found[name] = str(_place(Path(path), training.folder, name))
    if not (found.get("particles") or options.particles):
        raise DataError(f"{training.folder}: its settings name no particles. Give them with --particles.")
    return replace(options, **found)


def _place(path: Path, folder: Path, name: str) -> Path:
    """Where a file of a training lies: as named, or by that path or its name in the training's folder or above it."""
    ends = [path, Path(path.name)]
    around = [Path(), folder, *folder.resolve().parents]
    candidates = [path] if path.is_absolute() else []
    candidates += [base / end for end in ends if not end.is_absolute() for base in around]
    found = next((place for place in candidates if place.exists()), None)
    if found is None:
        raise DataError(f"{folder}: its settings name {path}, which is not there. Say where it is with --{name}.")
    return found


def _latent_of_image(training: CryodrgnTraining, table: ParticleTable, options: ImportOptions) -> np.ndarray:
    """(n,) int64. Which latent of the training is that of each image; −1 for images that it has not used.

    Raises DataError where images are to be tied to particles that nothing names.
    """
    if not training.tilts:
        return np.arange(table.n)
    name = next((name for name in ("rlnGroupName", "rlnGroupNumber") if name in table.frame), None)
    if name is None:
        raise DataError(f"{table.path}: it names no groups, which tie the images of a particle. Give M's star file.")
    particle, _ = pd.factorize(table.frame[name])
    chosen = np.arange(particle.max() + 1)
    if options.indices:
        chosen = read_indices(options.indices, len(chosen))
    latent = np.full(particle.max() + 1, -1, np.int64)
    # Chosen particles are numbered anew in the order in which their images come, which is that of the file.
    latent[np.sort(chosen)] = np.arange(len(chosen))
    return latent[particle]

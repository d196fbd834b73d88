"""Particles opened for a training or a reconstruction, with what a user should know of them before it begins."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config import RunConfig
from ..data.copies import find_copies
from ..data.dataset import ParticleDataset
from ..data.looking import look_at
from ..io.chosen_rows import particle_name, particle_of_image
from ..io.tables import search_folders
from ..ranks import Ranks
from .applied_ctf import SETTINGS, AppliedCtf, applied_ctf
from .case import FLIPPED, MULTIPLIED, SIGNED
from .transfer import NONE

ROWS_NOTED = 1000
SMALLEST_DEFOCUS_ANG = 100.0
"""The largest of a set is never less, unless it is in other units, or 0."""
_WORDS = {
    SIGNED: "as the microscope left them",
    FLIPPED: "with their phases flipped",
    MULTIPLIED: "multiplied by their CTF",
    NONE: "free of any CTF",
}


@dataclass(frozen=True)
class Vetted:
    """Particles that can be used."""

    dataset: ParticleDataset
    sentences: list[str]
    """What was found and decided, in words."""
    notes: dict[str, Any] = field(default_factory=dict)
    """The same as JSON values; empty where nothing is wrong."""


def vetted(
    config: RunConfig, poses_given: bool = True, stored: Callable[[ParticleDataset], None] | None = None
) -> Vetted:
    """Open the particles of `config`; settle what was done about their CTF, leave out images that say nothing, and find
    copies. Reads all images once; each of several processes reads a share of them, and all come to the same.

    Parameters
    ----------
    poses_given : whether the poses of the file are believed, so that images may be tried with them.
    stored : puts the images into a store, or leaves it, once it is settled how they are prepared.

    Raises
    ------
    DataError : whatever is wrong with the star file or its stacks, or an image that is not finite.
    """
    dataset, ranks = _opened(config, config.data.ctf_applied), Ranks.present()
    found = None
    if config.data.ctf_applied == "auto":
        folders = search_folders(Path(config.particles), config.root)
        found = applied_ctf(dataset if poses_given else dataset.without_poses(), folders, config.seed)
        if found is not None and found.contradicts:
            dataset = _opened(config, found.setting)
    if stored is not None:
        stored(dataset)
    look = dataset.first_look = look_at(dataset.source, dataset.rows, ranks)
    dataset = dataset.usable()
    dataset.copies = find_copies(dataset.source, dataset.first_look, ranks)
    sentences = [
        *dataset.notes,
        *_about_columns(dataset),
        *_about_numbers(dataset, poses_given),
        *_about_ctf(found, dataset),
        *look.sentences(),
        *dataset.copies.sentences(),
    ]
    notes: dict[str, Any] = {}
    if found is not None and found.contradicts:
        notes["ctf_applied"] = found.setting
    for name, rows in (("left_out_rows", look.rows[look.lost]), ("mended_rows", look.rows[look.mended])):
        if len(rows):
            notes[name] = rows[:ROWS_NOTED].tolist()
    if dataset.copies.any:
        notes["copies"] = {"images": int(dataset.copies.again.sum()), **dataset.copies.by}
    return Vetted(dataset, sentences, notes)


def _about_columns(dataset: ParticleDataset) -> list[str]:
    """What columns of the file mean here, where they are not what they usually are."""
    table, said = dataset.table, []
    if particle_name(table) == "rlnGroupName":
        count = len(np.unique(particle_of_image(table)))
        said.append(
            f"{table.path}: images of one rlnGroupName are from different micrographs and doses, so they are taken for "
            f"the tilts of a particle: {count:,} particles with {table.n:,} images, which stay together in half-sets "
            "and selections. Rename the column if they are single particles."
        )
    if "rlnRandomSubset" in table.frame:
        values = pd.to_numeric(table.frame["rlnRandomSubset"], errors="coerce")
        strange = int((~values.isin((1, 2))).sum())
        if strange or values.nunique() < 2:
            what = f"{strange:,} of {table.n:,} particles" if strange else "all particles"
            which = "neither 1 nor 2" if strange else f"{values.iloc[0]:g}"
            said.append(
                f"{table.path}: rlnRandomSubset of {what} is {which}, which names no half-sets; they are drawn anew."
            )
    return said


def _about_numbers(dataset: ParticleDataset, poses_given: bool) -> list[str]:
    """Poses and defocus that are possible and hardly what is meant."""
    table, said = dataset.table, []
    if poses_given and table.euler_deg is not None and table.n > 1 and not np.ptp(table.euler_deg[:, :2], axis=0).any():
        said.append(
            f"{table.path}: rot and tilt are the same in all particles, as after alignment in 2D, so all show one side "
            "of the molecule. Refine them in 3D first, or find poses with `cryodrgn-plugin abinitio`."
        )
    half_ang = dataset.box * dataset.pixel_size_ang / 2
    far = 0 if table.origins_ang is None else int((np.abs(table.origins_ang) > half_ang).any(1).sum())
    if far:
        said.append(
            f"{table.path}: {far:,} of {table.n:,} particles are shifted by more than half their box, "
            f"{half_ang:.0f} Å, and so out of their images. Check the pixel size, and the unit of shifts."
        )
    ctf = dataset.ctf_params
    defocus = np.zeros(1) if ctf is None else ctf.defocus_u_ang
    if 0 < np.abs(defocus).max() < SMALLEST_DEFOCUS_ANG:
        said.append(
            f"{table.path}: no defocus is larger than {np.abs(defocus).max():.3g} Å, as if they were in micrometres. "
            "Give rlnDefocusU and rlnDefocusV in Å."
        )
    over = int((defocus < 0).sum())
    if over:
        said.append(
            f"{table.path}: rlnDefocusU of {over:,} of {table.n:,} particles is negative, which means overfocus. "
            "Change the sign if it was written by a program that counts underfocus as negative."
        )
    return said


def _opened(config: RunConfig, ctf_applied: str) -> ParticleDataset:
    data = replace(config.data, ctf_applied=ctf_applied)
    return ParticleDataset.open(config.particles, data, config.root, config.seed)


def _about_ctf(found: AppliedCtf | None, dataset: ParticleDataset) -> list[str]:
    """What is believed of the CTF where file and images disagree."""
    if found is None or not found.contradicts:
        return []
    why = []
    if found.noise_share is not None and MULTIPLIED in (found.found, found.stated):
        why.append(f"{found.noise_share:.0%} of their noise follows CTF²")
    over = found.over_stated.get(found.found)
    if over is not None:
        why.append(f"they fit better by {over:.0f} standard errors")
    return [
        (
            f"{dataset.table.path}: the file says that images are {_WORDS[found.stated]}, but they look "
            f"{_WORDS[found.found]} ({', '.join(why)}); that is believed. Set data.ctf_applied to "
            f"{SETTINGS[found.stated]} to have it the file's way, and correct the file's flags for other programs."
        )
    ]

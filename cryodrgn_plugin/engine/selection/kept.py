"""What the images say of the particles outlives the selection that asked: RUN/outliers.npz.

Judging reads every image several times. The file is used again as long as latents, model, particles and the settings of
the judging are those it was made with; its `made_from` says what these were.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from ..io.arrays import read_arrays
from ..io.writing import replacing
from ..run import Run
from .junk import Judgement
from .selection_options import SelectOptions

PER_PARTICLE = ("outlier", "contrast", "likelihood")
CHUNK = 1 << 20


def kept_judgement(run: Run, options: SelectOptions) -> tuple[Judgement, list[int]] | None:
    """The judgement of an earlier selection and how many particles were junk after each round; None where none fits.

    Raises DataError when the file is damaged.
    """
    if not run.outliers_file.exists():
        return None
    stored = read_arrays(run.outliers_file, *PER_PARTICLE, "made_from", "cut", "junk")
    if str(stored["made_from"]) != made_from(run, options):
        return None
    outlier, contrast, likelihood = (stored[name] for name in PER_PARTICLE)
    return Judgement(outlier, contrast, likelihood, float(stored["cut"])), stored["junk"].tolist()


def keep_judgement(run: Run, options: SelectOptions, judgement: Judgement, junk: list[int]) -> None:
    """Leave a judgement for later selections, in place of the one before."""
    values = {name: getattr(judgement, name) for name in PER_PARTICLE}
    with replacing(run.outliers_file) as temporary, open(temporary, "wb") as file:
        np.savez(file, **values, cut=judgement.cut, junk=junk, made_from=made_from(run, options))


def made_from(run: Run, options: SelectOptions) -> str:
    """All that a judgement depends on, as text: digests of the run's files, the particle file as it is, settings."""
    particle_file = run.given_file.stat()
    return json.dumps(
        {
            **{file.name: _digest(file) for file in (run.latents_file, run.model_file, run.poses_file)},
            "particles": [particle_file.st_size, particle_file.st_mtime_ns],
            **{name: getattr(options, name) for name in ("rounds", "junk_cut", "seed")},
        }
    )


def _digest(file: Path) -> str:
    """SHA-256 of a file; empty where there is none."""
    if not file.exists():
        return ""
    digest = hashlib.sha256()
    with open(file, "rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

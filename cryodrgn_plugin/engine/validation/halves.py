"""The whole pipeline on each half of the particles: two models that share no image, and every particle placed by both.

Each half is trained as the run was, from its images to its latents and maps, so nothing that one half finds can have
come from the other. All particles are then placed by both models in the same way: against the maps at nodes of the
half's latent space, each image at its posterior mean over the nodes.
"""

import filecmp
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import log_softmax

from ..analysis.latent_clusters import kmeans
from ..analysis.oracle import state_log_likelihoods
from ..analysis.run_particles import RunParticles
from ..config import RunConfig, finds_poses
from ..data.copies import joined, repeated
from ..decoders.decoder_registry import has_closed_form
from ..decoders.restore import load_decoder
from ..errors import DataError
from ..io.chosen_rows import particle_of_image, write_chosen
from ..io.writing import write_text
from ..likelihood.whitened import WhitenedImages
from ..progress import Reporter
from ..recipes import fit
from ..report_writer import Report
from ..run import Run
from ..run_layout import RunLayout
from .tied_images import TiedImages


@dataclass(frozen=True)
class HalfModel:
    """What one half of the particles has found, as M nodes of its latent space."""

    nodes: np.ndarray
    """(M, Z)."""
    population: np.ndarray
    """(M,) share of the half's particles at each node."""
    maps: np.ndarray
    """(M, D, D, D) float32."""

    @property
    def mean_map(self) -> np.ndarray:
        """(D, D, D): the average over the population."""
        return np.tensordot(self.population, self.maps, 1)

    def place(self, images: WhitenedImages, tied: TiedImages) -> np.ndarray:
        """(N, Z) posterior mean over the nodes of the particle of each image, by all its images."""
        scores = tied.totals(state_log_likelihoods(images, self.maps))
        return np.exp(log_softmax(scores + np.log(self.population), axis=1)) @ self.nodes


def deal(particles: RunParticles, shown: np.ndarray, at_most: int, seed: int) -> np.ndarray:
    """(N,) int8: the half of each particle, 0 or 1; −1 beyond `at_most` (0: use all).

    Tilts of a particle go together, and so do copies of an image, which `shown` (N,) gives one number.
    """
    rng = np.random.default_rng([seed, 11])
    _, own = np.unique(particle_of_image(particles.table)[particles.lines], return_inverse=True)
    own = joined(own.reshape(-1), shown) if repeated(shown).any() else own
    order = rng.permutation(int(own.max()) + 1)
    share = np.arange(len(order)) % 2
    if at_most and at_most < len(own):
        share[round(len(order) * at_most / len(own)) :] = -1
    half = np.empty(len(order), np.int8)
    half[order] = share
    return half[own.reshape(-1)]


def train_half(run: Run, particles: RunParticles, half: np.ndarray, number: int, nodes: int, seed: int) -> HalfModel:
    """Train on the particles of half `number` (0 or 1), in RUN/validating.

    What lies there already is taken up where it is of the same particles and settings, and trained anew where it is
    not. Where the run has found its poses they are given to both halves; what is tested is what was found after them.
    """
    part = _half_run(run, particles, half, number, seed)
    if part.status != "finished":
        part.reporter = _Stage(run.reporter, f"half {number + 1}")
        with part.working():
            fit(part, part.config, resume=True)
    return _nodes_of(part, nodes, seed)


def keep_halves(run: Run, out: Report) -> None:
    """Copy the runs of the halves and their lists into the validation, whose index does not name them."""
    shutil.copytree(run.validating_dir, out.folder, dirs_exist_ok=True)
    out.unlisted |= {path.name for path in run.validating_dir.iterdir()}
    for listed in (path for path in run.validating_dir.iterdir() if path.is_file()):
        part = Run.open(out.folder / listed.stem)
        there = replace(part.config, particles=str(out.destination / listed.name))
        write_text(part.config_file, there.to_json() + "\n")


def _half_run(run: Run, particles: RunParticles, half: np.ndarray, number: int, seed: int) -> Run:
    """The run of a half, new or as far as it was trained before."""
    folder = run.half_training_dir(number + 1)
    folder.parent.mkdir(exist_ok=True)
    fresh = write_chosen(particles.table, particles.lines[half == number], folder.with_name(f".{folder.name}"))
    listed = folder.with_name(f"{folder.name}{fresh.suffix}")
    settings = _settings(replace(run.config, data=run.data_settings), listed, seed)
    there = RunLayout(folder).info_file.exists()
    fits = there and listed.exists() and filecmp.cmp(fresh, listed, shallow=False) and _made_with(folder, settings)
    fresh.replace(listed)
    if there:
        what = "gone on with" if fits else "of other particles or settings and trained anew"
        run.log(f"Half {number + 1} has been trained before; it is {what}.")
    return Run.create(folder, settings, command="validate", resume=fits, overwrite=not fits)


def _made_with(path: Path, settings: RunConfig) -> bool:
    try:
        return Run.open(path).config == settings
    except DataError:
        return False


def _settings(config: RunConfig, listed: Path, seed: int) -> RunConfig:
    """The run's settings for a part of its particles, with poses given and a recipe that makes its decoder."""
    recipe = config.recipe
    if finds_poses(recipe):
        recipe = "fast" if has_closed_form(config) else "cryodrgn"
    data = replace(config.data, max_particles=0)
    poses = replace(config.poses, inference="given")
    return replace(config, particles=str(listed), recipe=recipe, data=data, poses=poses, seed=seed)


def _nodes_of(part: Run, count: int, seed: int) -> HalfModel:
    """k-means nodes of the latents of a finished run, and the maps there."""
    z = part.latents().z
    clusters = kmeans(z, count, seed=seed)
    n = len(clusters.centres)
    nodes = np.stack([z[clusters.labels == m].mean(axis=0, dtype=np.float64) for m in range(n)])
    decoder = load_decoder(part)
    maps = np.stack([np.asarray(decoder.volume(node.astype(np.float32)), np.float32) for node in nodes])
    return HalfModel(nodes, clusters.sizes / len(z), maps)


class _Stage:
    """Shows a half's training as one stage of the validation, and keeps its lines to itself."""

    def __init__(self, reporter: Reporter, stage: str) -> None:
        self._reporter, self._stage = reporter, stage

    def line(self, text: str) -> None:
        """Lines of the half's own log are not the validation's."""

    def step(self, stage: str, done: int, total: int, values: dict[str, float], left_s: float | None = None) -> None:
        self._reporter.step(self._stage, done, total, values)

"""A finished run with a planted truth, three groups on a curve or four separate states, and a decoder whose maps say
where they were made.
"""

import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd

from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.io.found_poses import tables_with
from cryodrgn_plugin.engine.io.star import write_star
from cryodrgn_plugin.engine.run import Run

BOX, PIXEL_ANG = 24, 2.5
CENTRES = np.array([[4.0, 0, 0, 0], [-4.0, 1, 0, 0], [0, 5.0, 0, 1]])
"""Of the groups in the latent space; along the curve their order is 1, 2, 0."""
PLACES = np.array([[4.0, 0, 0, 0], [-4, 1, 0, 0], [0, 5, 0, 1], [0.5, 0, 5, 0]])
"""Of the states in the latent space."""
ALONG = np.array([2.0, 0, 3, 1])
"""Of the states on the curve."""
SHARES = np.array([0.5, 0.25, 0.17, 0.08])
BLUR = 0.9
"""Noise of what an image says of its state, whose places there are 2 apart: a fifth of the images are misplaced."""


class BlobDecoder:
    """A Gaussian blob at x = z[0] pixels from the centre; its half-maps carry independent noise."""

    box, pixel_size_ang = BOX, PIXEL_ANG

    def __init__(self, halves: bool = True) -> None:
        self.halves = halves

    def volume(self, z: np.ndarray) -> np.ndarray:
        axis = np.arange(BOX) - BOX // 2
        place = float(z[0]) if len(z) else 0.0
        distance2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + (axis - place)[None, None, :] ** 2
        return np.exp(-distance2 / (2 * 2.0**2)).astype(np.float32)

    def half_volumes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        if not self.halves:
            return None
        rng = np.random.default_rng(5)
        return tuple(self.volume(z) + 0.02 * rng.standard_normal((BOX,) * 3).astype(np.float32) for _ in range(2))


def blob_place_px(volume: np.ndarray) -> float:
    """Where the blob of a map sits on the x axis, in pixels from the centre."""
    weights = volume.sum(axis=(0, 1))
    return float((weights * (np.arange(BOX) - BOX // 2)).sum() / weights.sum())


def planted_latents(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z (n, 4), the group of each particle, and a coordinate along which the groups follow each other as 1, 2, 0."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, n)
    z = CENTRES[group] + 0.4 * rng.standard_normal((n, 4))
    coordinate = np.array([2.0, 0.0, 1.0])[group] + 0.1 * rng.standard_normal(n)
    return z.astype(np.float32), group, coordinate


def planted_run(folder: Path, n: int = 150, with_coordinate: bool = True, rows: np.ndarray | None = None) -> Run:
    """A finished run in `folder`/run of n particles; with `rows`, those rows of a star file of 2 n."""
    star = folder / "particles.star"
    count = n if rows is None else 2 * n
    particles = pd.DataFrame(
        {
            "rlnImageName": [f"{i + 1:06d}@stack.mrcs" for i in range(count)],
            "rlnOpticsGroup": 1,
            "rlnAngleRot": np.linspace(0, 180, count),
            "rlnAngleTilt": 90.0,
            "rlnAnglePsi": 0.0,
            "rlnClassNumber": 7,
            "someToolsColumn": [f"note{i}" for i in range(count)],
        }
    )
    optics = {"rlnOpticsGroup": [1], "rlnImagePixelSize": [PIXEL_ANG], "rlnImageSize": [BOX], "rlnVoltage": [300.0]}
    write_star(star, {"optics": pd.DataFrame(optics), "particles": particles})
    run = Run.create(folder / "run", RunConfig(particles=str(star), z_dim=4), command="test")
    z, _, coordinate = planted_latents(n)
    with run.working():
        for epoch in (1, 2, 3):
            run.append_metrics({"epoch": epoch, "seconds": 1.5 * epoch, "loss": 1 / epoch})
        run.save_latents(z, coordinate=coordinate if with_coordinate else None, rows=rows)
    return run


def planted_states(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The state of each of n particles, and its posterior (n, 4) given an image that says it with noise."""
    rng = np.random.default_rng(seed)
    state = rng.choice(4, n, p=SHARES)
    places = np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]])
    told = places[state] + BLUR * rng.standard_normal((n, 2))
    scores = np.log(SHARES) - ((told[:, None] - places) ** 2).sum(axis=2) / (2 * BLUR**2)
    posterior = np.exp(scores - scores.max(axis=1, keepdims=True))
    return state, posterior / posterior.sum(axis=1, keepdims=True)


def run_of_states(folder: Path, posterior: np.ndarray, copies: int = 0) -> Run:
    """A run that found these states; the last `copies` rows name the images of the first ones again."""
    run = planted_run(folder, n=len(posterior))
    if copies:
        table = run.particles()
        names = table.frame["rlnImageName"].to_numpy().copy()
        names[-copies:] = names[:copies]
        write_star(run.given_file, tables_with(table, table.frame.assign(rlnImageName=names)))
    run.save_latents(posterior @ PLACES, coordinate=posterior @ ALONG, states=posterior)
    return run


def serve_decoder(monkeypatch, decoder) -> None:
    """Make `load_decoder(run)` return `decoder`."""
    module = types.ModuleType("cryodrgn_plugin.engine.decoders.restore")
    module.load_decoder = lambda run: decoder
    monkeypatch.setitem(sys.modules, module.__name__, module)


def serve_fit(monkeypatch, fit) -> None:
    """Make `train` call `fit(run, config, …)`."""
    module = types.ModuleType("cryodrgn_plugin.engine.recipes")
    module.fit = fit
    monkeypatch.setitem(sys.modules, module.__name__, module)

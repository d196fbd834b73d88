"""Runs that have told two molecules apart, made of the truth: for what compares or publishes such runs."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.ab_initio.found_maps import fit_species, save_maps
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.geometry.hand import mirrored_rotations
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble


def two_molecules(folder: Path, n: int, **settings) -> tuple[Path, np.ndarray]:
    """`n` images of a chain and, half as often, of its first half: the star file, and the state of each, from 0."""
    chain = tiny_ensemble(1).states[0]
    both = Ensemble([chain, chain[np.arange(120) < 60]], np.arange(2.0), np.array([2.0, 1.0]), ("whole", "half"))
    config = SimulationConfig(n_particles=n, box=24, pixel_size_ang=4.7, snr=1.0, shift_px=1.0, **settings)
    star = simulate_particles(both, config, folder, seed=3)
    return star, np.load(star.parent / "truth.npz")["state"].astype(int)


def finished_run(
    folder: Path,
    star: Path,
    species: np.ndarray,
    turn: Rotation | None = None,
    other_hand: bool = False,
    resolution_ang: tuple[float, ...] = (15.0, 15.0),
) -> Run:
    """A run that has found true poses in a frame of its own, and these species (N,) from 0."""
    run = Run.create(folder, recipe_config("abinitio", {"particles": str(star), "ab_initio.species": 2, "z_dim": 0}))
    dataset = ParticleDataset.open(star)
    rotations = mirrored_rotations(dataset.rotations) if other_hand else dataset.rotations
    rotations = rotations if turn is None else rotations @ turn.as_matrix()
    posed, count = dataset.with_poses(rotations, dataset.shifts_ang), len(resolution_ang)
    belongs = np.where(species[:, None] == np.arange(count), 0.95, 0.05 / max(count - 1, 1)).astype(np.float32)
    with run.working():
        run.save_poses(dataset.rows, rotations, dataset.shifts_ang, species=species, probability=belongs.max(1))
        fit_species(run, run.config, posed, save_maps(run, posed, species, count, 0), belongs)
    with run.report("species", run.config.ab_initio) as out:
        counts = np.bincount(species, minlength=count).tolist()
        out.index["species"] = [
            {"species": kind + 1, "particles": of_kind, "resolution_ang": reached}
            for kind, (of_kind, reached) in enumerate(zip(counts, resolution_ang, strict=True))
        ]
        out.arrays(rows=dataset.rows, species=species + 1, probability=belongs.max(1))
    return run

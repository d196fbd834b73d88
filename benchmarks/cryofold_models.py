"""The molecules of the Cryofold benchmark: haemoglobin's A chain, starts that are off, and motions with known truth."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel, residue_index
from cryodrgn_plugin.engine.atoms.beads import beads_of
from cryodrgn_plugin.engine.atoms.restraints import Pairs, restraints_of
from cryodrgn_plugin.engine.simulate.ensemble import Ensemble, gaussian_mixture
from cryodrgn_plugin.engine.simulate.motions import superposed

APPROXIMATE_RMSD_ANG = 5.15
NOISE_ANG = 6.0
CUBE_ANG = 64.0
"""Of Table 7.1: how far the approximate start is off, the uniform noise of another, where random beads lie."""
ANGLES_RAD = np.arange(50) * 0.05
LOOSE = 36
"""Residues at the end that come off in the approximate start."""
HINGE = 70
"""The residue whose backbone turns."""
TEMPERATURE, STEP, MOST_STEPS = 1.0, 0.02, 20_000
"""Of the Langevin dynamics, in units of the elastic network's energy."""


def haemoglobin(data: Path, alpha_only: bool = False) -> AtomicModel:
    """The 141 residues of the A chain of 4HHB, which stands for 5NI1 of the thesis."""
    with gzip.open(data / "models" / "4HHB_hemoglobin_mmtf_decoded.json.gz") as file:
        content = json.load(file)
    number = {"C": 6, "N": 7, "O": 8, "S": 16}
    rows, atom = [], 0
    for residue, kind in zip(content["groupIdList"][:141], content["groupTypeList"], strict=False):
        group = content["groupList"][kind]
        for name in group["atomNameList"]:
            place = [content[f"{axis}CoordList"][atom] for axis in "xyz"]
            rows.append((place, number[name[0]], "A", residue, name, group["groupName"]))
            atom += 1
    coords, weights, *texts = zip(*rows, strict=True)
    model = AtomicModel(np.array(coords), np.array(weights, dtype=np.float32), *(np.array(text) for text in texts))
    return model[model.names == "CA"] if alpha_only else model


def displaced(model: AtomicModel, alpha_ang: np.ndarray) -> AtomicModel:
    """The model with the CA of its residues at (residues, 3), the other atoms of a residue moved along."""
    alpha = model.coords_ang[model.names == "CA"]
    return model.moved(model.coords_ang + (alpha_ang - alpha)[residue_index(model)])


def starts(model: AtomicModel, seed: int) -> dict[str, AtomicModel]:
    """The starts of Table 7.1 by name."""
    rng = np.random.default_rng([seed, 7])
    alpha = model.coords_ang[model.names == "CA"]
    middle = (model.coords_ang.max(0) + model.coords_ang.min(0)) / 2
    return {
        "exact": model,
        "approximate": displaced(model, melted(alpha, seed)),
        "noisy": displaced(model, alpha + rng.uniform(-NOISE_ANG, NOISE_ANG, alpha.shape)),
        "random": displaced(model, middle + rng.uniform(-CUBE_ANG / 2, CUBE_ANG / 2, alpha.shape)),
    }


def melted(alpha_ang: np.ndarray, seed: int) -> np.ndarray:
    """CA after Langevin dynamics that took them 5.15 Å away, superposed by what stayed.

    A coarse model in the manner of Gō: stiff bonds, an elastic network of what is within 8 Å, CA 4 Å apart. The last
    residues have none but their bonds: as in the thesis, whose start has 74 % of its residues within 3 Å, the core
    holds and an end has come off.
    """
    n, core = len(alpha_ang), np.arange(len(alpha_ang) - LOOSE)
    restraints = restraints_of(beads_of(_trace_of(alpha_ang)), 5.0, 2.0, 8.0, 2.0, 4.0)
    network = restraints.elastic
    kept = (network.first < n - LOOSE) & (network.second < n - LOOSE)
    restraints = replace(restraints, elastic=Pairs(*(column[kept] for column in network)))
    generator = torch.Generator().manual_seed(seed)
    places = torch.from_numpy(alpha_ang.copy())
    for _ in range(MOST_STEPS):
        moving = places.requires_grad_()
        (gradient,) = torch.autograd.grad(restraints.energy(moving), moving)
        noise = torch.randn(places.shape, generator=generator, dtype=places.dtype)
        places = (places - STEP * gradient + (2 * STEP * TEMPERATURE) ** 0.5 * noise).detach()
        now = superposed(places.numpy(), alpha_ang, core)
        if rmse(now, alpha_ang) >= APPROXIMATE_RMSD_ANG:
            return now
    raise RuntimeError("The dynamics did not go far enough.")


def _trace_of(alpha_ang: np.ndarray) -> AtomicModel:
    n = len(alpha_ang)
    names = np.full(n, "CA"), np.full(n, "ALA")
    return AtomicModel(alpha_ang, np.full(n, 6.0, np.float32), np.full(n, "A"), np.arange(n), *names)


def rmse(first_ang: np.ndarray, second_ang: np.ndarray) -> float:
    """Root mean square distance of (n, 3) places."""
    return float(np.sqrt(((first_ang - second_ang) ** 2).sum(-1).mean()))


def dihedral(model: AtomicModel, population: str) -> Ensemble:
    """The thesis's motion: what lies beyond the hinge turned about a bond of its backbone, 50 states 0.05 rad apart."""
    trace = np.flatnonzero(model.names == "CA")
    residue = residue_index(model)
    pivot, axis = model.coords_ang[trace[HINGE]], model.coords_ang[trace[HINGE + 1]] - model.coords_ang[trace[HINGE]]
    beyond = residue > HINGE
    states = []
    for angle in ANGLES_RAD:
        turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
        coords = model.coords_ang.copy()
        coords[beyond] = turn.apply(coords[beyond] - pivot) + pivot
        states.append(model.moved(coords))
    span = ANGLES_RAD[-1]
    populations = {
        "uniform": np.ones(len(states)),
        "bimodal": gaussian_mixture(ANGLES_RAD, [0.2 * span, 0.8 * span], 0.15 * span),
    }
    return Ensemble(states, ANGLES_RAD, populations[population])


def adenylate_kinase(data: Path) -> Ensemble:
    """The 98 frames of a transition from closed to open (MDAnalysis's adk_dims), CA only."""
    atoms = _psf_atoms(data / "adk" / "adk.psf")
    alpha = np.array([name == "CA" for _, name in atoms])
    frames = dcd_frames(data / "adk" / "adk_dims.dcd")[:, alpha]
    n = frames.shape[1]
    numbers = np.array([number for (number, _), keep in zip(atoms, alpha, strict=True) if keep])
    first = AtomicModel(frames[0], np.full(n, 6.0), np.full(n, "A"), numbers, np.full(n, "CA"), np.full(n, "ALA"))
    whole = np.arange(n)
    states = [first.moved(superposed(frame, frames[0], whole)) for frame in frames]
    return Ensemble(states, np.linspace(0, 1, len(states)), np.ones(len(states)))


def _psf_atoms(path: Path) -> list[tuple[int, str]]:
    """Residue number and name of each atom of a PSF file."""
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if "!NATOM" in line)
    count = int(lines[start].split()[0])
    return [(int(line.split()[2]), line.split()[4]) for line in lines[start + 1 : start + 1 + count]]


def dcd_frames(path: Path) -> np.ndarray:
    """(frames, atoms, 3) float64 of a CHARMM trajectory; what its header says of their number is not believed."""
    data = path.read_bytes()
    records, at = [], 0
    while at < len(data):
        size = int(np.frombuffer(data, "<i4", 1, at)[0])
        records.append(data[at + 4 : at + 4 + size])
        at += size + 8
    atoms = int(np.frombuffer(records[2], "<i4", 1)[0])
    axes = [np.frombuffer(record, "<f4") for record in records[3:] if len(record) == 4 * atoms]
    return np.array(axes, dtype=np.float64).reshape(-1, 3, atoms).transpose(0, 2, 1)

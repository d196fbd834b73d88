"""What is said of each rigid part: which residues it has, how far it moves and how much of it is there."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from .model_in_run import ModelInRun
from .part_frames import PartFrames

ENDS = (2.5, 97.5)
"""Percentiles of the particles between which a part's range is stated."""
STILL_ANG = 1.0
"""Parts that move by less do not move, as far as this can tell."""
NEVER_AS_IN_THE_MODEL_DEG = 5.0
"""A part that is turned by more in all particles is nowhere as the model has it."""


@dataclass(frozen=True)
class ParticleParts:
    """How the P parts lie in each of N particles: turns (N, P) in degrees about the axis of most turning and moves (N,
    P) in Å, both relative to the first part, occupancies (N, P), and by how many degrees (N, P) parts are turned from
    the model about whatever axis."""

    turns_deg: np.ndarray
    moves_ang: np.ndarray
    occupancy: np.ndarray
    from_model_deg: np.ndarray

    def __getitem__(self, which: slice) -> "ParticleParts":
        """Those of some of the particles."""
        return ParticleParts(*(values[which] for values in vars(self).values()))


def particle_parts(found: ModelInRun, frames: PartFrames) -> ParticleParts:
    """The parts in N particles; the first part, the largest, is the frame."""
    rotations, shifts, occupancy = frames.rotations, frames.shifts_px, frames.occupancy
    first = np.swapaxes(rotations[:, :1], 2, 3)
    relative = first @ rotations
    vectors = Rotation.from_matrix(relative.reshape(-1, 3, 3)).as_rotvec().reshape(*relative.shape[:2], 3)
    centres = frames.centres_px(found.motion.centres_px)
    in_frame = np.einsum("npxy,npy->npx", np.broadcast_to(first, rotations.shape), centres - shifts[:, :1])
    moves = np.linalg.norm(in_frame - found.motion.centres_px, axis=2) * found.pixel_size_ang
    turns = np.stack([_along_main_axis(vectors[:, part]) for part in range(vectors.shape[1])], axis=1)
    return ParticleParts(np.degrees(turns), moves, occupancy, np.degrees(np.linalg.norm(vectors, axis=2)))


def part_entries(found: ModelInRun, particles: ParticleParts) -> list[dict[str, Any]]:
    """The parts as the index has them, by falling size."""
    mobility, electrons = found.mobility_ang(), found.beads.electrons
    entries = []
    for part in range(found.parts):
        own = found.motion.labels == part
        low, high = np.percentile(particles.turns_deg[:, part], ENDS)
        entries.append(
            {
                "part": part + 1,
                "residues": residues_of(found, part),
                "share": round(float(electrons[own].sum() / electrons.sum()), 4),
                "turns_deg": [round(float(low), 2), round(float(high), 2)],
                "from_model_deg": round(float(np.percentile(particles.from_model_deg[:, part], ENDS[0])), 2),
                "moves_ang": round(float(np.percentile(particles.moves_ang[:, part], ENDS[1])), 2),
                "mobility_ang": round(float(np.sqrt(np.mean(mobility[own] ** 2))), 2),
                "mobility_in_frame_ang": round(_mobility_in_frame(found, part), 2),
                "occupancy": round(float(particles.occupancy[:, part].mean()), 4),
                "occupancy_range": [
                    round(float(value), 3) for value in np.percentile(particles.occupancy[:, part], ENDS)
                ],
                "error_deg": _typical(found, part, slice(0, 3), 180 / np.pi),
                "error_ang": _typical(found, part, slice(3, 6), found.pixel_size_ang),
            }
        )
    return entries


def state_entries(found: ModelInRun, states: ParticleParts) -> list[dict[str, Any]]:
    """How the parts lie in each map, as the index has them; `states` are the parts at the maps."""
    return [
        {
            "share": round(float(share), 4),
            "turns_deg": np.round(states.turns_deg[state], 2).tolist(),
            "moves_ang": np.round(states.moves_ang[state], 2).tolist(),
            "occupancy": np.round(states.occupancy[state], 3).tolist(),
        }
        for state, share in enumerate(found.maps.share)
    ]


def along_entry(found: ModelInRun) -> dict[str, list]:
    """Part and mobility of every bead, along the chains."""
    return {
        "chain": found.beads.chains.tolist(),
        "residue": found.beads.numbers.tolist(),
        "part": (found.motion.labels + 1).tolist(),
        "mobility_ang": np.round(found.mobility_ang(), 3).tolist(),
    }


def residues_of(found: ModelInRun, part: int, labels: np.ndarray | None = None) -> str:
    """Residues of a part in the words of `simulate`: A:1-214,B:1-230; of parts that move, or of beads by `labels`
    (n,)."""
    model, labels = found.model, found.motion.labels if labels is None else labels
    own = labels[found.beads.bead_of_atom] == part
    keys = dict.fromkeys(zip(model.chains.tolist(), model.residues.tolist(), own.tolist(), strict=True))
    words = []
    for (chain, belongs), members in groupby(keys, key=lambda key: (key[0], key[2])):
        numbers = [number for _, number, _ in members]
        if belongs:
            words.append(f"{chain}:{numbers[0]}-{numbers[-1]}")
    return ",".join(words)


def part_sentences(entries: list[dict[str, Any]]) -> list[str]:
    """What is said of the parts in the log."""
    if len(entries) == 1:
        return ["The model moves as one: more rigid parts do not explain the maps of held-out particles better."]
    said = [f"{len(entries)} rigid parts explain the maps of held-out particles best; part 1 is the frame."]
    for entry in entries[1:]:
        low, high = entry["turns_deg"]
        if entry["mobility_in_frame_ang"] < STILL_ANG:
            moves = "does not move by more than can be told"
        else:
            turns = f"turns from {low:.1f}° to {high:.1f}° (± {entry['error_deg']}°)"
            moves = f"{turns} and moves by up to {entry['moves_ang']:.1f} Å"
        said.append(f"Part {entry['part']} ({entry['residues']}) {moves}; its occupancy is {entry['occupancy']:.2f}.")
    return said


def never_sentences(entries: list[dict[str, Any]]) -> list[str]:
    """What is said of parts that are never where the model has them, where no images were asked."""
    return [
        f"Part {entry['part']} is turned by {entry['from_model_deg']:.0f}° or more from where the model has it in all "
        "particles: the model is wrong there, or has a shape that none of them has."
        for entry in entries
        if never_as_in_the_model(entry)
    ]


def never_as_in_the_model(entry: dict[str, Any]) -> bool:
    """Whether a part of the index is in no particle where the model has it."""
    return entry["from_model_deg"] > NEVER_AS_IN_THE_MODEL_DEG + 3 * entry["error_deg"]


def _along_main_axis(vectors: np.ndarray) -> np.ndarray:
    """(N,) turn about the axis along which turns (N, 3) are largest; its sign makes the farther end positive."""
    axis = np.linalg.svd(vectors.T @ vectors)[0][:, 0]
    turns = vectors @ axis
    return -turns if abs(turns.min()) > abs(turns.max()) else turns


def _mobility_in_frame(found: ModelInRun, part: int) -> float:
    """Root mean square distance in Å of the beads of a part from their mean places in the frame of the first part, over
    the particles."""
    rotations, shifts, _ = found.motion.frames(found.maps.points)
    places = found.bead_places_px(found.maps.points)[:, found.motion.labels == part] - shifts[:, :1]
    in_frame = np.einsum("myx,mny->mnx", rotations[:, 0], places)
    share = found.maps.share / found.maps.share.sum()
    away = in_frame - np.tensordot(share, in_frame, axes=1)
    return float(np.sqrt(share @ np.square(away).sum(axis=2).mean(axis=1))) * found.pixel_size_ang


def _typical(found: ModelInRun, part: int, which: slice, unit: float) -> float:
    """Median standard error over the maps in which a part is there."""
    there = found.motion.posed[:, part]
    errors = [np.sqrt(np.trace(pose.covariance[part][which, which]) / 3) for pose in np.array(found.poses)[there]]
    return round(float(np.median(errors)) * unit, 2) if errors else 0.0

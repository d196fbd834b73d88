"""The bias check of a model in a report: prior-free half-maps at its states, verdict and figure.

Two things are asked: whether the model as it was laid into the states agrees with them (`prior_bias`), and whether the
shape in which it was given is one of theirs (`start_model`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..analysis.entries import numbers
from ..analysis.figure_style import DISTINCT, GREY, figure
from ..analysis.metric import LatentMetric
from ..analysis.nearby import NearbyParticles
from ..analysis.volumes import TrainedDecoder
from ..geometry.hand import mirrored_map
from ..latents import Latents
from ..reconstruction.kernel import Kernel, kernel_at
from ..report_writer import Report
from ..run import Run
from .corrected_map import part_masks
from .model_in_run import ModelInRun
from .prior_bias import BiasCheck, BiasChecker, stretches, verdict
from .start_model import JudgedDomain, StartChecker, start_sentence

SAMPLED = 12
AGREES, NEVER, WRONG, UNTOLD = "agrees", "never as in the model", "wrong", "cannot be told"
"""What comes out: the model as it was given is right; it is right with domains in other places; it is wrong even so."""


@dataclass(frozen=True)
class CheckedModel:
    """What prior-free maps say of a model."""

    bias: BiasCheck
    domains: list[JudgedDomain] | None
    """Of the model as it was given, but the first; None where the model does not fit and has none to speak of."""
    first: str
    """Residues of the domain by which the model as it was given is laid in."""

    @property
    def outcome(self) -> str:
        """In a word or a few."""
        if self.bias.trusted is None:
            return UNTOLD
        if not self.bias.trusted:
            return WRONG
        return NEVER if any(domain.flagged for domain in self.domains or []) else AGREES

    @property
    def of_start(self) -> str:
        """What is to be said of the model as it was given; empty where nothing is."""
        if self.domains is None or self.bias.trusted is None:
            return ""
        return start_sentence(self.domains, self.first)


def checked(run: Run, found: ModelInRun, latents: Latents, decoder: TrainedDecoder, seed: int) -> CheckedModel:
    """Compare the model with what the particles near each of its states show by themselves."""
    nearby = NearbyParticles(run, latents, decoder, found.maps.z, seed)
    metric, share = LatentMetric(decoder, latents.z), found.maps.share
    checker, labels = BiasChecker(len(found.beads), found.pixel_size_ang), found.motion.labels
    box, points = found.maps.volumes.shape[-1], found.maps.points
    places, (_, _, occupancy) = found.bead_places_px(points), found.motion.at(points)
    start = StartChecker(found) if found.fit.fits else None
    for state, z in enumerate(found.maps.z):
        halves = nearby.reference(z)
        if found.fit.mirrored:
            halves = (mirrored_map(halves[0]), mirrored_map(halves[1]))
        kernel = kernel_at(metric.positions, points[state], nearby.bandwidths.reference, seed)
        shown = shown_by(found, metric.positions, kernel, seed)
        whole = part_masks(places[state], np.zeros_like(labels), box, found.pixel_size_ang)[0]
        checker.add(shown, halves, places[state], occupancy[state][labels], share[state], whole)
        if start is not None:
            start.add(halves)
        run.progress("bias check", state + 1, len(found.maps.z))
    bias = checker.result()
    if start is None:
        return CheckedModel(bias, None, "")
    resolution_ang = box * found.pixel_size_ang / max(float(np.median(bias.last_shell)), 1.0)
    return CheckedModel(bias, start.result(metric.positions, resolution_ang), start.first_residues())


def shown_by(found: ModelInRun, positions: np.ndarray, kernel: Kernel, seed: int) -> np.ndarray:
    """(D, D, D) what the model shows in the particles of a kernel: their regression blurs what moves among them, and a
    model at one place does not. Of many particles `SAMPLED` are drawn."""
    weights = kernel.weights.astype(np.float64) / kernel.weights.sum(dtype=np.float64)
    rng = np.random.default_rng([seed, len(weights)])
    drawn = rng.choice(kernel.index, min(SAMPLED, len(weights)), replace=False, p=weights)
    return np.mean([found.density_at(positions[particle]) for particle in drawn], axis=0)


def add_bias_check(
    out: Report, run: Run, found: ModelInRun, latents: Latents, decoder: TrainedDecoder, seed: int
) -> None:
    """Check the model and say in the report what came out."""
    model = checked(run, found, latents, decoder, seed)
    check, beads = model.bias, found.beads
    residues = stretches(beads.chains, beads.numbers, check.flagged)
    said = verdict(check, residues)
    out.index["bias"] = {
        "outcome": model.outcome,
        "trusted": check.trusted,
        "verdict": said,
        "flagged_share": round(check.flagged_share, 4),
        "untold_share": round(float(check.untold.mean()), 4),
        "flagged": residues,
        "model_fsc": numbers(check.model_fsc.mean(axis=0)),
        "expected_fsc": numbers(check.expected_fsc.mean(axis=0)),
        "along": {
            "model": numbers(check.model_agreement),
            "halves": numbers(check.half_agreement),
            "flagged": check.flagged.tolist(),
        },
        "as_given": {"verdict": model.of_start, "domains": [domain.entry() for domain in model.domains or []]},
    }
    out.index["sentences"] += [sentence for sentence in (said, model.of_start) if sentence]
    bias_figure(out.figure("bias"), found, check)


def bias_figure(file: Path, found: ModelInRun, check: BiasCheck) -> None:
    """Agreement along the residues, of the model and of half-maps with each other, and FSC over the states."""
    place, told = np.arange(len(check.flagged)), ~check.untold
    shells = np.arange(1, check.model_fsc.shape[1] - 1)
    frequency = shells / (found.maps.volumes.shape[-1] * found.pixel_size_ang)
    with figure(file, 8, 2.8) as page:
        along, curves = page.subplots(1, 2, width_ratios=(1.7, 1))
        along.plot(place[told], check.half_agreement[told], color=GREY, lw=1, label="half-maps with each other")
        along.plot(place[told], check.model_agreement[told], color=DISTINCT[0], lw=1, label="model with half-maps")
        if check.flagged.any():
            marked = place[check.flagged], check.model_agreement[check.flagged]
            along.scatter(*marked, s=8, color=DISTINCT[5], zorder=3, label="flagged")
        chains = found.beads.chains
        starts = np.flatnonzero(np.r_[True, chains[1:] != chains[:-1]])
        along.set_xticks(starts if len(starts) <= 20 else starts[:0], chains[starts] if len(starts) <= 20 else [])
        along.set(xlabel="residues, by chain", ylabel="local correlation", title="Prior-free maps and the model")
        along.set_ylim(min(-0.05, check.model_agreement.min() - 0.05), 1.02)
        along.legend(loc="best")
        curves.plot(
            frequency, check.expected_fsc.mean(axis=0)[shells], color=GREY, lw=1.2, label="expected of the truth"
        )
        curves.plot(frequency, check.model_fsc.mean(axis=0)[shells], color=DISTINCT[0], lw=1.4, label="model")
        curves.set(xlabel="spatial frequency (1/Å)", ylabel="FSC with prior-free maps", ylim=(-0.05, 1.02))
        curves.legend(loc="best")

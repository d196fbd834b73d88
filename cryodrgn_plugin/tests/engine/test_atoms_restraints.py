"""Energies of restraints, against sums written out, and what they leave alone."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel
from cryodrgn_plugin.engine.atoms.beads import beads_of
from cryodrgn_plugin.engine.atoms.restraints import restraints_of


def chain(count: int = 12, gap_after: int = 5) -> AtomicModel:
    """A chain of residues of a backbone and a side chain each, on a helix, with a gap in its numbers."""
    t = np.arange(count)
    alpha = np.stack([2.3 * np.cos(1.745 * t), 2.3 * np.sin(1.745 * t), 1.5 * t], axis=1)
    side = alpha * [2.0, 2.0, 1.0] + 0.1 * t[:, None]
    side[t > gap_after] += [0, 20, 0]
    alpha[t > gap_after] += [0, 20, 0]
    numbers = np.where(t > gap_after, t + 10, t)
    return AtomicModel(
        np.stack([alpha, side], axis=1).reshape(-1, 3),
        np.full(2 * count, 6.0),
        np.full(2 * count, "A"),
        np.repeat(numbers, 2),
        np.tile(["CA", "CB"], count),
        np.full(2 * count, "ALA"),
    )


def by_loop(beads, centres, strength, elastic, cutoff, steric, least) -> float:
    """The energy written out, pair by pair."""
    reference, total = beads.centres_ang, 0.0
    longest = max(np.linalg.norm(reference[i] - reference[i + 1]) for i in range(0, len(beads), 2))
    for i in range(len(beads)):
        for j in range(i + 1, len(beads)):
            d = np.linalg.norm(centres[i] - centres[j])
            before = np.linalg.norm(reference[i] - reference[j])
            kinds = beads.kinds[i], beads.kinds[j]
            if kinds == ("backbone", "backbone") and beads.numbers[j] - beads.numbers[i] == 1:
                total += strength * (d - 3.8) ** 2
            elif kinds == ("backbone", "side") and beads.residue[i] == beads.residue[j]:
                total += strength * max(d - longest, 0) ** 2
            else:
                total += elastic * (d - before) ** 2 if before < cutoff else 0
                total += steric * max(least - d, 0) ** 2
    return total


def test_the_energy_is_the_sum_over_pairs_and_its_gradient_that_of_the_sum():
    beads = beads_of(chain())
    restraints = restraints_of(beads, 0.1, 0.02, 7.0, 0.5, 4.0)
    rng = np.random.default_rng(0)
    centres = beads.centres_ang + rng.normal(0, 1.5, (3, len(beads), 3))
    moving = torch.tensor(centres, requires_grad=True)
    energy = restraints.energy(moving)
    wanted = [by_loop(beads, one, 0.1, 0.02, 7.0, 0.5, 4.0) for one in centres]
    np.testing.assert_allclose(energy.detach(), wanted, rtol=1e-6)
    (gradient,) = torch.autograd.grad(energy.sum(), moving)
    step = rng.normal(size=centres.shape)
    ahead, behind = (restraints.energy(torch.tensor(centres + s * 1e-5 * step)).sum() for s in (1, -1))
    assert (gradient.numpy() * step).sum() == pytest.approx(float(ahead - behind) / 2e-5, rel=1e-5)


def test_the_reference_costs_what_its_bonds_are_off_by():
    beads = beads_of(chain())
    restraints = restraints_of(beads, elastic_strength=1.0, elastic_ang=9.0)
    energy = float(restraints.energy(torch.from_numpy(beads.centres_ang)))
    bond = np.linalg.norm(beads.centres_ang[2] - beads.centres_ang[0])
    assert energy == pytest.approx(0.1 * (bond - 3.8) ** 2 * (len(beads) / 2 - 2), rel=1e-3)
    assert len(restraints.bonds.first) == len(beads) / 2 - 2


def test_beads_at_one_place_have_a_gradient():
    beads = beads_of(chain())
    centres = torch.zeros(len(beads), 3, requires_grad=True)
    restraints_of(beads, steric_strength=1.0).energy(centres).backward()
    assert torch.isfinite(centres.grad).all()


def test_atoms_are_joined_as_they_are_in_the_reference():
    model = chain()
    beads = beads_of(model, "atom")
    near = restraints_of(beads)
    assert float(near.energy(torch.from_numpy(beads.centres_ang))) < 1e-9
    assert (near.bonds.length_ang < 2.1).all()

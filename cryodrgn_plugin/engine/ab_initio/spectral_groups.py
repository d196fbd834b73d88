"""Groups of images alike in power, before anything is known of poses: how strongly a molecule scatters, shell by shell.

The power spectrum of an image does not change when the molecule turns in the plane or moves, and little when it is seen
from elsewhere; a molecule of ten times the mass has ten times of it. Coefficients of the images of a group are taken
for random, with one variance S per shell and component; then, with targets t and weights w of `whitened`, w being alike
within a shell of n coefficients,

    log p(t | S) − log p(t | 0) = κ Σ_r ½ Σ_k |t_k|² S/(1 + w S) − n log(1 + w S)

and the S of all groups follow by expectation maximisation. κ is the share of coefficients that are independent of one
another. Molecules of one size are not told apart so; groups are where to begin.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..likelihood.whitened import WhitenedBatch, WhitenedImages
from ..slicing.place import on_host

RADIUS = 14
"""Frequency limit."""
INDEPENDENT = 0.5
"""κ: a molecule that fills a good part of the box ties neighbouring coefficients together."""
FITTED, STEPS = 4_000, 40
"""Images that the groups are fitted to, and in how many steps."""
LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class ShellPower:
    """What is read off N images: in each of R shells the sum of |t|², the mean w, both (N, R), and n (R,)."""

    power: Tensor
    weight: Tensor
    size: Tensor

    @classmethod
    def of(cls, batch: WhitenedBatch, shells: Tensor) -> "ShellPower":
        """`shells` (F,) int64 has the shell of each coefficient."""
        size = torch.bincount(shells).to(batch.weights)
        empty = batch.weights.new_zeros(len(batch), len(size))
        power = empty.index_add(1, shells, batch.targets[:, : len(shells)].abs().square())
        weight = empty.index_add(1, shells, batch.weights[:, : len(shells)])
        return cls(power, weight / size, size)

    @classmethod
    def joined(cls, parts: list["ShellPower"]) -> "ShellPower":
        return cls(torch.cat([part.power for part in parts]), torch.cat([part.weight for part in parts]), parts[0].size)

    def of_images(self, members: Tensor) -> "ShellPower":
        return ShellPower(self.power[members], self.weight[members], self.size)

    def strength(self) -> Tensor:
        """(N,) variance of the signal, all shells alike."""
        beyond = self.power - 2 * self.size * self.weight
        return beyond.sum(1) / (2 * self.size * self.weight.square()).sum(1)

    def evidence(self, variance: Tensor) -> Tensor:
        """(N, G) log-likelihood over that of images of nothing, for `variance` (G, R)."""
        seen = 1 + self.weight[:, None] * variance
        return INDEPENDENT * (self.power[:, None] * variance / seen / 2 - self.size * seen.log()).sum(2)

    def variance(self, share: Tensor, before: Tensor) -> Tensor:
        """(R,) S of images that count (N,) each, from the S (R,) of the step before."""
        left = before / (1 + self.weight * before)
        second_moments = share @ (self.power * left.square() / 2 + self.size * left)
        return second_moments / (self.size * share.sum()).clamp(min=1e-6)


def lag_behind_groups(
    images: WhitenedImages, n: int, n_groups: int, fewest: int, rng: np.random.Generator
) -> np.ndarray:
    """(N, G) float32 by how much each group explains each of `n` images less well than the image's best one; groups
    that are the best of fewer than `fewest` images are left out."""
    lattice = images.lattice
    count = lattice.count(min(RADIUS, lattice.radius))
    shells = torch.as_tensor(lattice.shells[:count], device=images.compute.device).long()
    every = ShellPower.joined([ShellPower.of(batch, shells) for batch in images.passes(count)])
    some = torch.as_tensor(np.sort(rng.permutation(n)[:FITTED]), device=every.power.device)
    evidence = _fitted(every.of_images(some), n_groups, every)
    while evidence.shape[1] > 1:
        sizes = torch.bincount(evidence.argmax(1), minlength=evidence.shape[1])
        smallest = int(sizes.argmin())
        if sizes[smallest] >= fewest:
            break
        evidence = torch.cat([evidence[:, :smallest], evidence[:, smallest + 1 :]], dim=1)
    return on_host(evidence.amax(1, keepdim=True) - evidence)


def _fitted(some: ShellPower, n_groups: int, every: ShellPower) -> Tensor:
    """(N, G) log-likelihoods of all images, shares of the groups included, after groups were fitted to some of them."""
    start = [some.of_images(members) for members in some.strength().argsort().tensor_split(n_groups)]
    variance = torch.stack([_first(lot) for lot in start])
    share = torch.full_like(variance[:, 0], 1 / n_groups)
    for _ in range(STEPS):
        belongs = (some.evidence(variance) + share.log()).softmax(1)
        variance = torch.stack([some.variance(*each) for each in zip(belongs.T, variance, strict=True)])
        share = belongs.mean(0).clamp(min=LEAST_SHARE)
        share = share / share.sum()
    return every.evidence(variance) + share.log()


def _first(lot: ShellPower) -> Tensor:
    """(R,) what the power of some images has beyond that of noise."""
    beyond = (lot.power - 2 * lot.size * lot.weight).sum(0)
    rough = beyond / (2 * lot.size * lot.weight.square()).sum(0).clamp(min=1e-30)
    return rough.clamp(min=float(rough.max()) * 1e-3)

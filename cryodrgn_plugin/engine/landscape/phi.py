"""φ: a small network from the latent space to principal components of volumes (Zhong's thesis, 6.2.5 and 6.4).

Three quarters of the pairs teach it, one quarter judges it. 50 epochs, batches of 64, Adam at 1e-3, as in the thesis.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

EPOCHS, BATCH, LEARNING_RATE, WIDTH = 50, 64, 1e-3, 256
HELD_OUT = 0.25
CHUNK = 100_000


@dataclass(frozen=True)
class Phi:
    """A trained φ."""

    network: nn.Module
    z_mean: np.ndarray
    z_spread: np.ndarray
    target_mean: np.ndarray
    target_spread: float

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Components (N, P) float32 at z (N, Z)."""
        standard = ((z - self.z_mean) / self.z_spread).astype(np.float32)
        with torch.no_grad():
            parts = [self.network(torch.from_numpy(standard[at : at + CHUNK])) for at in range(0, len(z), CHUNK)]
        return (torch.cat(parts).numpy() * self.target_spread + self.target_mean).astype(np.float32)


@dataclass(frozen=True)
class HeldOut:
    """How well φ does on pairs that it has not seen."""

    r2: np.ndarray
    """(P,) share of the variance of each component that φ explains."""
    r2_all: float
    """The same of all components together: of the squared distances between volumes."""
    pairs: int


def learn_phi(z: np.ndarray, targets: np.ndarray, seed: int, report: Callable[..., None]) -> tuple[Phi, HeldOut]:
    """Train φ on pairs z (M, Z) and components (M, P)."""
    order = np.random.default_rng(seed).permutation(len(z))
    held, taught = np.split(order, [max(round(HELD_OUT * len(z)), 1)])
    z_mean, z_spread = z[taught].mean(axis=0), np.maximum(z[taught].std(axis=0), 1e-12)
    # One scale for all components: what matters is the distance between volumes.
    target_mean, target_spread = targets[taught].mean(axis=0), float(max(targets[taught].std(), 1e-12))
    x = torch.from_numpy(((z - z_mean) / z_spread).astype(np.float32))
    y = torch.from_numpy(((targets - target_mean) / target_spread).astype(np.float32))
    phi = Phi(_fitted(x[taught], y[taught], seed, report), z_mean, z_spread, target_mean, target_spread)
    return phi, _held_out(phi(z[held]), targets[held])


def _held_out(predicted: np.ndarray, true: np.ndarray) -> HeldOut:
    left, variance = ((predicted - true) ** 2).mean(axis=0), true.var(axis=0)
    r2 = 1 - left / np.maximum(variance, 1e-30)
    return HeldOut(r2, float(1 - left.sum() / max(variance.sum(), 1e-30)), len(true))


def _fitted(x: torch.Tensor, y: torch.Tensor, seed: int, report: Callable[..., None]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            *(nn.Linear(x.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()),
            nn.Linear(WIDTH, y.shape[1]),
        )
        optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
        for epoch in range(EPOCHS):
            for index in torch.randperm(len(x)).split(BATCH):
                optimizer.zero_grad()
                nn.functional.mse_loss(network(x[index]), y[index]).backward()
                optimizer.step()
            report("phi", epoch + 1, EPOCHS)
    return network.eval()

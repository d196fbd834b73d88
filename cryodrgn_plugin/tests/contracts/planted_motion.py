"""Whether a decoder learns a motion: it is trained as any recipe trains it, at the true z, and asked for the true
slices."""

from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from cryodrgn_plugin.engine.config import DataConfig, RunConfig
from cryodrgn_plugin.engine.data.batch import ImageBatch
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.loader import BatchLoader
from cryodrgn_plugin.engine.decoders.decoder import Decoder
from cryodrgn_plugin.engine.decoders.decoder_registry import DECODERS
from cryodrgn_plugin.engine.encoders.encoder import Encoder, LatentPosterior
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.networks.optimizers import make_optimizers, set_learning_rate
from cryodrgn_plugin.engine.networks.trainer import step_draws
from cryodrgn_plugin.engine.networks.vae_recipe import make_objective
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set
from cryodrgn_plugin.engine.slicing.exact import exact_slices

BOX, STATES, IMAGES = 16, 6, 600
EPOCHS, RATE = 12, 3e-3
VIEWS = 8


class KnownLatents(Encoder):
    """The true z of every particle, with hardly any doubt."""

    generalizes = False

    @classmethod
    def of(cls, config, scale, n_particles):
        raise NotImplementedError

    def __init__(self, z: np.ndarray):
        super().__init__()
        self.z_dim = z.shape[1]
        self.register_buffer("z", torch.as_tensor(z, dtype=torch.float32))

    def encode(self, batch: ImageBatch) -> LatentPosterior:
        z = self.z[batch.index.long()]
        return LatentPosterior(z, torch.full_like(z, -8.0))


@dataclass(frozen=True)
class PlantedMotion:
    """Images of a hinge that opens, and what they are of."""

    dataset: ParticleDataset
    z: np.ndarray
    """(N, 1). Of each image: its angle, of mean 0 and standard deviation 1."""
    state_z: np.ndarray
    """(S, 1). Of each state."""
    maps: np.ndarray
    """(S, D, D, D). The truth at `state_z`."""

    @classmethod
    def simulated(cls, folder: Path) -> "PlantedMotion":
        config = SimulationConfig(snr=4.0, shift_px=1.0, pixel_size_ang=7.0)
        star = tiny_set(folder, n=IMAGES, box=BOX, states=STATES, seed=1, config=config)
        coordinate = np.load(star.parent / "truth.npz")["coordinate"]
        states, z = np.unique(coordinate), ((coordinate - coordinate.mean()) / coordinate.std())[:, None]
        maps = np.stack([read_map(star.parent / "maps" / f"state_{s:03d}.mrc")[0] for s in range(STATES)])
        dataset = ParticleDataset.open(str(star), DataConfig())
        return cls(dataset, z, ((states - coordinate.mean()) / coordinate.std())[:, None], maps)

    def trained(self, kind: type[Decoder], config: RunConfig, changed=lambda decoder: decoder) -> Decoder:
        """A decoder of this kind, or what `changed` makes of it, after a few epochs at the true z."""
        torch.manual_seed(0)
        noise = estimate_noise(self.dataset)
        with patch.dict(DECODERS, {config.decoder.kind: kind}):
            objective = make_objective(config, self.dataset, noise, torch.device("cpu"), torch.float32)
        objective.encoder, objective.decoder = KnownLatents(self.z), changed(objective.decoder)
        loader = BatchLoader(self.dataset, 32)
        optimizers = make_optimizers(objective, [], [])
        for epoch in range(EPOCHS):
            for number, batch in enumerate(loader.iterate(epoch)):
                self._step(objective, optimizers, batch.torch("cpu"), step_draws(0, epoch, number))
        return objective.decoder.after_training()

    @staticmethod
    def _step(objective: nn.Module, optimizers: list, batch: ImageBatch, generator: torch.Generator) -> None:
        for optimizer in optimizers:
            set_learning_rate(optimizer, RATE)
            optimizer.zero_grad()
        objective(batch, 0.0, generator).total.backward()
        for optimizer in optimizers:
            optimizer.step()

    @torch.no_grad()
    def unexplained(self, decoder: Decoder) -> float:
        """Squared error of the slices at the true z, at views never seen, as a share of that of the mean of the true
        maps: at least 1 for whatever ignores z, 0 for the truth. The scale of the decoder is left open."""
        lattice = self.dataset.lattice
        rotations = random_matrices(VIEWS, np.random.default_rng(7)).astype(np.float32)
        true = np.stack([exact_slices(volume, rotations, lattice) for volume in self.maps])
        z = torch.as_tensor(self.state_z, dtype=torch.float32).repeat_interleave(VIEWS, dim=0)
        views = torch.as_tensor(rotations).repeat(STATES, 1, 1)[:, None]
        decoded = decoder.slices(z, views, lattice, lattice.size)[:, 0].numpy().reshape(true.shape)
        weight = lattice.multiplicity
        scale = (weight * decoded.conj() * true).sum().real / (weight * np.abs(decoded) ** 2).sum()
        error = (weight * np.abs(scale * decoded - true) ** 2).sum()
        return float(error / (weight * np.abs(true - true.mean(0)) ** 2).sum())

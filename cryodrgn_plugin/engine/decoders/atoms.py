"""An atomic model that moves: Gaussian beads whose centres depend on z (Cryofold, Zhong's thesis, chapter 7).

    V_z(k) = exp(−2π² σ² |k|²) Σ_j a₀ Z_j exp(−2πi k·(μ_j + Δ_j(z)))

μ_j are the beads of the model, Z_j their electrons; σ and a₀ are shared by all and fitted. Without latent dimensions
the Δ_j are parameters; with some, a residual network makes them from z, and starts at no motion, or at one that a run
has found already (`motion_start`). Restraints between beads are added to the misfit (eq. 7.3). The decoder stores the
model that it was made from, and is made again without its file.
"""

import math
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ..atoms.atomic_model import AtomicModel
from ..atoms.beads import beads_of
from ..atoms.model_reading import read_model
from ..atoms.packed_model import PREFIX, packed, unpacked
from ..atoms.projecting import slices_of_beads, volume_of_beads
from ..atoms.restraints import restraints_of
from ..config import RunConfig
from ..errors import ConfigError, DataError
from ..geometry.rotations import random_matrices
from ..imaging.lattice import HalfPlane
from .amplitudes import ResidualBlock
from .data_statistics import DataStatistics
from .decoder import Decoder
from .motion_start import FoundMotion, StartingMotion

OFFSET_UNIT_ANG = 10.0
"""Of places that are parameters themselves, so that Adam's step of 1e-3 is 0.01 Å."""
USUAL_SHARE = 0.6
"""Of the box that a particle takes; until the pixel size is known, the model takes as much."""
FEWEST_INSIDE = 0.9
"""Share of the beads that must lie in the box."""
SHELLS = slice(1, 4)
"""Shells by which amplitudes come to the grey scale of the images."""
VIEWS = 64


class AtomsDecoder(Decoder):
    """Beads of an atomic model.

    Parameters
    ----------
    model : where the atoms are in the reference, in the frame of its file.
    config : the settings `atoms`, `decoder.layers` and `decoder.width`, `z_dim` and `seed`.
    start : where beads are as a function of z before the network has learned anything; None is at rest.
    """

    @classmethod
    def of(cls, config: RunConfig, box: int) -> Self:
        cls.require_consistent(config)
        if not config.atoms.start_from:
            return cls(read_model(config.atoms.model), config, box)
        found = FoundMotion.of_run(config.atoms.start_from)
        if found.z.shape[1] != config.z_dim:
            raise ConfigError(
                f"z_dim is {config.z_dim}, and the latents of {config.atoms.start_from} have {found.z.shape[1]} "
                f"dimensions; set z_dim to {found.z.shape[1]}."
            )
        beads = beads_of(found.model, config.atoms.beads, config.atoms.residues)
        return cls(found.model, config, box, StartingMotion.of(found, beads))

    @classmethod
    def require_consistent(cls, config: RunConfig) -> None:
        if config.atoms.start_from and config.encoder.kind != "table":
            raise ConfigError(
                f"encoder.kind is {config.encoder.kind}; latents that a run has found (atoms.start_from) are the start "
                "of a table: set encoder.kind to table."
            )
        if config.recipe == "refined_atoms" and not config.atoms.start_from:
            raise ConfigError(
                "The recipe refined_atoms starts from a motion that was found; name the run into whose maps the "
                "command atoms has laid a model, with atoms.start_from."
            )
        if not config.atoms.model and not config.atoms.start_from:
            raise ConfigError(
                "decoder.kind is atoms, which moves an atomic model, and there is none; name its file with atoms.model."
            )

    @classmethod
    def restored(cls, config: RunConfig, box: int, state: dict[str, Tensor]) -> Self:
        decoder = cls(unpacked(state), config, box, StartingMotion.like(state, "start."))
        decoder.load_state_dict(state)
        return decoder

    def __init__(self, model: AtomicModel, config: RunConfig, box: int, start: StartingMotion | None = None):
        super().__init__()
        self.start = start
        atoms = config.atoms
        self.box, self.z_dim, self.seed, self._atoms = box, config.z_dim, config.seed, atoms
        self.beads = beads_of(model, atoms.beads, atoms.residues)
        self.restraints = restraints_of(
            self.beads, atoms.bonds, atoms.elastic, atoms.elastic_ang, atoms.steric, atoms.steric_ang
        )
        if start is not None:
            self.restraints = self.restraints.along(self.beads.centres_ang + start.at_nodes())
        for name, tensor in packed(model).items():
            self.register_buffer(name, tensor)
        middle = model.centre_ang()
        span = 2 * np.percentile(np.linalg.norm(self.beads.centres_ang - middle, axis=1), 95)
        self.register_buffer("pixel_size_ang", torch.tensor(max(span, 10.0) / USUAL_SHARE / box))
        self.register_buffer("centres_ang", torch.from_numpy(self.beads.centres_ang - middle).float())
        self.register_buffer("electrons", torch.from_numpy(self.beads.electrons))
        self.register_buffer("scale", torch.tensor(atoms.amplitude or 1.0))
        self.log_sigma = nn.Parameter(torch.tensor(math.log(atoms.sigma_ang)))
        self.log_amplitude = nn.Parameter(torch.zeros(()))
        self.offsets: nn.Parameter | None = None
        self.motion: MotionNetwork | None = None
        if self.z_dim:
            self.motion = MotionNetwork(self.z_dim, len(self.beads), config.decoder.layers, config.decoder.width)
        else:
            self.offsets = nn.Parameter(torch.zeros(len(self.beads), 3))
        self.to_reference()

    def to_reference(self) -> None:
        """Put all beads back to where the model has them, or the motion that it starts with; width and amplitude
        stay."""
        if self.motion is not None:
            self.motion.begin(torch.Generator().manual_seed(self.seed))
        else:
            nn.init.zeros_(self.offsets)

    @torch.no_grad()
    def prepare(self, statistics: DataStatistics) -> None:
        """Take the pixel size, put the model in its place and bring its grey scale to that of the images.

        Raises DataError where the model does not lie in the box.
        """
        self.pixel_size_ang.fill_(statistics.pixel_size_ang)
        origin = self._origin_ang(statistics.pixel_size_ang)
        self.centres_ang.copy_(torch.from_numpy(self.beads.centres_ang - origin))
        self._require_inside(origin)
        if not self._atoms.amplitude:
            signal = torch.from_numpy(statistics.signal[SHELLS].astype(np.float32))
            self.scale.mul_(torch.exp((signal.log() - self._shell_sizes().log()).mean()))

    def _origin_ang(self, pixel_size_ang: float) -> np.ndarray:
        """(3,) what of the file's frame is the middle of the box."""
        place = self._atoms.place
        if place == "map":
            return np.full(3, self.box // 2 * pixel_size_ang)
        return np.zeros(3) if place == "middle" else self.model.centre_ang()

    def _require_inside(self, origin_ang: np.ndarray) -> None:
        half_ang = self.box * float(self.pixel_size_ang) / 2
        inside = (self.centres_ang.abs() < half_ang).all(1).float().mean()
        if inside < FEWEST_INSIDE:
            away = np.linalg.norm(self.model.centre_ang() - origin_ang)
            raise DataError(
                f"The atomic model does not lie in the box: with atoms.place = {self._atoms.place} its centre is "
                f"{away:.0f} Å from the middle of a box of {2 * half_ang:.0f} Å, and {inside:.0%} of it are inside. "
                "Set atoms.place to mass, or fit the model to a map of these particles first."
            )

    def _shell_sizes(self) -> Tensor:
        """Root mean square of the coefficients in the lowest shells, over random views."""
        lattice = HalfPlane(self.box, SHELLS.stop)
        rotations = torch.from_numpy(random_matrices(VIEWS, np.random.default_rng(0)).astype(np.float32))[None]
        latent = torch.zeros(1, self.z_dim) if self.z_dim else None
        power = self.slices(latent, rotations, lattice, lattice.size)[0].abs().square().mean(0).numpy()
        return torch.from_numpy(lattice.shell_mean(power)[SHELLS]).float().sqrt()

    def remarks(self) -> list[str]:
        frames = {
            "map": "in the frame of a map of these particles, with the origin at the corner of the box",
            "middle": "with its origin in the middle of the box",
            "mass": "with its centre of mass put in the middle of the box",
        }
        said = [f"The atomic model is {self.beads.described()}; it is taken to lie {frames[self._atoms.place]}."]
        if self.start is not None:
            said.append(f"It starts with the motion through {len(self.start.nodes)} maps of {self._atoms.start_from}.")
        return said

    @property
    def model(self) -> AtomicModel:
        """The reference, in the frame of its file."""
        return unpacked({name: value for name, value in self.named_buffers() if name.startswith(PREFIX)})

    @property
    def origin_ang(self) -> np.ndarray:
        """(3,) what of the file's frame is the middle of the box."""
        return self.beads.centres_ang[0] - self.centres_ang[0].double().cpu().numpy()

    @property
    def sigma_ang(self) -> Tensor:
        """() width of the beads."""
        return self.log_sigma.exp()

    @property
    def amplitudes(self) -> Tensor:
        """(n,) what each bead adds to the sum over all voxels."""
        return self.scale * self.log_amplitude.exp() * self.electrons

    def centres(self, z: Tensor | None) -> Tensor:
        """(B, n, 3) centres in Å from the middle of the box; (1, n, 3) without latent."""
        if self.motion is None:
            return (self.centres_ang + OFFSET_UNIT_ANG * self.offsets)[None]
        moved = self.centres_ang + self.motion(z)
        return moved if self.start is None else moved + self.start(z)

    def restraint(self, z: Tensor | None) -> Tensor:
        return self.restraints.energy(self.centres(z))

    def slices(self, z: Tensor | None, rotations: Tensor, lattice: HalfPlane, count: int) -> Tensor:
        return slices_of_beads(
            self.centres(z), self.amplitudes[None], self.sigma_ang, rotations, lattice, count, self.pixel_size_ang
        )

    @torch.no_grad()
    def volume(self, z: np.ndarray | None) -> np.ndarray:
        centres = self.centres(None if self.motion is None else self._latents(z)[None])[0]
        volume = volume_of_beads(centres, self.amplitudes, self.sigma_ang, self.box, self.pixel_size_ang)
        return volume.cpu().numpy().astype(np.float32)

    @torch.no_grad()
    def places_ang(self, z: np.ndarray) -> np.ndarray:
        """(S, n, 3) centres at (S, Z) latents, in the frame of the model's file; without latent all alike."""
        latent = self._latents(z)
        moved = self.centres(latent).double().cpu().numpy() + self.origin_ang
        return np.broadcast_to(moved, (len(latent), *moved.shape[1:]))

    def _latents(self, z: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(z), dtype=self.scale.dtype, device=self.scale.device)


class MotionNetwork(nn.Module):
    """z (B, Z) → displacements (B, n, 3) in Å: a residual network, whose last layer starts at zero."""

    def __init__(self, z_dim: int, n_beads: int, layers: int, width: int):
        super().__init__()
        hidden = [ResidualBlock(width) for _ in range(layers)]
        self.network = nn.Sequential(nn.Linear(z_dim, width), nn.ReLU(), *hidden)
        self.head = nn.Linear(width, 3 * n_beads)

    @torch.no_grad()
    def begin(self, generator: torch.Generator) -> None:
        """Hidden layers uniform in ±1/√inputs, and no motion."""
        for layer in self.network.modules():
            if isinstance(layer, nn.Linear):
                for parameter in layer.parameters():
                    bound = 1 / math.sqrt(layer.in_features)
                    parameter.uniform_(-bound, bound, generator=generator)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, z: Tensor) -> Tensor:
        return self.head(self.network(z)).unflatten(-1, (-1, 3))

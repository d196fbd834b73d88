"""By what slices are computed: a place, and the member of the backends that works there."""

from dataclasses import dataclass

import torch

from ..config import RunConfig
from ..config.kinds import BACKENDS, class_at
from ..errors import ConfigError
from ..imaging.lattice import HalfPlane
from .backend import Backend
from .place import Place, pick_device
from .sphere import HalfSphere


@dataclass(frozen=True)
class Compute(Place):
    """A place with the member that computes slices there."""

    member: str = "numba"

    @classmethod
    def on(cls, device: str | torch.device, member: str = "auto", dtype: torch.dtype = torch.float32) -> "Compute":
        """Of a device. The member `auto` is numba for float32 on the CPU and torch everywhere else.

        Raises ConfigError for a member that there is not, or that cannot work there.
        """
        device = torch.device(device)
        able = device.type == "cpu" and dtype == torch.float32
        member = ("numba" if able else "torch") if member == "auto" else member
        if member not in BACKENDS:
            raise ConfigError(f"The backend is {member!r}; choose auto, {' or '.join(BACKENDS)}.")
        if member == "numba" and not able:
            raise ConfigError(f"The numba backend works in float32 on the CPU, not on {device}; choose auto or torch.")
        return cls(device, dtype, member)

    @classmethod
    def chosen(cls, config: RunConfig) -> "Compute":
        """What the settings of a run ask for. Raises ConfigError where that is not to be had here."""
        return cls.asked_for(config.device, config.backend)

    @classmethod
    def asked_for(cls, device: str, member: str) -> "Compute":
        """By the words of the settings `device` and `backend`; with both left to us, numba on the CPU."""
        return cls() if device == member == "auto" else cls.on(pick_device(device), member)

    def backend(self, sphere: HalfSphere, lattice: HalfPlane) -> Backend:
        """The member bound to a storage and a lattice. It holds no tables of its own and costs nothing to make."""
        return class_at(BACKENDS[self.member], __package__)(sphere, lattice, self)

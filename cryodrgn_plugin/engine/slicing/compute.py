"""Where slices are computed: the device, the precision, and the member of the backends that does it.

Images and what is made of them stay on the device. What comes back are maps, figures and what is known of each
particle; `on_host` is the one door for it.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..config import RunConfig
from ..config.kinds import BACKENDS
from ..errors import ConfigError
from ..imaging.lattice import HalfPlane
from .sphere import HalfSphere

if TYPE_CHECKING:
    from .backend import Backend

MEMBERS = {"numba": "numba_backend:NumbaBackend", "torch": "torch_backend:TorchBackend"}
"""Where each member is: module of this package and class. A new one is named in config/kinds.py too."""
assert tuple(MEMBERS) == BACKENDS


@dataclass(frozen=True)
class Compute:
    """Where slices are computed, in which precision, and by which member."""

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    member: str = "numba"

    @classmethod
    def on(cls, device: str | torch.device, member: str = "auto", dtype: torch.dtype = torch.float32) -> "Compute":
        """Of a device. The member `auto` is numba for float32 on the CPU and torch everywhere else.

        Raises ConfigError for a member that there is not, or that cannot work there.
        """
        device = torch.device(device)
        able = device.type == "cpu" and dtype == torch.float32
        member = ("numba" if able else "torch") if member == "auto" else member
        if member not in MEMBERS:
            raise ConfigError(f"The backend is {member!r}; choose auto, {' or '.join(MEMBERS)}.")
        if member == "numba" and not able:
            raise ConfigError(f"The numba backend works in float32 on the CPU, not on {device}; choose auto or torch.")
        return cls(device, dtype, member)

    @property
    def complex_dtype(self) -> torch.dtype:
        return self.dtype.to_complex()

    @classmethod
    def chosen(cls, config: RunConfig) -> "Compute":
        """What the settings of a run ask for. Raises ConfigError where that is not to be had here."""
        return cls.on(pick_device(config.device), config.backend)

    def backend(self, sphere: HalfSphere, lattice: HalfPlane) -> "Backend":
        """The member bound to a storage and a lattice. It holds no tables of its own and costs nothing to make."""
        module, name = MEMBERS[self.member].split(":")
        return getattr(import_module(f".{module}", __package__), name)(sphere, lattice, self)

    def tensor(self, values: np.ndarray | Tensor) -> Tensor:
        """The values on the device, real ones in `dtype` and complex ones in its complex counterpart; whole numbers and
        truth values as they are. Shares the memory where it can."""
        tensor = torch.as_tensor(values)
        kind = self.complex_dtype if tensor.is_complex() else self.dtype if tensor.is_floating_point() else None
        return tensor.to(self.device, kind)

    def double(self, values: np.ndarray | Tensor) -> Tensor:
        """Statistics of particles and maps on the device, in double precision whatever slices are computed in."""
        return torch.as_tensor(values).to(self.device, torch.float64)


def on_host(tensor: Tensor) -> np.ndarray:
    """A map, or what is known of particles, as an array in the memory of the host. Images do not pass here."""
    return tensor.detach().cpu().numpy()


def pick_device(name: str) -> torch.device:
    """auto: a GPU when there is one. Raises ConfigError when the device asked for is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device is {name!r}; choose auto, cpu, or cuda with an index (cuda:0).") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device is {name!r}; choose auto, cpu, or cuda with an index (cuda:0).")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device is {name!r}, but torch finds {torch.cuda.device_count()} GPUs here; choose auto or cpu."
        )
    return device

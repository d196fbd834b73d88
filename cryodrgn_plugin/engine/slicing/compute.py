"""By what slices are computed: a place, and the member of the backends that works there."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass

import torch

from ..config import RunConfig
from ..config.kinds import BACKENDS, class_at
from ..errors import ConfigError
from ..imaging.lattice import HalfPlane
from .backend import Backend
from .place import Place, pick_device
from .sphere import HalfSphere

CAPABILITY = (8, 0)
"""The oldest GPUs whose matrix units know tf32."""
OLDEST_TRITON = (3, 3)
"""That the kernels compile with."""


@dataclass(frozen=True)
class Compute(Place):
    """A place with the member that computes slices there."""

    member: str = "numba"

    @classmethod
    def on(cls, device: str | torch.device, member: str = "auto", dtype: torch.dtype = torch.float32) -> "Compute":
        """Of a device. The member `auto` is numba for float32 on the CPU, triton for float32 on a GPU if it can work
        there, and torch everywhere else.

        Raises ConfigError for a member that there is not, or that cannot work there.
        """
        device = torch.device(device)
        obstacles = {"numba": _against_numba(device, dtype), "triton": _against_triton(device, dtype)}
        if member == "auto":
            preferred = "triton" if device.type == "cuda" else "numba"
            member = "torch" if obstacles[preferred] else preferred
        if member not in BACKENDS:
            raise ConfigError(f"The backend is {member!r}; choose auto, {' or '.join(BACKENDS)}.")
        if obstacles.get(member):
            raise ConfigError(f"{obstacles[member]}; choose auto or torch.")
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


def _against_numba(device: torch.device, dtype: torch.dtype) -> str:
    """Why the numba member cannot work there; empty if it can."""
    able = device.type == "cpu" and dtype == torch.float32
    return "" if able else f"The numba backend works in float32 on the CPU, not on {device}"


def _against_triton(device: torch.device, dtype: torch.dtype) -> str:
    """Why the triton member cannot work there; empty if it can. Its interpreter, which tests use, takes any device."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if dtype != torch.float32 or not (device.type == "cuda" or interpreted):
        return f"The triton backend works in float32 on a GPU, not in {str(dtype).partition('.')[2]} on {device}"
    if importlib.util.find_spec("triton") is None:
        return "The triton backend needs the package triton, which is not installed (pip install triton)"
    if _release("triton") < OLDEST_TRITON:
        return "The triton backend needs triton 3.3 or newer, which comes with torch 2.7"
    if interpreted:
        return ""
    if torch.cuda.is_available() and (torch.version.hip or torch.cuda.get_device_capability(device) < CAPABILITY):
        return f"The triton backend needs an NVIDIA GPU of compute capability {CAPABILITY[0]}.{CAPABILITY[1]} or more"
    if not any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))):
        return "The triton backend needs a C compiler to start its kernels, and there is none (install gcc, or set CC)"
    return ""


def _release(package: str) -> tuple[int, int]:
    """Major and minor version; of a package under another name, as builds from last night have, the newest."""
    try:
        major, minor = importlib.metadata.version(package).split(".")[:2]
    except importlib.metadata.PackageNotFoundError:
        return sys.maxsize, 0
    return int(major), int(minor)

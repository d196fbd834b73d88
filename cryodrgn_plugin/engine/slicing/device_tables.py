"""Index tables of a half-sphere or half-plane as tensors on a device; made once, and kept with what they are of."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..imaging.lattice import HalfPlane
from .sphere import HalfSphere


def table(owner: HalfSphere | HalfPlane, name: str, device: torch.device, dtype: torch.dtype = torch.int64) -> Tensor:
    """The array `owner.name` on a device."""
    kept = vars(owner).setdefault("_tables", {})
    key = name, str(device), dtype
    if key not in kept:
        kept[key] = torch.as_tensor(getattr(owner, name)).to(device, dtype)
    return kept[key]


def made(owner: HalfSphere | HalfPlane, name: str, device: torch.device, make: Callable[[Any], np.ndarray]) -> Tensor:
    """The array `make(owner)` on a device, of its own type; `name` is what it is kept by."""
    kept = vars(owner).setdefault("_tables", {})
    key = name, str(device), None
    if key not in kept:
        kept[key] = torch.as_tensor(make(owner)).to(device)
    return kept[key]

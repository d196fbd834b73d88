"""Where tensors are: a device, the precision of what slices are made of there, and the door back to the host.

Images and what is made of them stay on the device. What comes back are maps, figures and what is known of each
particle; `on_host` is the one door for it.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError
from ..ranks import Ranks


@dataclass(frozen=True)
class Place:
    """A device and a precision."""

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    half: bool = field(default=False, kw_only=True)
    """Volumes may be read in half precision, with sums in `dtype`: slices right to 10⁻³. The triton member does."""

    @property
    def complex_dtype(self) -> torch.dtype:
        return self.dtype.to_complex()

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
    """auto: a GPU when there is one; auto and cuda are a process's own where several share the work. Raises ConfigError
    when the device asked for is not there, or is asked for by several.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device is {name!r}; choose auto, cpu, or cuda with an index (cuda:0).") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device is {name!r}; choose auto, cpu, or cuda with an index (cuda:0).")
    if device.type == "cuda" and device.index is not None and not Ranks.present().alone:
        raise ConfigError(
            f"device is {name!r}, and {Ranks.present().count} processes share the work; with cuda or auto each takes a "
            "GPU of its own."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device is {name!r}, but torch finds {torch.cuda.device_count()} GPUs here; choose auto or cpu."
        )
    return device

"""Which number type the networks' matrix products use."""

import platform
from contextlib import AbstractContextManager
from pathlib import Path

import torch


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """float32 or bfloat16; auto takes bfloat16 where the device computes it natively."""
    if precision == "auto":
        return torch.bfloat16 if has_native_bf16(device) else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


def has_native_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products are faster than float32 ones there."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    if platform.system() != "Linux" or not flags.exists():
        return False
    text = flags.read_text(errors="replace")
    return "avx512_bf16" in text or "amx_bf16" in text


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Matrix products in `dtype` inside the block; sums, losses and parameters stay in float32."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)

"""What torch stores, written whole or not at all and read with weights_only=True after a check of every byte."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from .writing import replacing

_LARGEST_GROWTH = 4
"""Tensors may take so many times the file's size in memory: an expanded one takes more than it stores."""


def save_torch(path: Path, content: Any) -> None:
    """Write `content` in place of `path`; equal contents are equal files.

    Raises DataError when the disk is full or the folder cannot be written.
    """
    # Given a path, torch names what is inside after the file; given a file, equal contents are equal files.
    with replacing(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # torch takes a failed write for a bug of its own, and closes the file after it.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_torch(path: Path, device: torch.device | str = "cpu") -> Any:
    """What `save_torch` wrote, on a device. Raises whatever is wrong with the file; call it where that is explained."""
    with ZipFile(path) as parts:
        damaged = parts.testzip()
        if damaged is not None:
            raise BadZipFile(f"{damaged} is not what was written")
    content = torch.load(path, map_location=device, weights_only=True)
    size = path.stat().st_size
    if sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content)) > _LARGEST_GROWTH * size:
        raise ValueError("its tensors are larger than the file")
    return content


def _tensors(content: Any) -> Iterable[Tensor]:
    """All tensors in nested containers."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _tensors(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _tensors(value)
